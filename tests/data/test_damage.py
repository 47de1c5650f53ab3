"""Files with some bytes changed: each is read or refused, whatever Pillow makes of it."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from noisyclean.data.decode import FULL_RANGE, PixelMapping, UnreadableImage, decode_content, quiet_pillow
from noisyclean.data.depth import choose_window

NUM_DAMAGED = 150
HEADER_BYTES = 300
"""Bytes at either end that are changed: where headers lie."""


def picture(kind: str, mode: str = "RGB") -> bytes:
    """A small picture with a few notes of a camera."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "maker"
    exif[ExifTags.Base.XResolution] = 72.0
    values = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)
    image = Image.fromarray(values) if mode == "RGB" else Image.fromarray(values[..., 0].astype(np.uint16) * 200)
    content = io.BytesIO()
    image.save(content, kind, exif=exif)
    return content.getvalue()


def damaged(content: bytes) -> Iterator[bytes]:
    """The same file many times, each with up to three other bytes near its start or its end."""
    draw = np.random.default_rng(1)
    near = min(len(content), HEADER_BYTES)
    for _ in range(NUM_DAMAGED):
        changed = bytearray(content)
        first = int(draw.choice([0, len(content) - near]))
        for place in draw.integers(first, first + near, size=draw.integers(1, 4)):
            changed[place] = draw.integers(0, 256)
        yield bytes(changed)


@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "RGB"), ("TIFF", "RGB"), ("TIFF", "I;16"), ("WEBP", "RGB")])
def test_a_damaged_file_is_read_or_quarantined(kind: str, mode: str) -> None:
    ends: set[str] = set()
    with quiet_pillow():
        for content in damaged(picture(kind, mode)):
            try:
                ends.add(str(decode_content(content, PixelMapping(size_px=8)).image_HWI.shape))
            except UnreadableImage:
                ends.add("refused")
    assert ends == {"(8, 8, 3)", "refused"}


def test_a_damaged_header_does_not_stop_the_choice_of_a_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged_header(_: Path) -> Image.Image:
        raise struct.error("required argument is not an integer")

    monkeypatch.setattr("noisyclean.data.depth.open_image", damaged_header)
    (tmp_path / "x.tif").write_bytes(picture("TIFF", "I;16"))
    assert choose_window([str(tmp_path / "x.tif")]) == (FULL_RANGE, "8 bits a channel")
