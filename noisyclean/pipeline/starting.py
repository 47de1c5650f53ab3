"""What the nets of a training start from: SimCLR on the same images, a download, a folder, another run, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import timm
import torch
from safetensors.torch import load_file, save_file

import noisyclean.nn  # noqa: F401  registers our nets
from noisyclean.base.files import atomic_path, read_json, sha256_file, write_json
from noisyclean.base.log import Reporter
from noisyclean.config import Plan
from noisyclean.errors import EnvironmentProblem, UsageError
from noisyclean.pipeline.learning import pretrain_stage
from noisyclean.pipeline.preparing import Prepared
from noisyclean.pipeline.rundir import RunDir, read_run
from noisyclean.pipeline.stage import TakenOver, run_stage

__all__ = ["Origin", "Start", "resolve_origin", "start_stage"]

WEIGHTS = "backbone.safetensors"
STATISTICS = "statistics.json"
SPELLINGS = "simclr, scratch, pretrained:NAME, local-dir:PATH or run:RUN"


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What ``--init`` means, before anything is loaded."""

    init: str
    """``simclr``, ``scratch``, ``pretrained``, ``local-dir`` or ``weights``."""
    reason: str
    backbone: str | None = None
    """Architecture that the weights are of; None leaves the choice to the plan."""
    size_px: int | None = None
    """Side of the images the weights learnt from; None leaves the choice to the plan."""
    source: str = ""
    """timm's name of the weights, or their file."""


@dataclass(frozen=True, kw_only=True)
class Start:
    """Weights that every net of the training begins with."""

    weights: Path | None = None
    """A safetensors file; None starts from scratch."""
    fingerprint: str = "scratch"
    mean: list[float] | None = None
    """Channel means the weights are used to, in [0, 1]; None for those of the data."""
    std: list[float] | None = None


def resolve_origin(init: str, backbone: str | None) -> Origin:
    """Read ``--init``.

    Raises:
        UsageError: An unknown spelling, nothing where it points to, or another architecture than ``--backbone``.
    """
    kind, _, rest = init.partition(":")
    if init == "simclr":
        return Origin(init="simclr", reason="simclr: pre-trained on the images themselves, labels ignored")
    if init == "scratch":
        return Origin(init="scratch", reason="scratch: as asked")
    if kind == "pretrained" and rest:
        origin = Origin(init=kind, reason=f"{rest}: as asked", backbone=rest, source=rest)
    elif kind == "local-dir" and rest:
        origin = _from_folder(Path(rest), f"{rest}: as asked")
    elif kind == "run" and rest:
        origin = _from_run(Path(rest))
    else:
        raise UsageError(f"--init {init}: unknown", hint=f"Write {SPELLINGS}.")
    if backbone is not None and backbone != origin.backbone:
        raise UsageError(
            f"--backbone {backbone}: --init {init} is a {origin.backbone}", hint="Leave --backbone out, or --init."
        )
    return origin


def start_stage(
    run: RunDir,
    origin: Origin,
    prepared: Prepared,
    plan: Plan,
    *,
    reporter: Reporter,
    instead: TakenOver | None = None,
) -> Start:
    """Pre-train, or copy the weights an origin points to into the run; a later run needs neither network nor folder.

    Args:
        run: The run directory.
        origin: What ``--init`` means.
        prepared: The images.
        plan: Backbone and pre-training.
        reporter: Hears about the progress.
        instead: An earlier run's pre-training, where it still holds.

    Raises:
        EnvironmentProblem: They cannot be downloaded.
        UsageError: They cannot be read.
    """
    if origin.init == "scratch":
        return Start()
    if origin.init == "simclr":
        stage = pretrain_stage(run, prepared, plan, reporter=reporter, instead=instead)
        return Start() if stage is None else Start(weights=stage.folder / WEIGHTS, fingerprint=stage.fingerprint)
    file = Path(origin.source)

    def work(folder: Path) -> list[Path]:
        state, statistics = (load_file(file), {}) if origin.init == "weights" else _ask_timm(origin)
        with atomic_path(folder / WEIGHTS) as temporary:
            save_file({name: value.contiguous() for name, value in state.items()}, temporary)
        write_json(folder / STATISTICS, statistics)
        return [folder / WEIGHTS, folder / STATISTICS]

    inputs = {"weights": sha256_file(file)} if origin.init == "weights" else {}
    settings = {"init": origin.init, "source": origin.source}
    stage = run_stage(run, "start", work, settings=settings, inputs=inputs, reporter=reporter)
    statistics = read_json(stage.folder / STATISTICS)
    return Start(
        weights=stage.folder / WEIGHTS,
        fingerprint=stage.fingerprint,
        mean=statistics.get("mean"),
        std=statistics.get("std"),
    )


def _from_folder(folder: Path, reason: str) -> Origin:
    """A model folder in timm's form."""
    config = folder / "config.json"
    if not config.is_file():
        raise UsageError(f"{folder}: holds no config.json", hint="Give a model folder, such as RUN/model.")
    described = read_json(config)
    size = described.get("pretrained_cfg", {}).get("input_size")
    return Origin(
        init="local-dir",
        reason=reason,
        backbone=described["architecture"],
        size_px=size[-1] if size else None,
        source=str(folder.resolve()),
    )


def _from_run(root: Path) -> Origin:
    """Another run's pre-training; of a run that had none, its model."""
    folder = read_run(root).root
    weights = folder / "pretrain" / "backbone.safetensors"
    if not (folder / "pretrain" / "done.json").exists():
        reason = f"the model of {root}: that run has no pre-training of its own"
        return _from_folder(folder / "model", reason)
    plan = read_json(folder / "plan.json")["plan"]
    plan = plan.get("base", plan)
    return Origin(
        init="weights",
        reason=f"the pre-training of {root}",
        backbone=plan["backbone"],
        size_px=plan["prepare"]["size_px"],
        source=str(weights.resolve()),
    )


def _ask_timm(origin: Origin) -> tuple[dict[str, torch.Tensor], dict[str, list[float]]]:
    name = origin.source if origin.init == "pretrained" else f"local-dir:{origin.source}"
    try:
        model = timm.create_model(name, pretrained=True)
    except OSError as error:
        raise EnvironmentProblem(
            f"--init {origin.init}:{origin.source}: {error}", hint="Is there a network, and the name right?"
        ) from error
    except RuntimeError as error:
        raise UsageError(f"--init {origin.init}:{origin.source}: {error}") from error
    if origin.init == "local-dir":
        config = read_json(Path(origin.source) / "config.json").get("pretrained_cfg", {})
    else:
        config = vars(timm.get_pretrained_cfg(origin.source))
    known = all(config.get(key) for key in ("mean", "std"))
    return model.state_dict(), {key: list(config[key]) for key in ("mean", "std")} if known else {}
