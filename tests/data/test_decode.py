from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image

from noisyclean.data.decode import MAX_PIXELS, PixelMapping, UnreadableImage, decode_content, quiet_pillow
from noisyclean.data.jpeg import fast_pixels


def _orientation(turn: int) -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = turn
    return exif


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


def test_one_limit_of_size_is_in_force_while_pictures_are_read() -> None:
    before = Image.MAX_IMAGE_PIXELS
    with quiet_pillow():
        assert Image.MAX_IMAGE_PIXELS == MAX_PIXELS
    assert before == Image.MAX_IMAGE_PIXELS


def _jpeg(side: tuple[int, int], mode: str = "RGB", **options: object) -> bytes:
    """Smooth colours with some grain, as photographs have them."""
    draw = np.random.default_rng(0)
    coarse = Image.fromarray(draw.integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize(side, Image.Resampling.BICUBIC)
    grain = draw.integers(-9, 10, (*coarse.size[::-1], 3))
    content = io.BytesIO()
    picture = Image.fromarray(np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8)).convert(mode)
    picture.save(content, "JPEG", **options)
    return content.getvalue()


def _by_pillow(content: bytes, mapping: PixelMapping, monkeypatch: pytest.MonkeyPatch) -> NDArray[np.uint8]:
    with monkeypatch.context() as patch:
        patch.setattr("noisyclean.data.decode.fast_pixels", lambda _: None)
        return decode_content(content, mapping).image_HWI


@pytest.mark.parametrize("side", [(97, 61), (32, 32), (120, 127)])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"mode": "L"},
        {"mode": "CMYK"},
        {"subsampling": 0, "quality": 97},
        {"subsampling": 1},
        {"subsampling": 2, "progressive": True},
        *({"exif": _orientation(turn)} for turn in (1, 3, 6)),
    ],
)
def test_torchcodec_gives_pillows_pixels(
    options: dict[str, Any], side: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torchcodec")
    content, mapping = _jpeg(side, **options), PixelMapping(size_px=32)
    assert (decode_content(content, mapping).image_HWI == _by_pillow(content, mapping, monkeypatch)).all()


def test_torchcodec_is_used_where_it_is_installed() -> None:
    pytest.importorskip("torchcodec")
    content = _jpeg((40, 30))
    pixels = fast_pixels(content)
    assert pixels is not None
    assert (pixels == np.asarray(Image.open(io.BytesIO(content)))).all()


def test_what_is_wrong_with_a_jpeg_is_pillows_to_say() -> None:
    content = _jpeg((40, 30))
    with pytest.raises(UnreadableImage, match="damaged or truncated: image file is truncated"):
        decode_content(content[: -len(content) // 4], PixelMapping(size_px=8))
