"""``noisyclean audit``."""

from pathlib import Path
from typing import Any

import typer

from noisyclean.base.places import require_images
from noisyclean.cli import options
from noisyclean.cli.render import (
    Terminal,
    next_command,
    print_json,
    print_line,
    print_table,
    print_verdict,
    require_passed,
    same_command,
)

__all__ = ["audit", "show_audit"]


def audit(
    context: typer.Context,
    images: options.Images,
    labels: options.Labels = None,
    *,
    out: options.Out,
    preset: options.PresetOption = "standard",
    budget: options.Budget = None,
    init: options.Init = "simclr",
    backbone: options.Backbone = None,
    size: options.Size = None,
    augment: options.Augment = "auto",
    device: options.Device = "auto",
    gpus: options.Gpus = 1,
    seed: options.Seed = 0,
    encoding: options.Encoding = None,
    image_column: options.ImageColumn = None,
    label_column: options.LabelColumn = None,
    group_column: options.GroupColumn = None,
    split_column: options.SplitColumn = None,
    annotator_column: options.AnnotatorColumn = None,
    class_level: options.ClassLevel = None,
    unlabeled: options.Unlabeled = None,
    strip_prefix: options.StripPrefix = None,
    max_bad: options.MaxBad = 0.1,
    fail_above: options.FailAbove = None,
    embeddings: options.Embeddings = None,
    pred_probs: options.PredProbs = None,
    use_unlabelled: options.UseUnlabelled = False,
    reuse: options.Reuse = None,
    cache: options.Cache = None,
    plugin: options.Plugin = [],  # noqa: B006
    config: options.Config = None,
    set: options.Set = [],  # noqa: B006
    dry_run: options.DryRun = False,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Find the mislabelled images, and write what an annotator needs."""
    require_images(images)
    from noisyclean.pipeline.audit import audit as run_audit

    summary = run_audit(
        images,
        labels,
        out=out,
        preset=preset,
        budget=budget,
        init=init,
        backbone=backbone,
        size=size,
        augment=augment,
        device=device,
        gpus=gpus,
        seed=seed,
        encoding=encoding,
        image_column=image_column,
        label_column=label_column,
        group_column=group_column,
        split_column=split_column,
        annotator_column=annotator_column,
        class_level=class_level,
        unlabeled=unlabeled,
        strip_prefix=strip_prefix,
        max_bad=max_bad,
        fail_above=fail_above,
        embeddings=embeddings,
        pred_probs=pred_probs,
        use_unlabelled=use_unlabelled,
        reuse=reuse,
        cache=cache,
        plugin=plugin,
        config=config,
        set=set,
        dry_run=dry_run,
        overwrite=overwrite,
        reporter=Terminal(),
    )
    if dry_run:
        show_estimate(summary)
        next_command(*same_command(context, without="dry_run"))
    else:
        show_audit(summary)
        _show_next(out)
    if as_json:
        print_json(summary)
    if fail_above is not None and not dry_run:
        require_passed(summary, hint=f"{out / 'report.html'} shows them, the worst first.")


def show_audit(summary: dict[str, Any]) -> None:
    """The verdict sentence and the classes with most flags."""
    worst = sorted(summary["classes"], key=lambda row: -row["num_flagged"])[:10]
    print_table(
        "flagged by class",
        [(row["name"], f"{row['num_flagged']:,} of {row['num_images']:,}") for row in worst],
    )
    print_verdict(summary["verdict"])


def _show_next(out: Path) -> None:
    """Where people begin."""
    from noisyclean.pipeline.rundir import read_run

    flagged = read_run(out).flagged()
    print_line(f"open {out / 'report.html'} to review, or {flagged} in a spreadsheet")
    next_command("noisyclean", "review", out, flagged, "--out", "labels.cleaned.csv")


def show_estimate(found: dict[str, Any]) -> None:
    """What a dry run found: counts, and the cost of the plan."""
    cost = found["estimate"]
    rows = [
        ("images", f"{found['num_images']:,}"),
        ("rows that cannot be used", f"{found['num_unusable']:,}"),
        ("classes", f"{len(found['classes']):,}"),
        *((f"time to {name}", f"{seconds / 60:,.1f} min") for name, seconds in cost["seconds"].items()),
        ("memory", f"{cost['peak_memory_bytes'] / 2**30:,.1f} GiB"),
        *((name, f"{size / 2**20:,.1f} MiB") for name, size in cost["output_bytes"].items()),
    ]
    print_table("dry run: nothing was written; times are estimates", rows)
