"""Annotators who gave the image another label."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from noisyclean.detect.signal import signals
from noisyclean.types import Evidence, SignalScore

__all__ = ["AnnotatorDisagreement"]


@signals.register("annotator_disagreement")
@dataclass(frozen=True, kw_only=True)
class AnnotatorDisagreement:
    """Share of an image's annotations that are not its label, in [0, 1), where several people judged each image."""

    needs: ClassVar[frozenset[str]] = frozenset({"disagreement_N"})

    def __call__(self, evidence: Evidence, *, device: torch.device) -> SignalScore:  # noqa: ARG002
        """Score every sample."""
        assert evidence.disagreement_N is not None
        return SignalScore(raw_N=evidence.disagreement_N, suspicion_N=evidence.disagreement_N)
