"""PDF to Markdown with liteparse, each page checked against pdfium's own text."""

import gc
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.content import HEADER_BYTES, read_all
from s3sync_dagster.extraction.models import check_models, has_models
from s3sync_dagster.extraction.pdf.accents import compose_blocks
from s3sync_dagster.extraction.pdf.agreement import agree
from s3sync_dagster.extraction.pdf.blocks import (
    Block,
    blocks_to_markdown,
    join_tables,
    part_columns,
)
from s3sync_dagster.extraction.pdf.bodies import Layout, bodies_of
from s3sync_dagster.extraction.pdf.contents_rows import find_contents
from s3sync_dagster.extraction.pdf.engine import ParsedPage, look_garbled, parse_pages
from s3sync_dagster.extraction.pdf.fields import unsaid
from s3sync_dagster.extraction.pdf.figures import with_figures
from s3sync_dagster.extraction.pdf.garbled import is_garbled
from s3sync_dagster.extraction.pdf.grids import find_grids
from s3sync_dagster.extraction.pdf.headed_tables import part_headed
from s3sync_dagster.extraction.pdf.headings import find_headings
from s3sync_dagster.extraction.pdf.labelled_tables import join_at_labels
from s3sync_dagster.extraction.pdf.last_lines import part_last_lines
from s3sync_dagster.extraction.pdf.lists import find_lists
from s3sync_dagster.extraction.pdf.lost_lines import find_lost_lines
from s3sync_dagster.extraction.pdf.lower_rows import add_lower_rows
from s3sync_dagster.extraction.pdf.margins import margin_lines
from s3sync_dagster.extraction.pdf.named_rows import find_names
from s3sync_dagster.extraction.pdf.names import outline_names, with_names
from s3sync_dagster.extraction.pdf.open_pages import OpenPages
from s3sync_dagster.extraction.pdf.order import in_reading_order, put_in_place
from s3sync_dagster.extraction.pdf.plain_pages import with_headings
from s3sync_dagster.extraction.pdf.prose_columns import part_prose
from s3sync_dagster.extraction.pdf.right_to_left import is_right_to_left
from s3sync_dagster.extraction.pdf.rows import part_rows
from s3sync_dagster.extraction.pdf.run_in import Runs
from s3sync_dagster.extraction.pdf.section_marks import without_marks
from s3sync_dagster.extraction.pdf.standing_out import is_in_figure
from s3sync_dagster.extraction.pdf.styles import (
    Letters,
    body_size,
    count_sizes,
)
from s3sync_dagster.extraction.pdf.table_heads import mend_heads
from s3sync_dagster.extraction.pdf.tables import find_rows_over_the_break, mend_tables
from s3sync_dagster.extraction.pdf.text_layer import (
    SeenPage,
    is_scan,
    look_at_pages,
    open_pdf,
    properties,
)
from s3sync_dagster.extraction.pdf.title_pages import titles_alone, without_authors
from s3sync_dagster.extraction.pdf.upper_rows import add_upper_rows
from s3sync_dagster.extraction.pdf.values_apart import add_values
from s3sync_dagster.extraction.pdf.wrapped_cells import join_wrapped
from s3sync_dagster.extraction.steps import PdfPages
from s3sync_dagster.extraction.words import (
    join_split_words,
    part_joined_words,
    restore_beginning,
    words_of,
)
from s3sync_dagster.model.source import ExtractionConfig

_LIBRARIES = ("pypdfium2", "liteparse._liteparse")
PRELOAD = {"read_with_liteparse": _LIBRARIES, "read_for_models": _LIBRARIES}
_WINDOW_PAGES = 250
"""Pages that are parsed at once; more would hold the memory of all of them."""
_MAX_LOSS = 0.1
"""Share of a page's words that may be missing besides whole lines, which are added."""
_MAX_ADDED = 0.5
"""Share of a page's words in lines that are added; with more of them there is no layout."""


