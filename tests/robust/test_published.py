"""``--preset paper`` is what the papers and their code have, figure by figure."""

from __future__ import annotations

from typing import Any

import pytest

from noisyclean.pipeline.training_plan import PAPER_SIMCLR
from noisyclean.robust.method import Facts, methods

SGD = {"weight_decay": 5e-4, "optimizer": "plain-sgd"}
DIVIDEMIX = SGD | {
    "num_nets": 2,
    "batch": 64,
    "lr": 0.02,
    "warmup_mixup_alpha": 0.0,
    "ema_decay": 0.0,
    "cap_quantile": 1.0,
    "learn": "mixmatch",
    "guess": "step",
    "num_views": 2,
    "has_strong_views": False,
    "warmup_has_strong_views": False,
    "neighbour_share": 0.0,
    "temperature": 0.5,
    "mixup_alpha": 4.0,
    "ramp_epochs": 16.0,
    "prior": "uniform",
    "steps": "labelled",
}
SCRATCH = DIVIDEMIX | {"epochs": 301, "drop_epochs": (150,), "threshold": 0.5, "warmup_clip_norm": 0.0}
C2D = DIVIDEMIX | {"epochs": 361, "drop_epochs": (150, 300), "threshold": 0.03, "warmup_clip_norm": 1.0}
ELR = SGD | {"num_nets": 2, "batch": 128, "lr": 0.02, "ema_decay": 0.997, "ema_ramp_steps": 40_000, "mixup_alpha": 1.0}
MOIT = {
    "epochs": 250,
    "guess_epochs": 120,
    "drop_epochs": (125, 200),
    "batch": 128,
    "lr": 0.1,
    "weight_decay": 1e-4,
    "optimizer": "plain-sgd",
    "ema_decay": 0.0,
    "mixup_alpha": 1.0,
    "has_strong_views": True,
    "least_crop_area": 0.08,
    "contrast_temperature": 0.1,
    "projection_dim": 128,
    "memory_per_class": 200,
    "memory_after": 3,
    "num_neighbours": 250,
    "balance": "median",
}


@pytest.mark.parametrize(
    ("method", "num_classes", "is_pretrained", "published"),
    [
        ("dividemix", 10, False, SCRATCH | {"warmup_epochs": 10}),
        ("dividemix", 100, False, SCRATCH | {"warmup_epochs": 30}),
        ("dividemix", 10, True, C2D | {"warmup_epochs": 5}),
        ("dividemix", 100, True, C2D | {"warmup_epochs": 5}),
        ("elr-plus", 10, False, ELR | {"epochs": 200, "drop_epochs": (150,), "beta": 0.7, "strength": 3.0}),
        (
            "elr-plus",
            100,
            False,
            ELR | {"epochs": 250, "drop_epochs": (200,), "beta": 0.9, "strength": 7.0, "strength_ramp_steps": 40_000},
        ),
        ("moit", 10, False, MOIT),
        (
            "moit-plus",
            100,
            False,
            MOIT | {"plus_epochs": 70, "plus_lr": 0.001, "plus_is_constant": True, "bootstrap_after": 30},
        ),
    ],
)
def test_paper_has_the_published_figures(
    method: str, num_classes: int, is_pretrained: bool, published: dict[str, Any]
) -> None:
    facts = Facts(num_classes=num_classes, passes=600, batch=128, is_pretrained=is_pretrained)
    settings, _ = methods.get(method).plan("paper", facts)
    assert {name: getattr(settings, name) for name in published} == published


def test_c2ds_pre_training_has_the_published_figures() -> None:
    assert PAPER_SIMCLR == {
        "epochs": 1000,
        "batch": 1024,
        "num_views": 2,
        "optimizer": "plain-sgd",
        "lr": 0.5,
        "weight_decay": 1e-4,
        "temperature": 0.5,
        "warmup_epochs": 10.0,
    }
