"""What the nets of a training start from: SimCLR on the same images, a download, a folder, another run, or nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import timm
import torch
from safetensors.torch import load_file, save_file

import noisyclean.nn  # noqa: F401  registers our nets
from noisyclean.base.files import atomic_path, fingerprint, read_json, sha256_file, write_json
from noisyclean.base.log import Reporter
from noisyclean.base.runtime import Runtime
from noisyclean.config import Plan
from noisyclean.data.batches import Pixels, load_pixels
from noisyclean.errors import EnvironmentProblem, UsageError
from noisyclean.pipeline.learning import pretrain_stage
from noisyclean.pipeline.origin import Origin
from noisyclean.pipeline.preparing import Prepared
from noisyclean.pipeline.rundir import RunDir
from noisyclean.pipeline.stage import TakenOver, run_stage
from noisyclean.pipeline.unlabelled import Unlabelled

__all__ = ["Start", "normalised_pixels", "start_stage"]

WEIGHTS = "backbone.safetensors"
STATISTICS = "statistics.json"


@dataclass(frozen=True, kw_only=True)
class Start:
    """Weights that every net of the training begins with."""

    weights: Path | None = None
    """A safetensors file; None starts from scratch."""
    fingerprint: str = "scratch"
    mean: list[float] | None = None
    """Channel means the weights are used to, in [0, 1]; None for those of the data."""
    std: list[float] | None = None


def start_stage(
    run: RunDir,
    origin: Origin,
    prepared: Prepared,
    plan: Plan,
    *,
    reporter: Reporter,
    instead: TakenOver | None = None,
    unlabelled: Unlabelled | None = None,
) -> Start:
    """Pre-train, or copy the weights an origin points to into the run; a later run needs neither network nor folder.

    Args:
        run: The run directory.
        origin: What ``--init`` means.
        prepared: The images.
        plan: Backbone and pre-training.
        reporter: Hears about the progress.
        instead: An earlier run's pre-training, where it still holds.
        unlabelled: More images to pre-train on.

    Raises:
        EnvironmentProblem: They cannot be downloaded.
        UsageError: They cannot be read.
    """
    if origin.init == "scratch":
        return Start()
    if origin.init == "simclr":
        stage = pretrain_stage(run, prepared, plan, reporter=reporter, instead=instead, unlabelled=unlabelled)
        return Start() if stage is None else Start(weights=stage.folder / WEIGHTS, fingerprint=stage.fingerprint)
    file = Path(origin.source)

    def work(folder: Path) -> list[Path]:
        state, statistics = (load_file(file), {}) if origin.init == "weights" else _ask_timm(origin)
        with atomic_path(folder / WEIGHTS) as temporary:
            save_file({name: value.contiguous() for name, value in state.items()}, temporary)
        write_json(folder / STATISTICS, statistics)
        return [folder / WEIGHTS, folder / STATISTICS]

    inputs = {"weights": fingerprint([sha256_file(path) for path in _weight_files(origin)])}
    settings = {"init": origin.init, "source": origin.source}
    stage = run_stage(run, "start", work, settings=settings, inputs=inputs, reporter=reporter)
    statistics = read_json(stage.folder / STATISTICS)
    return Start(
        weights=stage.folder / WEIGHTS,
        fingerprint=stage.fingerprint,
        mean=statistics.get("mean"),
        std=statistics.get("std"),
    )


def _weight_files(origin: Origin) -> list[Path]:
    """What an origin reads from this machine's disk."""
    if origin.init == "weights":
        return [Path(origin.source)]
    known = (".safetensors", ".bin", ".pth")
    folder = Path(origin.source)
    return sorted(path for path in folder.iterdir() if path.suffix in known) if origin.init == "local-dir" else []


def normalised_pixels(prepared: Prepared, start: Start, runtime: Runtime) -> Pixels:
    """The images, normalised as the start's weights are used to, else by their own statistics."""
    pixels = load_pixels(prepared.images_NHWI, runtime.device)
    if start.mean is None or start.std is None:
        return pixels
    mean_3, std_3 = (torch.tensor(values, device=runtime.device) for values in (start.mean, start.std))
    return replace(pixels, mean_3=mean_3, std_3=std_3)


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