def read_with_liteparse(content: Content, *, name: str, config: ExtractionConfig) -> PdfPages:
    """Return each page as Markdown: headings, lists, ruled tables, columns in reading order.

    Lines that liteparse leaves out are added where they stand. Pages of which it breaks the words
    are pdfium's plain text instead. Page numbers are left out, and running heads but the first of
    the same words. Raises what ``pdf.open_pdf`` raises.
    """
    del name, config
    with _without_collecting():
        pages = _read(content)
    return replace(pages, hard=tuple(pages.plain)) if has_models() else pages


def read_for_models(content: Content, *, name: str, config: ExtractionConfig) -> PdfPages:
    """Return the same, with every page marked for docling's models.

    Raises ``MissingEngine`` (see ``models.check_models``) and what ``pdf.open_pdf`` raises.
    """
    del name, config
    check_models()
    with _without_collecting():
        pages = _read(content)
    return replace(pages, hard=tuple(range(len(pages.texts))))


@contextmanager
def _without_collecting() -> Iterator[None]:
    """Put garbage collection off: a page is some thousand objects, and none of them a circle."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _read(content: Content) -> PdfPages:
    pdf = open_pdf(content)
    pages = OpenPages(pdf)
    seen = list(look_at_pages(pdf, pages))
    references = [page.text for page in seen]
    known = properties(pdf)
    pictures = frozenset(i for i, page in enumerate(seen) if is_scan(page.text))
    proven = [
        i
        for i, page in enumerate(seen)
        if not (i in pictures or page.is_drawing) and is_garbled(page.text, strange=page.strange)
    ]
    layouts = _parse(pages, content, seen, proven)
    outline = outline_names(pdf)
    named = [
        [name.below(layout.height) for name in outline.get(number, ())]
        for number, layout in enumerate(layouts)
    ]
    for number, (layout, reference) in enumerate(zip(layouts, references, strict=True)):
        compose_blocks(layout.blocks, seen[number].accented)
        layout.blocks = with_names(layout.blocks, [*named[number], *seen[number].names])
        layout.lost = _mend_words(layout.blocks, reference)
        if layout.lost:
            layout.lines = find_lost_lines(*pages[number], layout.lost)
    plain_pages = {
        number: reason
        for number, (layout, page) in enumerate(zip(layouts, seen, strict=True))
        if (reason := _why_plain(layout, page))
    }
    scans = [i for i in range(len(seen)) if i in pictures or layouts[i].is_garbled]
    bodies = bodies_of(layouts, plain_pages=plain_pages, scans=scans)
    for number, page in enumerate(seen):
        for figure in page.figures if number not in plain_pages else ():
            put_in_place(bodies[number].blocks, figure)
        said = blocks_to_markdown(bodies[number].blocks) if page.fields else ""
        for field in unsaid(page.fields, said) if number not in plain_pages else ():
            put_in_place(bodies[number].blocks, field)
    blocks = [body.blocks for body in bodies]
    find_rows_over_the_break(blocks)
    continued = join_tables(blocks)
    texts = [
        with_figures(
            with_headings(*pages[i], page.text, [*named[i], *page.names]),
            (*page.figures, *unsaid(page.fields, page.text)),
        )
        if i in plain_pages
        else blocks_to_markdown(
            bodies[i].whole(is_continued=i in continued, goes_on=i + 1 in continued)
        )
        for i, page in enumerate(seen)
    ]
    pages.close()
    pdf.close()
    return PdfPages(
        texts=tuple(texts),
        scans=tuple(scans),
        pictures=pictures,
        plain=plain_pages,
        continued=frozenset(continued),
        engine="liteparse",
        title=known.title,
        author=known.author,
        created=known.created,
    )


def _why_plain(layout: Layout, page: SeenPage) -> str:
    """Return why a page's text alone is better than its layout, nothing where it is not."""
    if page.is_drawing:
        return "drawings of more lines than are looked at"
    if is_right_to_left(page.text):
        return "letters from right to left"
    if page.is_upside_down and layout.lost:
        return "turned by half a circle"
    if not layout.lost:
        return ""
    total = words_of(page.text).total()
    whole = sum(words_of(line.text).total() for line in layout.lines)
    unseen = sum(words_of(line.text).total() for line in layout.lines if not line.is_visible)
    if layout.lost.total() - whole > _MAX_LOSS * total:
        return "words that the layout breaks or loses"
    if whole - unseen > _MAX_ADDED * total:
        return "lines that the layout has no place for"
    return ""


