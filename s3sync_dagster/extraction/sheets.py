"""Workbooks: rows streamed from calamine into Markdown tables, with sheet names and row ranges."""

import contextlib
import datetime
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.metadata import office_properties
from s3sync_dagster.extraction.number_formats import Show, Shown, plain_number
from s3sync_dagster.extraction.sheet_extent import check_extents
from s3sync_dagster.extraction.sheet_formats import shown_cells, without_durations
from s3sync_dagster.extraction.sheet_notes import sheet_drawings, sheet_notes
from s3sync_dagster.extraction.sheet_tables import TITLE_CHARACTERS, MergedCells, SheetWriter
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.errors import UnreadableFile
from s3sync_dagster.model.source import ExtractionConfig

_DAY, _HOUR = datetime.timedelta(days=1), datetime.timedelta(hours=1)
PRELOAD = {"read_workbook": ("python_calamine", "defusedxml.ElementTree")}


def read_workbook(content: Content, *, name: str, config: ExtractionConfig) -> Document:
    """Return all visible sheets: a heading with the sheet's name, then its tables.

    Rows that are empty part tables. Raises ``UnreadableFile`` (``encrypted``, ``damaged``) and
    ``LimitExceeded`` (``too_many_cells``, ``output_too_large``).
    """
    del name, config
    check_extents(content)
    shown = shown_cells(content)
    try:
        return _read(content, shown)
    except OverflowError:  # of Python's durations: how they are shown is known all the same
        try:
            return _read(without_durations(content), shown)
        except OverflowError:
            message = "The workbook has a duration of more than 999,999,999 days."
            raise UnreadableFile(message, reason="damaged") from None


def _read(content: Content, shown: Mapping[str, Shown]) -> Document:
    import python_calamine

    writer = SheetWriter()
    notes, drawings = sheet_notes(content), sheet_drawings(content)
    hidden: list[str] = []
    with _open_workbook(content) as workbook:
        for sheet in workbook.sheets_metadata:
            is_sheet = sheet.typ == python_calamine.SheetTypeEnum.WorkSheet
            if not is_sheet and not drawings.get(sheet.name):
                continue  # macros
            if sheet.visible != python_calamine.SheetVisibleEnum.Visible:
                hidden.append(sheet.name[:TITLE_CHARACTERS])
                continue
            looks = shown.get(sheet.name, Shown({}))
            if is_sheet:
                _write_sheet(writer, workbook, sheet.name, looks)
            else:
                writer.begin_sheet(sheet.name)  # of a chart alone
            writer.add_notes([*notes.get(sheet.name, []), *looks.notes])
            writer.add_drawings([*drawings.get(sheet.name, []), *looks.boxes])
    properties = office_properties(content)
    return Document(
        text="".join(writer.pieces).rstrip("\n") + "\n" if writer.pages else "",
        format="markdown",
        pages=tuple(writer.pages),
        page_count=writer.sheets,
        title=properties.title,
        author=properties.author,
        created=properties.created,
        engine="calamine",
        warnings=tuple(f"The hidden sheet {title!r} was left out." for title in hidden),
    )


def _open_workbook(content: Content) -> Any:
    import python_calamine

    source = str(content) if isinstance(content, Path) else io.BytesIO(content)
    with _calamine_errors():
        return python_calamine.load_workbook(source)


@contextlib.contextmanager
def _calamine_errors() -> Iterator[None]:
    """Turn the reader's errors, and the panics of its Rust code, into ours."""
    import python_calamine

    try:
        yield
    except python_calamine.PasswordError:
        message = "The workbook is protected by a password."
        raise UnreadableFile(message, reason="encrypted") from None
    except (python_calamine.CalamineError, OSError, ValueError):
        raise UnreadableFile("The workbook is cut off or damaged.", reason="damaged") from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # it derives from nothing that one can name
            raise
        raise UnreadableFile("The workbook is cut off or damaged.", reason="damaged") from None


def _write_sheet(writer: SheetWriter, workbook: Any, title: str, looks: Shown) -> None:
    shown, ranges = looks.cells, looks.merged
    writer.begin_sheet(title)
    with _calamine_errors():
        sheet = workbook.get_sheet_by_name(title)
        rows = sheet.iter_rows()
        first_column = sheet.start[1] if sheet.start else 0
        merged = MergedCells(ranges or sheet.merged_cell_ranges or [])
        for number, row in enumerate(rows, start=1):
            # iter_rows gives the rows above the first used one too, but not the columns before.
            values = [""] * first_column + row
            if shown:
                values = [_shown(v, shown.get((number - 1, i))) for i, v in enumerate(values)]
            cells = [_plain(value) for value in values]
            writer.add_row(number, merged.fill(number - 1, cells))
    writer.end_table()


def _shown(value: object, how: Show | str | None) -> object:
    """Return a number as its cell shows it, and an error by its name."""
    if isinstance(how, str):
        return how
    if how is not None and isinstance(value, datetime.timedelta):
        return how(value / _DAY)
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return how(float(value)) if how is not None and is_number else value  # type: ignore[arg-type]


def _plain(value: object) -> str:
    """Return a cell as people read it."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        return plain_number(value)
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == datetime.time() else value.isoformat(" ")
    if isinstance(value, datetime.timedelta):
        hours, rest = divmod(abs(value), _HOUR)  # a day of it is 24 hours, as it is entered
        return f"{'-' if value < _HOUR * 0 else ''}{hours}:{str(rest).partition(':')[2]}"
    return "" if value is None else str(value)
