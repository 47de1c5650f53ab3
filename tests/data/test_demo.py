from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from noisyclean.data.demo import write_digits


def test_a_demo_that_was_killed_leaves_no_torn_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Image.Image.save

    def killed(image: Image.Image, path: Path, *words: str) -> None:
        whole(image, path, *words)
        if path.stem == "0003":
            path.write_bytes(path.read_bytes()[:20])
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            write_digits(tmp_path, rate=0.2, seed=0)
    write_digits(tmp_path, rate=0.2, seed=0)
    pictures = sorted((tmp_path / "images").iterdir())
    assert len(pictures) == 1797
    for picture in pictures[:5]:
        with Image.open(picture) as image:
            image.load()
