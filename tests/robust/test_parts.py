"""Students, neighbourhoods, sampling and the watch: what methods are made of."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import normalize

from noisyclean.data.augment import Augmentation
from noisyclean.engine.descent import Figures
from noisyclean.nn.compact import CompactNet
from noisyclean.ops.mixmatch import interpolated_targets
from noisyclean.robust.co_division import CoDivision, line_of
from noisyclean.robust.division import LossDivider
from noisyclean.robust.judging import Recorder, judge_and_embed
from noisyclean.robust.method import methods
from noisyclean.robust.methods.moit import Moit
from noisyclean.robust.neighbourhood import Neighbourhood, ask_neighbours, vote_of_neighbours
from noisyclean.robust.sampling import repeated_rows
from noisyclean.robust.schedule import Schedule
from noisyclean.robust.student import Student, believe
from noisyclean.robust.toy import make_data, make_net, make_small, run, runtime, same_weights
from noisyclean.robust.views import StrongViews
from noisyclean.robust.watch import HELD_OUT, Watched


@settings(max_examples=40, deadline=None)
@given(num=st.integers(1, 20), num_steps=st.integers(1, 6), batch=st.integers(1, 9))
def test_laps_take_every_row_equally_often(num: int, num_steps: int, batch: int) -> None:
    rows = torch.arange(100, 100 + num)
    got = repeated_rows(rows, num_steps=num_steps, batch=batch, draw=torch.Generator().manual_seed(0))
    assert got.shape == (num_steps, batch)
    counts = torch.bincount(got.flatten() - 100, minlength=num)
    assert int(counts.max() - counts.min()) <= 1


def test_the_average_looks_back_over_a_share_of_the_training_and_predicts() -> None:
    student = Student(make_net(0), Schedule(epochs=1), num_steps=3000, runtime=runtime())
    assert student.ema_decay == pytest.approx(0.99)
    assert student.best is not student.net
    assert Student(make_net(0), Schedule(epochs=1, ema_decay=0.0), num_steps=3000, runtime=runtime()).average is None


def test_guessing_does_not_touch_the_statistics_of_normalisation() -> None:
    net = make_net(0)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    p = believe(net, torch.randn(4, 3, 16, 16), runtime())
    assert torch.allclose(p.sum(dim=1), torch.ones(4), atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_gradient_is_clipped_only_where_asked() -> None:
    for clip_norm, moves in ((0.0, True), (1e-6, False)):
        net = make_net(0)
        before = net.get_classifier().weight.detach().clone()  # type: ignore[operator]
        schedule = Schedule(epochs=1, weight_decay=0.0, ema_decay=0.0)
        student = Student(net, schedule, num_steps=1, runtime=runtime())

        def steep(_: torch.Generator, x_BIHW: Tensor, student: Student = student) -> Figures:
            return {"loss": 100 * student.logits(x_BIHW).square().sum()}

        student.descent.step(steep, torch.randn(4, 3, 16, 16), seed=0, rate=0.1, clip_norm=clip_norm)
        after = net.get_classifier().weight.detach()  # type: ignore[operator]
        moved = float((after - before).abs().max()) > 1e-4
        assert moved == moves


def test_rates_of_both_schedules() -> None:
    steps = [Schedule(epochs=10, lr=1.0, drop_epochs=(4, 8)).rate(epoch, 0.0) for epoch in range(10)]
    assert steps == pytest.approx([1] * 4 + [0.1] * 4 + [0.01] * 2)
    cycle = [Schedule(epochs=10, lr=1.0).rate(epoch, 0.5) for epoch in range(10)]
    assert max(cycle) > 0.9
    assert cycle[-1] < 0.05


def test_neighbours_choose_what_they_agree_with_in_every_class() -> None:
    data = make_data(60, rate=0.0, num_held_out=0)
    label = data.label_N.clone()
    wrong = torch.tensor([0, 1, 2, 12, 13, 14])
    label[wrong] = (label[wrong] + 1) % 3
    z = normalize(torch.eye(3)[data.label_N] + 0.01 * torch.rand(60, 3), dim=1)
    data = dataclasses.replace(data, label_N=label)
    got = ask_neighbours(z, torch.zeros(60, 3), data, data.train_T, num_neighbours=9, balance="median")
    assert not got.is_believed_N[wrong].any()
    assert torch.bincount(label[got.is_believed_N]).tolist() == [18, 18, 18]
    assert got.disagreement_N[wrong].min() > got.disagreement_N[got.is_believed_N].max()


def test_second_votes_are_those_of_labels_corrected_by_their_neighbours() -> None:
    data = make_data(60, rate=0.0, num_held_out=0)
    truth = data.label_N.clone()
    label = truth.clone()
    label[::5] = (label[::5] + 1) % 3
    z = normalize(torch.eye(3)[truth] + 0.01 * torch.rand(60, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    vote = vote_of_neighbours(z, dataclasses.replace(data, label_N=label), num_neighbours=9)
    assert torch.equal(vote, torch.eye(3)[truth])


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_an_opinion_is_the_nets_own_and_the_neighbours_by_their_shares(share: float) -> None:
    data, net = make_data(60), make_net(0)
    divider = LossDivider(line_of(data, threshold=0.5, class_floor=0.0), cap_quantile=1.0, seed=0)
    beliefs = CoDivision(data, divider, num_nets=1, follows_prior=False, neighbour_share=share, runtime=runtime())
    beliefs.update(0, [net])
    log_p, h = judge_and_embed(net, data, runtime())
    expected = log_p.exp()
    vote = vote_of_neighbours(h[data.train_T], data)
    expected[data.train_T] = (1 - share) * expected[data.train_T] + share * vote
    assert torch.allclose(beliefs.guess_NC, expected.clamp(min=1e-3 / 3), atol=1e-5)


def test_what_is_added_to_opinions_is_little_however_many_classes_there_are() -> None:
    data = dataclasses.replace(make_data(60, num_held_out=0), num_classes=1000)
    net = CompactNet(num_classes=1000, widths=(8, 8, 16), stem_width=8)
    divider = LossDivider(line_of(data, threshold=0.5, class_floor=0.0), cap_quantile=1.0, seed=0)
    beliefs = CoDivision(data, divider, num_nets=1, follows_prior=False, neighbour_share=1.0, runtime=runtime())
    beliefs.update(0, [net])
    mass_N = beliefs.guess_NC.sum(dim=1)
    assert mass_N.min() > 1
    assert mass_N.max() < 1.001


def test_rows_that_do_not_vote_change_nothing() -> None:
    data = make_data(60, num_held_out=20)
    z = normalize(torch.randn(60, 4, generator=torch.Generator().manual_seed(0)), dim=1)
    other = data.label_N.clone()
    other[40:] = 0
    first, second = (
        ask_neighbours(z, torch.zeros(60, 3), given, data.train_T, num_neighbours=5, balance="median")
        for given in (data, dataclasses.replace(data, label_N=other))
    )
    assert torch.equal(first.is_believed_N, second.is_believed_N)


@pytest.mark.parametrize("form", ["paper", "code"])
def test_both_forms_agree_where_both_parts_are_believed_or_both_are_not(form: str) -> None:
    given_label, guess = torch.eye(3)[[0, 1]], torch.tensor([[0.2, 0.3, 0.5], [0.6, 0.2, 0.2]])
    share, partner = torch.tensor([0.7, 0.7]), torch.tensor([1, 0])
    for believed, source in ((True, given_label), (False, guess)):
        mask = torch.full((2,), believed)
        got = interpolated_targets(given_label, guess, mask, share, partner, form=form)  # type: ignore[arg-type]
        assert torch.allclose(got, 0.7 * source + 0.3 * source[partner])


def test_the_forms_differ_where_one_part_is_doubted() -> None:
    given_label, guess = torch.eye(2)[[0, 0]], torch.eye(2)[[1, 1]]
    arguments = (given_label, guess, torch.tensor([True, False]), torch.tensor([0.6, 0.6]), torch.tensor([1, 0]))
    paper = interpolated_targets(*arguments, form="paper")
    code = interpolated_targets(*arguments, form="code")
    assert paper.tolist() == [pytest.approx([0.6, 0.4]), pytest.approx([0.4, 0.6])]
    assert code.tolist() == [pytest.approx([1.0, 0.4]), pytest.approx([0.0, 0.6])]


def test_the_watch_keeps_the_weights_that_agreed_best_with_held_out_labels() -> None:
    data = make_data(60, num_held_out=20)
    method = make_small(methods.get("cross-entropy"), data, epochs=6)
    held_out = torch.arange(40, 60)
    watched = Watched(
        method, pixels=data.pixels, held_out_R=held_out, label_R=data.label_N[held_out], runtime=runtime()
    )
    watched.num_epochs = method.num_epochs  # type: ignore[attr-defined]
    history = run(watched)
    agreements = [figures[HELD_OUT] for figures in history]
    assert watched.best_agreement == max(agreements)
    assert watched.best_epoch == max(epoch for epoch, value in enumerate(agreements) if value == max(agreements))
    assert watched.selected() is not method.predictor()
    if watched.best_epoch == method.num_epochs - 1:
        assert same_weights(watched.selected(), method.predictor())


def test_nothing_is_selected_where_nothing_is_held_out() -> None:
    data = make_data(num_held_out=0)
    method = make_small(methods.get("cross-entropy"), data, epochs=1)
    nothing = torch.empty(0, dtype=torch.int64)
    watched = Watched(method, pixels=data.pixels, held_out_R=nothing, label_R=nothing, runtime=runtime())
    assert HELD_OUT not in watched.end_epoch(0)
    assert watched.best_epoch == -1


class Sees(nn.Module):
    """A net whose features are a picture's 4 x 4 mean colours."""

    def forward_features(self, x_BIHW: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(x_BIHW, 4)

    def forward_head(self, x_BIHW: Tensor, pre_logits: bool) -> Tensor:
        assert pre_logits
        return x_BIHW.flatten(1)


@pytest.mark.parametrize(("labels", "is_strong"), [("right", True), ("random", False)])
def test_views_are_strong_where_the_neighbours_of_the_start_agree_with_the_labels(labels: str, is_strong: bool) -> None:
    data = make_data(60, rate=0.0, num_held_out=0)
    tile_3 = 255 * torch.eye(3)[data.label_N].to(torch.uint8)
    images = tile_3[:, None, None].expand(-1, 16, 16, -1).clone()
    images[:, ::2] //= 2
    drawn = torch.randint(3, (60,), generator=torch.Generator().manual_seed(0))
    data = dataclasses.replace(
        data,
        pixels=dataclasses.replace(data.pixels, images_LHWI=images),
        label_N=data.label_N if labels == "right" else drawn,
    )
    strong = StrongViews(data, least_agreement=0.5, runtime=runtime())
    assert strong.views == data.weak
    strong.choose(1, Sees())
    assert strong.notes == []
    strong.choose(0, Sees())
    assert strong.is_strong == is_strong
    assert strong.views == (data.strong if is_strong else data.weak)
    assert strong.notes[0].startswith("strong views" if is_strong else "weak views")
    other = StrongViews(data, least_agreement=0.5, runtime=runtime())
    other.load_state_dict(strong.state_dict())
    assert (other.is_strong, other.notes) == (is_strong, strong.notes)


@pytest.mark.parametrize("num_doubted", [0, 7, 8])
def test_mixmatch_learns_from_believed_labels_alone_where_no_batch_is_doubted(num_doubted: int) -> None:
    data = make_data(rate=0.0, num_held_out=0)
    doubted_N = torch.arange(len(data.label_N)) < num_doubted
    truth_N = torch.where(doubted_N, (data.label_N + 1) % 3, data.label_N)
    data = dataclasses.replace(data, truth_N=truth_N)
    trained = [
        make_small(
            methods.get("mixmatch-oracle"), data, learn="mixmatch", num_views=1, ramp_epochs=0.0, lambda_u=weight
        )
        for weight in (0.0, 75.0)
    ]
    for method in trained:
        run(method)
    is_alone = num_doubted < 8
    assert same_weights(trained[0].predictor(), trained[1].predictor()) == is_alone
    assert [any("learnt from alone" in note for note in method.notes) for method in trained] == [is_alone] * 2


def test_moits_views_keep_the_share_of_the_area_that_is_asked_for() -> None:
    data = make_data()
    for area in (0.08, 0.2):
        moit = make_small(methods.get("moit"), data, least_crop_area=area)
        assert isinstance(moit, Moit)
        assert moit.views == dataclasses.replace(data.strong, crop_area=(area, 1.0))
    plain = dataclasses.replace(data, strong=Augmentation())
    moit = make_small(methods.get("moit"), plain)
    assert isinstance(moit, Moit)
    assert moit.views == Augmentation()


def test_moit_plus_records_the_training_that_it_adds_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    recorded: list[nn.Module] = []
    monkeypatch.setattr(Recorder, "record", lambda _, nets: recorded.extend(nets))
    method = make_small(methods.get("moit-plus"), make_data())
    run(method)
    assert recorded
    assert all(net is method.predictor() for net in recorded)


def test_moit_plus_trains_on_all_labels_where_none_is_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    data, ask = make_data(), Moit.ask

    def doubt_all(moit: Moit, rows_R: Tensor) -> Neighbourhood:
        asked = ask(moit, rows_R)
        return dataclasses.replace(asked, is_believed_N=torch.zeros_like(asked.is_believed_N))

    monkeypatch.setattr(Moit, "ask", doubt_all)
    method, other = (make_small(methods.get("moit-plus"), data, balance="none") for _ in range(2))
    assert run(method)[-1]["believed"] == 1
    assert method.notes == ["epoch 5: 0 labels are believed, so all are trained on"]
    other.load_state_dict(method.state_dict())
    assert other.notes == method.notes


def test_strong_views_are_taken_unasked_where_nothing_is_required() -> None:
    assert StrongViews(make_data(60), least_agreement=0.0, runtime=runtime()).is_strong
