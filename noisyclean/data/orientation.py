"""EXIF's orientation, by its number alone: whatever else the metadata says, the picture can be turned."""

from __future__ import annotations

from PIL import ExifTags, Image

__all__ = ["AS_STORED", "orientation", "upright"]

AS_STORED = 1
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What undoes each; Pillow's own function also writes the metadata anew, which odd but harmless tags do not survive."""


def orientation(image: Image.Image) -> int:
    """How a picture lies in its file: 1 for upright, to 8; 1 where nothing sensible is said."""
    said = image.getexif().get(ExifTags.Base.Orientation, AS_STORED)
    return said if said in TURNS else AS_STORED


def upright(image: Image.Image) -> Image.Image:
    """The picture as it is to be looked at."""
    turn = TURNS.get(orientation(image))
    return image if turn is None else image.transpose(turn)
