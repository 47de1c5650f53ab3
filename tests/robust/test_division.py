from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from noisyclean.robust.division import HISTORY, JudgedDivider, Line, LossDivider, TruthDivider
from noisyclean.types import FloatArray

NUM = 300


def make(label: torch.Tensor | None = None, **changes: object) -> LossDivider:
    label = torch.arange(NUM) % 3 if label is None else label
    options: dict[str, object] = {"threshold": 0.5, "class_floor": 0.01, "cap_quantile": 0.999, "seed": 0}
    options |= {"verified_T": torch.zeros(len(label), dtype=torch.bool)} | changes
    own = {name: options.pop(name) for name in ("cap_quantile", "seed")}
    return LossDivider(Line(label_T=label, num_classes=3, **options), **own)  # type: ignore[arg-type]


def two_bumps(share_noisy: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Losses of which a share is about 3 and the rest about 0.3, and which those are."""
    draw = torch.Generator().manual_seed(seed)
    noisy = torch.rand(NUM, generator=draw) < share_noisy
    return torch.where(noisy, 3.0, 0.3) + 0.1 * torch.randn(NUM, generator=draw), noisy


def opinion(loss: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Log-probabilities of three classes by which the labels have these losses."""
    log_p = torch.log((1 - torch.exp(-loss)) / 2)[:, None].repeat(1, 3)
    return log_p.scatter(1, label[:, None], -loss[:, None])


@pytest.mark.parametrize("share", [0.1, 0.4, 0.8])
def test_two_bumps_are_told_apart_and_counted(share: float) -> None:
    loss, noisy = two_bumps(share)
    division = make().divide(0, loss, ~noisy)
    assert torch.equal(division.is_labelled_T, ~noisy)
    assert division.noise_rate == pytest.approx(float(noisy.float().mean()), abs=0.02)
    assert division.note == ""
    assert (division.log_odds_T[noisy].min() > division.log_odds_T[~noisy].max()).all()


def test_equal_losses_are_believed_and_said() -> None:
    division = make().divide(0, torch.ones(NUM), torch.ones(NUM, dtype=torch.bool))
    assert division.is_labelled_T.all()
    assert division.noise_rate == pytest.approx(0, abs=1e-6)
    assert "equal" in division.note


def test_without_two_bumps_it_believes_as_many_as_the_net_agrees_with() -> None:
    loss = 1 + 0.01 * torch.rand(NUM, generator=torch.Generator().manual_seed(0))
    loss[:3] = 5.0
    agrees = loss < loss.quantile(0.7)
    division = make().divide(0, loss, agrees)
    assert "one component has only" in division.note
    assert int(division.is_labelled_T.sum()) == pytest.approx(0.7 * NUM, abs=3)
    assert float(loss[division.is_labelled_T].max()) <= float(loss[~division.is_labelled_T].min())


def test_one_wild_loss_does_not_squeeze_the_rest_together() -> None:
    loss, noisy = (part.repeat(10) for part in two_bumps(0.4))
    loss[0] = 1e4
    got = make(torch.arange(10 * NUM) % 3).divide(0, loss, ~noisy)
    assert torch.equal(got.is_labelled_T[1:], ~noisy[1:])


def test_every_class_keeps_its_floor_and_a_verified_label_its_place() -> None:
    loss = torch.where(torch.arange(NUM) % 3 == 0, 5.0, 0.1) + 0.01 * torch.rand(NUM)
    verified = torch.zeros(NUM, dtype=torch.bool)
    verified[3] = True
    division = make(class_floor=0.1, verified_T=verified).divide(0, loss, loss < 1)
    first = division.is_labelled_T[torch.arange(NUM) % 3 == 0]
    assert int(first.sum()) in (10, 11)
    assert division.p_clean_T[division.is_labelled_T].min() >= 0.5, "a label that is kept counts"
    assert division.log_odds_T[division.is_labelled_T].max() > 0, "and looks as it does"
    assert division.is_labelled_T[3]
    assert division.p_clean_T[3] == 1


def test_losses_are_averaged_over_the_history_only_where_most_labels_seem_wrong() -> None:
    loss, noisy = two_bumps(0.85)
    flipped = loss.clone()
    flipped[0] = 3.3 - loss[0]
    divider = make()
    for _ in range(HISTORY - 1):
        divider.divide(0, loss, ~noisy)
    assert bool(divider.divide(0, flipped, ~noisy).is_labelled_T[0]) == (not noisy[0])
    calm, noisy = two_bumps(0.2)
    flipped = calm.clone()
    flipped[0] = 3.3 - calm[0]
    divider = make()
    for _ in range(HISTORY - 1):
        divider.divide(0, calm, ~noisy)
    assert bool(divider.divide(0, flipped, ~noisy).is_labelled_T[0]) == bool(noisy[0])


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), share=st.floats(0, 1))
def test_whatever_the_losses_every_class_keeps_someone_and_nothing_is_nan(seed: int, share: float) -> None:
    loss, noisy = two_bumps(share, seed)
    division = make().divide(0, loss, ~noisy)
    assert division.p_clean_T.isfinite().all()
    assert division.log_odds_T.isfinite().all()
    assert torch.bincount((torch.arange(NUM) % 3)[division.is_labelled_T], minlength=3).min() >= 1


