from __future__ import annotations

import pytest
import torch

from noisyclean.ops.mix import beta_sample, mixup, one_hot, random_mixup, soft_cross_entropy


def test_mixup_equals_the_formula_and_keeps_the_larger_share() -> None:
    x = torch.randn(4, 3, 2, 2)
    target = torch.eye(4)
    partner = torch.tensor([1, 2, 3, 0])
    for share in (0.3, 0.7):
        mixed, mixed_target = mixup(x, target, torch.tensor(share), partner)
        for i in range(4):
            j = int(partner[i])
            assert torch.allclose(mixed[i], 0.7 * x[i] + 0.3 * x[j], atol=1e-6)
            assert torch.allclose(mixed_target[i], 0.7 * target[i] + 0.3 * target[j])


def test_random_mixup_draws_partners_then_a_share() -> None:
    x, target = torch.randn(5, 3), torch.eye(5)
    partner, draw = torch.Generator().manual_seed(3), torch.Generator().manual_seed(3)
    expected = mixup(x, target, partner_B=torch.randperm(5, generator=partner), share=beta_sample(1.0, partner))
    found = random_mixup(x, target, alpha=1.0, generator=draw)
    assert all(map(torch.equal, found, expected))
    assert all(map(torch.equal, random_mixup(x, target, alpha=0.0, generator=draw), (x, target)))


def test_mixed_targets_sum_to_one() -> None:
    target = torch.softmax(torch.randn(8, 5), dim=1)
    _, mixed = mixup(torch.zeros(8, 1), target, torch.tensor(0.12), torch.randperm(8))
    assert torch.allclose(mixed.sum(dim=1), torch.ones(8))


def test_soft_cross_entropy_of_one_hot_targets_is_the_usual_one() -> None:
    logits, label = torch.randn(6, 4), torch.tensor([0, 1, 2, 3, 0, 1])
    usual = torch.nn.functional.cross_entropy(logits, label, reduction="none")
    assert torch.allclose(soft_cross_entropy(logits, torch.eye(4)[label]), usual, atol=1e-6)


def test_soft_cross_entropy_survives_half_precision_and_huge_logits() -> None:
    logits = torch.tensor([[3e4, -3e4]], dtype=torch.bfloat16)
    assert torch.isfinite(soft_cross_entropy(logits, torch.tensor([[0.5, 0.5]]))).all()


@pytest.mark.parametrize(("alpha", "deviation"), [(1.0, 12**-0.5), (4.0, 1 / 6)])
def test_beta_sample_has_the_distribution(alpha: float, deviation: float) -> None:
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack([beta_sample(alpha, generator) for _ in range(4000)])
    assert float(draws.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(draws.std()) == pytest.approx(deviation, abs=0.02)
    assert draws.min() >= 0
    assert draws.max() <= 1


def test_beta_sample_of_a_small_alpha_mixes_next_to_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    assert all(beta_sample(0.0, generator) == 1 for _ in range(100))
    draws = torch.stack([beta_sample(0.005, generator) for _ in range(4000)])
    mixes = (draws > 0.1) & (draws < 0.9)
    assert 0 < float(mixes.float().mean()) < 0.012, "0.011 of the distribution"


@pytest.mark.parametrize("labels", [[], [2], [0, 3, 3, 1]])
def test_one_hot_is_torchs(labels: list[int]) -> None:
    label = torch.tensor(labels, dtype=torch.int64)
    found = one_hot(label, 4)
    assert found.dtype == torch.float32
    assert torch.equal(found, torch.nn.functional.one_hot(label, 4).float())
