"""Settings of every stage, and the overlay of a TOML file and ``--set stage.key=value`` on them.

A setting is a count, a rate or a name, never a duration: the same plan gives the same result on a slow day.
"""

from __future__ import annotations

import dataclasses
import difflib
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, TypeVar, get_args, get_origin, get_type_hints

from noisyclean.errors import UsageError
from noisyclean.ranges import Range, check_ranges

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = [
    "AUGMENTS",
    "PRESETS",
    "BudgetConfig",
    "EmbedConfig",
    "EngineConfig",
    "HoldoutConfig",
    "OptimizerName",
    "Plan",
    "PrepareConfig",
    "Preset",
    "ProbeConfig",
    "ReportConfig",
    "ReuseConfig",
    "ScoreConfig",
    "SimCLRConfig",
    "Way",
    "overlay",
    "read_overrides",
]


class _Reasoned(Protocol):
    @property
    def reasons(self) -> Mapping[str, str]: ...


if TYPE_CHECKING:

    class _AnyPlan(DataclassInstance, _Reasoned, Protocol): ...


AnyPlan = TypeVar("AnyPlan", bound="_AnyPlan")

REASON_NAMES = {"prepare.size_px": "size", "prepare.black": "depth", "prepare.white": "depth"}
"""Where a setting's reason stands, if neither under its stage nor under its own name."""

WERE = {"simclr": {"num_views": 2}}
"""Settings that older plans do not name, because they could not be changed."""

Preset = Literal["quick", "standard", "thorough", "paper"]
PRESETS: tuple[str, ...] = get_args(Preset)
AUGMENTS = ("auto", "natural", "grey", "oriented", "none")
"""Kinds of images that ``--augment`` knows views for; ``auto`` measures which it is."""
OptimizerName = Literal["muon", "sgd", "plain-sgd"]
"""How weights are stepped: with orthogonal steps of inner matrices, with Nesterov's momentum, or as most papers do."""
Way = Literal["train", "frozen", "given"]
"""Where opinions on the labels come from: nets trained here, frozen features, or arrays that were given."""


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise UsageError(message)


@dataclass(frozen=True, kw_only=True)
class EngineConfig:
    """How networks are computed."""

    compile: bool = False
    """Whether training's passes are compiled; takes a compiler and a minute, so only long trainings gain; on an
    accelerator the plan decides."""
    replay: bool = True
    """Whether an accelerator replays its training steps as it recorded them; off where a backbone waits for values."""


@dataclass(frozen=True, kw_only=True)
class PrepareConfig:
    """How images become pixels."""

    size_px: Annotated[int, Range(at_least=8, at_most=1024, option="--size")]
    """Side of the square every image is resized to."""
    policy: Literal["squash", "pad", "crop"] = "squash"
    """What happens to the aspect."""
    black: Annotated[float, Range()] = 0.0
    """Stored value shown as black in images with more than 8 bits a channel."""
    white: Annotated[float, Range()] = 65535.0
    """Stored value shown as white in images with more than 8 bits a channel."""
    max_bad: Annotated[float, Range(at_least=0, at_most=1, option="--max-bad")] = 0.1
    """Largest share of unusable rows the run goes on with."""

    def __post_init__(self) -> None:
        _require(self.black < self.white, f"prepare.white={self.white}: must be above prepare.black={self.black}")


@dataclass(frozen=True, kw_only=True)
class SimCLRConfig:
    """Self-supervised pre-training, https://arxiv.org/abs/2002.05709."""

    epochs: Annotated[int, Range(at_least=0)] = 0
    """0 leaves the stage out."""
    batch: Annotated[int, Range(at_least=4)] = 256
    """Images in a step; each is compared with all others."""
    num_views: Annotated[int, Range(at_least=2)] = 4
    """Of each image in a step; 2 as published."""
    optimizer: OptimizerName = "muon"
    """How weights are stepped."""
    lr: Annotated[float, Range(above=0)] = 0.25
    """Largest rate; one cosine after the warm-up."""
    weight_decay: Annotated[float, Range(at_least=0)] = 1e-4
    """Of all weights but biases and normalisation."""
    temperature: Annotated[float, Range(above=0)] = 0.2
    """Of the similarities in NT-Xent; .5 as published is for ten times as many epochs (docs/measurements-speed.md)."""
    warmup_epochs: Annotated[float, Range(at_least=0)] = 10
    """Over which the rate rises; a tenth of all epochs at most."""
    projection_dim: Annotated[int, Range(at_least=1)] = 128
    """Dimensions the loss compares images in."""
    view_side: Annotated[float, Range(above=0, at_most=1)] = 1.0
    """Side of the views, as a share of the images'."""

    @property
    def passes_an_epoch(self) -> float:
        """Passes over whole images that an epoch costs: forward and backward through every view."""
        return 3 * self.num_views * self.view_side**2


