"""Slow transcriptions of the papers, one loop at a time."""

from __future__ import annotations

import math

import numpy as np


def nt_xent(views: list[np.ndarray], temperature: float) -> float:
    """SimCLR, equation 1, over all pairs of views of one image; other pairs of the same image are in no denominator."""
    z = [row for view in views for row in view]
    image = [row for view in views for row in range(len(view))]

    def exp(i: int, k: int) -> float:
        return math.exp(float(z[i] @ z[k]) / temperature)

    losses = []
    for i in range(len(z)):
        others = sum(exp(i, k) for k in range(len(z)) if image[k] != image[i])
        for positive in range(len(z)):
            if image[positive] == image[i] and positive != i:
                losses.append(-math.log(exp(i, positive) / (exp(i, positive) + others)))
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


def disagreement(first: list[list[float]], second: list[list[float]], label: list[int]) -> list[float]:
    """MOIT's cross-entropy of the given label under the second votes, ties broken by a thousandth of the first's."""

    def against(votes: list[float], y: int) -> float:
        return -math.log(max(votes[y], 0.01))

    return [against(b, y) + 0.001 * against(a, y) for a, b, y in zip(first, second, label, strict=True)]


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


def sharpen(p: list[float], temperature: float) -> list[float]:
    """MixMatch, equation 7."""
    power = [value ** (1 / temperature) for value in p]
    return [value / sum(power) for value in power]


def softmax(logits: list[float]) -> list[float]:
    """Exponentials that sum to 1."""
    top = max(logits)
    power = [math.exp(value - top) for value in logits]
    return [value / sum(power) for value in power]


def semi_supervised(logits: list[list[float]], target: list[list[float]], num_labelled: int, lambda_u: float) -> float:
    """MixMatch, equations 3 to 5, lambda_u as published: the squared error is divided by the number of classes."""
    supervised = 0.0
    for row in range(num_labelled):
        p = softmax(logits[row])
        supervised -= sum(q * math.log(value) for q, value in zip(target[row], p, strict=True))
    total = supervised / num_labelled
    others = range(num_labelled, len(logits))
    if others:
        squared = sum(
            (value - q) ** 2 for row in others for q, value in zip(target[row], softmax(logits[row]), strict=True)
        )
        total += lambda_u * squared / (len(others) * len(logits[0]))
    return total


def prior_penalty(logits: list[list[float]], prior: list[float]) -> float:
    """DivideMix: sum over classes of pi log(pi / mean prediction)."""
    p = [softmax(row) for row in logits]
    mean = [sum(row[c] for row in p) / len(p) for c in range(len(prior))]
    return sum(prior[c] * math.log(prior[c] / mean[c]) for c in range(len(prior)))


def elr_penalty(logits: list[list[float]], target: list[list[float]], clamp: float) -> float:
    """ELR: mean of log(1 - <p, t>), probabilities clamped."""
    total = 0.0
    for row, wanted in zip(logits, target, strict=True):
        p = [min(max(value, clamp), 1 - clamp) for value in softmax(row)]
        total += math.log(1 - min(sum(a * b for a, b in zip(p, wanted, strict=True)), 1 - clamp))
    return total / len(logits)


def interpolated_contrastive(
    z: list[np.ndarray],
    dominant: list[int],
    minor: list[int],
    partner: list[int],
    share: list[float],
    temperature: float,
) -> float:
    """MOIT's loss on the 2B rows of a batch: view 1 of every image, then view 2.

    ``partner[i]`` is the image that row i was mixed with, of the same view.
    """
    rows, batch = len(z), len(z) // 2
    total = 0.0
    for i in range(rows):
        others = [k for k in range(rows) if k != i]
        denominator = sum(math.exp(float(z[i] @ z[k]) / temperature) for k in others)

        def log_p(j: int, i: int = i, denominator: float = denominator) -> float:
            return float(z[i] @ z[j]) / temperature - math.log(denominator)

        image = i % batch
        first = [j for j in others if j % batch != image and dominant[j % batch] == dominant[image]]
        first += [j for j in others if j % batch == image]
        second = [j for j in others if dominant[j % batch] == minor[i]]
        second += [j for j in others if j % batch == partner[i]]
        part = share[i] * sum(map(log_p, first)) / max(len(first), 1)
        part += (1 - share[i]) * sum(map(log_p, second)) / max(len(second), 1)
        total -= part
    return total / rows


def moit_selection(disagreement: list[float], agrees: list[bool], label: list[int], num_classes: int) -> list[bool]:
    """MOIT: the lower median of the agreeing counts, then the least disagreeing samples of every class."""
    classes = [c for c in range(num_classes) if c in label]
    counts = sorted(sum(a and y == c for a, y in zip(agrees, label, strict=True)) for c in classes)
    median = max(1, counts[(len(counts) - 1) // 2])
    chosen = [False] * len(label)
    for c in classes:
        members = sorted((i for i in range(len(label)) if label[i] == c), key=lambda i: disagreement[i])
        for i in members[:median]:
            chosen[i] = True
    return chosen
