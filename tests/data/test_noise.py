from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from noisyclean.data.noise import (
    asymmetric,
    estimated_flips,
    instance_dependent,
    mapped_flips,
    parse_class_map,
    symmetric,
)
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


@given(st.floats(0, 1), st.integers(0, 99))
def test_asymmetric_noise_has_the_rate_in_each_mapped_class_and_touches_no_other(rate: float, seed: int) -> None:
    flips = mapped_flips({3: 5, 9: 1, 4: 4}, 10)
    noisy = asymmetric(LABEL, flips, rate, generator=np.random.default_rng(seed))
    changed = noisy != LABEL
    for source, target in ((3, 5), (9, 1)):
        assert changed[source == LABEL].sum() == round(rate * 500)
        assert set(noisy[changed & (source == LABEL)]) <= {target}
    assert not changed[(LABEL != 3) & (LABEL != 9)].any()


def test_estimated_flips_are_mean_probabilities_off_the_diagonal() -> None:
    label = np.asarray([0, 0, 1, 2])
    p = np.asarray([[0.6, 0.4, 0], [0.2, 0.6, 0.2], [0.5, 0.25, 0.25], [0, 0, 1]])
    expected = np.asarray([[0, 5 / 6, 1 / 6], [2 / 3, 0, 1 / 3], [0.5, 0.5, 0]])
    assert np.allclose(estimated_flips(label, p), expected)


def test_estimated_noise_goes_where_classes_are_confused() -> None:
    p = np.full((len(LABEL), 10), 0.0)
    p[np.arange(len(LABEL)), LABEL] = 0.6
    p[np.arange(len(LABEL)), (LABEL + 1) % 10] = 0.3
    p[np.arange(len(LABEL)), (LABEL + 5) % 10] = 0.1
    noisy = asymmetric(LABEL, estimated_flips(LABEL, p), 0.4, generator=np.random.default_rng(0))
    changed = noisy != LABEL
    step = (noisy - LABEL)[changed] % 10
    assert (np.bincount(LABEL[changed]) == 200).all()
    assert set(step) == {1, 5}
    assert (step == 1).mean() == pytest.approx(0.75, abs=0.04)


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


@pytest.mark.parametrize(
    ("text", "message"),
    [("cat=cat,dog=dog", "no class flips"), ("cat=dog,cat=fox", "cat flips to another class already")],
)
def test_a_map_that_says_nothing_or_two_things_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_class_map(text, ("cat", "dog", "fox"))