@dataclass(frozen=True, kw_only=True)
class EmbedConfig:
    """Label-free features of whitened patches, https://proceedings.mlr.press/v15/coates11a.html."""

    num_filters: Annotated[int, Range(at_least=1)] = 256
    """Patches kept as filters."""
    num_regions: Annotated[int, Range(at_least=1)] = 2
    """Regions along each axis that responses are averaged over."""


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """The short noisy-label training that leaves evidence: mixup and a weight average hold memorising back."""

    num_nets: Annotated[int, Range(at_least=1)] = 1
    """Independent nets; their evidence is averaged."""
    epochs: Annotated[int, Range(at_least=1)] = 32
    """Of each net."""
    batch: Annotated[int, Range(at_least=2)] = 128
    """Images in a step."""
    optimizer: OptimizerName = "sgd"
    """How weights are stepped."""
    lr: Annotated[float, Range(above=0)] = 0.2
    """Peak of the one-cycle schedule."""
    weight_decay: Annotated[float, Range(at_least=0)] = 5e-4
    """Of all weights but biases and normalisation."""
    mixup_alpha: Annotated[float, Range(at_least=0)] = 1.0
    """Of the Beta distribution mixup draws from; 0 switches mixup off."""
    ema_decay: Annotated[float, Range(at_least=0, below=1)] = 0.99
    """Of the weight average, per step."""
    held_out: Annotated[float, Range(at_least=0, below=1)] = 0.05
    """Share of the images (whole groups) no net learns from: they tell memorised labels from recognised ones."""
    num_recordings: Annotated[int, Range(at_least=1)] = 1
    """How often each net's opinion is recorded, the last time after its last epoch; more of them find fewer errors."""


@dataclass(frozen=True, kw_only=True)
class ScoreConfig:
    """From evidence to one probability."""

    num_neighbours: Annotated[int, Range(at_least=1)] = 50
    """k of the neighbours' vote; cut to the class sizes."""


@dataclass(frozen=True, kw_only=True)
class ReuseConfig:
    """What ``--reuse`` takes from an earlier run."""

    retrain_above: Annotated[float, Range(at_least=0, at_most=1)] = 0.05
    """Share of new images and changed labels above which the networks are trained again."""


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """What the page shows."""

    num_cards: Annotated[int, Range(at_least=0)] = 200
    """Worst images shown with a thumbnail."""
    thumbnail_px: Annotated[int, Range(at_least=1)] = 160
    """Side of a thumbnail."""


@dataclass(frozen=True, kw_only=True)
class BudgetConfig:
    """What a robust training, and each training it is compared with, may cost."""

    passes: Annotated[float, Range(at_least=3)]
    """Over the training images: a forward pass is 1, forward and backward are 3, which is one epoch."""


@dataclass(frozen=True, kw_only=True)
class HoldoutConfig:
    """Images kept out of a robust training, to select an epoch by."""

    share: Annotated[float, Range(at_least=0, below=1)] = 0.05
    """Of each class; 0 trains on everything and selects nothing. A split named val or valid goes before it."""
    most: Annotated[int, Range(at_least=0)] = 5_000
    """Largest number of images."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a preset becomes for this data set and this machine: decided once, in counts, with reasons."""

    preset: str
    seed: int
    device: str
    dtype: str
    threads: int
    backbone: str
    augment: str
    prepare: PrepareConfig
    simclr: SimCLRConfig
    probe: ProbeConfig
    way: Way = "train"
    processes: int = 1
    """That train together, each on its part of every batch."""
    num_unlabelled: int = 0
    """Images without a label that pre-training is shown too."""
    engine: EngineConfig = field(default_factory=EngineConfig)
    embed: EmbedConfig = field(default_factory=EmbedConfig)
    score: ScoreConfig = field(default_factory=ScoreConfig)
    report: ReportConfig = field(default_factory=ReportConfig)
    reuse: ReuseConfig = field(default_factory=ReuseConfig)
    reasons: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As ``plan.json`` holds it."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Plan:
        """Read what :meth:`to_json` wrote."""
        hints = get_type_hints(cls)
        stages = {
            name: hints[name](**(WERE.get(name, {}) | section))
            for name, section in value.items()
            if dataclasses.is_dataclass(hints.get(name))
        }
        return cls(**{**value, **stages})


