"""Labels judged by arrays alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn.base import ClassifierMixin
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import KNeighborsClassifier

import noisyclean
from noisyclean.errors import DataError, UsageError
from noisyclean.types import BoolArray, FloatArray, IntArray

NUM, CLASSES = 300, 12
COLUMNS = ["given_label", "suggested_label", "p_mislabeled", "p_suggested", "issue_type", "flagged", "reason"]


def made(seed: int = 0) -> tuple[FloatArray, FloatArray, IntArray, BoolArray]:
    """Embeddings, probabilities, given labels of which some are wrong, and which."""
    draw = np.random.default_rng(seed)
    true = np.arange(NUM) % CLASSES
    is_wrong = draw.random(NUM) < 0.15
    label = np.where(is_wrong, (true + draw.integers(1, CLASSES, NUM)) % CLASSES, true)
    centre = draw.normal(size=(CLASSES, 20))
    z = centre[true] + 0.3 * draw.normal(size=(NUM, 20))
    p = softmax(4 * np.eye(CLASSES)[true] + draw.normal(size=(NUM, CLASSES)), axis=1)
    return z, p, label, is_wrong


@pytest.mark.parametrize("with_z", [True, False])
@pytest.mark.parametrize("with_p", [True, False])
def test_wrong_labels_are_found_by_either_array(with_z: bool, with_p: bool) -> None:
    z, p, label, is_wrong = made()
    if not with_z and not with_p:
        with pytest.raises(UsageError, match="nothing to judge"):
            noisyclean.score_labels(label)
        return
    found = noisyclean.score_labels(label, embeddings=z if with_z else None, pred_probs=p if with_p else None)
    assert ((found["p_mislabeled"] > 0.5) == is_wrong).mean() > 0.95
    assert (found["flagged"].to_numpy() == (found["p_mislabeled"] > 0.5)).all()
    signals = set(found.columns) - set(COLUMNS)
    assert list(found.columns[:7]) == COLUMNS
    assert ({"knn_disagreement", "outside_margin"} <= signals) == with_z
    assert ({"logit_margin", "loss_mixture"} <= signals) == with_p
    assert found[sorted(signals)].to_numpy().min() >= 0
    assert found[sorted(signals)].to_numpy().max() <= 1
    assert found.attrs["noise_rate"]["estimate"] == pytest.approx(is_wrong.mean(), abs=0.04)


def test_a_series_keeps_its_index_and_one_group_is_refused() -> None:
    z, _, label, _ = made()
    series = pd.Series(label, index=np.arange(NUM)[::-1] * 2)
    found = noisyclean.score_labels(series, embeddings=z)
    assert found.index.equals(series.index)
    assert found["given_label"].tolist() == label.tolist()
    assert found.attrs["noise_rate"]["estimate"] == pytest.approx(np.mean(made()[3]), abs=0.04)
    with pytest.raises(DataError, match="all 300 images are one group"):
        noisyclean.score_labels(label, embeddings=z, groups=["a"] * NUM)


@pytest.mark.parametrize("model", [KNeighborsClassifier(15), RandomForestClassifier(20, random_state=0)])
def test_chances_of_none_by_a_vote_do_not_hide_the_other_wrong_labels(model: ClassifierMixin) -> None:
    """Some neighbours and some trees leave a label no chance at all: these stand apart from everything else."""
    x, true = load_digits(return_X_y=True)
    is_wrong = np.random.default_rng(0).random(len(true)) < 0.3
    label = np.where(is_wrong, (true + 1) % 10, true)
    found = noisyclean.score_labels(label, pred_probs=cross_val_predict(model, x, label, cv=3, method="predict_proba"))
    assert found.attrs["noise_rate"]["estimate"] == pytest.approx(is_wrong.mean(), abs=0.06)
    assert found["flagged"].to_numpy()[is_wrong].mean() > 0.3


def test_text_and_integers_and_order_of_classes_agree() -> None:
    """Integers, and text that is integers, are sorted by number: 10 after 9, not after 1."""
    _, p, label, _ = made()
    as_numbers = noisyclean.score_labels(label, pred_probs=p)
    as_text = noisyclean.score_labels([str(value) for value in label], pred_probs=p)
    assert as_numbers["given_label"].tolist() == label.tolist()
    assert as_text["given_label"].tolist() == [str(value) for value in label]
    assert as_numbers["suggested_label"].astype(str).tolist() == as_text["suggested_label"].tolist()
    assert as_numbers["p_mislabeled"].tolist() == as_text["p_mislabeled"].tolist()


def test_names_are_sorted_as_text() -> None:
    _, p, label, is_wrong = made()
    names = np.asarray([f"class {value:02d}" for value in range(CLASSES)])
    found = noisyclean.score_labels(pd.Series(names[label], index=range(7, 7 + NUM)), pred_probs=p)
    assert found.index.tolist() == list(range(7, 7 + NUM))
    true = np.arange(NUM) % CLASSES
    assert (found["suggested_label"].to_numpy()[is_wrong] == names[true[is_wrong]]).mean() > 0.9


def test_the_order_of_rows_does_not_matter() -> None:
    z, p, label, _ = made()
    shuffled = np.random.default_rng(1).permutation(NUM)
    before = noisyclean.score_labels(label, z, p)["p_mislabeled"].to_numpy()
    after = noisyclean.score_labels(label[shuffled], z[shuffled], p[shuffled])["p_mislabeled"].to_numpy()
    assert np.allclose(before[shuffled], after, atol=0.02)


def test_a_copy_in_the_same_group_does_not_confirm_a_wrong_label() -> None:
    """Each wrong image has copies with the same wrong label: only groups tell that they are one witness."""
    z, _, label, is_wrong = made()
    rows = np.repeat(np.arange(60), 40)
    alone = noisyclean.score_labels(label[rows], z[rows])
    grouped = noisyclean.score_labels(label[rows], z[rows], groups=[f"patient {row}" for row in rows])
    assert grouped["flagged"][is_wrong[rows]].mean() > alone["flagged"][is_wrong[rows]].mean() + 0.1
    assert grouped["knn_disagreement"][is_wrong[rows]].mean() > alone["knn_disagreement"][is_wrong[rows]].mean() + 0.1


def test_a_missing_group_is_a_group_of_its_own() -> None:
    z, _, label, _ = made()
    none = noisyclean.score_labels(label, z)
    missing = noisyclean.score_labels(label, z, groups=[None] * NUM)
    assert np.allclose(none["p_mislabeled"], missing["p_mislabeled"], atol=1e-6)


def test_zeros_among_probabilities_are_no_certainty() -> None:
    """A forest that counts votes says 0; the score stays finite and right."""
    _, p, label, is_wrong = made()
    found = noisyclean.score_labels(label, pred_probs=np.eye(CLASSES)[p.argmax(axis=1)])
    assert np.isfinite(found["p_mislabeled"]).all()
    assert (found["flagged"].to_numpy() == is_wrong).mean() > 0.9


def with_nan(values: FloatArray) -> FloatArray:
    """One cell missing, in row 3."""
    copy = values.copy()
    copy[3, 1] = np.nan
    return copy


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (lambda z, _: {"embeddings": with_nan(z)}, "embeddings: 1 rows hold NaN or infinity, the first is row 3"),
        (lambda _, p: {"pred_probs": with_nan(p)}, "pred_probs: 1 rows hold NaN"),
        (lambda z, _: {"embeddings": z[:-1]}, "299 rows for 300 labels"),
        (lambda z, _: {"embeddings": z[:, 0]}, r"has the shape \(300,\)"),
        (lambda z, _: {"embeddings": z.astype(str) + "a"}, "holds what is no number"),
        (lambda _, p: {"pred_probs": p[:, :-1]}, "has 11 columns for 12 classes"),
        (lambda _, p: {"pred_probs": np.log(p)}, "Logits need a softmax"),
        (lambda _, p: {"pred_probs": p / 2}, "sums to 0.5"),
        (lambda _, p: {"pred_probs": np.roll(p, 1, axis=0)}, "pred_probs: agrees with .* no more than chance"),
        (lambda _, p: {"pred_probs": np.roll(p, 1, axis=1)}, "Its columns are the classes in this order: 0, 1, 2"),
        (
            lambda z, _: {"embeddings": np.random.default_rng(0).permutation(z)},
            "another order",
        ),
        (lambda z, _: {"embeddings": z, "groups": ["a"]}, r"groups: has the shape \(1,\) for 300 labels"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(arrays: object, message: str) -> None:
    z, p, label, _ = made()
    with pytest.raises(DataError, match=message):
        noisyclean.score_labels(label, **arrays(z, p))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a"] * 10, r"only one class \(a\)"),
        (["a", 1] * 5, "1 in row 1"),
        ([1.5, 2.0] * 5, "is a float"),
        (["a", None] * 5, "None in row 1"),
        ([], "one label for each row"),
        ([["a"], ["b"]], "one label for each row"),
    ],
)
def test_labels_that_are_none_are_refused(labels: list[object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        noisyclean.score_labels(labels, np.zeros((len(labels), 2)))


def test_nothing_is_written(in_tmp: Path) -> None:
    z, p, label, _ = made()
    noisyclean.score_labels(label, z, p)
    assert not list(in_tmp.iterdir())