def test_the_oracle_believes_exactly_the_right_labels_or_as_many_as_the_divider() -> None:
    label = torch.arange(NUM) % 3
    loss, noisy = two_bumps(0.3)
    truth = torch.where(noisy, (label + 1) % 3, label)
    draw = torch.randperm(NUM, generator=torch.Generator().manual_seed(0))
    for form in ("all", "same-size"):
        inner = make(threshold=0.9)
        divider = TruthDivider(label_T=label, truth_T=truth, num_classes=3, form=form, inner=inner, draw_T=draw)
        division = divider(0, opinion(loss, label))
        assert not (division.is_labelled_T & noisy).any()
        if form == "all":
            assert torch.equal(division.is_labelled_T, ~noisy)
        else:
            size = make(threshold=0.9).divide(0, loss, ~noisy).is_labelled_T
            assert int(division.is_labelled_T.sum()) <= int(size.sum())
        assert division.noise_rate == pytest.approx(float(noisy.float().mean()))


def test_an_opinion_is_divided_by_its_losses() -> None:
    label = torch.arange(NUM) % 3
    loss, noisy = two_bumps(0.3)
    by_opinion, by_losses = make()(0, opinion(loss, label)), make().divide(0, loss, ~noisy)
    torch.testing.assert_close(by_opinion.p_clean_T, by_losses.p_clean_T)


def test_judged_labels_are_trusted_as_far_as_they_are_probable() -> None:
    label, train = torch.arange(6) % 3, torch.tensor([0, 1, 2, 4])
    verified = torch.tensor([False, False, False, True])
    line = Line(label_T=label[train], verified_T=verified, num_classes=3, threshold=0.5, class_floor=0.0)
    asked: list[FloatArray] = []

    def posterior(log_p_NC: FloatArray) -> FloatArray:
        asked.append(log_p_NC)
        p_NC: FloatArray = np.exp(log_p_NC)
        return p_NC

    p_NC = torch.tensor([[0.9, 0.1, 0.0], [0.6, 0.3, 0.1], [0.5, 0.5, 0.0], [0.6, 0.4, 0.0]])
    divider = JudgedDivider(line, train_T=train, num_images=6, posterior=posterior)
    division = divider(0, p_NC.clamp(min=1e-30).log())
    assert np.allclose(np.exp(asked[0][[3, 5]]), 1 / 3), "nothing is asked of images that are not trained on"
    assert division.p_clean_T.tolist() == pytest.approx([0.9, 0.3, 0.5, 1.0])
    assert division.is_labelled_T.tolist() == [True, False, True, True], "of the last class somebody is kept"
    assert division.noise_rate == pytest.approx(1 - (0.9 + 0.3 + 0.0 + 1.0) / 4)
    assert division.log_odds_T.isfinite().all()
    assert divider.state_dict() == {}
