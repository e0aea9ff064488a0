"""Pages as liteparse's engine parses them, in this project's words.

Its Python package first copies all that the engine gives into values of its own, a tenth of the
time that a page takes. So the engine itself is asked; the package is pinned to the minor.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from s3sync_dagster.extraction.pages import page_ranges
from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.grids import Word
from s3sync_dagster.extraction.pdf.styles import Piece, is_italic, size_of, weight_of
from s3sync_dagster.extraction.pdf.text_layer import plain
from s3sync_dagster.model.errors import UnreadableFile


@dataclass(frozen=True, slots=True)
class ParsedPage:
    """A page's blocks, and the words and runs of letters that they are made of; in points."""

    number: int
    """From 0."""
    width: float
    height: float
    words: list[Word]
    pieces: list[Piece]
    """Those that are not turned."""
    blocks: list[Block]


def parse_pages(body: bytes, numbers: Sequence[int], *, of: int) -> list[ParsedPage]:
    """Return some pages of a PDF of so many.

    Raises ``UnreadableFile`` where it is cut off or damaged.
    """
    engine = _engine(numbers, of=of)
    try:
        pages = engine.parse_bytes(body).pages
    except RuntimeError:
        raise UnreadableFile("The PDF is cut off or damaged.", reason="damaged") from None
    return [_page(page) for page in pages]


def look_garbled(body: bytes, numbers: Collection[int], *, of: int) -> set[int]:
    """Return which of some pages the engine suspects to be no text.

    It takes Arabic and Korean for that too. To ask costs as much as to parse the pages, and to have
    it told with them a sixth of that: ask only for pages that something else speaks against.
    """
    if not numbers:
        return set()
    told = _engine(sorted(numbers), of=of).is_complex_bytes(body)
    return {page.page_number - 1 for page in told if page.is_garbled}


def _engine(numbers: Sequence[int], *, of: int) -> Any:
    from liteparse._liteparse import LiteParse  # pyright: ignore

    return LiteParse(
        ocr_enabled=False,
        output_format="markdown",  # others leave emphasis and links out of the blocks
        extract_blocks=True,
        keep_headers_footers=True,  # its own remover takes body lines with it
        max_pages=of,  # the default cuts silently after 1,000
        target_pages=page_ranges(list(numbers)).replace(" ", ""),
        num_workers=1,
        quiet=True,
    )


def _page(page: Any) -> ParsedPage:
    items = page.text_items
    return ParsedPage(
        number=page.page_num - 1,
        width=page.width,
        height=page.height,
        words=[
            Word(word.text, word.x, word.y, word.width, word.height)
            for item in items
            for word in item.words
        ],
        pieces=_pieces(items),
        blocks=[_block(block) for block in page.blocks or ()],
    )


def _pieces(items: Iterable[Any]) -> list[Piece]:
    return [_piece(item) for item in items if not item.rotation]


def _piece(item: Any) -> Piece:
    font, height = item.font_name or "", item.height  # each look makes a value anew
    return Piece(
        text=item.text,
        left=item.x,
        top=item.y,
        width=item.width,
        height=height,
        size=size_of(item.font_size, height),
        weight=item.font_weight or weight_of(font),
        is_italic=is_italic(font),
        font=font,
    )


def _block(block: Any) -> Block:
    all_cells = [*([block.header] if block.header else ()), *(block.rows or ())]
    cells = [row for row in all_cells if any(cell.text.strip() for cell in row)]
    rows = [[plain(cell.text) for cell in row] for row in cells]
    return Block(
        kind=block.kind,
        text=plain(block.text or ""),
        level=block.level or 0,
        marker=block.marker or "",
        ordered=bool(block.ordered),
        rows=rows,
        first_row=rows[0] if rows else [],
        lines=[plain(str(line)) for line in block.lines or ()],
        top=block.bbox.y if block.bbox else 0.0,
        height=block.bbox.height if block.bbox else 0.0,
        left=block.bbox.x if block.bbox else 0.0,
        width=block.bbox.width if block.bbox else 0.0,
        columns=_columns(cells),
        tops=_tops(cells),
    )


def _columns(cells: list[Any]) -> list[tuple[float, float]]:
    """Return the edges of a table's columns, nothing where some are not known."""
    if len({len(row) for row in cells}) != 1:
        return []
    columns = [[cell.bbox for cell in column if cell.bbox] for column in zip(*cells, strict=True)]
    if not all(columns):
        return []
    return [
        (min(box.x for box in boxes), max(box.x + box.width for box in boxes)) for boxes in columns
    ]


def _tops(cells: list[Any]) -> list[float]:
    """Return the upper edges of a table's rows, nothing where some are not known."""
    rows = [[cell.bbox.y for cell in row if cell.bbox and cell.text] for row in cells]
    return [min(row) for row in rows] if all(rows) else []
