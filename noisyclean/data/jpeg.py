"""TorchCodec in Pillow's place, where it is installed: the same pixels of a JPEG in less time."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from noisyclean.data.orientation import AS_STORED, orientation

__all__ = ["as_stored", "fast_pixels"]

Decoder = Callable[[bytes], NDArray[np.uint8]]


def as_stored(image: Image.Image) -> bool:
    """Whether a picture is a JPEG in colours or greys, to be shown as it lies in its file."""
    return image.format == "JPEG" and image.mode in ("RGB", "L") and orientation(image) == AS_STORED


def fast_pixels(content: bytes) -> NDArray[np.uint8] | None:
    """The pixels of a JPEG, shape (H, W, 3); None where Pillow must decode it, or say what is wrong with it.

    Args:
        content: The whole file.
    """
    decoder = _decoder()
    if decoder is None:
        return None
    try:
        return decoder(content)
    except RuntimeError:
        return None


@functools.cache
def _decoder() -> Decoder | None:
    """None where the extra is not installed, or was built for another torch."""
    try:
        import torch
        from torchcodec.decoders import decode_jpeg
    except (ImportError, OSError, RuntimeError):
        return None

    def decode(content: bytes) -> NDArray[np.uint8]:
        # A copy that may be written to: torch warns of other memory.
        picture_IHW = decode_jpeg(torch.frombuffer(bytearray(content), dtype=torch.uint8))
        assert isinstance(picture_IHW, torch.Tensor)
        image_HWI: NDArray[np.uint8] = picture_IHW.permute(1, 2, 0).numpy()
        return image_HWI

    return decode
