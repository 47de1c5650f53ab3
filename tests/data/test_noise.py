from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisyclean.data.noise import asymmetric, instance_dependent, parse_class_map, symmetric
from noisyclean.errors import UsageError

LABEL = np.arange(5000) % 10


@given(st.floats(0, 1), st.integers(0, 99))
def test_symmetric_noise_excluding_the_truth_has_exactly_the_rate(rate: float, seed: int) -> None:
    noisy = symmetric(LABEL, 10, rate, including_true=False, generator=np.random.default_rng(seed))
    assert (noisy != LABEL).sum() == int(rate * len(LABEL))
    assert noisy.min() >= 0
    assert noisy.max() < 10


def test_symmetric_noise_including_the_truth_spares_a_tenth() -> None:
    noisy = symmetric(LABEL, 10, 0.8, including_true=True, generator=np.random.default_rng(0))
    assert (noisy != LABEL).mean() == pytest.approx(0.8 * 0.9, abs=0.01)


def test_asymmetric_noise_touches_mapped_classes_only() -> None:
    noisy = asymmetric(LABEL, {3: 5, 9: 1}, 0.4, generator=np.random.default_rng(0))
    changed = noisy != LABEL
    assert set(LABEL[changed]) == {3, 9}
    assert set(noisy[changed & (LABEL == 3)]) == {5}
    assert changed[LABEL == 9].mean() == pytest.approx(0.4, abs=0.05)


def test_instance_dependent_noise_follows_the_temptation() -> None:
    p = np.full((len(LABEL), 10), 0.01)
    p[np.arange(len(LABEL)), LABEL] = 0.91
    tempted = np.arange(len(LABEL)) < 1000
    p[tempted] = 0
    p[tempted, LABEL[tempted]] = 0.4
    p[tempted, (LABEL[tempted] + 1) % 10] = 0.6
    noisy = instance_dependent(LABEL, p, 0.1, generator=np.random.default_rng(0))
    changed = noisy != LABEL
    assert changed.sum() == 500
    assert changed[tempted].mean() > 3 * changed[~tempted].mean()
    assert (noisy[changed & tempted] == (LABEL[changed & tempted] + 1) % 10).all()


def test_noise_is_a_function_of_the_generator() -> None:
    first, again = (
        symmetric(LABEL, 10, 0.3, including_true=True, generator=np.random.default_rng(7)) for _ in range(2)
    )
    assert (first == again).all()


def test_class_map_is_read_by_name() -> None:
    classes = ("cat", "dog", "fox")
    assert parse_class_map("cat=dog, dog = cat", classes) == {0: 1, 1: 0}
    assert parse_class_map("", classes) == {0: 1, 1: 2, 2: 0}


@pytest.mark.parametrize("text", ["cat", "cat=cow", "=dog"])
def test_a_wrong_class_map_names_the_classes(text: str) -> None:
    with pytest.raises(UsageError, match="Classes are cat, dog"):
        parse_class_map(text, ("cat", "dog"))
