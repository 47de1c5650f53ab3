"""Which labels are believed: DivideMix's division by losses with the guards it needs, an audit's, and an oracle's.

Guards: equal losses, losses without two bumps, an empty or tiny side, classes nobody would be left of, and a noise rate
that is estimated and never asked for. What a guard did is said in the division's notes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from noisyclean.ops.mixture import fit_two_components
from noisyclean.ops.selection import lowest_per_class, with_class_floor
from noisyclean.robust.judging import loss_of
from noisyclean.robust.method import Posterior
from noisyclean.types import FloatArray

__all__ = ["Divider", "Division", "JudgedDivider", "Line", "LossDivider", "TruthDivider"]

HISTORY = 5
"""Epochs of losses kept for averaging; https://arxiv.org/abs/2002.07394, section 4.2."""
AVERAGE_ABOVE = 0.7
"""Estimated noise rate from which losses are averaged over the history."""
MOST_LOG_ODDS = 700.0
HALF = 0.5
"""Least trust in a label that is kept so that its class has some."""


@dataclass(frozen=True, kw_only=True)
class Division:
    """The verdict on the labels trained on; T counts those."""

    p_clean_T: Tensor
    """Probability that each label is right."""
    is_labelled_T: Tensor
    """Which are trained on as they are; the rest only as images."""
    log_odds_T: Tensor
    """Log-odds that each label is wrong; float64, without the ties of saturated probabilities."""
    noise_rate: float
    """Estimated share of wrong labels."""
    note: str = ""
    """What a guard did; empty where none was needed."""

    @classmethod
    def from_state(cls, state: Mapping[str, Any], device: torch.device) -> Division:
        """Make one of ``vars(division)``, its tensors on a device."""
        fields: dict[str, Any] = {
            name: item.to(device) if isinstance(item, Tensor) else item for name, item in state.items()
        }
        return cls(**fields)


class Divider(Protocol):
    """Divides, once an epoch or so, for each net separately."""

    def __call__(self, net_index: int, log_p_TC: Tensor) -> Division:
        """Divide by one net's opinion.

        Args:
            net_index: Whose opinion it is.
            log_p_TC: Its log class probabilities.
        """

    def state_dict(self) -> dict[str, Any]:
        """What it remembers."""

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """Where labels are divided, whatever says how probably each is right."""

    label_T: Tensor
    """Given labels."""
    verified_T: Tensor
    """Labels that are never doubted."""
    num_classes: int
    threshold: float
    """A label is believed above this probability."""
    class_floor: float
    """Least share of each class that stays labelled."""

    def divide(self, log_odds_T: Tensor, *, threshold: float | None = None, note: str = "") -> Division:
        """Divide by the log-odds that each label is wrong, float64, perhaps at another threshold."""
        threshold = self.threshold if threshold is None else threshold
        log_odds_T = log_odds_T.clamp(-MOST_LOG_ODDS, MOST_LOG_ODDS)
        p_clean_T = torch.where(self.verified_T, 1.0, torch.sigmoid(-log_odds_T)).float()
        noise_rate = 1 - float(p_clean_T.mean())
        chosen_T = (p_clean_T > threshold) | self.verified_T
        kept_T = with_class_floor(chosen_T, -log_odds_T, self.label_T, self.num_classes, share=self.class_floor)
        p_clean_T = torch.where(kept_T & ~chosen_T, p_clean_T.clamp(min=HALF), p_clean_T)
        return Division(
            p_clean_T=p_clean_T, is_labelled_T=kept_T, log_odds_T=log_odds_T, noise_rate=noise_rate, note=note
        )


