"""``flagged.csv`` as an Excel workbook: a thumbnail in each row, verdicts and labels chosen from lists.

The first sheet is read back by ``review`` as any verdict table; the second holds the lists.
"""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

from noisyclean.base.files import atomic_path
from noisyclean.base.log import Reporter
from noisyclean.data.shielding import neutralise, restore
from noisyclean.data.thumbnails import thumbnail_jpeg
from noisyclean.errors import EnvironmentProblem
from noisyclean.export.subset import VERDICT_HELP, Subset

__all__ = ["write_workbook"]

SIDE_PX = 96
POINTS_PER_PX = 0.75
EMU_PER_PX = 9525
MARGIN_PX = 2
COLUMN_PX = 7
"""Pixels of one unit of a column's width."""
NUMBERS = ("rank", "p_mislabeled", "p_suggested")
WIDTHS = {"rank": 6, "image_path": 34, "reason": 48, "comment": 30}
USUAL_WIDTH = 14
THUMBNAIL = "thumbnail"
LISTS = "lists"


def write_workbook(subset: Subset, out: Path, reporter: Reporter) -> dict[str, Any]:
    """Write the workbook.

    Args:
        subset: The flagged images.
        out: The ``.xlsx`` file.
        reporter: Hears about progress.

    Raises:
        EnvironmentProblem: The extra ``xlsx`` is not installed.
    """
    try:
        import openpyxl
    except ImportError as error:
        raise EnvironmentProblem("--to xlsx needs openpyxl", hint="pip install 'noisyclean[xlsx]'") from error
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "flagged"
    names = [THUMBNAIL, *map(str, subset.cells.columns)]
    sheet.append([neutralise(restore(name)) for name in names])  # older flagged.csv have them bare
    for cells in subset.cells.itertuples(index=False):
        sheet.append(["", *(_cell(name, cell) for name, cell in zip(names[1:], cells, strict=True))])
    _shape(sheet, names)
    _add_lists(book, sheet, names, subset.classes)
    num_missing = _add_thumbnails(sheet, subset, reporter)
    if num_missing:
        reporter.warn(f"{num_missing:,} images cannot be read any more and have no thumbnail")
    with atomic_path(out) as temporary, temporary.open("wb") as file:
        book.save(file)
    return {"num_images": len(subset.flagged)}


def _cell(name: str, text: str) -> object:
    """A number where sorting needs one; all else as text that no spreadsheet runs."""
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    if name in NUMBERS:
        try:
            return int(text) if name == "rank" else float(text)
        except ValueError:
            return text
    return ILLEGAL_CHARACTERS_RE.sub("", text)


def _shape(sheet: Any, names: list[str]) -> None:
    from openpyxl.styles import Alignment, Font
    from openpyxl.utils import get_column_letter

    sheet.freeze_panes = "B2"
    sheet.auto_filter.ref = sheet.dimensions
    for column, name in enumerate(names, start=1):
        width = (SIDE_PX + 2 * MARGIN_PX) / COLUMN_PX if name == THUMBNAIL else WIDTHS.get(name, USUAL_WIDTH)
        sheet.column_dimensions[get_column_letter(column)].width = width
        sheet.cell(row=1, column=column).font = Font(bold=True)
    for row in range(2, sheet.max_row + 1):
        sheet.row_dimensions[row].height = (SIDE_PX + 2 * MARGIN_PX) * POINTS_PER_PX
        for cell in sheet[row]:
            cell.alignment = Alignment(vertical="center", wrap_text=True)
            if isinstance(cell.value, str):
                cell.number_format = "@"


def _add_lists(book: Any, sheet: Any, names: list[str], classes: tuple[str, ...]) -> None:
    """Let verdicts be one of the words, and propose the classes as labels; another label is questioned, not refused."""
    from openpyxl.utils import get_column_letter
    from openpyxl.worksheet.datavalidation import DataValidation

    lists = book.create_sheet(LISTS)
    lists.append(["verdict", "meaning", "class"])
    words = list(VERDICT_HELP.items())
    for row in range(max(len(words), len(classes))):
        label = _cell("class", str(neutralise(classes[row]))) if row < len(classes) else None
        lists.append([*(words[row] if row < len(words) else (None, None)), label])
    for row in range(2, len(classes) + 2):
        lists.cell(row=row, column=3).number_format = "@"
    sources = {"verdict": ("A", len(words), "stop"), "reviewed_label": ("C", len(classes), "warning")}
    for name, (column, num, style) in sources.items():
        rule = DataValidation(
            type="list",
            formula1=f"{LISTS}!${column}$2:${column}${num + 1}",
            allow_blank=True,
            showErrorMessage=True,
            errorStyle=style,
            errorTitle=name,
            error=f"Choose one from the list; the sheet {LISTS} says what they mean.",
        )
        letter = get_column_letter(names.index(name) + 1)
        rule.add(f"{letter}2:{letter}{max(sheet.max_row, 2)}")
        sheet.add_data_validation(rule)


def _add_thumbnails(sheet: Any, subset: Subset, reporter: Reporter) -> int:
    """Put each picture inside its cell, where it is sorted and filtered with the row; returns how many are missing."""
    from openpyxl.drawing.image import Image
    from openpyxl.drawing.spreadsheet_drawing import AnchorMarker, TwoCellAnchor

    mapping = replace(subset.mapping, size_px=SIDE_PX, policy="pad")
    near, far = MARGIN_PX * EMU_PER_PX, (MARGIN_PX + SIDE_PX) * EMU_PER_PX
    num_missing = 0
    with reporter.track("thumbnails", total=len(subset.flagged), unit="images") as meter:
        for row, image in enumerate(subset.flagged, start=1):
            content = thumbnail_jpeg(Path(image.file), mapping) if image.file else b""
            meter.advance()
            if not content:
                num_missing += 1
                continue
            picture = Image(io.BytesIO(content))
            start, end = (AnchorMarker(col=0, row=row, colOff=at, rowOff=at) for at in (near, far))
            picture.anchor = TwoCellAnchor(editAs="twoCell", _from=start, to=end)
            sheet.add_image(picture)
    return num_missing
