"""How many labels are wrong, without truth: read off the images the model is sure of, and carried on to the rest.

Where the model is surest its prediction is the truth, and the share of labels that differ from it is the noise.
Further down the model errs too, and disagreement is no longer noise. So the share of disagreement is fitted by a line
in the rank of the confidence over the surer half, and the line is carried on through the less sure half, never above
the disagreement seen there.

Assumptions: over the surer half the model's errors are few against the label's; noise does not fall as images get less
clear (the line may not fall). What cannot be known is how fast noise grows over the less sure half; nets that have seen
the labels are a little surer of the images whose label is right, which makes the line too steep. So the rate is halfway
between no growth and the growth of the line, and the interval goes from none to twice that of the line. See
``docs/methods/detection.md``.

Where they are much surer of them, wrong labels are missing among the surer half altogether; images that are clear to
an opinion that has seen no label tell how many of them (:func:`count_missing`).

Where little is recognised the model errs among its surer half too, and the line is too high. Two opinions that agree
with each other more than with the labels say how wrong the labels are at most (:func:`cap_by_agreement`).

An opinion that left every image out recognises less still, and what nets make of images they did not learn from holds
errors of theirs that no label made. Where the former is surest, it says how many labels are wrong at most
(:func:`cap_by_surest`).

Where not even the surest images are recognised, labels that look wrong may as well be unusual images, and the estimate
goes down with its interval (:func:`doubt_unrecognised`).

Where right and wrong labels stand clearly apart in the score, their shares are counted, the more so the further apart
(:func:`count_if_apart`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from noisyclean.ops.agreement import Z95, share_error, triangulate
from noisyclean.ops.bells import fit_bells
from noisyclean.ops.pooling import margins
from noisyclean.types import BoolArray, FloatArray, IntArray

__all__ = [
    "CLEAR",
    "RateEstimate",
    "are_surest",
    "cap_by_agreement",
    "cap_by_surest",
    "count_if_apart",
    "count_missing",
    "doubt_unrecognised",
    "estimate_rate",
]

SURE = 0.5
"""Share of the images that count as surer."""
NUM_BINS = 10
"""Of the less sure half, for the cap; of all images, where they are doubted."""
APART, FAR_APART = 4.0, 7.0
"""Distance of two bells, in their width, from which on fewer than one in forty of either lies nearer to the other, and
fewer than one in four thousand."""

CLEAR = 0.4
"""Share of the images, those an opinion is surest of, that count as clear."""
LEAST_SHOWN = 0.5
"""As many of the wrong labels the surer half shows at least, against right ones: less is no selection, but labels the
nets know by heart."""

SUREST = 0.1
"""Share of the images, those an opinion is surest of, that tell how many labels are wrong at most."""
SPARED = 1.25
"""As many times as frequent wrong labels may be on the whole: they spare clear images."""
AGREEING = 0.85
"""Share of images on which the left-out classifier agrees with the pool where they are recognised."""
LITTLE, ENOUGH = 0.1, 0.4
"""Share of the images that are recognised: up to the first an estimate is doubted most, from the second on not."""

VAGUE = 0.05
"""Standard error of a cap above which it says nothing."""


@dataclass(frozen=True, kw_only=True)
class RateEstimate:
    """Noise rate with a 95 % interval, all in [0, 1]."""

    rate: float
    low: float
    high: float
    doubt: float = 0.0
    """How far it was lowered because little is recognised: 0 not at all, 1 as far as that goes."""


def estimate_rate(confidence_N: FloatArray, disagrees_N: BoolArray) -> RateEstimate:
    """Estimate the share of wrong labels.

    Args:
        confidence_N: How sure the model is of its prediction; only the order counts.
        disagrees_N: Whether the prediction differs from the given label.
    """
    num = len(confidence_N)
    surest_first = np.argsort(-confidence_N, kind="stable")
    differs_N = disagrees_N[surest_first].astype(np.float64)
    rank_N = (np.arange(num) + 0.5) / num
    num_sure = max(1, round(SURE * num))
    start, slope = _rising_line(rank_N[:num_sure], differs_N[:num_sure])
    sure = differs_N[:num_sure].sum() / num
    seen_M = _binned_mean(differs_N[num_sure:])
    distance_M = rank_N[num_sure:] - SURE

    def carried_on(growth: float) -> float:
        line_M = np.clip(start + slope * (SURE + growth * distance_M), 0, 1)
        return float(sure + np.minimum(line_M, seen_M).sum() / num)

    rate = carried_on(0.5)
    sampling = Z95 * np.sqrt(max(rate * (1 - rate), 1 / num) / num_sure)
    return RateEstimate(rate=rate, low=max(0.0, carried_on(0.0) - sampling), high=min(1.0, carried_on(2.0) + sampling))


def count_missing(
    estimate: RateEstimate, confidence_N: FloatArray, disagrees_N: BoolArray, clear_N: BoolArray
) -> RateEstimate:
    """Raise an estimate to the share of wrong labels in the surer half, those counted in that are missing there.

    Nets that have seen a wrong label are less sure of its image, however clear it is. Clear images with wrong labels
    should lie in the surer half as often as clear ones with right labels do; by as much as they do it less often, the
    odds of a wrong label are larger than the half shows. Noise that grows where images are less clear is left out, so
    it is the least there may be.

    Args:
        estimate: What is raised; the interval's lower end stays.
        confidence_N: How sure the model is of its prediction; only the order counts.
        disagrees_N: Whether the prediction differs from the given label.
        clear_N: Whether an opinion that has seen no label predicts the same and is sure (:data:`CLEAR`).
    """
    sure_N = are_surest(confidence_N, SURE)
    wrong_N, right_N = clear_N & disagrees_N, clear_N & ~disagrees_N
    shown_of_wrong = (1 + (sure_N & wrong_N).sum()) / (1 + wrong_N.sum())
    shown_of_right = max(1, (sure_N & right_N).sum()) / max(1, right_N.sum())
    shown = float(np.clip(shown_of_wrong / shown_of_right, LEAST_SHOWN, 1))
    seen = float(disagrees_N[sure_N].mean())
    least = seen / (seen + shown * (1 - seen))
    missing = max(0.0, least - max(seen, estimate.rate))
    return replace(estimate, rate=estimate.rate + missing, high=min(1.0, estimate.high + missing))


def cap_by_agreement(
    estimate: RateEstimate,
    label_N: IntArray,
    opinions_2N: tuple[IntArray, IntArray],
    num_classes: int,
    *,
    asked_N: BoolArray | None = None,
) -> RateEstimate:
    """Lower an estimate to what two opinions' agreement with the labels and with each other allows.

    Opinions are wrong on the same hard images, so what is triangulated is too large rather than too small: a cap. The
    interval is not narrowed, because opinions that have learned the labels' errors make it too small.

    Args:
        estimate: What is capped.
        label_N: Given class indices.
        opinions_2N: Predicted class indices; the second may not have memorised any label.
        num_classes: C.
        asked_N: Images on which the first opinion is asked; None for all.
    """
    most, error = triangulate(label_N, opinions_2N, num_classes, asked_N=asked_N)
    if error > VAGUE or most >= estimate.rate:
        return estimate
    return replace(estimate, rate=most, low=min(estimate.low, max(0.0, most - Z95 * error)))


def cap_by_surest(estimate: RateEstimate, log_p_NC: FloatArray, label_N: IntArray) -> RateEstimate:
    """Lower an estimate to little more than the share of labels that are contradicted where an opinion is surest.

    The opinion's errors make that share too large; noise spares clear images, more where it is of some classes alone,
    so the interval keeps its upper end.

    Args:
        estimate: What is capped.
        log_p_NC: An opinion that has memorised no label.
        label_N: Given class indices.
    """
    predicted_N = log_p_NC.argmax(axis=1)
    surest_N = are_surest(margins(log_p_NC, predicted_N), SUREST)
    most = float(np.mean(predicted_N[surest_N] != label_N[surest_N]))
    least = max(0.0, most - Z95 * share_error(most, int(surest_N.sum())))
    return replace(estimate, rate=min(estimate.rate, SPARED * most), low=min(estimate.low, least))


def doubt_unrecognised(
    estimate: RateEstimate, confidence_N: FloatArray, disagrees_N: BoolArray, agrees_N: BoolArray
) -> RateEstimate:
    """Lower an estimate, and its interval's lower end most, where hardly the surest images are recognised.

    Recognised are as many of the surest images as the left-out classifier agrees with the pool on. Behind them an image
    whose label is contradicted may be an unusual one of its class. At the least as many labels are wrong as the pool
    contradicts beyond what it disagrees with the left-out classifier about, as though all of that were its error;
    the truth is somewhere between that and the estimate, and halfway is taken.

    Args:
        estimate: What is doubted.
        confidence_N: How sure the pool is of its prediction; only the order counts.
        disagrees_N: Whether the prediction differs from the given label.
        agrees_N: Whether it is that of the left-out classifier too.
    """
    num = len(confidence_N)
    surest_first = np.argsort(-confidence_N, kind="stable")
    contradicts_N, alike_N = (which_N[surest_first].astype(np.float64) for which_N in (disagrees_N, agrees_N))
    recognised = np.flatnonzero(np.cumsum(alike_N) >= AGREEING * np.arange(1, num + 1))
    share = (recognised[-1] + 1) / num if len(recognised) else 0.0
    doubt = 1 - float(np.clip((share - LITTLE) / (ENOUGH - LITTLE), 0, 1))
    agree_N = _binned_mean(alike_N)
    beyond_N = (_binned_mean(contradicts_N) - (1 - agree_N)) / np.maximum(agree_N, 1 / num)
    least = min(float(beyond_N.clip(0, 1).mean()), estimate.rate)
    sampling = Z95 * share_error(least, num)
    return replace(
        estimate,
        rate=estimate.rate - doubt * (estimate.rate - least) / 2,
        low=estimate.low - doubt * max(0.0, estimate.low - max(0.0, least - sampling)),
        doubt=doubt,
    )


def count_if_apart(estimate: RateEstimate, score_N: FloatArray) -> RateEstimate:
    """Move an estimate towards the share of the upper of two bells, where they hardly overlap.

    The upper bell holds the model's own errors too, so its share is too large rather than too small; the further the
    bells are apart, the fewer such errors there are and the more the share counts. It does not assume, as the line
    does, that noise is spread over the surer images: of one class alone, taken for one other, the line sees little.
    A share below all that the estimate allows is of a few outliers with a bell of their own, such as images a vote
    leaves no chance, and counts for nothing.

    Args:
        estimate: Where to begin.
        score_N: Log-odds that the label is wrong, roughly; higher is worse.
    """
    bells = fit_bells(score_N, share=estimate.rate, is_share_free=True)
    if bells.share < estimate.low:
        return estimate
    trust = float(np.clip((bells.distance - APART) / (FAR_APART - APART), 0, 1))
    sampling = Z95 * share_error(bells.share, len(score_N))
    return replace(
        estimate,
        rate=estimate.rate + trust * (bells.share - estimate.rate),
        low=estimate.low + trust * (max(0.0, bells.share - sampling) - estimate.low),
        high=estimate.high + trust * (min(1.0, bells.share + sampling) - estimate.high),
    )


def are_surest(confidence_N: FloatArray, share: float) -> BoolArray:
    """Which are the surest, at least one of them; of equals the first."""
    surest_N = np.zeros(len(confidence_N), dtype=bool)
    surest_N[np.argsort(-confidence_N, kind="stable")[: max(1, round(share * len(confidence_N)))]] = True
    return surest_N


def _rising_line(rank_M: FloatArray, share_M: FloatArray) -> tuple[float, float]:
    """Least squares with a slope that is not negative."""
    centred = rank_M - rank_M.mean()
    slope = max(0.0, float((centred * share_M).sum() / max((centred**2).sum(), 1e-12)))
    return float(share_M.mean() - slope * rank_M.mean()), slope


def _binned_mean(value_M: FloatArray) -> FloatArray:
    """Each value replaced by the mean of its bin of neighbours."""
    bins = np.array_split(value_M, min(NUM_BINS, max(1, len(value_M))))
    return np.concatenate([np.full(len(part), part.mean() if len(part) else 0.0) for part in bins])