class LossDivider:
    """A two-component mixture on the losses; https://arxiv.org/abs/2002.07394, section 3.1.

    Args:
        line: Where labels are divided.
        cap_quantile: Losses above this quantile are cut before the fit; 1 leaves them.
        seed: Of the mixture's start.

    Deviations: the posterior is kept from turning back outside the two means; whether to average the history follows
    the estimated noise rate, where the published code is told it.
    """

    def __init__(self, line: Line, *, cap_quantile: float, seed: int) -> None:
        self.line = line
        self.cap_quantile = cap_quantile
        self.seed = seed
        self._history: dict[int, list[Tensor]] = {}
        self._noise_rate: dict[int, float] = {}

    def __call__(self, net_index: int, log_p_TC: Tensor) -> Division:
        """Divide by the losses of one net's opinion."""
        label_T = self.line.label_T
        return self.divide(net_index, loss_of(log_p_TC, label_T), log_p_TC.argmax(dim=1) == label_T)

    def divide(self, net_index: int, loss_T: Tensor, agrees_T: Tensor) -> Division:
        """Divide by one net's losses, and by whether it predicts the given label."""
        history = [*self._history.get(net_index, []), _to_unit(loss_T)][-HISTORY:]
        self._history[net_index] = history
        if self._noise_rate.get(net_index, 0.0) >= AVERAGE_ABOVE:
            loss_T = torch.stack(history).mean(dim=0)
        value_T = loss_T.double().cpu().numpy()
        log_odds, threshold, note = self._judge(value_T, float(agrees_T.float().mean()))
        log_odds_T = torch.from_numpy(log_odds).to(loss_T.device)
        division = self.line.divide(log_odds_T, threshold=threshold, note=note)
        self._noise_rate[net_index] = division.noise_rate
        return division

    def state_dict(self) -> dict[str, Any]:
        """Losses of the last epochs, and the estimates."""
        return {"history": self._history, "noise_rate": self._noise_rate}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        device = self.line.label_T.device
        self._history = {index: [loss.to(device) for loss in kept] for index, kept in state["history"].items()}
        self._noise_rate = dict(state["noise_rate"])

    def _judge(self, value_T: FloatArray, share_agreeing: float) -> tuple[FloatArray, float, str]:
        """Log-odds of being wrong, the threshold on the probability of being clean, and what went otherwise."""
        mixture = fit_two_components(value_T, seed=self.seed, cap_quantile=self.cap_quantile)
        if mixture is None:
            return np.full_like(value_T, -MOST_LOG_ODDS), 0.0, "all losses are equal: every label is believed"
        if mixture.is_separated:
            return mixture.log_odds_high(value_T), self.line.threshold, ""
        order = value_T.argsort(kind="stable").argsort(kind="stable")
        quantile = (order + 0.5) / len(value_T)
        edge = min(max(share_agreeing, 0.01), 0.99)
        log_odds = np.log(quantile / (1 - quantile)) - np.log(edge / (1 - edge))
        note = f"{mixture.reason}: the {edge:.0%} smallest losses are believed, as many as the net agrees with"
        return 4 * log_odds, 0.5, note


class JudgedDivider:
    """Believes a label as far as an audit does: the net's opinion and all else that is known, calibrated.

    Args:
        line: Where labels are divided.
        train_T: Rows of the labels.
        num_images: N, of which these are some.
        posterior: Judges labels.
    """

    def __init__(self, line: Line, *, train_T: Tensor, num_images: int, posterior: Posterior) -> None:
        self.line = line
        self.train_T = train_T
        self.num_images = num_images
        self.posterior = posterior

    def __call__(self, net_index: int, log_p_TC: Tensor) -> Division:  # noqa: ARG002
        """Divide by what labels probably are; of images that are not trained on nothing is asked."""
        log_p_NC = log_p_TC.new_full((self.num_images, self.line.num_classes), -math.log(self.line.num_classes))
        log_p_NC[self.train_T] = log_p_TC
        posterior_NC = torch.from_numpy(self.posterior(log_p_NC.cpu().numpy())).double().to(log_p_TC.device)
        p_clean_T = posterior_NC[self.train_T].gather(1, self.line.label_T[:, None]).squeeze(1)
        return self.line.divide(-torch.logit(p_clean_T))

    def state_dict(self) -> dict[str, Any]:
        """Nothing is remembered."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """There is nothing to continue from."""


class TruthDivider:
    """An oracle that knows the true labels: what the same training gives with a perfect division.

    C2D's analysis, https://arxiv.org/abs/2103.13646.

    Args:
        label_T: Given labels.
        truth_T: True labels.
        num_classes: C.
        form: ``all`` believes exactly the right labels; ``same-size`` as many of them as ``inner`` would believe in
            each class, drawn by chance.
        inner: What the size is taken from.
        draw_T: Order in which right labels are drawn, a permutation.
    """

    def __init__(
        self, *, label_T: Tensor, truth_T: Tensor, num_classes: int, form: str, inner: Divider, draw_T: Tensor
    ) -> None:
        self.label_T = label_T
        self.is_right_T = label_T == truth_T
        self.num_classes = num_classes
        self.form = form
        self.inner = inner
        self.draw_T = draw_T

    def __call__(self, net_index: int, log_p_TC: Tensor) -> Division:
        """Divide by the truth."""
        chosen_T = self.is_right_T
        if self.form == "same-size":
            inner = self.inner(net_index, log_p_TC)
            quota_C = torch.bincount(self.label_T[inner.is_labelled_T], minlength=self.num_classes)
            rank_T = torch.where(self.is_right_T, self.draw_T, self.draw_T + len(self.draw_T))
            chosen_T = lowest_per_class(rank_T, self.label_T, quota_C) & self.is_right_T
        log_odds_T = torch.where(self.is_right_T, -MOST_LOG_ODDS, MOST_LOG_ODDS).double()
        return Division(
            p_clean_T=chosen_T.float(),
            is_labelled_T=chosen_T,
            log_odds_T=log_odds_T,
            noise_rate=1 - float(self.is_right_T.float().mean()),
        )

    def state_dict(self) -> dict[str, Any]:
        """What the inner divider remembers."""
        return self.inner.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self.inner.load_state_dict(state)


def _to_unit(loss_T: Tensor) -> Tensor:
    low, high = loss_T.min(), loss_T.max()
    return (loss_T - low) / (high - low).clamp(min=1e-8)
