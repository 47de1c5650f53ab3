"""Whitened-patch features."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from noisyclean.base.runtime import choose_runtime
from noisyclean.data.augment import FixedView
from noisyclean.data.batches import Pixels, load_pixels
from noisyclean.pretrain.patches import SIDE_PX, THRESHOLD, PatchFeatures

RUNTIME = choose_runtime("cpu", dtype="float32")


@pytest.fixture(scope="module", params=[16, 40])
def pixels(request: pytest.FixtureRequest) -> Pixels:
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (30, request.param, request.param, 3), dtype=np.uint8)
    return load_pixels(images, RUNTIME.device)


def test_features_equal_a_slow_loop(pixels: Pixels) -> None:
    features = PatchFeatures.learn(pixels, num_filters=5, num_regions=1, seed=0, runtime=RUNTIME)
    got = features(pixels, torch.tensor([3]), RUNTIME)[0]
    image = pixels.normalise(pixels.images_LHWI[3].permute(2, 0, 1) / 255)
    last = pixels.size_px - SIDE_PX + 1
    responses = []
    for top in range(0, last, features.stride):
        for left in range(0, last, features.stride):
            patch = image[:, top : top + SIDE_PX, left : left + SIDE_PX].permute(1, 2, 0).flatten()
            patch = (patch - patch.mean()) / (patch.std(correction=0) + 0.15)
            response = features.weight_KD @ patch + features.bias_K
            responses.append(torch.cat([response - THRESHOLD, -response - THRESHOLD]).relu())
    torch.testing.assert_close(got, torch.stack(responses).mean(dim=0), rtol=1e-3, atol=1e-4)


def test_features_of_all_images_are_those_of_each(pixels: Pixels) -> None:
    features = PatchFeatures.learn(pixels, num_filters=5, seed=0, runtime=RUNTIME)
    view = FixedView(flip=True)
    together = features.all(pixels, RUNTIME, view)
    assert together.shape == (30, features.num_features)
    each = [features(pixels, torch.tensor([row]), RUNTIME, view) for row in range(30)]
    torch.testing.assert_close(together, torch.cat(each))


def test_a_flat_image_has_no_contrast(pixels: Pixels) -> None:
    features = PatchFeatures.learn(pixels, num_filters=5, num_regions=2, seed=0, runtime=RUNTIME)
    statistics = torch.full((3,), 0.5), torch.full((3,), 0.25)
    flat = load_pixels(np.full((4, 16, 16, 3), 200, dtype=np.uint8), RUNTIME.device, statistics=statistics)
    nothing = torch.cat([features.bias_K - THRESHOLD, -features.bias_K - THRESHOLD]).relu()
    got = features(flat, torch.arange(4), RUNTIME)
    assert got.shape == (4, 2 * 5 * 4)
    torch.testing.assert_close(got, nothing.repeat(4, 4), rtol=1e-3, atol=1e-4)


def test_the_seed_decides(pixels: Pixels) -> None:
    first, again, other = (
        PatchFeatures.learn(pixels, num_filters=4, seed=seed, runtime=RUNTIME).weight_KD for seed in (0, 0, 1)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
