"""One image file in, one uint8 square out. Torch is imported when the first image is resized, and not before."""

from __future__ import annotations

import functools
import io
import stat
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from noisyclean.data.formats import HEIC_ADVICE, HEIC_SUFFIXES, can_read_heic
from noisyclean.data.jpeg import as_stored, fast_pixels
from noisyclean.data.orientation import upright

__all__ = [
    "DAMAGE",
    "FULL_RANGE",
    "WIDE_MODES",
    "Decoded",
    "PixelMapping",
    "UnreadableImage",
    "decode",
    "decode_content",
    "open_image",
    "peek_size",
    "quiet_pillow",
    "read_content",
]

ResizePolicy = Literal["squash", "pad", "crop"]

MAX_PIXELS = 250_000_000
"""Larger pictures are refused: a few kilobytes can unpack to gigabytes."""

MAX_BYTES = 2**30
"""Larger files are refused: each is held in memory while it is decoded."""

WIDE_MODES = frozenset({"I;16", "I;16B", "I;16L", "I;16N", "I", "F"})
"""Pillow's modes with more than 8 bits a channel."""

FULL_RANGE = (0.0, 65535.0)
"""All of 16 bits."""

HEIC_MARK = b"ftyp"
HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})

REDUCED_COPY = 1
"""Bit of TIFF's NewSubfileType: the page is a smaller copy of another one."""
SUBFILE_TYPE = 254