def _parse(
    pages: OpenPages, content: Content, seen: Sequence[SeenPage], proven: Sequence[int]
) -> list[Layout]:
    """Return the layout of all pages; those with too many drawings have no blocks.

    ``proven`` are the pages whose text layer is proven to be no text.
    """
    body = read_all(content)
    body = body[max(0, body.find(b"%PDF-", 0, HEADER_BYTES)) :]  # the engine wants it first
    layouts = [Layout() for _ in seen]
    numbers = [i for i, page in enumerate(seen) if not page.is_drawing]
    for start in range(0, len(numbers), _WINDOW_PAGES):
        window = numbers[start : start + _WINDOW_PAGES]
        parsed = parse_pages(body, window, of=len(seen))
        letters = Letters(piece for page in parsed for piece in page.pieces)
        for page in parsed:
            layouts[page.number] = _layout(page, letters, Runs(pages, page.number))
        agree([layouts[number].blocks for number in window], letters.lines, body=letters.body)
        without_marks([layouts[page.number].blocks for page in parsed if page.width <= page.height])
    for number in look_garbled(body, proven, of=len(seen)):
        layouts[number].is_garbled = True
    return layouts


def _layout(page: ParsedPage, letters: Letters, runs: Runs) -> Layout:
    words, pieces, whole = page.words, page.pieces, page.blocks
    figures = [block for block in whole if block.kind == "figure"]
    shown = [block for block in whole if block.kind != "figure" or block.text]
    shown = part_last_lines(part_prose(shown, pieces), words)
    blocks = find_lists(find_contents(shown, words), words)
    body = body_size(count_sizes(pieces), letters.sizes, of_all=letters.size)
    blocks = part_columns(find_grids(blocks, words))
    if body is not None:
        blocks = part_headed(blocks, pieces, body=body)
    blocks = add_values(part_rows(blocks, words), words)
    blocks = mend_heads(add_upper_rows(blocks, words), words)
    blocks = add_lower_rows(find_names(blocks, words), words)
    blocks = join_wrapped(blocks, words)
    blocks = join_at_labels(in_reading_order(blocks, width=page.width))
    if body is not None:
        blocks = find_headings(blocks, pieces, body=body, fonts=letters.fonts_of(body), runs=runs)
        for block in blocks:
            if block.kind == "heading" and is_in_figure(
                block, figures, page=page.width * page.height
            ):
                block.kind, block.level = "paragraph", 0
        if page.width > page.height:
            blocks = titles_alone(blocks, pieces)
        if page.number == 0:
            blocks = without_authors(blocks, pieces, body=body)
    return Layout(
        blocks=mend_tables(blocks),
        margins=margin_lines(pieces, height=page.height, body=body),
        height=page.height,
    )


def _mend_words(blocks: list[Block], reference: str) -> Counter[str]:
    """Mend parted, joined and shortened words on a page that lacks some; return lost ones."""
    wanted = words_of(reference)
    lost = wanted - words_of(blocks_to_markdown(blocks))
    if not lost:
        return lost
    is_same = True
    for block in blocks:
        before = block.text, block.rows, block.first_row
        block.text = part_joined_words(join_split_words(block.text, wanted), lost, reference)
        first = words_of(block.text.partition(" ")[0])
        if not first.keys() <= wanted.keys():
            block.text = restore_beginning(block.text, reference)
            if block.kind == "paragraph" and block.level and block.text[:1].isupper():
                block.kind = "heading"  # which its lost letters had spoken against
        block.rows = [[join_split_words(cell, wanted) for cell in row] for row in block.rows]
        block.first_row = block.rows[0] if block.rows else []
        is_same = is_same and before == (block.text, block.rows, block.first_row)
    return lost if is_same else wanted - words_of(blocks_to_markdown(blocks))
