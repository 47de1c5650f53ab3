"""The values that flow from room to room.

Shape letters, used as suffixes of names everywhere (``z_ND`` is a matrix of N rows and D columns):

    N samples   B batch   D embedding   K neighbours   C classes   E epochs recorded   S signals   M memory slots
    V views     I H W image channels, height, width

*Suspicion* is in [0, 1] everywhere and higher is worse.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "CONFLICT",
    "NOT_RECOGNISABLE",
    "BoolArray",
    "Evidence",
    "FloatArray",
    "IntArray",
    "LabelTable",
    "NoiseEstimate",
    "SampleStats",
    "SignalScore",
    "StrArray",
]

FloatArray = NDArray[np.floating]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
StrArray = NDArray[np.object_]

CONFLICT = "conflict"
"""Issue type of a picture with two labels: one of them is wrong for certain."""


NOT_RECOGNISABLE = "not-recognisable"
"""Issue type of images of a class that nobody recognises; they are not flagged."""


@dataclass(frozen=True, kw_only=True)
class LabelTable:
    """One row per image, in the order of the input; every later array is aligned to it."""

    image_path_N: StrArray
    """Paths exactly as given."""
    file_N: StrArray
    """Absolute path of each file."""
    label_N: IntArray
    """Given class indices in [0, C); -1 where a row has no label and cannot be used."""
    classes: tuple[str, ...]
    """Class names; sorted, numerically when all of them are integers."""
    row_N: IntArray
    """Row of each image in the input table, the header being row 1; for messages."""
    carried: pd.DataFrame
    """The other columns of the input table, as text, carried through to the outputs."""
    split_N: StrArray | None = None
    """Name of the split of each row, where the input names one."""
    group_N: IntArray | None = None
    """Group (patient, part, burst) of each row, as an index; neighbours and folds never cross a group."""
    rival_N: IntArray | None = None
    """Another class the input gives the same image, where one person's table contradicts itself; -1 elsewhere."""
    disagreement_N: FloatArray | None = None
    """Share of an image's annotations that are not its label, in [0, 1); where there are several annotators."""
    verified_N: BoolArray | None = None
    """Rows whose label a reviewer has confirmed or set; they are right, whatever the evidence says."""
    fingerprint: str = ""
    """Hash of paths, labels, classes, groups and splits; not of the pixels."""

    @property
    def num_classes(self) -> int:
        """C, the number of classes."""
        return len(self.classes)

    def __len__(self) -> int:
        return len(self.label_N)

    def given_label(self) -> StrArray:
        """Name of each row's given class, shape (N,); empty where there is none."""
        return np.asarray([*self.classes, ""], dtype=object)[self.label_N]

    def class_indices(self, names: Iterable[str]) -> IntArray:
        """Index of each class name; -1 for one that no label has."""
        index = {name: position for position, name in enumerate(self.classes)}
        return np.asarray([index.get(name, -1) for name in names], dtype=np.int64)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What training and embedding recorded about every sample; signals read it and nothing else.

    Arrays with a leading E hold one row for each recorded evaluation, in order; where several nets were trained,
    their recordings follow each other and ``net_E`` says whose each row is.
    """

    label_N: IntArray
    num_classes: int
    z_ND: FloatArray | None = None
    """Embeddings, L2-normalised rows."""
    votes_NC: FloatArray | None = None
    """Share of each class among the labels of a sample's neighbours in ``z_ND``; given to be judged by where no net has
    learnt the labels."""
    second_votes_NC: FloatArray | None = None
    """The same once every label is corrected to the majority of its own neighbours."""
    log_p_NC: FloatArray | None = None
    """Log class probabilities by nets trained on the labels: their geometric mean, rows normalised."""
    outside_log_p_NC: FloatArray | None = None
    """Log class probabilities by a classifier fitted without the sample (and its group) on label-free features."""
    witness_log_p_NC: FloatArray | None = None
    """The same where it is no opinion on each label: beside nets trained long it says how many are wrong at most."""
    held_out_N: BoolArray | None = None
    """Samples the nets did not learn from, kept out by chance: their labels are as noisy as the others."""
    loss_EN: FloatArray | None = None
    """Cross-entropy of the given label, in nats."""
    margin_EN: FloatArray | None = None
    """Log-probability of the given label minus that of the best other class, in nats."""
    net_E: IntArray | None = None
    """Which net each recording is of."""
    group_N: IntArray | None = None
    """Samples of one group never vote for each other; pictures that are nearly the same are one group too."""
    disagreement_N: FloatArray | None = None
    """Share of an image's annotations that are not its label, in [0, 1)."""
    division_N: FloatArray | None = None
    """Log-odds that the label is wrong, by the division of a robust training."""
    target_NC: FloatArray | None = None
    """What a robust training remembers each image to be; rows sum to 1."""
    neighbour_disagreement_N: FloatArray | None = None
    """Disagreement of the neighbours in a robust training's own embedding, in nats."""

    def has(self, need: str) -> bool:
        """Whether the named array was recorded."""
        return getattr(self, need) is not None


@dataclass(frozen=True, kw_only=True)
class SignalScore:
    """One signal's opinion of every sample."""

    raw_N: FloatArray
    """In the signal's own unit, higher is worse."""
    suspicion_N: FloatArray
    """A strictly monotone map of ``raw_N`` to [0, 1]."""
    notes: tuple[str, ...] = ()
    """What the signal fell back to, in words; empty when all went as meant."""


@dataclass(frozen=True, kw_only=True)
class NoiseEstimate:
    """How noisy the labels are, estimated without truth."""

    rate: float
    """Share of wrong labels, in [0, 1]."""
    low: float
    """Lower end of the 95 % interval."""
    high: float
    """Upper end of the 95 % interval."""
    transition_CC: FloatArray
    """Share of the images given as class r that are really class c; rows sum to 1."""


@dataclass(frozen=True, kw_only=True)
class SampleStats:
    """The fused verdict on every sample."""

    p_mislabeled_N: FloatArray
    """Calibrated probability that the given label is wrong."""
    p_NC: FloatArray
    """Class probabilities by what the image shows; rows sum to 1."""
    suggestion_N: IntArray
    """Most probable class other than the given one; the given one where that is certain."""
    p_suggested_N: FloatArray
    """Probability that the suggestion is right instead; at most ``p_mislabeled_N``, 0 where the label is certain."""
    flagged_N: BoolArray
    """Whether the sample is worth a reviewer's look."""
    issue_N: StrArray
    """Issue type of each sample; empty where none."""
    reason_N: StrArray
    """One sentence for each flagged sample; empty elsewhere."""
    signals: Mapping[str, SignalScore]
    noise: NoiseEstimate
    thresholds: Mapping[str, float] = field(default_factory=dict)
    """Smallest probability that is flagged, by class name."""
    notes: tuple[str, ...] = ()
