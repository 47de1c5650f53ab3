"""``export``: hand a finished run's results over in another form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from noisyclean.base.files import refuse_place
from noisyclean.base.log import Reporter, Silent
from noisyclean.errors import UsageError
from noisyclean.export.labelstudio import labelstudio_files, write_labelstudio
from noisyclean.export.sorting import clear_sorting, write_sorting
from noisyclean.export.subset import Subset
from noisyclean.export.workbook import write_workbook
from noisyclean.pipeline.finished import open_finished
from noisyclean.pipeline.rundir import refuse_inside
from noisyclean.pipeline.subset import flagged_subset

__all__ = ["export"]

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class _Form:
    """One form the flagged images are handed over in."""

    place: str
    """Where to by default, below the run."""
    write: Callable[[Subset, Path, Reporter], dict[str, Any]]
    files: Callable[[Path], list[Path]] | None
    """What is written at a place; None where ``clear_sorting`` makes room."""


FORMS = {
    "labelstudio": _Form("labelstudio", write_labelstudio, labelstudio_files),
    "folders": _Form("to-sort", write_sorting, None),
    "xlsx": _Form("flagged.xlsx", write_workbook, lambda out: [out]),
}
ONNX = "onnx"


def export(
    run: str | Path,
    *,
    to: str,
    out: str | Path | None = None,
    overwrite: bool = False,
    reporter: Reporter | None = None,
) -> dict[str, Any]:
    """Hand over the flagged images of an audit, or a model.

    Args:
        run: A finished audit; for ``onnx`` any finished run, or a model folder.
        to: ``labelstudio`` (tasks with predictions, and the labelling interface), ``folders`` (links to sort by hand),
            ``xlsx`` (a workbook with thumbnails) or ``onnx`` (the model).
        out: Where to; by default ``RUN/labelstudio/``, ``RUN/to-sort/``, ``RUN/flagged.xlsx``, or ``model.onnx`` beside
            the model.
        overwrite: Replace what an earlier export wrote there.
        reporter: Hears about messages and progress.

    Returns:
        ``to``, ``path``, and ``num_images`` or, for ``onnx``, ``largest_difference`` of a logit from torch's.

    Raises:
        UsageError: An unknown form, nothing to export, or ``out`` is there already or inside the images folder.
        EnvironmentProblem: The extra of this form is not installed.
    """
    folder, reporter = Path(run), reporter or Silent()
    if to == ONNX:
        return {"schema_version": SCHEMA_VERSION, "to": to, **_export_model(folder, out, overwrite=overwrite)}
    if to not in FORMS:
        raise UsageError(f"--to {to}: unknown", hint=f"Choose one of {', '.join([*FORMS, ONNX])}.")
    form = FORMS[to]
    finished = open_finished(folder)
    path = Path(out) if out else folder / form.place
    refuse_place(path, is_folder=form.files is None or path not in form.files(path))
    refuse_inside(finished.images, path)
    subset = flagged_subset(finished)
    if form.files is None:
        clear_sorting(path, overwrite=overwrite)
    else:
        _refuse_existing(form.files(path), overwrite=overwrite)
    if not subset.flagged:
        reporter.warn(f"{folder}: no image is flagged, so there is nothing to review")
    written = form.write(subset, path, reporter)
    return {"schema_version": SCHEMA_VERSION, "to": to, "path": str(path), **written}


def _export_model(folder: Path, out: str | Path | None, *, overwrite: bool) -> dict[str, Any]:
    from noisyclean.export.onnx import export_onnx

    model = folder / "model" if (folder / "model" / "config.json").is_file() else folder
    path = Path(out) if out else model / "model.onnx"
    refuse_place(path)
    _refuse_existing([path], overwrite=overwrite)
    return {"path": str(path), **export_onnx(model, path)}


def _refuse_existing(files: list[Path], *, overwrite: bool) -> None:
    there = next((file for file in files if file.exists()), None)
    if there is not None and (not overwrite or there.is_dir()):
        raise UsageError(
            f"{there}: is there already", hint="Name another --out, or add --overwrite to replace what is there."
        )
