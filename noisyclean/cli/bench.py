"""``noisyclean bench``: one command for each protocol."""

from pathlib import Path
from typing import Annotated, Any

import typer

from noisyclean.cli import options
from noisyclean.cli.render import Terminal, next_command, print_json, print_line, print_table

__all__ = ["speed", "training"]

Data = Annotated[
    Path | None,
    typer.Option(help="Folder with images/, labels.csv and truth.csv, or just of pictures.", show_default="generated"),
]
Rows = Annotated[
    list[str], typer.Option(help="Rows to measure, such as decode,simclr; may be repeated.", show_default="all rows")
]
Against = Annotated[Path | None, typer.Option(help="Earlier output of --json to compare with.", show_default=False)]
Plot = Annotated[
    Path | None, typer.Option(help="Also draw the ratios into this .svg, .png or .pdf file.", show_default=False)
]
Repeats = Annotated[int, typer.Option(help="How often each side is timed; the median counts.", min=1)]
Compile = Annotated[
    bool, typer.Option("--compile", help="Compile our training passes first (torch.compile), outside the clock.")
]
Tiny = Annotated[bool, typer.Option("--tiny", help="Do hardly any work: shows that it runs, measures nothing.")]


Only = Annotated[
    list[str],
    typer.Option(help="Trainings to run, such as cross-entropy,moit; may be repeated.", show_default="all"),
]
OutFolder = Annotated[Path, typer.Option(help="Folder of the runs. The same command continues.", show_default=False)]
OwnImages = Annotated[
    Path | None, typer.Option(help="Your own images; needs --labels, --truth and --test.", show_default="digits")
]
NoisyLabels = Annotated[Path | None, typer.Option(help="Table of their noisy labels.", show_default=False)]
TrueLabels = Annotated[Path | None, typer.Option(help="Table of their true labels.", show_default=False)]
TestTable = Annotated[Path | None, typer.Option(help="Table of test images with true labels.", show_default=False)]
Seeds = Annotated[str, typer.Option(help="Seeds to repeat each training with.")]
Noise = Annotated[str, typer.Option(help="Noise to put into the digits.")]


def speed(
    *,
    data: Data = None,
    only: Rows = [],  # noqa: B006
    against: Against = None,
    plot: Plot = None,
    repeats: Repeats = 5,
    device: options.Device = "auto",
    compile: Compile = False,
    tiny: Tiny = False,
    as_json: options.Json = False,
) -> None:
    """Every stage against other software, in one sitting."""
    from noisyclean.bench.protocols import bench_speed
    from noisyclean.bench.table import draw_rows

    table = bench_speed(
        data=data,
        only=_names(*only),
        against=against,
        device=device,
        repeats=repeats,
        compile=compile,
        tiny=tiny,
        reporter=Terminal(),
    )
    print_table("speed: ours / peer", [(row["name"], _words(row)) for row in table["rows"]])
    if plot is not None:
        print_line(f"drawn: {draw_rows(table, plot)}")
    next_command("noisyclean", "doctor")
    if as_json:
        print_json(table)


def training(
    *,
    out: OutFolder,
    images: OwnImages = None,
    labels: NoisyLabels = None,
    truth: TrueLabels = None,
    test: TestTable = None,
    only: Only = [],  # noqa: B006
    seeds: Seeds = "0,1,2",
    noise: Noise = "symmetric,asymmetric",
    preset: options.PresetOption = "quick",
    set: options.Set = [],  # noqa: B006
    device: options.Device = "auto",
    as_json: options.Json = False,
) -> None:
    """Every training method at one budget, on several seeds; prints a Markdown table."""
    from noisyclean.bench.training import bench_training
    from noisyclean.errors import UsageError

    numbers = _names(seeds)
    if not numbers or not all(number.isdigit() for number in numbers):
        raise UsageError(f"--seeds {seeds}: must be numbers, such as 0,1,2")
    result = bench_training(
        out=out,
        images=images,
        labels=labels,
        truth=truth,
        test=test,
        only=_names(*only),
        seeds=[int(number) for number in numbers],
        noise=_names(noise),
        preset=preset,
        set=set,
        device=device,
        reporter=Terminal(),
    )
    print_line(result["table"])
    next_command("noisyclean", "train", "IMAGES", "LABELS.csv", "--out", "RUN", "--preset", preset)
    if as_json:
        print_json(result)


def _names(*texts: str) -> list[str]:
    return [name.strip() for text in texts for name in text.split(",") if name.strip()]


def _words(row: dict[str, Any]) -> str:
    """One row: ratio, both rates, what bounds it."""
    if row["ratio"] is None:
        return f"{row['peer_name']}: {row['note']}"
    text = f"{row['ratio']:.2f}  ({row['ours']:,.0f} against {row['peer']:,.0f} {row['unit']}, {row['peer_name']})"
    if row["ratio_alike"] is not None:
        text += f"; {row['ratio_alike']:.2f} like for like"
    if row["of_limit"] is not None:
        text += f"; {row['of_limit']:.0%} of the {row['bound']} peak"
    if row.get("against", {}).get("ours"):
        text += f"; {row['against']['ours']:.2f} times as fast as before"
    return f"{text}; {row['note']}" if row["note"] else text
