"""How much there is to see in a picture."""

from __future__ import annotations

import numpy as np
import pytest

from noisyclean.data.contrast import contrasts


def test_equals_a_loop() -> None:
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (1_003, 4, 5, 3), dtype=np.uint8)
    expected = [max(float(np.std(image[..., channel].astype(float))) for channel in range(3)) for image in images]
    np.testing.assert_allclose(contrasts(images), expected, rtol=1e-5)


def test_one_colour_has_none() -> None:
    images = np.zeros((1, 6, 6, 3), dtype=np.uint8)
    images[..., 0] = 255
    assert contrasts(images).tolist() == [0.0]


def test_a_large_flat_picture_has_no_contrast() -> None:
    picture = np.broadcast_to(np.array([200, 201, 202], dtype=np.uint8), (2, 1024, 1024, 3))
    assert contrasts(picture) == pytest.approx(0, abs=1e-9)
