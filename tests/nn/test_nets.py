from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import nn

from noisyclean.errors import DataError, UsageError
from noisyclean.nn import create_backbone, embed_with
from noisyclean.nn.backbone import classify_features, feature_width
from noisyclean.nn.foreign import read_checkpoint, renamed_for
from noisyclean.nn.pooled import PooledClassifier
from noisyclean.nn.weights import load_encoder
from noisyclean.pipeline.origin import OWN_BACKBONES

ours = pytest.mark.parametrize("name", timm.list_models("noisyclean_*"))


@ours
def test_every_net_of_ours_keeps_timms_conventions(name: str) -> None:
    net = create_backbone(name, num_classes=5, seed=0).eval()
    x = torch.randn(2, 3, 32, 32)
    h = embed_with(net, x)
    assert h.shape == (2, net.num_features)
    assert torch.allclose(classify_features(net, h), net(x), atol=1e-5)
    net.reset_classifier(7)  # type: ignore[operator]
    assert net(x).shape == (2, 7)


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "resnet18", "noisyclean_compact"])
def test_the_width_of_the_features_is_that_of_the_pooled_ones(name: str) -> None:
    net = create_backbone(name, num_classes=5, seed=0).eval()
    h = embed_with(net, torch.randn(2, 3, 32, 32))
    assert feature_width(net) == h.shape[1]
    assert classify_features(net, h).shape == (2, 5)


@pytest.mark.parametrize("name", ["levit_128s", "deit_tiny_distilled_patch16_224"])
def test_nets_of_several_classifiers_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="several classifiers") as raised:
        create_backbone(name, num_classes=5, seed=0)
    assert "another backbone" in raised.value.hint


def test_names_of_ours_are_known_without_timm() -> None:
    assert set(timm.list_models("noisyclean_*")) == OWN_BACKBONES
    code = (
        "import sys; from noisyclean.pipeline.origin import refuse_unknown_backbone as ask; "
        "ask('noisyclean_resnet18'); ask(None); assert 'timm' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_pre_activation_resnet_18_has_its_published_size() -> None:
    net = create_backbone("noisyclean_preact_resnet18", num_classes=10, seed=0)
    convolutions = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 20
    assert sum(value.numel() for value in net.parameters()) == pytest.approx(11.17e6, rel=1e-3)


def test_an_encoder_is_loaded_whole_or_not_at_all() -> None:
    source = create_backbone("noisyclean_compact", num_classes=4, seed=1)
    net = create_backbone("noisyclean_compact", num_classes=9, seed=2)
    load_encoder(net, source.state_dict(), source="there")
    assert torch.equal(net.state_dict()["stem.0.0.weight"], source.state_dict()["stem.0.0.weight"])
    assert net.num_classes == 9
    with pytest.raises(UsageError, match=r"there: has 0% of the net's weights"):
        load_encoder(net, {"other": torch.zeros(1)}, source="there")


@pytest.mark.parametrize("wrapper", ["model", "state_dict", None])
@pytest.mark.parametrize("prefix", ["", "module.", "module.encoder.", "backbone."])
def test_foreign_names_are_peeled(tmp_path: Path, wrapper: str | None, prefix: str) -> None:
    net = create_backbone("noisyclean_resnet18", num_classes=0, seed=0)
    state = {prefix + name.replace("downsample", "shortcut"): value for name, value in net.state_dict().items()}
    path = tmp_path / "foreign.pt"
    torch.save({wrapper: state, "epoch": 3} if wrapper else state, path)
    renamed, share, missing = renamed_for(net, read_checkpoint(path))
    assert share == 1
    assert missing == []
    assert all(torch.equal(value, renamed[name]) for name, value in net.state_dict().items())


def test_a_checkpoint_that_runs_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evil.pt"
    torch.save({"model": torch.nn.Linear(1, 1)}, path)
    with pytest.raises(DataError, match="cannot be read safely"):
        read_checkpoint(path)


def test_what_is_no_checkpoint_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_checkpoint(tmp_path / "nowhere.pt")
    (tmp_path / "broken.safetensors").write_bytes(b"nothing")
    with pytest.raises(DataError, match="cannot be read safely"):
        read_checkpoint(tmp_path / "broken.safetensors")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(DataError, match="holds no weights"):
        read_checkpoint(tmp_path / "list.pt")
    save_file({"a": torch.zeros(1)}, tmp_path / "small.safetensors")
    assert set(read_checkpoint(tmp_path / "small.safetensors")) == {"a"}


def test_pooling_is_the_mean_and_leaves_channels_last_to_its_gradient() -> None:
    net = PooledClassifier()
    features = torch.randn(4, 16, 3, 5).to(memory_format=torch.channels_last).requires_grad_()
    kept: list[bool] = []
    map_BIHW = features * 1
    map_BIHW.register_hook(lambda gradient: kept.append(gradient.is_contiguous(memory_format=torch.channels_last)))
    pooled_BD = net.forward_head(map_BIHW, pre_logits=True)
    slow_BD = torch.stack([torch.stack([channel.mean() for channel in image]) for image in features])
    assert torch.allclose(pooled_BD, slow_BD, atol=1e-6)
    pooled_BD.sum().backward()
    assert kept == [True]
