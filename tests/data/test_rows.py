"""Some rows of a store are the same images as a copy of them, to NumPy and to what trains."""

import pickle
from pathlib import Path

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from noisyclean.base.runtime import choose_runtime
from noisyclean.data.batches import load_pixels
from noisyclean.data.duplicates import near_duplicates
from noisyclean.data.rows import ImageRows, map_images

IMAGES_LHWI = np.random.default_rng(0).integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
MASKS = st.lists(st.booleans(), min_size=12, max_size=12).map(np.array).filter(np.any)


@given(kept_L=MASKS, data=st.data())
def test_they_are_indexed_as_a_copy_is(kept_L: np.ndarray, data: st.DataObject) -> None:
    copy, rows = IMAGES_LHWI[kept_L], ImageRows(IMAGES_LHWI).where(kept_L)
    assert rows.shape == copy.shape
    assert rows.nbytes == copy.nbytes
    assert len(rows) == len(copy)
    some = data.draw(st.lists(st.integers(0, len(copy) - 1)).map(lambda row: np.array(row, dtype=np.int64)))
    for asked in (slice(None), slice(1, None, 2), 0, some):
        assert np.array_equal(rows[asked], copy[asked])
    again = np.array(data.draw(st.lists(st.booleans(), min_size=len(copy), max_size=len(copy))))
    assert np.array_equal(rows.where(again)[:], copy[again])


@given(kept_L=MASKS)
def test_what_trains_sees_a_copy(kept_L: np.ndarray) -> None:
    device = choose_runtime("cpu").device
    here, copy = (load_pixels(images, device) for images in (ImageRows(IMAGES_LHWI).where(kept_L), IMAGES_LHWI[kept_L]))
    everything = torch.arange(len(copy))
    assert len(here) == len(copy)
    assert torch.equal(here.take(everything), copy.take(everything))
    assert torch.equal(here.mean_3, copy.mean_3)
    corner = torch.zeros(len(copy), dtype=torch.int64)
    assert torch.equal(here.patches(everything, corner, corner, 3), copy.patches(everything, corner, corner, 3))
    backwards = everything.flip(0)
    assert torch.equal(here.only(backwards).take(everything), copy.take(backwards))


def test_nothing_is_copied_before_it_is_asked_for() -> None:
    kept_L = np.arange(12) != 3
    here = load_pixels(ImageRows(IMAGES_LHWI).where(kept_L), choose_runtime("cpu").device)
    assert np.shares_memory(here.images_LHWI.numpy(), IMAGES_LHWI)
    assert np.shares_memory(here.only(torch.tensor([1, 2])).images_LHWI.numpy(), IMAGES_LHWI)


def test_another_process_opens_the_file_itself(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", IMAGES_LHWI)
    rows = ImageRows(map_images(tmp_path / "images.npy")).where(np.arange(12) != 3)
    sent = pickle.dumps(rows)
    assert len(sent) < IMAGES_LHWI.nbytes / 2
    assert np.array_equal(pickle.loads(sent)[:], rows[:])
    alone = ImageRows(IMAGES_LHWI)
    assert np.array_equal(pickle.loads(pickle.dumps(alone))[:], alone[:])


def test_duplicates_are_found_among_them() -> None:
    images = IMAGES_LHWI.copy()
    images[7] = images[2]
    kept_L = np.arange(12) != 0
    assert np.array_equal(near_duplicates(ImageRows(images).where(kept_L)), near_duplicates(images[kept_L]))
