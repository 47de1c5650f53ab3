"""What DivideMix believes of every label and guesses of every image, brought up to date between epochs.

Tensors that steps read are written over, not replaced: an accelerator that replays a step reads them where they were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from noisyclean.base.runtime import Runtime
from noisyclean.ops.mixmatch import refined_targets
from noisyclean.ops.selection import class_prior, is_asymmetric
from noisyclean.robust.division import Divider, Division, Line, LossDivider
from noisyclean.robust.judging import judge, judge_and_embed
from noisyclean.robust.method import TrainingData
from noisyclean.robust.neighbourhood import vote_of_neighbours
from noisyclean.types import FloatArray

__all__ = ["CoDivision", "line_of", "wrong_log_odds"]

SMALLEST_MASS = 1e-3
"""Of all classes together, where neighbours vote too: they are few, and none of them for a class does not make it
impossible."""

MOST_VOTERS = 100_000
"""Of more images the exact neighbours, N x N similarities at each division, would cost more than the training."""


class CoDivision:
    """Each net's labels, divided by the opinion of another net (co-divide).

    https://arxiv.org/abs/2002.07394, section 3.1. Both nets are judged before either is trained on, as there.

    Args:
        data: Images, labels, and which are trained on.
        divider: Decides by one net's opinion.
        num_nets: 1 divides for itself.
        follows_prior: Estimate the class frequencies from the believed labels; uniform otherwise, as published.
        neighbour_share: Of the opinion on an image, what its neighbours' votes make up; the rest is the net's own.
        keeps_doubted: Trust a doubted label as far as it is probable, instead of not at all.
        runtime: Device and dtype.
    """

    def __init__(
        self,
        data: TrainingData,
        divider: Divider,
        *,
        num_nets: int,
        follows_prior: bool,
        neighbour_share: float = 0.0,
        keeps_doubted: bool = False,
        runtime: Runtime,
    ) -> None:
        self.data = data
        self.divider = divider
        self.follows_prior = follows_prior
        self.neighbour_share = neighbour_share
        self.keeps_doubted = keeps_doubted
        self.runtime = runtime
        self.divisions: list[Division] = []
        """For each net; empty before the first."""
        self.num_labelled: list[int] = []
        """Rows that each net takes with their label; counted once, because counting waits for the device."""
        self.p_clean_LN = torch.ones(num_nets, len(data.label_N), device=runtime.device)
        """How far each net trusts each label; 0 where it only gets a guess."""
        self.guess_NC = torch.zeros(len(data.label_N), data.num_classes, device=runtime.device)
        """Mean prediction of the nets on the plain images."""
        self.prior_C = torch.full((data.num_classes,), 1 / data.num_classes, device=runtime.device)
        self.is_asymmetric = True
        """Whether wrong labels go to few classes, as far as the nets can tell; until they can, it is feared."""
        self.notes: list[str] = []
        self.asks_neighbours = neighbour_share > 0 and len(data.train_T) <= MOST_VOTERS
        if neighbour_share > 0 and not self.asks_neighbours:
            self.notes.append(f"neighbours do not vote: there are more than {MOST_VOTERS:,} images")

    def update(self, epoch: int, nets: Sequence[nn.Module]) -> None:
        """Judge every image, divide, and guess; one forward pass of each net over all images."""
        opinions = [self._opinion(net) for net in nets]
        train_T, label_T = self.data.train_T, self.data.label_N[self.data.train_T]
        predictions = [log_p_NC[train_T].argmax(dim=1) for log_p_NC in opinions]
        self.is_asymmetric = any(
            is_asymmetric(predicted_T, label_T, self.data.num_classes) for predicted_T in predictions
        )
        own = [self.divider(index, opinion_NC[train_T]) for index, opinion_NC in enumerate(opinions)]
        self._take(own[1:] + own[:1])
        for index, division in enumerate(self.divisions):
            trusted_T = division.is_labelled_T | self.keeps_doubted
            self.p_clean_LN[index, train_T] = torch.where(trusted_T, division.p_clean_T, 0.0)
        self.guess_NC.copy_(torch.stack([log_p_NC.exp() for log_p_NC in opinions]).mean(dim=0))
        if self.follows_prior:
            believed_T = torch.stack([division.p_clean_T for division in own]).mean(dim=0)
            self.prior_C.copy_(class_prior(label_T, believed_T, self.data.num_classes))
        self.notes += sorted({f"epoch {epoch + 1}: {division.note}" for division in own if division.note})

    def _take(self, divisions: list[Division]) -> None:
        self.divisions = divisions
        self.num_labelled = [int(division.is_labelled_T.sum()) for division in divisions]

    def _opinion(self, net: nn.Module) -> Tensor:
        """Log class probabilities (N, C): of a net, and of the neighbours in its features for the rows trained on."""
        if not self.asks_neighbours:
            return judge(net, self.data, self.runtime)
        log_p_NC, h_ND = judge_and_embed(net, self.data, self.runtime)
        vote_TC = vote_of_neighbours(h_ND[self.data.train_T], self.data)
        mixed_TC = torch.lerp(log_p_NC[self.data.train_T].exp(), vote_TC, self.neighbour_share)
        log_p_NC[self.data.train_T] = mixed_TC.clamp(min=SMALLEST_MASS / self.data.num_classes).log()
        return log_p_NC

    @property
    def noise_rate(self) -> float:
        """Estimated share of wrong labels, mean of the nets."""
        return sum(division.noise_rate for division in self.divisions) / len(self.divisions)

    @property
    def share_labelled(self) -> float:
        """Share of the images trained on with their label, mean of the nets."""
        shares = [float(division.is_labelled_T.float().mean()) for division in self.divisions]
        return sum(shares) / len(shares)

    def rows(self, index: int, *, labelled: bool) -> Tensor:
        """Rows that a net takes with, or without, their label."""
        return self.data.train_T[self.divisions[index].is_labelled_T == labelled]

    def targets(self, index: int, index_B: Tensor, p_BC: Tensor, *, temperature: float) -> Tensor:
        """Refined targets of some rows for a net, from a guess of them."""
        given_BC = self.data.given(index_B)
        return refined_targets(given_BC, p_BC, self.p_clean_LN[index, index_B], temperature=temperature)

    def state_dict(self) -> dict[str, Any]:
        """All of it."""
        return {
            "divider": self.divider.state_dict(),
            "divisions": [dict(vars(division)) for division in self.divisions],
            "p_clean_LN": self.p_clean_LN,
            "guess_NC": self.guess_NC,
            "prior_C": self.prior_C,
            "is_asymmetric": self.is_asymmetric,
            "notes": self.notes,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        device = self.runtime.device
        self.divider.load_state_dict(state["divider"])
        self._take([Division.from_state(saved, device) for saved in state["divisions"]])
        self.p_clean_LN.copy_(state["p_clean_LN"])
        self.guess_NC.copy_(state["guess_NC"])
        self.prior_C.copy_(state["prior_C"])
        self.is_asymmetric = state["is_asymmetric"]
        self.notes = list(state["notes"])


def line_of(data: TrainingData, *, threshold: float, class_floor: float) -> Line:
    """Where the labels trained on are divided."""
    return Line(
        label_T=data.label_N[data.train_T],
        verified_T=data.verified_N[data.train_T],
        num_classes=data.num_classes,
        threshold=threshold,
        class_floor=class_floor,
    )


def wrong_log_odds(nets: Sequence[nn.Module], data: TrainingData, runtime: Runtime, *, seed: int) -> FloatArray:
    """Log-odds that each label is wrong, mean of the nets, of all images and not only those trained on."""
    everyone = replace(data, train_T=torch.arange(len(data.label_N), device=runtime.device))
    divider = LossDivider(line_of(everyone, threshold=0.5, class_floor=0.0), cap_quantile=0.999, seed=seed)
    total_N = torch.zeros(len(data.label_N), dtype=torch.float64, device=runtime.device)
    for index, net in enumerate(nets):
        total_N += divider(index, judge(net, data, runtime)).log_odds_T
    odds_N: FloatArray = (total_N / len(nets)).cpu().numpy()
    return odds_N