DAMAGE = (
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    AssertionError,
    NotImplementedError,
    SyntaxError,
    EOFError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
"""What Pillow raises on damaged files, whose headers it reads without a look at the type of every value."""


class UnreadableImage(Exception):
    """An image that goes to quarantine; the message is the reason a user reads."""


@dataclass(frozen=True, kw_only=True)
class PixelMapping:
    """How stored values become what the model sees; part of every model folder, so ``predict`` repeats it."""

    size_px: int
    """Side of the square the image is resized to."""
    policy: ResizePolicy = "squash"
    """``squash`` keeps everything and changes the aspect, ``pad`` keeps both and adds a border, ``crop`` cuts."""
    window: tuple[float, float] = FULL_RANGE
    """Stored values shown as black and as white where a channel has more than 8 bits."""


@dataclass(frozen=True, kw_only=True)
class Decoded:
    """A decoded image and what was noticed on the way."""

    image_HWI: NDArray[np.uint8]
    """Shape (size, size, 3)."""
    width_px: int
    height_px: int
    note: str = ""


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Hear none of Pillow's warnings about odd metadata, and let :data:`MAX_PIXELS` alone refuse large pictures.

    Both belong to the whole process, so threads that decode must not set them; who starts the threads does.
    """
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def decode(path: Path, mapping: PixelMapping) -> Decoded:
    """Decode, orient by EXIF, window, and resize one image file; not for threads.

    Raises:
        UnreadableImage: It is no readable image; the message says why.
    """
    with quiet_pillow():
        return decode_content(read_content(path), mapping)


def decode_content(content: bytes, mapping: PixelMapping) -> Decoded:
    """Decode the content of an image file; for threads too, inside :func:`quiet_pillow`.

    Raises:
        UnreadableImage: It is no readable image; the message says why.
    """
    with open_image(io.BytesIO(content)) as image:
        width, height = image.size
        try:
            note = _frames_note(image)
            if image.format in ("JPEG", "MPO"):
                # DCT scaling: decode at the smallest scale that still leaves twice the working size to resample from.
                image.draft(None, (2 * mapping.size_px, 2 * mapping.size_px))
            whole = image.size == (width, height) and mapping.policy == "squash" and as_stored(image)
            pixels_HWI = fast_pixels(content) if whole else None
            if pixels_HWI is not None:
                is_as_wanted = pixels_HWI.shape[:2] == (mapping.size_px, mapping.size_px)
                image_HWI = pixels_HWI if is_as_wanted else _squash(pixels_HWI, mapping.size_px)
            else:
                image.load()
                image_HWI = _resize(_to_rgb(upright(image), mapping.window), mapping)
        except DAMAGE as error:
            raise UnreadableImage(f"damaged or truncated: {_one_line(error)}") from error
    return Decoded(image_HWI=image_HWI, width_px=width, height_px=height, note=note)


def read_content(path: Path) -> bytes:
    """The bytes of a regular file of sensible size.

    Raises:
        UnreadableImage: It is none; a pipe or a device is not even opened.
    """
    _check_file(path)
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableImage(f"cannot be opened: {error.strerror}") from error


def peek_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels, from the header alone; not for threads.

    Raises:
        UnreadableImage: It is no readable image.
    """
    _check_file(path)
    with quiet_pillow(), open_image(path) as image:
        return image.size


def open_image(source: Path | IO[bytes]) -> Image.Image:
    """Open an image without decoding its pixels.

    Raises:
        UnreadableImage: It is no image, or one of a kind or a size that is refused.
    """
    brand = _heic_brand(source)
    if brand and not _register_heic():
        raise UnreadableImage(HEIC_ADVICE)
    try:
        image = Image.open(source)
    except UnidentifiedImageError as error:
        raise UnreadableImage("is not an image in a known format") from error
    except DAMAGE as error:
        raise UnreadableImage(f"cannot be opened: {_one_line(error)}") from error
    if image.width * image.height > MAX_PIXELS:
        image.close()
        raise UnreadableImage(f"has {image.width} x {image.height} pixels, more than the {MAX_PIXELS:,} allowed")
    return image


def _check_file(path: Path) -> None:
    try:
        status = path.stat()
    except OSError as error:
        raise UnreadableImage(f"cannot be opened: {error.strerror}") from error
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableImage("is not a regular file")
    if status.st_size == 0:
        raise UnreadableImage("is empty (0 bytes)")
    if status.st_size > MAX_BYTES:
        raise UnreadableImage(
            f"is {status.st_size / 2**30:.1f} GiB large, more than the {MAX_BYTES / 2**30:.0f} allowed"
        )


def _heic_brand(source: Path | IO[bytes]) -> bool:
    if isinstance(source, Path):
        return source.suffix.lower() in HEIC_SUFFIXES
    start = source.read(12)
    source.seek(0)
    return start[4:8] == HEIC_MARK and start[8:12] in HEIC_BRANDS


@functools.cache
def _register_heic() -> bool:
    """Teach Pillow the format, once; False where the extra is not installed."""
    if not can_read_heic():
        return False
    import pillow_heif

    pillow_heif.register_heif_opener()
    return True


def _frames_note(image: Image.Image) -> str:
    """What to say of an image with several frames; pages of a TIFF are different pictures and are refused."""
    frames = getattr(image, "n_frames", 1)
    if frames == 1:
        return ""
    if image.format != "TIFF":
        return f"first of {frames} frames used"
    num_pages = 0
    for page in range(frames):
        image.seek(page)
        num_pages += not image.tag_v2.get(SUBFILE_TYPE, 0) & REDUCED_COPY  # type: ignore[attr-defined]
    image.seek(0)
    if num_pages > 1:
        raise UnreadableImage(f"has {num_pages} pages, and one label for all of them: save each page as its own file")
    return ""


def _to_rgb(image: Image.Image, window: tuple[float, float]) -> Image.Image:
    """Three 8-bit channels: wide ones are mapped linearly, alpha is laid on white."""
    if image.mode in WIDE_MODES:
        image = _window(image, window)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _window(image: Image.Image, window: tuple[float, float]) -> Image.Image:
    low, high = window
    values = np.asarray(image, dtype=np.float32)
    scaled = (np.nan_to_num(values) - low) * (255.0 / max(high - low, 1e-6))
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype(np.uint8))


def _resize(image: Image.Image, mapping: PixelMapping) -> NDArray[np.uint8]:
    size = (mapping.size_px, mapping.size_px)
    if image.size == size:
        return np.asarray(image)
    if mapping.policy == "pad":
        return np.asarray(ImageOps.pad(image, size, Image.Resampling.BILINEAR))
    if mapping.policy == "crop":
        return np.asarray(ImageOps.fit(image, size, Image.Resampling.BILINEAR))
    pixels_HWI = np.frombuffer(image.tobytes(), dtype=np.uint8).reshape(image.height, image.width, 3)
    return _squash(pixels_HWI.copy(), mapping.size_px)


def _squash(pixels_HWI: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Pillow's antialiased bilinear filter as torch has it: within one level of Pillow's, in a third of its time.

    Strides as of a batch of one, or torch would not see that the channels lie last, and turn them.
    """
    import torch

    x_BIHW = torch.from_numpy(pixels_HWI).view(1, *pixels_HWI.shape).permute(0, 3, 1, 2)
    small_BIHW = torch.nn.functional.interpolate(x_BIHW, (side, side), mode="bilinear", antialias=True)
    image_HWI: NDArray[np.uint8] = small_BIHW[0].permute(1, 2, 0).numpy()
    return image_HWI


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
