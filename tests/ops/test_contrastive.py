from __future__ import annotations

import math

import pytest
import torch
from torch.autograd import gradcheck
from torch.nn.functional import normalize

from noisyclean.ops.contrastive import contrastive_sets, interpolated_contrastive, nt_xent, spread
from tests.oracle import loops


def embeddings(num: int, dim: int, seed: int) -> torch.Tensor:
    return normalize(torch.randn(num, dim, generator=torch.Generator().manual_seed(seed)), dim=1)


def embedded_views(num_views: int, batch: int) -> torch.Tensor:
    return torch.stack([embeddings(batch, 4, seed) for seed in range(num_views)])


@pytest.mark.parametrize(
    ("num_views", "batch", "temperature"), [(2, 2, 0.5), (2, 5, 0.1), (2, 9, 1.0), (3, 5, 0.2), (4, 3, 0.5)]
)
def test_nt_xent_equals_the_loop(num_views: int, batch: int, temperature: float) -> None:
    z = embedded_views(num_views, batch)
    expected = loops.nt_xent([*z.numpy()], temperature)
    assert float(nt_xent(z, temperature=temperature)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("num_views", "others"), [(2, 10), (4, 20)])
def test_nt_xent_of_equal_embeddings_is_log_of_the_others(num_views: int, others: int) -> None:
    z = normalize(torch.ones(num_views, 6, 3), dim=2)
    assert float(nt_xent(z, temperature=0.5)) == pytest.approx(math.log(1 + others))


def test_nt_xent_is_symmetric_in_the_views() -> None:
    z = embedded_views(3, 7)
    assert float(nt_xent(z, temperature=0.2)) == pytest.approx(float(nt_xent(z.flip(0), temperature=0.2)), rel=1e-6)


def test_nt_xent_of_parts_averages_to_the_whole() -> None:
    z = embedded_views(3, 6)
    parts = [float(nt_xent(z, temperature=0.2, rows=range(start, start + 2))) for start in (0, 2, 4)]
    assert sum(parts) / 3 == pytest.approx(float(nt_xent(z, temperature=0.2)), rel=1e-6)


def test_nt_xent_has_the_right_gradient() -> None:
    z = torch.randn(3, 4, 3, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda a: nt_xent(normalize(a, dim=2), temperature=0.5), (z,), atol=1e-3, eps=1e-3)


def test_spread_tells_a_sphere_from_a_point() -> None:
    assert float(spread(embeddings(5000, 16, 0))) == pytest.approx(1, abs=0.02)
    assert float(spread(normalize(torch.ones(10, 16), dim=1))) == pytest.approx(0, abs=1e-6)


def views(batch: int, seed: int) -> tuple[torch.Tensor, ...]:
    """Rows of a mixed batch: embeddings, labels, minor labels, partners and shares of both views."""
    draw = torch.Generator().manual_seed(seed)
    z = embeddings(2 * batch, 4, seed)
    label = torch.randint(3, (batch,), generator=draw)
    partner = torch.cat([torch.randperm(batch, generator=draw) for _ in range(2)])
    share = torch.tensor([0.8, 0.6]).repeat_interleave(batch)
    return z, label, label[partner], partner, share


def batch_loss(
    z: torch.Tensor, label: torch.Tensor, minor: torch.Tensor, partner: torch.Tensor, share: torch.Tensor
) -> torch.Tensor:
    batch = len(label)
    image = torch.arange(batch).repeat(2)
    own = torch.eye(2 * batch, dtype=torch.bool)
    sets = contrastive_sets(label.repeat(2), minor, label.repeat(2), own, partner[:, None] == image[None])
    return interpolated_contrastive(z, z, *sets, share, hidden_BM=own, temperature=0.1)


@pytest.mark.parametrize(("batch", "seed"), [(2, 0), (5, 1), (8, 2)])
def test_interpolated_contrastive_equals_the_loop(batch: int, seed: int) -> None:
    z, label, minor, partner, share = views(batch, seed)
    expected = loops.interpolated_contrastive(
        list(z.numpy()), label.tolist(), minor.tolist(), partner.tolist(), share.tolist(), 0.1
    )
    assert float(batch_loss(z, label, minor, partner, share)) == pytest.approx(expected, rel=1e-5)


def test_sets_of_a_small_batch_by_hand() -> None:
    # images 0, 1, 2 of classes a, b, a; rows 0-2 are view 1, rows 3-5 view 2; image 0 was mixed with image 1
    label, image = torch.tensor([0, 1, 0]).repeat(2), torch.arange(3).repeat(2)
    partner = torch.tensor([1, 2, 0]).repeat(2)
    own = torch.eye(6, dtype=torch.bool)
    first, second = contrastive_sets(label, label[partner], label, own, partner[:, None] == image[None])
    assert first[0].tolist() == [0, 0, 1, 1, 0, 1]
    assert second[0].tolist() == [0, 2, 0, 0, 2, 0]


def test_a_row_is_never_its_own_positive_and_shares_do_not_depend_on_the_others_scale() -> None:
    z, label, minor, partner, share = views(6, 3)
    own = torch.eye(12, dtype=torch.bool)
    first, second = contrastive_sets(
        label.repeat(2), minor, label.repeat(2), own, partner[:, None] == torch.arange(6).repeat(2)
    )
    assert float(first.diagonal().sum()) == float(second.diagonal().sum()) == 0
    doubled = interpolated_contrastive(z, z, 2 * first, second, share, hidden_BM=own, temperature=0.1)
    once = interpolated_contrastive(z, z, first, second, share, hidden_BM=own, temperature=0.1)
    assert torch.allclose(doubled, once)


def test_empty_slots_of_a_memory_change_nothing() -> None:
    z, label, minor, _, share = views(4, 4)
    label = label.repeat(2)

    def loss(columns: torch.Tensor, column_label: torch.Tensor) -> torch.Tensor:
        hidden = (column_label == -1)[None] | torch.eye(8, len(columns), dtype=torch.bool)
        sets = contrastive_sets(label, minor, column_label, torch.eye(8, len(columns), dtype=torch.bool))
        return interpolated_contrastive(z, columns, *sets, share, hidden_BM=hidden, temperature=0.1)

    padded = torch.cat([z, torch.zeros(5, 4)]), torch.cat([label, torch.full((5,), -1)])
    assert torch.allclose(loss(z, label), loss(*padded))


def test_a_row_without_positives_is_finite() -> None:
    z = embeddings(2, 4, 5)
    nothing = torch.zeros(2, 2)
    own = torch.eye(2, dtype=torch.bool)
    assert float(interpolated_contrastive(z, z, nothing, nothing, torch.ones(2), hidden_BM=own, temperature=0.1)) == 0
