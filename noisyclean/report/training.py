"""A training in one sentence, as one JSON object, and as one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from noisyclean import __version__
from noisyclean.report.curves import learning_curves, reliability_diagram
from noisyclean.report.page import fill_template
from noisyclean.types import LabelTable, SampleStats

__all__ = ["SCHEMA_VERSION", "render_training_page", "summarise_training"]

SCHEMA_VERSION = 1


def summarise_training(
    table: LabelTable,
    *,
    method: str,
    stats: SampleStats,
    test: Mapping[str, Any] | None,
    held_out: Mapping[str, Any] | None,
    comparison: Mapping[str, Any] | None,
    detection: Mapping[str, Any] | None,
    scores: str,
    notes: Sequence[str],
    plan: Mapping[str, Any],
    stages: Mapping[str, Mapping[str, float]],
) -> dict[str, Any]:
    """``summary.json`` of a training.

    Args:
        table: The rows trained on and held out.
        method: Name of the training.
        stats: Its verdicts on the labels.
        test: Figures on unseen images with clean labels.
        held_out: Agreement with held-out noisy labels.
        comparison: Rows, verdict and winner of ``--compare``.
        detection: How well it ranks wrong labels, where the truth is known.
        scores: Where in the run the labels' scores are.
        notes: What the method decided on the way.
        plan: The plan, JSON-like.
        stages: Seconds and peak memory of each stage; the report's own, not known yet, stand in ``report/done.json``.
    """
    given_C = np.bincount(table.label_N, minlength=table.num_classes)
    flagged_C = np.bincount(table.label_N[stats.flagged_N], minlength=table.num_classes)
    return {
        "schema_version": SCHEMA_VERSION,
        "noisyclean_version": __version__,
        "verdict": _sentence(method, stats.noise.rate, test, held_out),
        "method": method,
        "test_accuracy": None if test is None else test["accuracy"],
        "selected_test_accuracy": None if test is None else test["selected_accuracy"],
        "test": test,
        "held_out": held_out,
        "comparison": comparison,
        "detection": detection,
        "num_images": len(table),
        "num_flagged": int(stats.flagged_N.sum()),
        "scores": scores,
        "classes": [
            {"name": name, "num_images": int(given), "num_flagged": int(flagged)}
            for name, given, flagged in zip(table.classes, given_C, flagged_C, strict=True)
        ],
        "noise_rate": {"estimate": stats.noise.rate, "low": stats.noise.low, "high": stats.noise.high},
        "notes": [*notes, *stats.notes],
        "plan": dict(plan),
        "stages": {name: dict(values) for name, values in stages.items()},
    }


def render_training_page(summary: Mapping[str, Any], history: Mapping[str, list[dict[str, float]]]) -> str:
    """The page as text; every name that comes from outside is escaped.

    Args:
        summary: As ``summary.json`` holds it.
        history: Figures of every epoch, of each training by name.
    """
    test = summary["test"]
    return fill_template(
        "training.html",
        summary=summary,
        curves=Markup(learning_curves(history)),
        reliability=Markup(reliability_diagram(test["reliability"])) if test else "",
    )


def _sentence(
    method: str, noise_rate: float, test: Mapping[str, Any] | None, held_out: Mapping[str, Any] | None
) -> str:
    """What the model is worth, and what that figure is."""
    if test is not None:
        low, high = test["interval"]
        return (
            f"{method} classifies {test['accuracy']:.1%} of {test['num_images']:,} test images rightly "
            f"(95 % interval {low:.1%} to {high:.1%}); about {noise_rate:.0%} of the training labels are wrong."
        )
    if held_out is None:
        return f"{method} is trained. How good it is cannot be said: nothing was held out. Give --test CSV."
    return (
        f"{method} agrees with {held_out['agreement']:.1%} of {held_out['num_images']:,} held-out labels, which are as "
        f"noisy as the others: with about {noise_rate:.0%} of them wrong, a perfect model would agree with about "
        f"{1 - noise_rate:.0%}. Give --test CSV for an accuracy."
    )
