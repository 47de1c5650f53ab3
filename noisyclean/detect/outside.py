"""An opinion on every label from outside: a ridge classifier on label-free features, asked about samples it left out.

Ridge regression onto the one-hot labels in closed form; each sample is predicted by the fit without it and without its
group, exactly. The penalty has the smallest left-out error, the temperature that turns predictions into probabilities
the largest left-out likelihood, both of the given labels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional

from noisyclean.ops.ridge import RidgeSystem, leave_out_predictions
from noisyclean.types import BoolArray, FloatArray, IntArray

__all__ = ["OutsideOpinion", "ask_outside"]

BLOCK = 2_000
PENALTIES = (3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0, 3.0, 10.0)
"""Tried, in units of the mean eigenvalue's sum N: the variance of N standardised samples."""
NUM_TRIED = 6_000
"""Samples the penalty and the temperature are chosen by."""
TEMPERATURES = (0.5, 30.0)
"""Range of the factor on predictions before they become probabilities."""


@dataclass(frozen=True, kw_only=True)
class OutsideOpinion:
    """What the classifier thinks of samples it was fitted without."""

    log_p_NC: FloatArray
    """Log class probabilities, float32."""
    accuracy: float
    """Share of the samples learnt from whose given label is the most probable class."""
    weight_CD: Tensor
    """The fit on all of these, as a linear layer on the features."""
    bias_C: Tensor


def ask_outside(
    z_ND: Tensor,
    label_N: IntArray,
    *,
    num_classes: int,
    group_N: IntArray | None = None,
    unseen_N: BoolArray | None = None,
) -> OutsideOpinion:
    """Fit, and predict every sample without itself and its group.

    Args:
        z_ND: Features made without the labels, any float type, on any device.
        label_N: Given class indices.
        num_classes: C.
        group_N: Samples of one group are left out together.
        unseen_N: Samples whose labels are not learnt from, whoever is asked about.
    """
    seen_S = np.arange(len(label_N)) if unseen_N is None else np.flatnonzero(~unseen_N)
    place_S = torch.from_numpy(seen_S).to(z_ND.device)
    target_NC = functional.one_hot(torch.from_numpy(label_N), num_classes).to(z_ND.device)
    system = RidgeSystem.accumulate((z_ND[rows], target_NC[rows]) for rows in place_S.split(BLOCK))
    group_S = None if group_N is None else group_N[seen_S]
    parts = [(place_S[rows], groups) for rows, groups in _parts(group_S, len(seen_S), z_ND.device)]
    chosen = parts[:: max(1, len(parts) * BLOCK // NUM_TRIED)]
    penalty = _choose_penalty(system, z_ND, target_NC, chosen)
    predicted_NC = torch.empty(len(z_ND), num_classes, dtype=torch.float64, device=z_ND.device)
    for rows, groups in parts:
        predicted_NC[rows] = leave_out_predictions(system, system.rotate(z_ND[rows]), target_NC[rows], penalty, groups)
    if unseen_N is not None:
        for rows in torch.from_numpy(np.flatnonzero(unseen_N)).to(z_ND.device).split(BLOCK):
            predicted_NC[rows] = system.predict(system.rotate(z_ND[rows]), penalty)
    temperature = _choose_temperature(predicted_NC[place_S].cpu().numpy(), label_N[seen_S])
    weight_CD, bias_C = system.linear(penalty)
    return OutsideOpinion(
        log_p_NC=(temperature * predicted_NC).log_softmax(dim=1).float().cpu().numpy(),
        accuracy=float(np.mean(predicted_NC[place_S].argmax(dim=1).cpu().numpy() == label_N[seen_S])),
        weight_CD=temperature * weight_CD,
        bias_C=temperature * bias_C,
    )


def _parts(group_N: IntArray | None, num: int, device: torch.device) -> Iterator[tuple[Tensor, list[Tensor]]]:
    """Rows in blocks that no group crosses, each with the places of its groups of more than one sample."""
    if group_N is None:
        for rows in torch.arange(num, device=device).split(BLOCK):
            yield rows, []
        return
    order = np.argsort(group_N, kind="stable")
    starts = np.flatnonzero(np.diff(group_N[order], prepend=group_N[order[0]] - 1))
    ends = np.append(starts[1:], num)
    first = 0
    for place, end in enumerate(ends):
        if end - starts[first] < BLOCK and place < len(ends) - 1:
            continue
        begin = starts[first]
        several = [
            (start, stop) for start, stop in zip(starts[first : place + 1], ends[first : place + 1], strict=True)
        ]
        groups = [
            torch.arange(start - begin, stop - begin, device=device) for start, stop in several if stop - start > 1
        ]
        yield torch.from_numpy(order[begin:end]).to(device), groups
        first = place + 1


def _choose_penalty(
    system: RidgeSystem, z_ND: Tensor, target_NC: Tensor, parts: list[tuple[Tensor, list[Tensor]]]
) -> float:
    """The penalty with the smallest squared error on left-out samples."""
    error = dict.fromkeys((share * system.num_samples for share in PENALTIES), 0.0)
    for rows, groups in parts:
        rotated = system.rotate(z_ND[rows])
        for penalty in error:
            predicted = leave_out_predictions(system, rotated, target_NC[rows], penalty, groups)
            error[penalty] += float((predicted - target_NC[rows]).square().sum())
    return min(error, key=error.__getitem__)


def _choose_temperature(predicted_NC: FloatArray, label_N: IntArray) -> float:
    """The factor under which the given labels are most likely."""
    some = slice(None, None, max(1, len(label_N) // NUM_TRIED))
    predicted, label = torch.from_numpy(predicted_NC[some]), torch.from_numpy(label_N[some])

    def surprise(log_factor: float) -> float:
        return float(functional.cross_entropy(np.exp(log_factor) * predicted, label))

    found = minimize_scalar(surprise, bounds=tuple(np.log(TEMPERATURES)), method="bounded")
    return float(np.exp(found.x))