def read_overrides(config: Path | None, assignments: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Collect ``{stage: {key: value}}`` from a TOML file and then from ``stage.key=value`` texts.

    Raises:
        UsageError: The file or a text cannot be read.
    """
    overrides: dict[str, dict[str, Any]] = {}
    if config is not None:
        try:
            loaded = tomllib.loads(config.read_text(encoding="utf-8"))
        except OSError as error:
            raise UsageError(f"--config {config}: cannot be read: {error.strerror}") from error
        except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise UsageError(f"--config {config}: is no TOML: {error}") from error
        for stage, section in loaded.items():
            _require(isinstance(section, dict), f"--config {config}: {stage} must be a [section]")
            overrides[stage] = dict(section)
    for text in assignments:
        path, equals, value = text.partition("=")
        stage, dot, key = path.strip().partition(".")
        _require(bool(equals and dot), f"--set {text}: write it as stage.key=value, for instance probe.epochs=10")
        overrides.setdefault(stage, {})[key] = _parse_value(value.strip())
    return overrides


def overlay(plan: AnyPlan, overrides: Mapping[str, Mapping[str, Any]]) -> AnyPlan:
    """Replace single settings of a plan, and the reasons of what they replace; no setting is left out of its range.

    Raises:
        UsageError: An unknown stage or key (with the nearest known one), a value of the wrong kind or out of range.
    """
    for stage, section in overrides.items():
        stages = [item.name for item in dataclasses.fields(plan) if dataclasses.is_dataclass(getattr(plan, item.name))]
        _require(stage in stages, f"--set {stage}: no such stage{_nearest(stage, stages)}")
        config = getattr(plan, stage)
        types = get_type_hints(type(config))
        values = {key: _coerce(f"{stage}.{key}", value, types.get(key), types) for key, value in section.items()}
        reasons = _as_asked(plan.reasons, stage, values)
        plan = dataclasses.replace(plan, reasons=reasons, **{stage: dataclasses.replace(config, **values)})
    for item in dataclasses.fields(plan):
        config = getattr(plan, item.name)
        if dataclasses.is_dataclass(config) and not isinstance(config, type):
            check_ranges(item.name, config)
    return plan


def _as_asked(reasons: Mapping[str, str], stage: str, values: Mapping[str, Any]) -> dict[str, str]:
    """The reasons, where they speak of other values than these."""
    asked: dict[str, list[str]] = {}
    for key, value in values.items():
        name = REASON_NAMES.get(f"{stage}.{key}", stage if stage in reasons else key)
        if name in reasons:
            asked.setdefault(name, []).append(f"{stage}.{key}={value}")
    return {**reasons, **{name: f"{', '.join(settings)}: as asked" for name, settings in asked.items()}}


def _parse_value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return _parse_number(text)


def _parse_number(text: str) -> Any:
    """TOML wants a digit before the point; people do not."""
    try:
        return float(text)
    except ValueError:
        return text


def _coerce(name: str, value: Any, kind: Any, known: Mapping[str, Any]) -> Any:
    if kind is None:
        key = name.partition(".")[2]
        raise UsageError(f"--set {name}: no such setting{_nearest(key, list(known))}")
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if get_origin(kind) is tuple:
        item_kind = get_args(kind)[0]
        fits = isinstance(value, list) and all(isinstance(item, item_kind) for item in value)
        _require(fits, f"--set {name}={value}: must be a list of {item_kind.__name__}, such as [1, 2]")
        return tuple(value)
    choices = get_args(kind)
    fits = value in choices if choices else isinstance(value, kind) and isinstance(value, bool) == (kind is bool)
    _require(fits, f"--set {name}={value}: must be {' or '.join(map(str, choices)) if choices else kind.__name__}")
    return value


def _nearest(name: str, known: list[str]) -> str:
    match = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {match[0]}?" if match else f"; known are {', '.join(known)}"
