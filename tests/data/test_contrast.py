"""How much there is to see in a picture."""

from __future__ import annotations

import numpy as np

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
