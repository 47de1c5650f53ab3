"""Label tables as people have them: encoding and delimiter found, every cell kept as text."""

from __future__ import annotations

import codecs
import csv
import io
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from noisyclean.errors import DataError

__all__ = ["TextTable", "read_table"]

DELIMITERS = (",", ";", "\t", "|")
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """A table of text cells and how it was read, so that it can be written back the same way."""

    frame: pd.DataFrame
    path: Path
    encoding: str
    delimiter: str

    @property
    def description(self) -> str:
        """What was chosen, in words."""
        delimiter = {"\t": "tab"}.get(self.delimiter, f"'{self.delimiter}'")
        return f"{self.path.name}: {len(self.frame):,} rows, {self.encoding}, separated by {delimiter}"


def read_table(path: Path, *, encoding: str | None = None) -> TextTable:
    """Read a CSV, TSV or semicolon table; every cell is text, "NA" and "" too.

    Args:
        path: The table.
        encoding: Its encoding; found out by default.

    Raises:
        DataError: No such file, undecodable text, no rows, or rows of different lengths.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})", hint="Check the path of LABELS.") from error
    text, used = _decode(raw, path, encoding)
    delimiter = _find_delimiter(text)
    frame = _parse(text, delimiter, path)
    if frame.empty:
        raise DataError(f"{path}: has no rows", hint="It needs a header and one row for each image.")
    return TextTable(frame=frame, path=path, encoding=used, delimiter=delimiter)


def _decode(raw: bytes, path: Path, encoding: str | None) -> tuple[str, str]:
    if encoding is not None:
        candidates = [encoding]
    else:
        marked = [name for mark, name in BYTE_ORDER_MARKS if raw.startswith(mark)]
        candidates = marked or ["utf-8", "cp1252"]
    for candidate in candidates:
        try:
            text = raw.decode(candidate)
        except (UnicodeDecodeError, LookupError):
            continue
        if "\0" not in text:
            return text, candidate
    raise DataError(
        f"{path}: the text is not {' or '.join(candidates)}",
        hint="Name its encoding, for instance --encoding latin-1, or save it as UTF-8.",
    )


def _find_delimiter(text: str) -> str:
    """The candidate that splits the header into most columns."""
    header = next(iter(text.splitlines()), "")

    def num_columns(delimiter: str) -> int:
        return len(next(csv.reader([header], delimiter=delimiter), []))

    return max(DELIMITERS, key=num_columns)


def _parse(text: str, delimiter: str, path: Path) -> pd.DataFrame:
    try:
        frame = pd.read_csv(
            io.StringIO(text), sep=delimiter, dtype=str, keep_default_na=False, na_filter=False, index_col=False
        )
    except pd.errors.EmptyDataError as error:
        raise DataError(f"{path}: is empty", hint="It needs a header and one row for each image.") from error
    except pd.errors.ParserError as error:
        reason = " ".join(str(error).replace("Error tokenizing data. C error:", "").split())
        raise DataError(f"{path}: {reason}", hint="Quote fields that contain the separator.") from error
    return frame.fillna("").astype(object)
