"""MOIT (https://arxiv.org/abs/2012.04462): contrastive learning on mixed images, neighbours to find the wrong labels.

One net, two heads. The projection learns by interpolated contrastive learning, with a memory; once an epoch every
image's neighbours vote, and the second half of the training takes the label only where they agree, balanced over the
classes, and the net's own guess elsewhere. Page: ``docs/methods/moit.md``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from noisyclean.base.randomness import seed_from
from noisyclean.base.runtime import Runtime
from noisyclean.data.augment import Augmentation, FixedView
from noisyclean.data.batches import ShuffledBatches
from noisyclean.engine.descent import Figures
from noisyclean.engine.inference import evaluation_batch
from noisyclean.errors import UsageError
from noisyclean.nn.backbone import classify_features, embed_with, feature_width
from noisyclean.nn.heads import linear_projection
from noisyclean.nn.memory import RingMemory
from noisyclean.ops.contrastive import contrastive_sets, interpolated_contrastive
from noisyclean.ops.mix import beta_sample, soft_cross_entropy
from noisyclean.ops.mixmatch import interpolated_targets
from noisyclean.ops.selection import Balance
from noisyclean.ranges import Range
from noisyclean.robust.judging import Recorder
from noisyclean.robust.method import Facts, NetMaker, TrainingData, methods
from noisyclean.robust.neighbourhood import Neighbourhood, ask_neighbours
from noisyclean.robust.schedule import Schedule
from noisyclean.robust.student import Student, believe
from noisyclean.types import Evidence, FloatArray

__all__ = ["Moit", "MoitSettings"]


@dataclass(frozen=True, kw_only=True)
class MoitSettings(Schedule):
    """Counts, rates and choices of MOIT."""

    guess_epochs: Annotated[int, Range()] = -1
    """Epochs, the last ones, that take the net's guess where the neighbours disagree; negative is half of all."""
    weight_decay: float = 1e-4
    has_strong_views: bool = True
    """Two SimCLR views of each image; weak ones otherwise."""
    least_crop_area: Annotated[float, Range(above=0, at_most=1)] = 0.2
    """Least share of an image's area that a strong view keeps; .08 as published."""
    contrast_temperature: Annotated[float, Range(above=0)] = 0.1
    """Of the similarities in the contrastive loss."""
    projection_dim: Annotated[int, Range(at_least=1)] = 128
    """Dimensions in which images are compared and neighbours are found."""
    memory_per_class: Annotated[int, Range(at_least=0)] = 200
    """Slots of the memory for each class; 0 keeps none."""
    memory_after: Annotated[int, Range(at_least=0)] = 3
    """Epochs before the memory is used."""
    num_neighbours: Annotated[int, Range(at_least=1)] = 250
    """k of the vote; cut to half the median class size."""
    balance: Balance = "median"
    """Of each class as many labels are believed as agree in the median, the smallest or the largest one; or all that
    agree."""
    ssl: Literal["paper", "code"] = "paper"
    """How a pair of a believed and a doubted image is mixed: as the paper has it, or as its published code does."""
    guess: Literal["step", "epoch"] = "step"
    """Guess from the plain images at each step, or from the pass that asks the neighbours."""

    def __post_init__(self) -> None:
        if self.guess_epochs > self.epochs:
            raise UsageError(
                f"robust.guess_epochs={self.guess_epochs}: must be at most robust.epochs={self.epochs}",
                hint="Set both: --set robust.epochs=N --set robust.guess_epochs=M.",
            )


