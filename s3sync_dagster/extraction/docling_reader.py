"""What all docling backends share: opening, converting, writing Markdown.

The backends are used without docling's converter, which imports every backend and every pipeline
(2.7 CPU-seconds); one backend costs about 1, once per forker.
"""

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.archives import check_unpacked_size
from s3sync_dagster.model.errors import FixInput, LimitExceeded, UnreadableFile

TO_MARKDOWN = "s3sync_dagster.extraction.markdown_writer"
CSS_SELECTORS = "s3sync_dagster.extraction.css_selectors"
"""What docling loads with its first document, for ``PRELOAD``: each document is a first one."""

_PICTURE = "\x00picture\x00"
_FENCE = re.compile(r"(^```[^\n]*\n.*?^```$)", re.MULTILINE | re.DOTALL)
_BLANK_BEFORE_MARK = re.compile(r"(?<=[)*`$]) (?=[.,;:!?)](?:\s|$))")
_ARCHIVE_LIMIT = "ArchiveLimitError"
_MAX_TIMES_SAID = 2
"""How often a table's text is said by repeating the cells over several columns in each."""
_MAY_REPEAT = 20_000
"""Characters of a table that may repeat all the same: a timetable, or headers of groups."""
_GLUED_TABLE = re.compile(r"^((?!\||```).+\n)(?=\|.*\n\|[ :|-]+\|$)", re.MULTILINE)


def open_backend(
    content: Content, *, name: str, format_name: str, backend: type, options: Any = None
) -> Any:
    """Return a docling backend that has loaded the file.

    Raises ``UnreadableFile`` (``damaged``) and ``LimitExceeded`` (``zip_bomb``).
    """
    from docling.datamodel.base_models import InputFormat
    from docling.datamodel.document import InputDocument

    check_unpacked_size(content)
    source = content if isinstance(content, Path) else io.BytesIO(content)
    try:
        entry = InputDocument(
            path_or_stream=source,
            format=InputFormat[format_name],
            backend=backend,
            backend_options=options,
            filename=Path(name).name or "document",
        )
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 (parsers' errors come through)
        raise _unreadable(error) from None
    if not entry.valid:
        raise UnreadableFile("The file is cut off, damaged or protected.", reason="damaged")
    return cast("Any", entry)._backend


def convert(backend: Any) -> Any:
    """Return docling's document; its parsers' errors become ``UnreadableFile``."""
    try:
        document = backend.convert()
    except (MemoryError, FixInput):
        raise
    except Exception as error:  # noqa: BLE001 (parsers' errors come through)
        raise _unreadable(error) from None
    for table in document.tables:
        _say_once(table.data.table_cells, table.data.num_cols)
    return document


def _say_once(cells: Sequence[Any], columns: int) -> None:
    """Keep cells over several columns to the first one, where repeats are most of a table.

    Forms have grids of dozens of columns: a contract of 220,000 characters had a million. A header
    over some of the columns stays with each of them, which it names.
    """
    said = sum(len(cell.text) for cell in cells)
    if sum(len(cell.text) * cell.col_span for cell in cells) > max(
        _MAX_TIMES_SAID * said, _MAY_REPEAT
    ):
        for cell in cells:
            if cell.column_header and cell.col_span < columns:
                continue
            cell.col_span, cell.end_col_offset_idx = 1, cell.start_col_offset_idx + 1


def _unreadable(error: Exception) -> FixInput:
    kinds = {type(link).__name__ for link in (error, error.__cause__) if link is not None}
    if _ARCHIVE_LIMIT in kinds:
        return LimitExceeded("The file unpacks to more than is read.", reason="zip_bomb")
    if "RecursionError" in kinds:
        return LimitExceeded("The file is nested too deep.", reason="nested_too_deep")
    return UnreadableFile(
        f"The file is cut off or damaged ({type(error).__name__}).", reason="damaged"
    )


def to_markdown(
    document: Any, *, layers: Sequence[str] = ("BODY",), page: int | None = None
) -> str:
    """Return the Markdown of some content layers; pictures leave marks for ``fill_pictures``.

    ``page`` (from 1) gives that page alone.
    """
    from docling_core.types.doc.common.constants import DOCUMENT_TOKENS_EXPORT_LABELS
    from docling_core.types.doc.common.content_layer import ContentLayer

    from s3sync_dagster.extraction.markdown_writer import write_markdown  # noqa: PLC0415

    return write_markdown(
        document,
        labels=DOCUMENT_TOKENS_EXPORT_LABELS,
        layers={ContentLayer[name] for name in layers},
        pages=None if page is None else {page},
        escape_html=False,
        escape_underscores=False,
        image_placeholder=_PICTURE,
        compact_tables=True,
        traverse_pictures=True,
    )


def fill_pictures(markdown: str, descriptions: Sequence[str] = ()) -> str:
    """Put alternative texts where the pictures are, or at the end where they cannot be matched."""
    count = markdown.count(_PICTURE)
    shown = [f"[Picture: {text}]" if text else "" for text in descriptions]
    if len(shown) == count:
        answers = iter(shown)
        markdown = re.sub(_PICTURE, lambda _: next(answers), markdown)
    else:
        markdown = markdown.replace(_PICTURE, "")
        tail = [line for line in shown if line]
        markdown = "\n\n".join([markdown, *tail])
    return tidy(markdown)


def tidy(markdown: str) -> str:
    """Repair what docling's writer gets wrong, outside code.

    Pipes come as entities, tables glued to the line before, and blanks between inline parts where
    the document has none.
    """
    parts = _FENCE.split(markdown)  # text, code, text, code ...
    for place in range(0, len(parts), 2):
        text = parts[place].replace("&#124;", "\\|")
        text = _GLUED_TABLE.sub(r"\1\n", text)
        text = _BLANK_BEFORE_MARK.sub("", text)
        parts[place] = re.sub(r"\n{3,}", "\n\n", re.sub(r"(?<=\S)  +(?=\S)", " ", text))
    return "".join(parts).strip("\n") + "\n"
