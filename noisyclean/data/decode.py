"""One image file in, one uint8 square out. No torch here: decoding workers import this module and nothing heavier."""

from __future__ import annotations

import stat
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

__all__ = ["Decoded", "PixelMapping", "UnreadableImage", "decode", "peek_size"]

ResizePolicy = Literal["squash", "pad", "crop"]

MAX_PIXELS = 250_000_000
"""Larger pictures are refused: a few kilobytes can unpack to gigabytes."""

WIDE_MODES = frozenset({"I;16", "I;16B", "I;16L", "I;16N", "I", "F"})
"""Pillow's modes with more than 8 bits a channel."""

SIXTEEN_BIT = (0.0, 65535.0)


class UnreadableImage(Exception):
    """An image that goes to quarantine; the message is the reason a user reads."""


@dataclass(frozen=True, kw_only=True)
class PixelMapping:
    """How stored values become what the model sees; part of every model folder, so ``predict`` repeats it."""

    size_px: int
    """Side of the square the image is resized to."""
    policy: ResizePolicy = "squash"
    """``squash`` keeps everything and changes the aspect, ``pad`` keeps both and adds a border, ``crop`` cuts."""
    window: tuple[float, float] | None = None
    """Stored values shown as black and as white; None is the full range of the stored bit depth."""


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A decoded image and what was noticed on the way."""

    image_HWI: NDArray[np.uint8]
    """Shape (size, size, 3)."""
    width_px: int
    height_px: int
    note: str = ""


def decode(path: Path, mapping: PixelMapping) -> Decoded:
    """Decode, orient by EXIF, window, and resize one image.

    Raises:
        UnreadableImage: It is no readable image; the message says why.
    """
    with _open(path) as image:
        width, height = image.size
        note = _frames_note(image)
        try:
            if image.format == "JPEG":
                # DCT scaling: decode at the smallest scale that still leaves twice the working size to resample from.
                image.draft(None, (2 * mapping.size_px, 2 * mapping.size_px))
            rgb = _to_rgb(ImageOps.exif_transpose(image), mapping.window)
            square = _resize(rgb, mapping)
        except (OSError, ValueError, SyntaxError, EOFError, MemoryError, Image.DecompressionBombError) as error:
            raise UnreadableImage(f"damaged or truncated: {_one_line(error)}") from error
    return Decoded(image_HWI=np.asarray(square), width_px=width, height_px=height, note=note)


def peek_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels, from the header alone.

    Raises:
        UnreadableImage: It is no readable image.
    """
    with _open(path) as image:
        return image.size


def _open(path: Path) -> Image.Image:
    try:
        status = path.stat()
    except OSError as error:
        raise UnreadableImage(f"cannot be opened: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableImage("is not a regular file")
    if status.st_size == 0:
        raise UnreadableImage("is empty (0 bytes)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about odd metadata; the pixels decide here.
            image = Image.open(path)
    except UnidentifiedImageError as error:
        raise UnreadableImage("is not an image in a known format") from error
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise UnreadableImage(f"cannot be opened: {_one_line(error)}") from error
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise UnreadableImage(f"has {image.width} x {image.height} pixels, more than the {MAX_PIXELS:,} allowed")
    return image


def _frames_note(image: Image.Image) -> str:
    frames = getattr(image, "n_frames", 1)
    return f"first of {frames} frames used" if frames > 1 else ""


def _to_rgb(image: Image.Image, window: tuple[float, float] | None) -> Image.Image:
    """Three 8-bit channels: wide modes and explicit windows are mapped linearly, alpha is laid on white."""
    if image.mode in WIDE_MODES or window is not None:
        image = _window(image, window or SIXTEEN_BIT)
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def _window(image: Image.Image, window: tuple[float, float]) -> Image.Image:
    if image.mode in ("P", "1", "CMYK", "YCbCr", "LAB", "HSV"):
        image = image.convert("RGB")
    low, high = window
    values = np.asarray(image, dtype=np.float32)
    scaled = (values - low) * (255.0 / max(high - low, 1e-6))
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))


def _resize(image: Image.Image, mapping: PixelMapping) -> Image.Image:
    size = (mapping.size_px, mapping.size_px)
    if image.size == size:
        return image
    if mapping.policy == "pad":
        return ImageOps.pad(image, size, Image.Resampling.BILINEAR)
    if mapping.policy == "crop":
        return ImageOps.fit(image, size, Image.Resampling.BILINEAR)
    return image.resize(size, Image.Resampling.BILINEAR)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
