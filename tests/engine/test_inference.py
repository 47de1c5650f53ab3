"""Features of all images, batch by batch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from noisyclean.base.runtime import Runtime
from noisyclean.data.augment import FixedView
from noisyclean.engine import inference
from noisyclean.engine.inference import embed, log_probabilities, pooled_features
from noisyclean.robust.judging import judge_and_embed
from noisyclean.robust.method import TrainingData
from noisyclean.robust.methods.moit import Moit
from noisyclean.robust.toy import make_data, make_net, make_small, runtime

SHIFTED = FixedView(down_px=1, flip=True)


def test_features_do_not_depend_on_the_batches_and_are_held_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels, net = make_data(23).pixels, make_net(0)
    rows = torch.arange(23).flip(0)
    whole_ND = pooled_features(net, pixels, rows, runtime())
    monkeypatch.setattr(inference, "BATCH", 5)
    for found_ND, expected_ND in (
        (pooled_features(net, pixels, rows, runtime()), whole_ND),
        (embed(net, pixels, rows, runtime()), normalize(whole_ND, dim=1)),
    ):
        assert found_ND.shape == (23, whole_ND.shape[1])
        assert torch.allclose(found_ND, expected_ND, atol=1e-5)
        assert not found_ND.is_inference()
    assert not net.training


def ask_moit(net: nn.Module, data: TrainingData, half: Runtime) -> None:
    moit = make_small(Moit, data)
    assert isinstance(moit, Moit)
    moit.runtime = half
    heads = moit.student.best
    assert isinstance(heads, nn.ModuleDict)
    heads["net"] = net
    moit.ask(data.train_T)


@pytest.mark.parametrize(
    ("ask", "view"),
    [
        (lambda net, data, half: log_probabilities(net, data.pixels, (SHIFTED,), half), SHIFTED),
        (lambda net, data, half: pooled_features(net, data.pixels, torch.arange(9), half), FixedView()),
        (lambda net, data, half: judge_and_embed(net, data, half), FixedView()),
        (ask_moit, FixedView()),
    ],
    ids=["log_probabilities", "pooled_features", "judge_and_embed", "moit"],
)
def test_nets_see_pixels_in_full_precision(
    ask: Callable[[nn.Module, TrainingData, Runtime], object], view: FixedView
) -> None:
    data, net, seen = make_data(9, num_held_out=0), make_net(0), list[Tensor]()
    first = next(part for part in net.modules() if isinstance(part, nn.Conv2d))
    first.register_forward_pre_hook(lambda _, given: seen.append(given[0].clone()))
    ask(net, data, replace(runtime(), dtype=torch.bfloat16))
    wanted = data.pixels.fixed(data.pixels.images_LHWI, view)
    batches = [x_BIHW for x_BIHW in seen if len(x_BIHW) > 1]  # beside the image that folding is tried on
    assert torch.equal(torch.cat(batches), wanted)
