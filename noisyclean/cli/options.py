"""Options that several verbs share, each described once."""

from pathlib import Path
from typing import Annotated

import typer

INPUT, PLAN, ADVANCED = "Input", "Plan", "Advanced"

Images = Annotated[Path, typer.Argument(help="Folder of the images; never written to.", show_default=False)]
Labels = Annotated[
    Path | None,
    typer.Argument(
        help="Table with a path and a label for each image: CSV, TSV, semicolons, Parquet or xlsx. "
        "Without it, IMAGES holds one folder per class.",
        show_default=False,
    ),
]
Out = Annotated[
    Path, typer.Option(help="Run directory. The same command continues an interrupted run.", show_default=False)
]
Run = Annotated[Path, typer.Argument(help="A finished audit.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout; all else goes to stderr.")]
Seed = Annotated[int, typer.Option(help="Seed of all random choices.", rich_help_panel=PLAN)]
Overwrite = Annotated[
    bool,
    typer.Option("--overwrite", help="Replace what an earlier run wrote to --out; edits and verdicts are moved aside."),
]
PresetOption = Annotated[
    str,
    typer.Option(help="How much work to do: quick, standard, thorough or paper (as published).", rich_help_panel=PLAN),
]
Budget = Annotated[
    str | None,
    typer.Option(
        help="Time for everything, such as 90s, 30m or 1.5h: takes the best preset that fits on this machine.",
        show_default="none",
        rich_help_panel=PLAN,
    ),
]
Init = Annotated[
    str,
    typer.Option(
        help="Start of the networks: simclr or scratch. With pretrained:NAME (may download), local-dir:PATH or run:RUN "
        "no network is trained; the features of that one are used as they are.",
        rich_help_panel=PLAN,
    ),
]
Backbone = Annotated[
    str | None,
    typer.Option(
        help="Architecture of the networks: a timm name.", rich_help_panel=PLAN, show_default="by device and size"
    ),
]
Size = Annotated[
    int | None,
    typer.Option(help="Side in pixels every image is resized to.", rich_help_panel=PLAN, show_default="by the images"),
]
Augment = Annotated[
    str,
    typer.Option(
        help="Random views to train on: auto, natural, grey (no colour), oriented (no flips) or none.",
        rich_help_panel=PLAN,
    ),
]
Device = Annotated[str, typer.Option(help="Where to compute: auto, cpu, cuda; predict: mps too.", rich_help_panel=PLAN)]
Gpus = Annotated[
    int,
    typer.Option(
        help="Number of GPUs that train together, one process each; on a CPU, the number of processes. "
        "`train` shares SimCLR alone.",
        rich_help_panel=PLAN,
    ),
]
Encoding = Annotated[
    str | None, typer.Option(help="Encoding of the table.", rich_help_panel=INPUT, show_default="found out")
]
ImageColumn = Annotated[
    str | None, typer.Option(help="Column of paths.", rich_help_panel=INPUT, show_default="found by name")
]
LabelColumn = Annotated[
    str | None,
    typer.Option(
        help="Column of labels, or several (a,b,c) where each annotator has one.",
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
SplitColumn = Annotated[
    str | None, typer.Option(help="Column with the split, such as train or test.", rich_help_panel=INPUT)
]
AnnotatorColumn = Annotated[
    str | None,
    typer.Option(
        help="Column that names the annotator, where rows repeat; the majority is the label.", rich_help_panel=INPUT
    ),
]
ClassLevel = Annotated[
    int | None,
    typer.Option(help="Depth of the folders that name the class; 1 is directly below IMAGES.", rich_help_panel=INPUT),
]
Unlabeled = Annotated[
    str | None, typer.Option(help="Labels or folders (a,b,c) whose images count as unlabelled.", rich_help_panel=INPUT)
]
UseUnlabelled = Annotated[
    bool,
    typer.Option(
        "--use-unlabelled",
        help="Pre-train also on images that are not listed or have no label; they are never judged.",
        rich_help_panel=INPUT,
    ),
]
StripPrefix = Annotated[
    str | None,
    typer.Option(
        help="Text to take off the front of every path in the table.", rich_help_panel=INPUT, show_default=False
    ),
]
Reuse = Annotated[
    Path | None,
    typer.Option(
        help="Earlier audit to take decoded images, pre-training and verdicts from (audit: its training too), "
        "where still valid.",
        rich_help_panel=PLAN,
        show_default=False,
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option(
        help="Folder that keeps decoded images and shares them between runs.",
        rich_help_panel=ADVANCED,
        show_default="in --out, or NOISYCLEAN_CACHE_DIR",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Check the input, print the plan and what it would cost, and write nothing.")
]
MaxBad = Annotated[
    float, typer.Option(help="Stop if more than this share of the rows cannot be used.", rich_help_panel=INPUT)
]
FailAbove = Annotated[
    float | None,
    typer.Option(
        help="End with exit code 5 if more than this share of the labels is estimated to be wrong.",
        show_default=False,
        rich_help_panel=INPUT,
    ),
]
Embeddings = Annotated[
    Path | None,
    typer.Option(
        help="Your own features, instead of training: .npz or Parquet with image_path, or .npy in the order of LABELS.",
        rich_help_panel=INPUT,
        show_default=False,
    ),
]
PredProbs = Annotated[
    Path | None,
    typer.Option(
        help="Your own out-of-sample class probabilities; file formats as for --embeddings.",
        rich_help_panel=INPUT,
        show_default=False,
    ),
]
Plugin = Annotated[
    list[Path],
    typer.Option(
        "--plugin",
        help="Python file that adds a signal or a method. Repeatable.",
        rich_help_panel=ADVANCED,
        show_default=False,
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(help="TOML file of settings, a section for each stage.", rich_help_panel=ADVANCED, show_default=False),
]
Set = Annotated[
    list[str],
    typer.Option(
        "--set",
        help="One setting, stage.key=value, such as probe.epochs=10. Repeatable.",
        rich_help_panel=ADVANCED,
        show_default=False,
    ),
]
