from __future__ import annotations

import colorsys
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision.transforms.v2.functional as tv
from torch import Tensor

from noisyclean.data.augment import (
    Augmentation,
    FixedView,
    ViewParams,
    apply_view,
    identity_view,
    sample_view,
    strong,
    weak,
)


def images(num: int, size: int, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (num, size, size, 3), dtype=torch.uint8, generator=draw)


def planes(x_BHWI: Tensor) -> Tensor:
    return x_BHWI.permute(0, 3, 1, 2).float()


def view_of(augmentation: Augmentation, num: int, size: int, seed: int = 0) -> ViewParams:
    return sample_view(augmentation, num, size, size, generator=torch.Generator().manual_seed(seed))


def test_identity_changes_nothing() -> None:
    x = images(3, 9)
    got = apply_view(x, identity_view(3, 9, 9, device=x.device), size_px=9)
    assert torch.allclose(got, planes(x) / 255, atol=1e-6)


@pytest.mark.parametrize("size_px", [16, 24, 40, 56])
def test_resized_crop_and_flip_equal_torchvision(size_px: int) -> None:
    x = images(32, 40)
    view = view_of(Augmentation(crop_area=(0.1, 1.0), flip=True), 32, 40)
    got = apply_view(x, view, size_px=size_px)
    for i in range(len(x)):
        box = (view.top_B[i], view.left_B[i], view.height_B[i], view.width_B[i])
        top, left, height, width = (int(value) for value in box)
        want = tv.resized_crop(planes(x)[i], top, left, height, width, [size_px, size_px], antialias=True) / 255
        want = want.flip(2) if view.flip_B[i] else want
        assert torch.allclose(got[i], want, atol=1e-4)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize(("down_px", "right_px"), [(0, 0), (3, -2), (-4, 1)])
def test_a_view_without_chance_is_that_crop(down_px: int, right_px: int, flip: bool) -> None:
    x, plain = images(3, 9), identity_view(3, 9, 9, device=torch.device("cpu"))
    view = replace(plain, top_B=plain.top_B + down_px, left_B=plain.left_B + right_px, flip_B=plain.flip_B | flip)
    got = FixedView(down_px=down_px, right_px=right_px, flip=flip)(x)
    assert got.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(got, apply_view(x, view, size_px=9))


@pytest.mark.parametrize(
    ("side", "size_px", "wanted"),
    [(1.0, 33, 33), (0.75, 32, 24), (0.75, 224, 168), (0.5, 12, 8), (0.75, 8, 8), (1.0, 6, 6)],
)
def test_views_are_a_share_of_the_images_and_never_too_small_for_a_net(side: float, size_px: int, wanted: int) -> None:
    assert Augmentation(side=side).side_px(size_px) == wanted


@pytest.mark.parametrize(("size_px", "wanted"), [(8, 1), (16, 2), (32, 4), (64, 8), (224, 28), (2, 0)])
def test_weak_views_shift_by_an_eighth_of_the_side_whatever_the_size(size_px: int, wanted: int) -> None:
    assert weak().shift_px(size_px) == wanted
    view = view_of(weak(), 1000, size_px)
    assert int(view.top_B.min()) == int(view.left_B.min()) == -wanted
    assert int(view.top_B.max()) == int(view.left_B.max()) == wanted


def test_shift_equals_reflected_padding_and_crop() -> None:
    x = images(32, 20)
    view = view_of(weak(shift=1 / 5), 32, 20)
    padded = torch.nn.functional.pad(planes(x), (4, 4, 4, 4), mode="reflect") / 255
    got = apply_view(x, view, size_px=20)
    for i in range(len(x)):
        top, left = int(view.top_B[i]) + 4, int(view.left_B[i]) + 4
        want = padded[i, :, top : top + 20, left : left + 20]
        assert torch.allclose(got[i], want.flip(2) if view.flip_B[i] else want, atol=1e-6)


