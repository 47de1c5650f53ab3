"""Which files are taken for images, and which of them this installation cannot read."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable

__all__ = ["HEIC_ADVICE", "HEIC_SUFFIXES", "IMAGE_SUFFIXES", "can_read_heic", "is_image_name", "needs_heic"]

HEIC_SUFFIXES = (".heic", ".heif")
IMAGE_SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".avif", ".ppm", ".pgm"),
        *HEIC_SUFFIXES,
    }
)
HEIC_ADVICE = "HEIC needs an extra that is not installed: pip install 'noisyclean[heic]'"


def is_image_name(name: str) -> bool:
    """Whether a file name has the ending of an image."""
    stem, dot, suffix = name.rpartition(".")
    return bool(stem) and dot + suffix.lower() in IMAGE_SUFFIXES


def can_read_heic() -> bool:
    """Whether the extra is installed."""
    return importlib.util.find_spec("pillow_heif") is not None


def needs_heic(names: Iterable[str]) -> int:
    """How many of the files need the HEIC extra."""
    return sum(name.lower().endswith(HEIC_SUFFIXES) for name in names)
