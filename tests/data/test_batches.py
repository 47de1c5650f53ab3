"""Channel statistics are exact however many pixels there are; batches are the same wherever the images are held."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from noisyclean.base.runtime import generator
from noisyclean.data.augment import FixedView, strong
from noisyclean.data.batches import FEWEST_SAMPLED, ShuffledBatches, channel_statistics, load_pixels


@pytest.mark.parametrize(("num", "side"), [(7, 5), (9_000, 64), (1_000, 224)])
def test_statistics_are_those_of_the_pixels(num: int, side: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    picture[..., 1] //= 3
    mean, std = channel_statistics(np.broadcast_to(picture, (num, side, side, 3)))
    assert mean.numpy() == pytest.approx(picture.mean(axis=(0, 1), dtype=np.float64) / 255, abs=1e-6)
    assert std.numpy() == pytest.approx(picture.std(axis=(0, 1), dtype=np.float64) / 255, abs=1e-6)


def test_the_sample_is_spread_over_all_images() -> None:
    num = 3 * FEWEST_SAMPLED
    level = np.linspace(0, 255, num).astype(np.uint8)
    images = np.broadcast_to(level[:, None, None, None], (num, 512, 512, 3))
    mean, _ = channel_statistics(images)
    assert mean.numpy() == pytest.approx(0.5, abs=0.01)


def test_one_colour_has_a_deviation_to_divide_by() -> None:
    _, std = channel_statistics(np.full((3, 4, 4, 3), 255, dtype=np.uint8))
    assert (std > 0).all()


def test_an_epochs_batches_are_slices_of_one_permutation() -> None:
    rows_N = torch.arange(5, 16)
    batches = ShuffledBatches(rows_N, 4, seed=3, key=("x",))
    drawn = generator(torch.device("cpu"), 3, "x", "order", 7)
    order_N = rows_N[torch.randperm(11, generator=drawn)]
    assert batches.num_steps == 2
    assert torch.equal(torch.cat([batches.rows(7, step) for step in range(2)]), order_N[:8])
    assert batches.rows(8, 0).tolist() != order_N[:4].tolist()
    assert batches.rows(7, 1)._is_view()


def test_images_held_elsewhere_are_the_same_images() -> None:
    images = np.random.default_rng(0).integers(0, 256, (9, 16, 16, 3), dtype=np.uint8)
    here = load_pixels(images, torch.device("cpu"))
    away = replace(here, device=torch.device("cpu:0"))  # another device to torch, and the same memory
    row_B = away.beside(torch.tensor([8, 0, 3]))
    assert torch.equal(away.take(row_B), torch.from_numpy(images[[8, 0, 3]]))
    plain = [pixels.fixed(pixels.take(row_B), FixedView(down_px=1)) for pixels in (here, away)]
    assert torch.equal(*plain)
    draws = [generator(torch.device("cpu"), 0, "views") for _ in range(2)]
    views = [
        pixels.random(pixels.take(row_B), strong(), draw) for pixels, draw in zip((here, away), draws, strict=True)
    ]
    assert torch.equal(*views)
    index_B = away.on_device(row_B)
    assert index_B.tolist() == [8, 0, 3]
    assert here.on_device(row_B) is row_B


def test_patches_are_pieces_of_the_normalised_images() -> None:
    images = np.random.default_rng(0).integers(0, 256, (9, 16, 16, 3), dtype=np.uint8)
    pixels = load_pixels(images, torch.device("cpu"))
    corners = [(8, 0, 10), (0, 12, 3), (8, 5, 5)]
    row_P, top_P, left_P = torch.tensor(corners).unbind(1)
    got = pixels.patches(row_P, top_P, left_P, 4)
    for patch, (row, top, left) in zip(got, corners, strict=True):
        whole = pixels.fixed(pixels.take(torch.tensor([row])), FixedView())[0]
        assert torch.equal(patch, whole[:, top : top + 4, left : left + 4])