def colour_view(num: int, brightness: float = 1, contrast: float = 1, colour: Tensor | None = None) -> ViewParams:
    plain = identity_view(num, 8, 8, device=torch.device("cpu"))
    return replace(
        plain,
        brightness_B=torch.full((num,), brightness),
        contrast_B=torch.full((num,), contrast),
        colour_B33=(torch.eye(3) if colour is None else colour).expand(num, 3, 3),
    )


def test_brightness_and_contrast_equal_torchvision() -> None:
    x = images(4, 8)
    exact = planes(x) / 255
    got = apply_view(x, colour_view(4, brightness=0.7), size_px=8)
    assert torch.allclose(got, tv.adjust_brightness(exact, 0.7), atol=1e-5)
    got = apply_view(x, colour_view(4, contrast=0.6), size_px=8)
    assert torch.allclose(got, tv.adjust_contrast(exact, 0.6), atol=2e-3)


def test_grayscale_equals_torchvision_and_hue_leaves_gray_alone() -> None:
    x = images(64, 8)
    always = Augmentation(grayscale_probability=1.0, hue=0.5, jitter_probability=1.0)
    got = apply_view(x, view_of(always, 64, 8), size_px=8)
    assert torch.allclose(got, tv.rgb_to_grayscale(planes(x) / 255, num_output_channels=3), atol=2e-3)


def test_hue_turns_the_hue_and_keeps_the_luma() -> None:
    red = torch.zeros(1, 8, 8, 3, dtype=torch.uint8)
    red[..., 0], red[..., 1:] = 150, 90
    turned = Augmentation(hue=0.1, jitter_probability=1.0)
    for seed in range(20):
        view = view_of(turned, 1, 8, seed)
        pixel = apply_view(red, view, size_px=8)[0, :, 0, 0].numpy()
        luma = np.dot(pixel, (0.299, 0.587, 0.114))
        assert luma == pytest.approx((150 * 0.299 + 90 * 0.701) / 255, abs=2e-3)
        hue = (colorsys.rgb_to_hsv(*pixel)[0] + 0.5) % 1 - 0.5
        assert abs(hue) < 0.16


def test_views_are_a_function_of_the_generator() -> None:
    x = images(8, 12)
    first, again = (apply_view(x, view_of(strong(), 8, 12, 5), size_px=12) for _ in range(2))
    other = apply_view(x, view_of(strong(), 8, 12, 6), size_px=12)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_every_image_has_a_view_of_its_own() -> None:
    x = images(1, 16).expand(12, 16, 16, 3)
    got = apply_view(x, view_of(strong(), 12, 16), size_px=16)
    assert len({tuple(image.flatten().tolist()) for image in got}) == 12


@pytest.mark.parametrize("augmentation", [weak(), strong(), strong(flip=False, colour=False), Augmentation()])
def test_results_lie_in_the_unit_range_and_channels_last(augmentation: Augmentation) -> None:
    got = apply_view(images(16, 20), view_of(augmentation, 16, 20), size_px=20)
    assert got.shape == (16, 3, 20, 20)
    assert got.is_contiguous(memory_format=torch.channels_last)
    assert got.min() >= -1e-6
    assert got.max() <= 1 + 1e-6


def test_oriented_views_never_flip_and_gray_views_keep_gray() -> None:
    assert not view_of(strong(flip=False), 200, 8).flip_B.any()
    gray = images(32, 8)[..., :1].expand(32, 8, 8, 3)
    got = apply_view(gray, view_of(strong(colour=False), 32, 8), size_px=8)
    assert torch.allclose(got[:, 0], got[:, 1], atol=1e-5)


@pytest.mark.parametrize("side", [8, 9, 32])
def test_shifted_views_of_small_images_are_finite(side: int) -> None:
    draw = torch.Generator().manual_seed(0)
    view = sample_view(weak(shift=0.5), 500, side, side, generator=draw)
    x = apply_view(torch.full((500, side, side, 3), 255, dtype=torch.uint8), view, size_px=side)
    assert torch.allclose(x, torch.ones(()), atol=1e-5)
