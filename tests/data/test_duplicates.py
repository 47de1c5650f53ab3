"""Near-duplicates and the merging of groups."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from noisyclean.data.duplicates import merge_groups, near_duplicates


def pictures(num: int, *, seed: int = 0, size: int = 32) -> NDArray[np.uint8]:
    """Smooth random pictures."""
    draw = np.random.default_rng(seed)
    small = draw.integers(0, 256, (num, 6, 6, 3), dtype=np.uint8)
    return np.stack(
        [np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC)) for image in small]
    )


def resaved(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=90)
    return np.asarray(Image.open(stream))


def test_different_pictures_stay_apart() -> None:
    assert len(np.unique(near_duplicates(pictures(300)))) == 300


@pytest.mark.parametrize("change", [resaved, lambda image: np.clip(image + 3.0, 0, 255).astype(np.uint8), np.copy])
def test_copies_are_found(change) -> None:  # type: ignore[no-untyped-def]
    images = pictures(100)
    copies = np.stack([change(image) for image in images[:20]])
    component = near_duplicates(np.concatenate([images, copies]))
    assert (component[100:] == component[:20]).all()
    assert len(np.unique(component)) == 100


def test_copies_of_the_smallest_pictures_are_found() -> None:
    images = pictures(40, size=8)
    component = near_duplicates(np.concatenate([images, images[:5] // 2 * 2]))
    assert (component[40:] == component[:5]).all()
    assert len(np.unique(component)) == 40


def test_sets_are_compared_as_if_they_were_one() -> None:
    images = pictures(60)
    copies = np.stack([resaved(image) for image in images[:10]])
    together = near_duplicates(np.concatenate([images, copies, pictures(9, seed=1)]))
    assert near_duplicates(images, copies, pictures(9, seed=1)).tolist() == together.tolist()


def test_plain_pictures_are_equal_only_to_the_byte() -> None:
    plain = np.stack([np.full((32, 32, 3), value, dtype=np.uint8) for value in (10, 10, 12)])
    first, second, third = near_duplicates(plain)
    assert first == second != third


def test_one_picture_is_its_own_group() -> None:
    assert near_duplicates(pictures(1)).tolist() == [0]


def test_merged_groups_keep_together_what_either_keeps_together() -> None:
    merged = merge_groups(np.array([0, 0, 1, 2, 3]), np.array([5, 6, 6, 7, 8]))
    assert merged[0] == merged[1] == merged[2]
    assert len({merged[0], merged[3], merged[4]}) == 3
    assert merge_groups(np.array([4, 4]), None).tolist() == [4, 4]
