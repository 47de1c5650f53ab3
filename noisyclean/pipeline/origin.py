"""What ``--init`` means: the images themselves, a download, a folder, another run, or nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from noisyclean.base.files import read_json
from noisyclean.errors import UsageError
from noisyclean.pipeline.rundir import read_run

__all__ = ["OWN_BACKBONES", "Origin", "native_size_px", "refuse_unknown_backbone", "resolve_origin"]

OWN_BACKBONES = frozenset(
    {
        *("noisyclean_compact", "noisyclean_compact_64", "noisyclean_preact_resnet18"),
        *("noisyclean_resnet18", "noisyclean_resnet34", "noisyclean_resnet50"),
    }
)
"""Known without asking timm, whose import takes seconds."""

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
        origin = Origin(init=kind, reason=f"{rest}: as asked", backbone=rest.split(".")[0], source=rest)
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


def refuse_unknown_backbone(name: str | None) -> None:
    """Refuse a ``--backbone`` that nobody knows, before any work.

    Raises:
        UsageError: It is neither one of ours nor one of timm's.
    """
    if name is None or name in OWN_BACKBONES:
        return
    from noisyclean.nn import require_backbone

    require_backbone(name)


def native_size_px(origin: Origin) -> int | None:
    """Side of the images the weights learnt from; None where nobody says."""
    if origin.size_px is not None or origin.init != "pretrained":
        return origin.size_px
    import timm

    import noisyclean.nn  # noqa: F401  registers our nets

    known = timm.get_pretrained_cfg(origin.source)
    return None if known is None else int(known.input_size[-1])


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
