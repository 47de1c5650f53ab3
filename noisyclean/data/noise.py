"""Label noise of known kind and rate, for tests and benchmarks."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from noisyclean.errors import UsageError
from noisyclean.types import FloatArray, IntArray

__all__ = [
    "KINDS",
    "asymmetric",
    "estimated_flips",
    "instance_dependent",
    "mapped_flips",
    "parse_class_map",
    "symmetric",
]

KINDS = ("symmetric", "symmetric-including-true", "asymmetric", "instance-dependent")


def symmetric(
    label_N: IntArray, num_classes: int, rate: float, *, including_true: bool, generator: np.random.Generator
) -> IntArray:
    """Give exactly ``int(rate * N)`` samples a uniformly drawn class.

    Args:
        label_N: Class indices.
        num_classes: C.
        rate: Share of samples redrawn, in [0, 1].
        including_true: Draw among all classes (DivideMix, C2D: the true rate is ``rate * (1 - 1 / C)``) or among the
            others (MOIT: the true rate is ``rate``).
        generator: Source of randomness.
    """
    noisy_N = label_N.copy()
    rows = generator.choice(len(label_N), size=int(rate * len(label_N)), replace=False)
    if including_true:
        noisy_N[rows] = generator.integers(num_classes, size=len(rows))
    else:
        noisy_N[rows] = (label_N[rows] + generator.integers(1, num_classes, size=len(rows))) % num_classes
    return noisy_N


def asymmetric(label_N: IntArray, flips_CC: FloatArray, rate: float, *, generator: np.random.Generator) -> IntArray:
    """Flip exactly ``round(rate * size)`` samples of each class, to classes drawn from its row.

    Args:
        label_N: Class indices.
        flips_CC: Where the samples of a class go; rows sum to 1, or to 0 where the class stays as it is, and the
            diagonal is 0.
        rate: Share of samples flipped, in [0, 1].
        generator: Source of randomness.

    Deviations: DivideMix draws ``int(rate * N)`` candidates over all samples and flips those that are mapped; the
    expected rate within a mapped class is the same, but there it is met by chance only.
    """
    noisy_N = label_N.copy()
    for index in np.flatnonzero(flips_CC.sum(axis=1) > 0):
        rows = np.flatnonzero(label_N == index)
        rows = generator.choice(rows, size=round(rate * len(rows)), replace=False)
        noisy_N[rows] = generator.choice(len(flips_CC), size=len(rows), p=flips_CC[index])
    return noisy_N


def mapped_flips(class_map: Mapping[int, int], num_classes: int) -> FloatArray:
    """For :func:`asymmetric`: each mapped class goes to the one it maps to, shape (C, C)."""
    flips_CC = np.zeros((num_classes, num_classes))
    for source, target in class_map.items():
        flips_CC[source, target] = float(source != target)
    return flips_CC


def estimated_flips(label_N: IntArray, p_NC: FloatArray) -> FloatArray:
    """For :func:`asymmetric`: each class goes where its images are confused, shape (C, C).

    Row c is the mean probability of every other class among the images of class c, normalised off the diagonal; evenly
    over the others where they have no probability at all.

    Args:
        label_N: Class indices.
        p_NC: A classifier's probabilities; rows sum to 1.
    """
    num_classes = p_NC.shape[1]
    flips_CC = np.zeros((num_classes, num_classes))
    np.add.at(flips_CC, label_N, p_NC)
    flips_CC /= np.maximum(np.bincount(label_N, minlength=num_classes), 1)[:, None]
    flips_CC += 1e-12
    np.fill_diagonal(flips_CC, 0)
    normalised_CC: FloatArray = flips_CC / flips_CC.sum(axis=1, keepdims=True)
    return normalised_CC


def instance_dependent(label_N: IntArray, p_NC: FloatArray, rate: float, *, generator: np.random.Generator) -> IntArray:
    """Flip the ``rate`` share of samples whose other classes are most probable, each to a class drawn from them.

    Args:
        label_N: Class indices.
        p_NC: A classifier's probabilities; rows sum to 1.
        rate: Share of samples flipped, in [0, 1].
        generator: Source of randomness.

    Deviations: unlike the random projection of https://arxiv.org/abs/2006.07836 the errors are those a classifier is
    tempted to make. Samples are drawn without replacement with weight ``1 - p(label)``.
    """
    others = p_NC.astype(np.float64).copy()
    others[np.arange(len(label_N)), label_N] = 0
    weight_N = others.sum(axis=1) + 1e-9
    rows = generator.choice(len(label_N), size=int(rate * len(label_N)), replace=False, p=weight_N / weight_N.sum())
    noisy_N = label_N.copy()
    for row in rows:
        p_C = others[row] + 1e-12
        p_C[label_N[row]] = 0
        noisy_N[row] = generator.choice(len(p_C), p=p_C / p_C.sum())
    return noisy_N


def parse_class_map(text: str, classes: tuple[str, ...]) -> dict[int, int]:
    """Read ``truck=automobile,bird=airplane`` as class indices; without text each class maps to the next.

    Raises:
        UsageError: An unknown class, a part without ``=``, a class named twice, or no class that flips to another.
    """
    if not text:
        return {index: (index + 1) % len(classes) for index in range(len(classes))}
    index_of = {name: index for index, name in enumerate(classes)}
    pairs: dict[int, int] = {}
    for part in text.split(","):
        source, equals, target = (piece.strip() for piece in part.partition("="))
        unknown = [name for name in (source, target) if name not in index_of]
        if not equals or unknown:
            raise UsageError(f"--map {part}: write it as class=class", hint=f"Classes are {', '.join(classes)}.")
        if index_of[source] in pairs:
            raise UsageError(f"--map {part}: {source} flips to another class already", hint="Leave this part out.")
        pairs[index_of[source]] = index_of[target]
    if all(source == target for source, target in pairs.items()):
        raise UsageError(f"--map {text}: no class flips to another", hint="Write it as class=other.")
    return pairs
