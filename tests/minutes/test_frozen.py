"""Audits by a frozen backbone, through the command line; nothing is downloaded."""

from __future__ import annotations

import importlib
from pathlib import Path

import numpy as np
import pytest
import timm
import torch

from noisyclean.base.files import read_json
from noisyclean.nn import create_backbone
from noisyclean.nn.heads import set_classifier
from noisyclean.pipeline.import_weights import import_weights
from tests.conftest import Result, Run, Shapes
from tests.minutes.test_given import is_right, scores


def audit(cli: Run, shapes: Shapes, init: object, *more: object, out: str = "run") -> Result:
    return cli("audit", shapes.images, shapes.labels, "--out", shapes.root / out, "--init", init, *more)


@pytest.fixture
def random_model(tmp_path: Path) -> Path:
    """A timm architecture with random weights, as a model folder."""
    torch.save(create_backbone("resnet18", num_classes=0, seed=0).state_dict(), tmp_path / "random.pt")
    import_weights(tmp_path / "random.pt", to=tmp_path / "model", backbone="resnet18", size=32)
    return tmp_path / "model"


def test_a_model_of_ours_judges_without_training(cli: Run, shapes: Shapes, audited: tuple[Shapes, Path]) -> None:
    importlib.import_module("noisyclean.nn")
    _, earlier = audited
    done = audit(cli, shapes, f"local-dir:{earlier / 'model'}", "--json")
    assert done.exit_code == 0, done.stderr
    assert set(done.json["stages"]) == {"prepare", "start", "frozen", "score"}
    assert done.json["plan"]["prepare"]["size_px"] == 16
    assert is_right(shapes) > 0.8
    before = read_json(earlier / "model" / "config.json")["pretrained_cfg"]
    after = read_json(shapes.root / "run" / "model" / "config.json")["pretrained_cfg"]
    assert np.allclose([after["mean"], after["std"]], [before["mean"], before["std"]])
    again = audit(cli, shapes, f"local-dir:{earlier / 'model'}", "--json")
    assert again.json == done.json


def test_the_model_loads_with_timm_and_predicts(cli: Run, shapes: Shapes, random_model: Path) -> None:
    done = audit(cli, shapes, f"local-dir:{random_model}", "--json")
    assert done.exit_code == 0, done.stderr
    assert done.json["plan"]["prepare"]["size_px"] == 32
    model = timm.create_model(f"local-dir:{shapes.root / 'run' / 'model'}", pretrained=True)
    frozen = torch.load(random_model.parent / "random.pt", weights_only=True)
    assert all(torch.equal(value, frozen[name]) for name, value in model.state_dict().items() if name in frozen)
    assert model.num_classes == 3
    predicted = cli("predict", shapes.root / "run" / "model", shapes.images, "--out", shapes.root / "p.csv")
    assert predicted.exit_code == 0, predicted.stderr
    rows = [line.split(",") for line in (shapes.root / "p.csv").read_text().splitlines()[1:]]
    labels = dict(zip(shapes.names, shapes.given, strict=True))
    assert np.mean([labels[row[0]] == row[1] for row in rows]) > 0.45  # a third is chance


def test_size_is_asked_for_and_new_images_are_scored(cli: Run, shapes: Shapes, random_model: Path) -> None:
    done = audit(cli, shapes, f"local-dir:{random_model}", "--size", "16", "--json")
    assert done.json["plan"]["prepare"]["size_px"] == 16
    out = shapes.root / "new.csv"
    scored = cli("score", shapes.root / "run", shapes.labels, "--images", shapes.images, "--out", out)
    assert scored.exit_code == 0, scored.stderr
    assert len(out.read_text().splitlines()) == len(shapes.names) + 1


def test_another_run_can_lend_its_model(cli: Run, shapes: Shapes, audited: tuple[Shapes, Path]) -> None:
    _, earlier = audited
    audit(cli, shapes, f"run:{earlier}")
    audit(cli, shapes, f"local-dir:{earlier / 'model'}", out="run2")
    assert scores(shapes) == scores(shapes, "run2")


def test_going_from_nets_to_arrays_leaves_no_old_model(cli: Run, shapes: Shapes, random_model: Path) -> None:
    """In one run directory a model of an earlier way would be taken for this one's; a changed one is kept."""
    audit(cli, shapes, f"local-dir:{random_model}")
    run = shapes.root / "run"
    p = np.eye(3)[[("bar", "disc", "ring").index(name) for name in shapes.true]]
    np.save(shapes.root / "p.npy", p)
    (run / "model" / "config.json").write_text("mine")
    assert (
        cli("audit", shapes.images, shapes.labels, "--out", run, "--pred-probs", shapes.root / "p.npy").exit_code == 0
    )
    assert not (run / "model" / "model.safetensors").exists()
    assert not (run / "embeddings.npz").exists()
    assert (run / "model" / "config.json").read_text() == "mine"


@pytest.mark.parametrize(
    ("init", "message"), [("simclrr", "Write simclr, scratch"), ("local-dir:nowhere", "config.json")]
)
def test_a_start_that_is_none_is_a_usage_error(cli: Run, shapes: Shapes, init: str, message: str) -> None:
    refused = audit(cli, shapes, init)
    assert refused.exit_code == 2
    assert message in refused.stderr


@pytest.mark.parametrize("name", ["noisyclean_compact", "resnet18", "vit_tiny_patch16_224", "mobilenetv3_small_050"])
def test_a_classifier_is_put_on_any_usual_backbone(name: str) -> None:
    model = create_backbone(name, num_classes=3, seed=0).eval()
    x = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        h = model.forward_head(model.forward_features(x), pre_logits=True).flatten(1)  # type: ignore[operator]
        weight, bias = torch.randn(3, h.shape[1]), torch.randn(3)
        set_classifier(model, weight, bias)
        assert torch.allclose(model(x), h @ weight.T + bias, atol=1e-3)
