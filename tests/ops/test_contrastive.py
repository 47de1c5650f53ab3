from __future__ import annotations

import math

import pytest
import torch
from torch.autograd import gradcheck
from torch.nn.functional import normalize

from noisyclean.ops.contrastive import nt_xent, spread
from tests.oracle import loops


def embeddings(num: int, dim: int, seed: int) -> torch.Tensor:
    return normalize(torch.randn(num, dim, generator=torch.Generator().manual_seed(seed)), dim=1)


@pytest.mark.parametrize(("batch", "temperature"), [(2, 0.5), (5, 0.1), (9, 1.0)])
def test_nt_xent_equals_the_loop(batch: int, temperature: float) -> None:
    z1, z2 = embeddings(batch, 4, 0), embeddings(batch, 4, 1)
    expected = loops.nt_xent(z1.numpy(), z2.numpy(), temperature)
    assert float(nt_xent(z1, z2, temperature=temperature)) == pytest.approx(expected, rel=1e-5)


def test_nt_xent_of_equal_embeddings_is_log_of_the_others() -> None:
    z = normalize(torch.ones(6, 3), dim=1)
    assert float(nt_xent(z, z, temperature=0.5)) == pytest.approx(math.log(11))


def test_nt_xent_is_symmetric_in_the_views() -> None:
    z1, z2 = embeddings(7, 5, 2), embeddings(7, 5, 3)
    assert float(nt_xent(z1, z2, temperature=0.2)) == pytest.approx(float(nt_xent(z2, z1, temperature=0.2)), rel=1e-6)


def test_nt_xent_has_the_right_gradient() -> None:
    z = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    other = torch.randn(4, 3, dtype=torch.float64)
    assert gradcheck(lambda a: nt_xent(normalize(a), normalize(other), temperature=0.5), (z,), atol=1e-3, eps=1e-3)


def test_spread_tells_a_sphere_from_a_point() -> None:
    assert float(spread(embeddings(5000, 16, 0))) == pytest.approx(1, abs=0.02)
    assert float(spread(normalize(torch.ones(10, 16), dim=1))) == pytest.approx(0, abs=1e-6)
