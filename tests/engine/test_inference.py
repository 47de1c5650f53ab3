"""Features of all images, batch by batch."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from noisyclean.engine import inference
from noisyclean.engine.inference import embed, pooled_features
from noisyclean.robust.toy import make_data, make_net, runtime


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
