"""Slow transcriptions of the papers, one loop at a time."""

from __future__ import annotations

import math

import numpy as np


def nt_xent(z1: np.ndarray, z2: np.ndarray, temperature: float) -> float:
    """SimCLR, equation 1, over all 2B views."""
    z = [*z1, *z2]
    batch = len(z1)
    losses = []
    for i in range(2 * batch):
        positive = (i + batch) % (2 * batch)
        denominator = sum(math.exp(float(z[i] @ z[k]) / temperature) for k in range(2 * batch) if k != i)
        losses.append(-math.log(math.exp(float(z[i] @ z[positive]) / temperature) / denominator))
    return sum(losses) / len(losses)


def nearest(z: np.ndarray, k: int, group: np.ndarray | None = None) -> list[list[int]]:
    """Most similar other samples, nearest first."""
    result = []
    for i in range(len(z)):
        others = [j for j in range(len(z)) if (j != i if group is None else group[j] != group[i])]
        result.append(sorted(others, key=lambda j: -float(z[i] @ z[j]))[:k])
    return result


def two_pass_votes(neighbours: list[list[int]], label: list[int], num_classes: int) -> tuple[list[list[float]], ...]:
    """MOIT's noise detection: vote, correct every label to its majority, vote again."""

    def vote(labels: list[int]) -> list[list[float]]:
        return [[sum(labels[j] == c for j in row) / len(row) for c in range(num_classes)] for row in neighbours]

    first = vote(label)
    corrected = [max(range(num_classes), key=lambda c: row[c]) for row in first]
    return first, vote(corrected)


def average_precision(score: list[float], wrong: list[bool]) -> float:
    """Mean precision at each wrong label, worst first; scores without ties."""
    order = sorted(range(len(score)), key=lambda i: -score[i])
    hits, total = 0, 0.0
    for place, i in enumerate(order, start=1):
        if wrong[i]:
            hits += 1
            total += hits / place
    return total / hits


def auroc(score: list[float], wrong: list[bool]) -> float:
    """Share of (wrong, right) pairs in the right order."""
    pairs = [
        (a, b) for a, bad in zip(score, wrong, strict=True) if bad for b, w in zip(score, wrong, strict=True) if not w
    ]
    return sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs) / len(pairs)


def expected_calibration_error(p: list[float], true: list[bool], num_bins: int) -> float:
    """Weighted gap of each bin."""
    total = 0.0
    for b in range(num_bins):
        rows = [i for i in range(len(p)) if min(int(p[i] * num_bins), num_bins - 1) == b]
        if rows:
            stated = sum(p[i] for i in rows) / len(rows)
            observed = sum(true[i] for i in rows) / len(rows)
            total += len(rows) / len(p) * abs(stated - observed)
    return total
