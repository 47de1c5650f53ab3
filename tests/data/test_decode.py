from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from noisyclean.data.decode import PixelMapping, decode_content


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
@pytest.mark.parametrize(("width", "height"), [(97, 61), (20, 31), (7, 150)])
def test_resizing_is_pillows_within_one_level(width: int, height: int, mode: str) -> None:
    draw = np.random.default_rng(0)
    picture = Image.fromarray(draw.integers(0, 256, (height, width, 3), dtype=np.uint8)).convert(mode)
    content = io.BytesIO()
    picture.save(content, "PNG")
    found = decode_content(content.getvalue(), PixelMapping(size_px=32)).image_HWI
    wanted = np.asarray(picture.convert("RGB").resize((32, 32), Image.Resampling.BILINEAR))
    assert found.shape == (32, 32, 3)
    assert np.abs(found.astype(int) - wanted).max() <= 1


def test_an_image_of_the_right_size_is_left_alone() -> None:
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(image).save(content, "PNG")
    assert (decode_content(content.getvalue(), PixelMapping(size_px=16)).image_HWI == image).all()
