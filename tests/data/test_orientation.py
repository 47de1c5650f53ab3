from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from noisyclean.data.decode import PixelMapping, decode_content
from noisyclean.data.orientation import orientation, upright

SIDE = 8


def stored(exif: Image.Exif | bytes) -> bytes:
    """The file of a picture that no turn leaves as it is."""
    values = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    content = io.BytesIO()
    Image.fromarray(values).save(content, "PNG", exif=exif)
    return content.getvalue()


@pytest.mark.parametrize("said", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
def test_a_picture_is_turned_as_pillow_turns_it(said: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = said
    picture = Image.open(io.BytesIO(stored(exif)))
    wanted = ImageOps.exif_transpose(picture)
    assert (np.asarray(upright(picture)) == np.asarray(wanted)).all()
    assert orientation(picture) == (said if 1 <= said <= 8 else 1)


def test_a_tag_that_cannot_be_written_again_does_not_keep_a_picture_from_being_turned() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.XResolution] = 72.0
    rational, text = b"\x01\x1a\x00\x05", b"\x01\x1a\x00\x02"
    content = stored(exif.tobytes().replace(rational, text))
    picture = Image.open(io.BytesIO(content))
    with pytest.raises(TypeError):
        ImageOps.exif_transpose(picture)
    found = decode_content(content, PixelMapping(size_px=SIDE)).image_HWI
    assert (found == np.asarray(picture.transpose(Image.Transpose.ROTATE_270))).all()
