"""Delimited text (CSV, TSV, semicolons): records in and out, and the same text with some cells changed."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from noisyclean.errors import DataError

__all__ = ["Layout", "find_layout", "read_records", "replace_cells", "write_records"]

DELIMITERS = (",", ";", "\t", "|")
SNIFFED_CHARACTERS = 65_536
HINT = "Quote fields that contain the separator, a quote or a line break, and double the quotes inside them."


@dataclass(frozen=True)
class Layout:
    """How the records of a text are separated."""

    delimiter: str
    num_leading: int = 0
    """Records before the header: Excel's ``sep=;`` line."""


def find_layout(text: str) -> Layout:
    """The separator that cuts the first records into most equal pieces; a ``sep=`` line says it outright."""
    sample = text[:SNIFFED_CHARACTERS]
    first = next(_lines(sample), "").rstrip("\r\n")
    if first.lower().startswith("sep=") and len(first) == 5:
        return Layout(first[4], 1)

    def fitness(delimiter: str) -> tuple[bool, float, int]:
        widths: list[int] = []
        try:
            widths = [len(record) for record in csv.reader(_lines(sample), delimiter=delimiter) if record]
        except csv.Error:
            return False, 0.0, 0
        if len(sample) < len(text):
            widths = widths[:-1] or widths
        header = widths[0] if widths else 0
        return header > 1, sum(width == header for width in widths) / max(len(widths), 1), header

    return Layout(max(DELIMITERS, key=fitness))


def read_records(text: str, layout: Layout, path: Path) -> list[list[str]]:
    """All records from the header on, as they stand: blank ones are empty lists.

    Raises:
        DataError: A quoted field is not closed, or text follows its closing quote.
    """
    reader = csv.reader(_lines(text), delimiter=layout.delimiter, strict=True)
    try:
        return list(itertools.islice(reader, layout.num_leading, None))
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num}: {error}", hint=HINT) from error


def write_records(records: Iterable[Iterable[object]], delimiter: str = ",") -> str:
    """Records as text with one newline style, so that equal tables are equal files."""
    written = _Written()
    csv.writer(written, delimiter=delimiter, lineterminator=_Written.END).writerows(records)
    return "".join(written.lines)


def replace_cells(text: str, layout: Layout, changes: Mapping[int, Mapping[int, str]]) -> str:
    """The same text with some cells changed; all other characters stay as they are, quotes and line ends too.

    Args:
        text: Delimited text that :func:`read_records` can read.
        layout: Its layout.
        changes: New cells as ``{row: {column: cell}}``; row 1 is the header, column 0 the first.
    """
    parts: list[str] = []
    for row, raw in enumerate(_raw_records(text, layout), start=1 - layout.num_leading):
        parts.append(_with_cells(raw, layout.delimiter, changes[row]) if row in changes else raw)
    return "".join(parts)


class _Written:
    """Takes records from the csv module, which quotes only those line ends that it writes itself, and ends them."""

    END = "\r\n"

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, record: str) -> None:
        self.lines.append(record.removesuffix(self.END) + "\n")


def _lines(text: str) -> Iterator[str]:
    """Lines as the csv module counts them, line ends untouched."""
    return iter(io.StringIO(text, newline=""))


def _raw_records(text: str, layout: Layout) -> Iterator[str]:
    """The text of each record, its line end included."""
    taken: list[str] = []

    def watched() -> Iterator[str]:
        for line in _lines(text):
            taken.append(line)
            yield line

    for _ in csv.reader(watched(), delimiter=layout.delimiter, strict=True):
        yield "".join(taken)
        taken.clear()


def _with_cells(raw: str, delimiter: str, cells: Mapping[int, str]) -> str:
    body = raw.rstrip("\r\n")
    pieces = _split_raw(body, delimiter)
    pieces += [""] * (max(cells) + 1 - len(pieces))  # Excel leaves out empty cells at the end of a row
    for column, cell in cells.items():
        was_quoted = pieces[column].startswith('"')
        pieces[column] = _quoted(cell) if was_quoted or _needs_quotes(cell, delimiter) else cell
    return delimiter.join(pieces) + raw[len(body) :]


def _split_raw(body: str, delimiter: str) -> list[str]:
    """Cut a record at its separators, quotes kept."""
    pieces: list[str] = []
    start, is_quoted = 0, False
    for position, character in enumerate(body):
        if character == '"' and body[start] == '"':
            is_quoted = not is_quoted
        elif character == delimiter and not is_quoted:
            pieces.append(body[start:position])
            start = position + 1
    return [*pieces, body[start:]]


def _needs_quotes(cell: str, delimiter: str) -> bool:
    return any(mark in cell for mark in (delimiter, '"', "\r", "\n"))


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"'
