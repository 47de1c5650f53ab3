"""Label tables as people have them: kind, encoding and separator found out, every cell kept as text."""

from __future__ import annotations

import itertools
import re
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from noisyclean.data.delimited import HINT, Layout, find_layout, read_records
from noisyclean.data.encodings import Encoding, decode_text
from noisyclean.errors import DataError
from noisyclean.types import IntArray

__all__ = ["Kind", "TextTable", "read_table", "table_kind"]

Kind = Literal["text", "parquet", "xlsx"]

SAMPLE = 1_000
"""Cells of a column looked at to see whether they repeat."""
MAGIC = {b"PAR1": "parquet", b"PK\x03\x04": "zip", b"\xd0\xcf\x11\xe0": "xls", b"\x1f\x8b": "gzip"}
IMAGE_MAGIC = {
    "JPEG": re.compile(rb"\xff\xd8\xff"),
    "PNG": re.compile(rb"\x89PNG"),
    "GIF": re.compile(rb"GIF8[79]a"),
    "BMP": re.compile(rb"BM.{4}\0{4}", re.DOTALL),
    "TIFF": re.compile(rb"II[*+]\0|MM\0[*+]"),
    "WebP": re.compile(rb"RIFF.{4}WEBP", re.DOTALL),
    "AVIF or HEIC": re.compile(rb".{4}ftyp(avi|hei|hev|mif|msf)", re.DOTALL),
    "PGM or PPM": re.compile(rb"P[56]\s+\d+\s+\d+\s"),
}
"""How files begin that are images."""
START_BYTES = 32
REFUSED = {
    "zip": "is a zip archive or a spreadsheet of another kind than .xlsx",
    "xls": "is a spreadsheet of the old .xls kind",
    "gzip": "is compressed",
}


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """A table of text cells and how it was read, so that it can be written back the same way."""

    frame: pd.DataFrame
    """Blank rows left out."""
    path: Path
    row_N: IntArray
    """Number of each row as a spreadsheet counts, the header being row 1."""
    kind: Kind | Literal["folders"] = "text"
    encoding: Encoding = field(default_factory=lambda: Encoding("utf-8"))
    layout: Layout = field(default_factory=lambda: Layout(","))
    blank_rows: tuple[int, ...] = ()
    """Rows between others that hold nothing."""
    num_pathless: int = 0
    """Rows that were taken out because they name no image."""
    notes: tuple[str, ...] = ()
    """What was noticed while reading."""

    @property
    def delimiter(self) -> str:
        """What separates the cells."""
        return self.layout.delimiter

    @property
    def description(self) -> str:
        """What was chosen, in words."""
        rows = f"{self.path.name}: {len(self.frame) + self.num_pathless:,} rows"
        if self.kind == "folders":
            return f"{self.path.name}: {len(self.frame):,} images in folders"
        if self.kind != "text":
            return f"{rows}, {self.kind}"
        delimiter = {"\t": "tab"}.get(self.delimiter, f"'{self.delimiter}'")
        return f"{rows}, {self.encoding}, separated by {delimiter}"


def read_table(path: Path, *, encoding: str | None = None) -> TextTable:
    """Read a table; every cell is text, "NA" and "" too.

    Args:
        path: CSV, TSV or semicolon text, Parquet, or xlsx.
        encoding: Of text; found out by default.

    Raises:
        DataError: No such file, undecodable text, no rows, or a row with more cells than the header.
        UsageError: There is no such encoding.
        EnvironmentProblem: The extra that reads this kind is not installed.
    """
    kind = table_kind(path)
    if kind != "text":
        from noisyclean.data.sheets import read_sheet

        records, notes = read_sheet(path, kind)
        return _assemble(records, path, TextTable(frame=pd.DataFrame(), path=path, row_N=_no_rows(), kind=kind), notes)
    text, used = decode_text(path.read_bytes(), path, encoding)
    layout = find_layout(text)
    records = read_records(text, layout, path)
    empty = TextTable(frame=pd.DataFrame(), path=path, row_N=_no_rows(), encoding=used, layout=layout)
    return _assemble(records, path, empty, [])


