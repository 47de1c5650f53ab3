"""``noisyclean audit``."""

from __future__ import annotations

from typing import Any

from noisyclean.cli import options
from noisyclean.cli.render import Terminal, console, next_command, print_json, print_table

__all__ = ["audit", "show_audit"]


def audit(
    images: options.Images,
    labels: options.Labels = None,
    *,
    out: options.Out,
    preset: options.PresetOption = "standard",
    init: options.Init = "simclr",
    backbone: options.Backbone = None,
    size: options.Size = None,
    augment: options.Augment = "auto",
    device: options.Device = "auto",
    seed: options.Seed = 0,
    encoding: options.Encoding = None,
    image_column: options.ImageColumn = None,
    label_column: options.LabelColumn = None,
    group_column: options.GroupColumn = None,
    split_column: options.SplitColumn = None,
    max_bad: options.MaxBad = 0.1,
    config: options.Config = None,
    set: options.Set = [],  # noqa: B006
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Find the mislabelled images, and write what an annotator needs."""
    from noisyclean.pipeline.audit import audit as run_audit

    summary = run_audit(
        images,
        labels,
        out=out,
        preset=preset,
        init=init,
        backbone=backbone,
        size=size,
        augment=augment,
        device=device,
        seed=seed,
        encoding=encoding,
        image_column=image_column,
        label_column=label_column,
        group_column=group_column,
        split_column=split_column,
        max_bad=max_bad,
        config=config,
        set=set,
        overwrite=overwrite,
        reporter=Terminal(),
    )
    show_audit(summary)
    console.print(f"open {out / 'report.html'} to review, or {out / 'flagged.csv'} in a spreadsheet", markup=False)
    next_command("noisyclean", "evaluate", out, "--truth", "TRUTH.csv")
    if as_json:
        print_json(summary)


def show_audit(summary: dict[str, Any]) -> None:
    """The verdict sentence and the classes with most flags."""
    worst = sorted(summary["classes"], key=lambda row: -row["num_flagged"])[:10]
    print_table(
        "flagged by class",
        [(row["name"], f"{row['num_flagged']:,} of {row['num_images']:,}") for row in worst],
    )
    console.print(summary["verdict"], style="bold", markup=False)