@methods.register("moit")
class Moit:
    """Interpolated contrastive learning; labels whose neighbours disagree are replaced by guesses."""

    settings_type: ClassVar[type] = MoitSettings
    needs_truth: ClassVar[bool] = False
    published_holdout: ClassVar[float] = 0.0

    def __init__(
        self, *, data: TrainingData, make_net: NetMaker, settings: MoitSettings, runtime: Runtime, seed: int
    ) -> None:
        self.data = data
        self.settings = settings
        self.runtime = runtime
        self.seed = seed
        self.num_epochs = settings.epochs
        guess_epochs = settings.guess_epochs if settings.guess_epochs >= 0 else settings.epochs // 2
        self.first_guessing_epoch = settings.epochs - guess_epochs
        self.notes: list[str] = []
        self.views = _views(data, settings)
        self.batches = ShuffledBatches(data.pixels.beside(data.train_T), settings.batch, seed=seed, key=("moit",))
        net = make_net(0)
        projection = linear_projection(feature_width(net), settings.projection_dim, seed=seed)
        self.student = Student(
            nn.ModuleDict({"net": net, "projection": projection.to(runtime.device)}),
            settings,
            num_steps=settings.epochs * self.batches.num_steps,
            runtime=runtime,
        )
        num_slots = max(settings.memory_per_class * data.num_classes, 2 * self.batches.batch)
        self.memory = RingMemory(num_slots, settings.projection_dim, device=runtime.device)
        self.neighbourhood: Neighbourhood | None = None
        self._recorder = Recorder(data, runtime, num_nets=1, num_epochs=settings.epochs)

    @classmethod
    def plan(cls, preset: str, facts: Facts) -> tuple[MoitSettings, Mapping[str, str]]:
        """The published schedule, or epochs that fit into the budget."""
        if preset == "paper":
            settings = MoitSettings(
                epochs=250,
                guess_epochs=120,
                drop_epochs=(125, 200),
                optimizer="plain-sgd",
                least_crop_area=0.08,
                ema_decay=0.0,
            )
            return settings, {"robust": "paper: MOIT as on CIFAR"}
        epochs = facts.epochs_at(7)
        settings = MoitSettings(
            epochs=epochs,
            batch=facts.batch,
            lr=facts.rate,
            weight_decay=5e-4,
            memory_after=min(3, epochs // 4),
            guess="epoch",
        )
        return settings, {
            "epochs": f"{epochs}: {preset} pays for {facts.passes:.0f} passes over the images, 7 an epoch"
        }

    def num_steps(self, epoch: int) -> int:  # noqa: ARG002
        """The same in every epoch."""
        return self.batches.num_steps

    def begin_epoch(self, epoch: int) -> None:
        """Ask the neighbours, where guesses are needed."""
        if epoch >= self.first_guessing_epoch:
            self.neighbourhood = self.ask(self.data.train_T).written_over(self.neighbourhood)

    def step(self, epoch: int, step: int) -> Figures:
        """One step on two mixed views of a batch."""
        row_B, uses_memory = self.batches.rows(epoch, step), epoch >= self.settings.memory_after
        return self.student.descent.step(
            partial(self._interpolated_loss, uses_memory),
            self.data.pixels.take(row_B),
            self.data.pixels.on_device(row_B),
            seed=seed_from(self.seed, "moit", epoch, step),
            rate=self.settings.rate(epoch, step / self.batches.num_steps),
            kind=(uses_memory, self.neighbourhood is None),
        )

    def end_epoch(self, epoch: int) -> Mapping[str, float]:
        """Record every image, in the epochs chosen for it."""
        self._recorder.after_epoch(epoch, self.nets())
        return self.figures()

    def figures(self) -> Mapping[str, float]:
        """The share of labels that are believed, once the neighbours were asked."""
        if self.neighbourhood is None:
            return {}
        return {"believed": float(self.neighbourhood.is_believed_N[self.data.train_T].float().mean())}

    def predictor(self) -> nn.Module:
        """The net without its projection."""
        best = self.student.best
        assert isinstance(best, nn.ModuleDict)
        return best["net"]

    def nets(self) -> Sequence[nn.Module]:
        """The predictor alone."""
        return [self.predictor()]

    def evidence(self) -> Evidence:
        """Losses, margins, probabilities and features, and by how much the neighbours disagree."""
        return self._recorder.evidence(self.nets(), neighbour_disagreement_N=self.disagreement_of_all())

    def disagreement_of_all(self) -> FloatArray:
        """By how much every image's neighbours disagree with its label now, the held-out images among them."""
        everything = torch.arange(len(self.data.label_N), device=self.runtime.device)
        disagreement_N: FloatArray = self.ask(everything).disagreement_N.double().cpu().numpy()
        return disagreement_N

    @torch.no_grad()
    def ask(self, rows_R: Tensor) -> Neighbourhood:
        """Embed every image, guess its class, and let the neighbours of some rows vote."""
        heads = self.student.best.eval()
        assert isinstance(heads, nn.ModuleDict)
        z_parts: list[Tensor] = []
        p_parts: list[Tensor] = []
        everything = self.data.pixels.beside(torch.arange(len(self.data.label_N)))
        for row_B in everything.split(evaluation_batch(self.data.pixels)):
            x_BIHW = self.data.pixels.fixed(self.data.pixels.take(row_B), FixedView())
            with self.runtime.autocast():
                h_BD = embed_with(heads["net"], x_BIHW)
                p_parts.append(classify_features(heads["net"], h_BD).float().softmax(dim=1))
                z_parts.append(nn.functional.normalize(heads["projection"](h_BD).float(), dim=1))
        return ask_neighbours(
            torch.cat(z_parts),
            torch.cat(p_parts),
            self.data,
            rows_R,
            num_neighbours=self.settings.num_neighbours,
            balance=self.settings.balance,
        )

    def state_dict(self) -> dict[str, Any]:
        """The student, the memory, what the neighbours said and the recordings."""
        return {
            "student": self.student.state_dict(),
            "memory": self.memory.state_dict(),
            "neighbourhood": None if self.neighbourhood is None else dict(vars(self.neighbourhood)),
            "recorder": self._recorder.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a saved state."""
        self.student.load_state_dict(state["student"])
        self.memory.load_state_dict(state["memory"])
        saved = state["neighbourhood"]
        if saved is not None:
            self.neighbourhood = Neighbourhood(**{name: value.to(self.runtime.device) for name, value in saved.items()})
        self._recorder.load_state_dict(state["recorder"])

    def _interpolated_loss(self, uses_memory: bool, draw: torch.Generator, x_BHWI: Tensor, index_B: Tensor) -> Figures:
        """Contrast and cross-entropy of two mixed views."""
        mixed = [self._mixed_view(x_BHWI, draw) for _ in range(2)]
        x_BIHW, share_B, partner_B = (torch.cat(parts) for parts in zip(*mixed, strict=True))
        logits_BC, z_BD = self._forward(x_BIHW)
        label_B = self.data.label_N[index_B]
        contrast = self._contrast(z_BD, label_B, share_B, partner_B, uses_memory=uses_memory)
        classify = self._classify(logits_BC, x_BHWI, index_B, share_B, partner_B)
        return {"loss": contrast + classify, "contrast": contrast, "classify": classify}

    def _mixed_view(self, x_BHWI: Tensor, draw: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """One view of each image mixed with a partner's: images, shares of the image itself, partners."""
        x_BIHW = self.data.pixels.random(x_BHWI, self.views, draw)
        share = beta_sample(self.settings.mixup_alpha, draw)
        share = torch.maximum(share, 1 - share)
        partner_B = torch.randperm(len(x_BIHW), generator=draw, device=draw.device)
        return torch.lerp(x_BIHW[partner_B], x_BIHW, share), share.expand(len(x_BIHW)), partner_B

    def _forward(self, x_BIHW: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and projected, normalised embeddings; the net is in training mode."""
        heads = self.student.net.train()
        assert isinstance(heads, nn.ModuleDict)
        with self.runtime.autocast():
            h_BD = self.runtime.compiled(embed_with)(heads["net"], x_BIHW)
            logits_BC = classify_features(heads["net"], h_BD)
            z_BD = heads["projection"](h_BD)
        return logits_BC, nn.functional.normalize(z_BD.float(), dim=1)

    def _contrast(
        self, z_BD: Tensor, label_B: Tensor, share_B: Tensor, partner_B: Tensor, *, uses_memory: bool
    ) -> Tensor:
        """Contrast within the batch of both views, and against the memory."""
        batch = len(label_B)
        image_B = torch.arange(batch, device=label_B.device).repeat(2)
        dominant_B, minor_B = label_B.repeat(2), label_B[partner_B]
        temperature = self.settings.contrast_temperature
        is_self_BB = torch.eye(2 * batch, dtype=torch.bool, device=label_B.device)
        sets = contrastive_sets(dominant_B, minor_B, dominant_B, is_self_BB, partner_B[:, None] == image_B[None])
        loss = interpolated_contrastive(z_BD, z_BD, *sets, share_B, hidden_BM=is_self_BB, temperature=temperature)
        if not self.settings.memory_per_class:
            return loss
        slot_B = self.memory.enqueue(z_BD, dominant_B)
        if not uses_memory:
            return loss
        column_M = self.memory.label_M
        is_self_BM = slot_B[:, None] == torch.arange(len(column_M), device=slot_B.device)
        sets = contrastive_sets(dominant_B, minor_B, column_M, is_self_BM)
        return loss + interpolated_contrastive(
            z_BD,
            self.memory.z_MD,
            *sets,
            share_B,
            hidden_BM=is_self_BM | self.memory.is_empty,
            temperature=temperature,
        )

    def _classify(
        self, logits_BC: Tensor, x_BHWI: Tensor, index_B: Tensor, share_B: Tensor, partner_B: Tensor
    ) -> Tensor:
        """Cross-entropy of both views against mixed labels, or labels and guesses."""
        given_BC = self.data.given(index_B)
        if self.neighbourhood is None:
            believed_B, guess_BC = torch.ones_like(index_B, dtype=torch.bool), given_BC
        else:
            believed_B = self.neighbourhood.is_believed_N[index_B]
            guess_BC = self.neighbourhood.p_NC[index_B]
            if self.settings.guess == "step":
                guess_BC = believe(self.predictor(), self.data.pixels.fixed(x_BHWI, FixedView()), self.runtime)
        target_BC = interpolated_targets(
            given_BC.repeat(2, 1),
            guess_BC.repeat(2, 1),
            believed_B.repeat(2),
            share_B,
            partner_B + len(index_B) * torch.arange(2, device=index_B.device).repeat_interleave(len(index_B)),
            form=self.settings.ssl,
        )
        return soft_cross_entropy(logits_BC, target_BC).mean()


def _views(data: TrainingData, settings: MoitSettings) -> Augmentation:
    """Views to learn from; ``--augment none`` has no crop whose area could be set."""
    if not settings.has_strong_views:
        return data.weak
    is_cropped = data.strong.crop_area is not None
    return replace(data.strong, crop_area=(settings.least_crop_area, 1.0)) if is_cropped else data.strong