def table_kind(path: Path) -> Kind:
    """What kind of table a file is, by its first bytes.

    Raises:
        DataError: It cannot be read, is no regular file, or is of a kind that is not read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise DataError(f"{path}: is not a regular file", hint="LABELS is a table of paths and labels.")
        with path.open("rb") as file:
            start = file.read(START_BYTES)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})", hint="Check the path of the table.") from error
    found = next((name for magic, name in MAGIC.items() if start.startswith(magic)), "text")
    if found == "zip" and path.suffix.lower() in (".xlsx", ".xlsm"):
        return "xlsx"
    image = next((name for name, magic in IMAGE_MAGIC.items() if magic.match(start)), None)
    if image is not None:
        raise DataError(
            f"{path}: is an image ({image}), not a table of images",
            hint="Give a table of paths, or the folder of images alone.",
        )
    if found in REFUSED:
        raise DataError(f"{path}: {REFUSED[found]}", hint="Save it as CSV, .xlsx or Parquet.")
    return "parquet" if found == "parquet" else "text"


def _assemble(records: list[list[str]], path: Path, empty: TextTable, notes: list[str]) -> TextTable:
    """The table of these records, the first one that is not blank being the header."""
    top = next((index for index, record in enumerate(records) if any(cell.strip() for cell in record)), None)
    if top is None:
        raise DataError(f"{path}: is empty", hint="It needs a header and one row for each image.")
    body = records[top + 1 :]
    names, renamed = _unique_names(_without_empty_end(records[top], body))
    is_blank = [not any(cell and not cell.isspace() for cell in record) for record in body]
    numbers = np.arange(top + 2, top + 2 + len(body), dtype=np.int64)
    blank_N = np.asarray(is_blank, dtype=bool)
    kept = [record for record, blank in zip(body, is_blank, strict=True) if not blank]
    row_N = numbers[~blank_N]
    if not kept:
        raise DataError(f"{path}: has no rows", hint="It needs a header and one row for each image.")
    _level(kept, len(names), row_N, path)
    columns = map(_shared, zip(*kept, strict=True))
    frame = pd.DataFrame({name: pd.Series(cells, dtype=object) for name, cells in zip(names, columns, strict=True)})
    return TextTable(
        frame=frame,
        path=path,
        row_N=row_N,
        kind=empty.kind,
        encoding=empty.encoding,
        layout=empty.layout,
        blank_rows=tuple(numbers[blank_N & (numbers < row_N[-1])].tolist()),
        notes=(*notes, *renamed),
    )


def _shared(cells: Sequence[str]) -> Sequence[str]:
    """The same cells, equal ones held in memory once where a look at the first says that they repeat."""
    if 2 * len(set(cells[:SAMPLE])) > len(cells[:SAMPLE]):
        return cells
    known: dict[str, str] = {}
    return [known.setdefault(cell, cell) for cell in cells]


def _level(records: list[list[str]], width: int, row_N: IntArray, path: Path) -> None:
    """Give every record the header's width: spreadsheets leave out empty cells at the end, or add some."""
    for index, record in enumerate(records):
        if len(record) == width:
            continue
        if any(cell.strip() for cell in record[width:]):
            raise DataError(
                f"{path}: row {row_N[index]} has {len(record)} cells, the header has {width}: {record[width]!r}",
                hint=HINT,
            )
        records[index] = (record + [""] * width)[:width]


def _without_empty_end(header: list[str], body: list[list[str]]) -> list[str]:
    """The header without columns at its end that have neither a name nor a cell."""
    width = len(header)
    while not header[width - 1].strip() and not any(
        record[width - 1 :] and record[width - 1].strip() for record in body
    ):
        width -= 1
    return header[:width]


def _unique_names(header: list[str]) -> tuple[list[str], list[str]]:
    """Column names made different; nameless ones get their number."""
    names = [cell.strip() or f"column {position}" for position, cell in enumerate(header, start=1)]
    taken = set(names)
    unique: dict[str, None] = {}
    for name in names:
        free = name
        if name in unique:
            free = next(other for number in itertools.count(2) if (other := f"{name} ({number})") not in taken)
            taken.add(free)
        unique[free] = None
    doubled = [name for name, count in Counter(names).items() if count > 1]
    return list(unique), [f"column {name!r} is there more than once: the first is used" for name in doubled]


def _no_rows() -> IntArray:
    return np.empty(0, dtype=np.int64)
