"""Small pictures for people, as JPEG."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from noisyclean.data.decode import PixelMapping, UnreadableImage, decode

__all__ = ["thumbnail_jpeg"]


def thumbnail_jpeg(file: Path, mapping: PixelMapping) -> bytes:
    """An image as a JPEG of the mapping's size; nothing where the file cannot be read any more."""
    try:
        image = Image.fromarray(decode(file, mapping).image_HWI)
    except UnreadableImage:
        return b""
    content = io.BytesIO()
    image.save(content, format="JPEG", quality=88)
    return content.getvalue()
