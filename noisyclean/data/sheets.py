"""Parquet files and Excel sheets as records of text cells, and back; each needs its extra."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from noisyclean.errors import DataError, EnvironmentProblem, UsageError

__all__ = ["nested_columns", "read_sheet", "replace_sheet_cells"]

MACROS = "xl/vbaProject.bin"
"""Part of an Excel file."""


def read_sheet(path: Path, kind: str) -> tuple[list[list[str]], list[str]]:
    """All rows of a Parquet file or of an Excel file's first sheet, the header first, and what was noticed.

    Raises:
        DataError: The file is damaged.
        EnvironmentProblem: The extra is not installed.
    """
    try:
        return _read_parquet(path) if kind == "parquet" else _read_xlsx(path)
    except ImportError as error:
        raise _missing_extra(path, kind) from error


def nested_columns(path: Path) -> dict[str, str]:
    """Columns of a Parquet file whose values are no single texts or numbers, and what they are."""
    import pyarrow as pa
    from pyarrow import parquet

    return {field.name: str(field.type) for field in parquet.read_schema(path) if _is_nested(pa, field.type)}


def replace_sheet_cells(
    path: Path, kind: str, target: Path, changes: Mapping[int, Mapping[int, str]], *, keep_macros: bool
) -> None:
    """Write the table at ``path`` to ``target`` with some cells changed, all else as it is.

    Args:
        path: A Parquet or xlsx file.
        kind: Which of both.
        target: Where to.
        changes: New cells as ``{row: {column: text}}``; row 1 is the header, column 0 the first.
        keep_macros: Whether an xlsx file is written with its macros, as ``.xlsm`` wants it.

    Raises:
        DataError: A new cell does not fit its column's type.
        EnvironmentProblem: The extra is not installed.
        UsageError: There are no macros to keep.
    """
    try:
        if kind == "parquet":
            _write_parquet(path, target, changes)
        else:
            _write_xlsx(path, target, changes, keep_macros=keep_macros)
    except ImportError as error:
        raise _missing_extra(path, kind) from error


def _missing_extra(path: Path, kind: str) -> EnvironmentProblem:
    return EnvironmentProblem(
        f"{path}: reading {kind} needs an extra that is not installed",
        hint=f"Install it: pip install 'noisyclean[{kind}]'. Or save the table as CSV.",
    )


def _read_parquet(path: Path) -> tuple[list[list[str]], list[str]]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        table = parquet.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: is a damaged Parquet file: {error}", hint="Write it again.") from error
    names: list[str] = []
    columns: list[list[str]] = []
    notes: list[str] = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        cells = None if _is_nested(pa, column.type) else [_cell(value) for value in column.to_pylist()]
        if cells is None:
            notes.append(f"column {name!r} holds {column.type} and is not carried through")
            cells = [""] * len(column)
        names.append(name)
        columns.append(cells)
    return [names, *(list(row) for row in zip(*columns, strict=True))], notes


def _is_nested(pa: Any, kind: Any) -> bool:
    return bool(pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _write_parquet(path: Path, target: Path, changes: Mapping[int, Mapping[int, str]]) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    table = parquet.read_table(path)
    for column in sorted({column for cells in changes.values() for column in cells}):
        field = table.schema.field(column)
        values = table.column(column).to_pylist()
        for row, cells in changes.items():
            if column in cells:
                values[row - 2] = _typed(cells[column], field.type, pa, path)
        table = table.set_column(column, field, pa.chunked_array([pa.array(values, type=field.type)], type=field.type))
    parquet.write_table(table, target)


def _typed(cell: str, kind: Any, pa: Any, path: Path) -> object:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    try:
        return pa.scalar(cell).cast(kind).as_py()
    except pa.ArrowException as error:
        raise DataError(
            f"{path}: the label {cell!r} does not fit the column's type {kind}", hint="Write --out as a .csv file."
        ) from error


def _read_xlsx(path: Path) -> tuple[list[list[str]], list[str]]:
    import openpyxl

    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
    except Exception as error:  # openpyxl lets errors of zip, XML and its own through
        raise DataError(f"{path}: is a damaged xlsx file: {error}", hint="Save it again.") from error
    try:
        sheet = book.worksheets[0]
        others = book.sheetnames[1:]
        records = [[_cell(value) for value in row] for row in sheet.iter_rows(values_only=True)]
    finally:
        book.close()
    return records, [f"sheet {sheet.title!r} is read, not {', '.join(map(repr, others))}"] if others else []


def _write_xlsx(path: Path, target: Path, changes: Mapping[int, Mapping[int, str]], *, keep_macros: bool) -> None:
    import openpyxl

    book = openpyxl.load_workbook(path, keep_vba=keep_macros)
    if keep_macros and MACROS not in book.vba_archive.namelist():
        raise UsageError(
            f"{path}: holds no macros, and .xlsm is for workbooks that do", hint="Name a .xlsx file for --out."
        )
    sheet = book.worksheets[0]
    for row, cells in changes.items():
        for column, cell in cells.items():
            place = sheet.cell(row=row, column=column + 1)
            is_number = isinstance(place.value, int) and not isinstance(place.value, bool)
            place.value = int(cell) if is_number and cell.lstrip("-").isdigit() else cell
    with target.open("wb") as file:
        book.save(file)


def _cell(value: object) -> str:
    """As a person would type it: nothing for none, 3 for 3.0, ISO for dates."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return "" if value != value else str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, datetime.datetime | datetime.date):
        return value.isoformat()
    return str(value)
