"""Options that several verbs share, each described once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

INPUT, PLAN, ADVANCED = "Input", "Plan", "Advanced"

Images = Annotated[Path, typer.Argument(help="Folder of the images; never written to.", show_default=False)]
Labels = Annotated[
    Path | None,
    typer.Argument(
        help="CSV, TSV, semicolon, Parquet or xlsx table: a path and a label per image. "
        "Without it: one folder per class.",
        show_default=False,
    ),
]
Out = Annotated[
    Path, typer.Option(help="Run directory; the same command continues what lies there.", show_default=False)
]
Run = Annotated[Path, typer.Argument(help="A finished audit.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout; all else goes to stderr.")]
Seed = Annotated[int, typer.Option(help="Of everything random.", rich_help_panel=PLAN)]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace what an earlier run wrote to --out; edits and verdicts are moved aside."),
]
PresetOption = Annotated[str, typer.Option(help="quick, standard, thorough or paper.", rich_help_panel=PLAN)]
Budget = Annotated[
    str | None,
    typer.Option(
        help="Time for all, 90s, 30m or 1.5h: takes the best preset that fits, as measured here.",
        show_default="none",
        rich_help_panel=PLAN,
    ),
]
Init = Annotated[
    str,
    typer.Option(
        help="What networks start from: simclr or scratch. pretrained:NAME (may download), local-dir:PATH or run:RUN "
        "trains none: features as they are.",
        rich_help_panel=PLAN,
    ),
]
Backbone = Annotated[
    str | None, typer.Option(help="Architecture, a timm name.", rich_help_panel=PLAN, show_default="by device and size")
]
Size = Annotated[
    int | None,
    typer.Option(help="Side in pixels every image is resized to.", rich_help_panel=PLAN, show_default="by the images"),
]
Augment = Annotated[str, typer.Option(help="auto, natural, grey, oriented (no flips) or none.", rich_help_panel=PLAN)]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.", rich_help_panel=PLAN)]
Gpus = Annotated[
    int,
    typer.Option(
        help="Accelerators that train together, a process for each; on a CPU, processes.", rich_help_panel=PLAN
    ),
]
Encoding = Annotated[str | None, typer.Option(help="Of the table.", rich_help_panel=INPUT, show_default="found out")]
ImageColumn = Annotated[
    str | None, typer.Option(help="Column of paths.", rich_help_panel=INPUT, show_default="found by name")
]
LabelColumn = Annotated[
    str | None,
    typer.Option(
        help="Column of labels; a,b,c where each annotator has one.",
        rich_help_panel=INPUT,
        show_default="found by name",
    ),
]
GroupColumn = Annotated[
    str | None,
    typer.Option(
        help="Column of groups (patient, part, burst) whose images never vote for each other.", rich_help_panel=INPUT
    ),
]
SplitColumn = Annotated[str | None, typer.Option(help="Column that says train or test.", rich_help_panel=INPUT)]
AnnotatorColumn = Annotated[
    str | None,
    typer.Option(help="Column that says whose label a row is; the majority counts.", rich_help_panel=INPUT),
]
ClassLevel = Annotated[
    int | None,
    typer.Option(help="Level of folders that names the class; 1 is the top one.", rich_help_panel=INPUT),
]
Unlabeled = Annotated[
    str | None, typer.Option(help="Labels or folders, a,b,c, that mean there is no label.", rich_help_panel=INPUT)
]
UseUnlabelled = Annotated[
    bool,
    typer.Option(
        "--use-unlabelled",
        help="Pre-train on the images that are not listed or have no label too; they are never judged.",
        rich_help_panel=INPUT,
    ),
]
StripPrefix = Annotated[
    str | None, typer.Option(help="Taken off every path of the table.", rich_help_panel=INPUT, show_default=False)
]
Reuse = Annotated[
    Path | None,
    typer.Option(
        help="An earlier run: what it decoded and learned is taken over, reviewed labels are pinned.",
        rich_help_panel=PLAN,
        show_default=False,
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        help="Folder where decoded images are kept and shared between runs.",
        rich_help_panel=ADVANCED,
        show_default="in --out, or NOISYCLEAN_CACHE_DIR",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check the input, print plan and cost, write nothing.")]
MaxBad = Annotated[float, typer.Option(help="Largest share of unusable rows to go on with.", rich_help_panel=INPUT)]
Embeddings = Annotated[
    Path | None,
    typer.Option(
        help="Features of your own: .npz or Parquet with image_path, or .npy in the order of LABELS; none are trained.",
        rich_help_panel=INPUT,
        show_default=False,
    ),
]
PredProbs = Annotated[
    Path | None,
    typer.Option(
        help="Class probabilities of your own, out of sample; files as for --embeddings.",
        rich_help_panel=INPUT,
        show_default=False,
    ),
]
Plugin = Annotated[
    list[Path],
    typer.Option(
        "--plugin",
        help="Python file that adds a signal or a method; may be repeated.",
        rich_help_panel=ADVANCED,
        show_default=False,
    ),
]
Config = Annotated[
    Path | None, typer.Option(help="TOML file of stage settings.", rich_help_panel=ADVANCED, show_default=False)
]
Set = Annotated[
    list[str],
    typer.Option(
        "--set", help="One setting, stage.key=value; may be repeated.", rich_help_panel=ADVANCED, show_default=False
    ),
]
