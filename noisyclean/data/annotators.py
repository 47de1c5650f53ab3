"""Several labels of one image: the majority, how far annotators agree, and what contradicts itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from noisyclean.types import BoolArray, FloatArray, IntArray

__all__ = ["Agreement", "Votes", "count_votes", "fleiss_kappa", "measure_agreement"]


@dataclass(frozen=True)
class Votes:
    """What all rows together say about each image."""

    label_N: IntArray
    """Most frequent label, of equals the one that came first; -1 where there is none."""
    rival_N: IntArray
    """Most frequent other label; -1 where all agree."""
    disagreement_N: FloatArray
    """Share of an image's labels that are not the chosen one, in [0, 1)."""
    tied_N: BoolArray
    """Whether the rival is as frequent as the label."""
    counts: pd.DataFrame
    """How often each image got each label: columns image, label, count."""


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far annotators agree."""

    kappa: float | None
    """Fleiss' kappa: 1 is full agreement, 0 what chance gives; None where no image has two labels."""
    num_rated_twice: int
    """Images with at least two labels."""
    num_disputed: int
    """Images whose labels differ."""
    num_ties: int
    """Images without a majority."""
    annotators: dict[str, dict[str, float]]
    """For each annotator, the number of labels and the share that is the majority's."""


def count_votes(image_A: IntArray, label_A: IntArray, *, num_images: int) -> Votes:
    """Count annotations, in the order of the table.

    Args:
        image_A: Image of each annotation, in [0, N).
        label_A: Label of each annotation; negative ones are no label.
        num_images: N.
    """
    has_label = label_A >= 0
    annotations = pd.DataFrame({"image": image_A[has_label], "label": label_A[has_label]})
    annotations["first"] = np.arange(len(annotations))
    grouped = annotations.groupby(["image", "label"], sort=False)["first"].agg(count="size", first="min").reset_index()
    grouped = grouped.sort_values(["image", "count", "first"], ascending=[True, False, True], ignore_index=True)
    place = grouped.groupby("image", sort=False).cumcount().to_numpy()
    label_2N, count_2N = np.full((2, num_images), -1, dtype=np.int64), np.zeros((2, num_images), dtype=np.int64)
    for wanted in (0, 1):
        rows = grouped[place == wanted]
        label_2N[wanted, rows["image"]] = rows["label"]
        count_2N[wanted, rows["image"]] = rows["count"]
    total_N = np.bincount(grouped["image"], weights=grouped["count"], minlength=num_images)
    return Votes(
        label_N=label_2N[0],
        rival_N=label_2N[1],
        disagreement_N=np.where(total_N > 0, 1 - count_2N[0] / np.maximum(total_N, 1), 0),
        tied_N=(count_2N[0] == count_2N[1]) & (total_N > 0),
        counts=grouped[["image", "label", "count"]],
    )


def measure_agreement(votes: Votes, image_A: IntArray, label_A: IntArray, annotator_A: pd.Series) -> Agreement:
    """How far annotators agree with each other, and each of them with the majority."""
    has_label = label_A >= 0
    agrees = label_A == votes.label_N[image_A]
    frame = pd.DataFrame({"annotator": annotator_A[has_label].to_numpy(), "agrees": agrees[has_label]})
    by_annotator = frame.groupby("annotator", sort=True)["agrees"].agg(["size", "mean"])
    totals = votes.counts.groupby("image")["count"].agg(["sum", "size"])
    return Agreement(
        kappa=fleiss_kappa(votes),
        num_rated_twice=int((totals["sum"] > 1).sum()),
        num_disputed=int((totals["size"] > 1).sum()),
        num_ties=int(votes.tied_N.sum()),
        annotators={
            str(name): {"num_labels": int(row["size"]), "agreement": float(row["mean"])}
            for name, row in by_annotator.iterrows()
        },
    )


def fleiss_kappa(votes: Votes) -> float | None:
    """Agreement beyond chance (Fleiss 1971), over the images with at least two labels, however many each has.

    ``(P - P_e) / (1 - P_e)``: P is the share of agreeing pairs of an image's labels, averaged over images; P_e is what
    labels drawn by their overall frequency would give.

    Returns:
        None where no image has two labels; 1 where there is but one label in all.
    """
    counts = votes.counts.copy()
    counts["total"] = counts.groupby("image")["count"].transform("sum")
    counts = counts[counts["total"] > 1]
    if counts.empty:
        return None
    pairs = counts["count"] * (counts["count"] - 1) / (counts["total"] * (counts["total"] - 1))
    observed = float(pairs.groupby(counts["image"]).sum().mean())
    share = counts.groupby("label")["count"].sum() / counts["count"].sum()
    expected = float((share**2).sum())
    return 1.0 if expected >= 1 else (observed - expected) / (1 - expected)
