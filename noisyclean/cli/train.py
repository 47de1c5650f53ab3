"""``noisyclean train``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from noisyclean.base.places import require_images
from noisyclean.cli import options
from noisyclean.cli.audit import show_estimate
from noisyclean.cli.render import (
    Terminal,
    console,
    next_command,
    print_json,
    print_line,
    print_table,
    print_verdict,
    same_command,
)

__all__ = ["train"]

Method = Annotated[
    str | None,
    typer.Option(
        help="dividemix, elr-plus, moit, moit-plus, label-refinery, cross-entropy or mixmatch-oracle (needs --truth).",
        show_default="dividemix; label-refinery for --preset quick on a CPU",
    ),
]
StartFrom = Annotated[
    str,
    typer.Option(
        help="Start of the networks: simclr, scratch, pretrained:NAME (may download), local-dir:PATH or run:RUN.",
        rich_help_panel=options.PLAN,
    ),
]
Test = Annotated[
    Path | None,
    typer.Option(help="Table of test images with clean labels; never trained on.", show_default=False),
]
Truth = Annotated[
    Path | None,
    typer.Option(
        help="Table of true labels of the training images, for mixmatch-oracle and to measure detection.",
        show_default=False,
    ),
]
Compare = Annotated[
    bool,
    typer.Option(
        "--compare",
        help="Also train cross-entropy on all, on the pruned and on the relabelled set, and say who wins.",
    ),
]
TensorBoard = Annotated[
    bool,
    typer.Option("--tensorboard", help="Also write the curves for TensorBoard.", rich_help_panel=options.ADVANCED),
]


def train(
    context: typer.Context,
    images: options.Images,
    labels: options.Labels = None,
    *,
    out: options.Out,
    method: Method = None,
    init: StartFrom = "simclr",
    test: Test = None,
    truth: Truth = None,
    compare: Compare = False,
    preset: options.PresetOption = "standard",
    budget: options.Budget = None,
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
    use_unlabelled: options.UseUnlabelled = False,
    reuse: options.Reuse = None,
    cache: options.Cache = None,
    tensorboard: TensorBoard = False,
    plugin: options.Plugin = [],  # noqa: B006
    config: options.Config = None,
    set: options.Set = [],  # noqa: B006
    dry_run: options.DryRun = False,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
) -> None:
    """Train a classifier that the noise does not spoil."""
    require_images(images)
    from noisyclean.pipeline.train import train as run_train

    summary = run_train(
        images,
        labels,
        out=out,
        method=method,
        init=init,
        test=test,
        truth=truth,
        compare=compare,
        preset=preset,
        budget=budget,
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
        use_unlabelled=use_unlabelled,
        reuse=reuse,
        cache=cache,
        tensorboard=tensorboard,
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
        _show(summary, out)
        next_command("noisyclean", "predict", out / "model", images, "--out", "predictions.csv")
    if as_json:
        print_json(summary)


def _show(summary: dict[str, Any], out: Path) -> None:
    """The figures, the comparison and the verdict sentence, and where to look."""
    test = summary["test"] or {}
    figures = ("accuracy", "selected_accuracy", "flip_averaged_accuracy", "all_nets_accuracy", "ece")
    rows = [(f"test {name.replace('_', ' ')}", f"{test[name]:.4f}") for name in figures if test.get(name) is not None]
    rows += [(name.replace("_", " "), f"{value:.4f}") for name, value in (summary["detection"] or {}).items() if value]
    if rows:
        print_table(summary["method"], rows)
    if summary["comparison"]:
        print_table(
            "at one budget, from one start",
            [(row["name"], f"{row['test_accuracy']:.4f}") for row in summary["comparison"]["rows"]],
        )
        console.print(summary["comparison"]["verdict"], markup=False)
    print_verdict(summary["verdict"])
    print_line(f"{summary['num_flagged']:,} labels are flagged in {out / summary['scores']}")
    print_line(f"open {out / 'report.html'} for the curves; the model is in {out / 'model'}")
