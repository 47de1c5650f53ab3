"""How often judges agree beyond chance, and what that says of each of three."""

from __future__ import annotations

import numpy as np

from noisyclean.ops.chance import chance_agreement
from noisyclean.types import BoolArray, IntArray

__all__ = ["Z95", "kappa", "share_error", "triangulate"]

Z95 = 1.96
"""Half a 95 % interval, in standard errors."""


def kappa(first_N: IntArray, second_N: IntArray, num_classes: int) -> tuple[float, float]:
    """Cohen's kappa (1960) of two judges, and its standard error.

    Args:
        first_N: Class indices.
        second_N: Class indices.
        num_classes: C.

    Returns:
        Kappa in [-1, 1], 0 where both judge everything alike; its standard error, chance agreement taken as known.
    """
    chance = chance_agreement(first_N, second_N, num_classes)
    if chance >= 1:
        return 0.0, np.inf
    agree = float(np.mean(first_N == second_N))
    return (agree - chance) / (1 - chance), share_error(agree, len(first_N)) / (1 - chance)


def share_error(share: float, num: int) -> float:
    """Standard error of a share of ``num`` samples; where it is 0 or 1, about that of one sample in ``num``."""
    return float(np.sqrt(max(share * (1 - share), 1 / num) / num))


def triangulate(
    judge_N: IntArray, peers_2N: tuple[IntArray, IntArray], num_classes: int, *, asked_N: BoolArray | None = None
) -> tuple[float, float]:
    """The share of a judge's labels that are wrong, from how often it and two others agree.

    Where the three err independently given the truth, and by chance, agreements multiply: ``kappa_ab = r_a r_b``, so
    ``r_a^2 = kappa_ab kappa_ac / kappa_bc`` (Dawid and Skene, Applied Statistics 1979, for three judges). Peers that
    err on the same samples agree too often, and the share comes out too large; a peer that has learned the judge's
    errors makes it too small.

    Args:
        judge_N: Class indices by the judge.
        peers_2N: Class indices by the two others.
        num_classes: C.
        asked_N: Samples on which the first peer may be asked, a fair sample of all; None for all of them.

    Returns:
        The share, in [0, 1], and its standard error, covariances left out; (1, inf) where a pair agrees no more than by
        chance.
    """
    first_N, second_N = peers_2N
    asked_N = np.ones(len(judge_N), dtype=bool) if asked_N is None else asked_N
    judges = ((judge_N[asked_N], first_N[asked_N]), (judge_N, second_N), (first_N[asked_N], second_N[asked_N]))
    pairs = [kappa(*pair, num_classes) for pair in judges]
    if any(value <= Z95 * error for value, error in pairs):
        return 1.0, float("inf")
    (with_first, _), (with_second, _), (between, _) = pairs
    reliability = min(1.0, float(np.sqrt(with_first * with_second / between)))
    relative = 0.5 * float(np.sqrt(sum((error / value) ** 2 for value, error in pairs)))
    spread = 1 - chance_agreement(judge_N, judge_N, num_classes)
    return (1 - reliability) * spread, reliability * relative * spread
