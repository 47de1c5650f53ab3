"""Places a user names: checked before anything slow is imported, and again by whoever needs them."""

from __future__ import annotations

from pathlib import Path

from noisyclean.errors import DataError

__all__ = ["require_images"]


def require_images(images: Path) -> None:
    """Refuse a folder of images that is not there.

    Raises:
        DataError: There is no such folder.
    """
    if not images.is_dir():
        raise DataError(f"{images}: no such folder", hint="IMAGES is the folder the images are in.")
