"""DivideMix whose division is perfect: what its semi-supervised half gives when nothing is divided wrongly.

C2D's analysis, https://arxiv.org/abs/2103.13646. Needs true labels, so it is no method but a yardstick. Page:
``docs/methods/mixmatch-oracle.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from noisyclean.base.runtime import Runtime, generator
from noisyclean.robust.dividemix_settings import DivideMixSettings
from noisyclean.robust.division import TruthDivider
from noisyclean.robust.method import Facts, NetMaker, TrainingData, methods
from noisyclean.robust.methods.dividemix import DivideMix, make_divider
from noisyclean.types import Evidence

__all__ = ["MixMatchOracle", "MixMatchOracleSettings"]


@dataclass(frozen=True, kw_only=True)
class MixMatchOracleSettings(DivideMixSettings):
    """DivideMix's settings, and which oracle."""

    form: Literal["all", "same-size"] = "all"
    """Believe every right label, or as many right labels of each class as DivideMix would believe."""


@methods.register("mixmatch-oracle")
class MixMatchOracle:
    """DivideMix with a perfect division, from true labels: a yardstick (needs --truth)."""

    settings_type: ClassVar[type] = MixMatchOracleSettings
    needs_truth: ClassVar[bool] = True
    published_holdout: ClassVar[float] = 0.0

    def __init__(
        self, *, data: TrainingData, make_net: NetMaker, settings: MixMatchOracleSettings, runtime: Runtime, seed: int
    ) -> None:
        assert data.truth_N is not None, "whoever calls an oracle brings the truth"
        draw = generator(runtime.device, seed, "mixmatch-oracle")
        divider = TruthDivider(
            label_T=data.label_N[data.train_T],
            truth_T=data.truth_N[data.train_T],
            num_classes=data.num_classes,
            form=settings.form,
            inner=make_divider(data, settings, seed=seed),
            draw_T=torch.randperm(len(data.train_T), generator=draw, device=runtime.device),
        )
        self._dividemix = DivideMix(
            data=data, make_net=make_net, settings=settings, runtime=runtime, seed=seed, divider=divider
        )
        self.num_epochs = self._dividemix.num_epochs

    @classmethod
    def plan(cls, preset: str, facts: Facts) -> tuple[MixMatchOracleSettings, Mapping[str, str]]:
        """As DivideMix."""
        settings, reasons = DivideMix.plan(preset, facts)
        return MixMatchOracleSettings(**{item.name: getattr(settings, item.name) for item in fields(settings)}), reasons

    @property
    def notes(self) -> list[str]:
        """As DivideMix."""
        return self._dividemix.notes

    def num_steps(self, epoch: int) -> int:
        """As DivideMix."""
        return self._dividemix.num_steps(epoch)

    def begin_epoch(self, epoch: int) -> None:
        """As DivideMix, divided by the truth."""
        self._dividemix.begin_epoch(epoch)

    def step(self, epoch: int, step: int) -> Mapping[str, Tensor]:
        """As DivideMix."""
        return self._dividemix.step(epoch, step)

    def end_epoch(self, epoch: int) -> Mapping[str, float]:
        """As DivideMix."""
        return self._dividemix.end_epoch(epoch)

    def predictor(self) -> nn.Module:
        """As DivideMix."""
        return self._dividemix.predictor()

    def nets(self) -> Sequence[nn.Module]:
        """As DivideMix."""
        return self._dividemix.nets()

    def evidence(self) -> Evidence:
        """As DivideMix; the losses, not the truth, speak."""
        return self._dividemix.evidence()

    def state_dict(self) -> dict[str, Any]:
        """As DivideMix."""
        return self._dividemix.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """As DivideMix."""
        self._dividemix.load_state_dict(state)
