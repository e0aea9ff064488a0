"""Headings that layout analysis takes for paragraphs, paragraphs that it takes for headings.

It knows headings by their size but leaves out those of one word (``Abstract``) and bold ones of the
body's size, cuts titles in two, and takes the first bold words of a paragraph for a heading.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from itertools import pairwise

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.contents_pages import contents_area, is_entry, may_be_contents
from s3sync_dagster.extraction.pdf.heads_apart import heads_apart, numbers_apart
from s3sync_dagster.extraction.pdf.inner_headings import columns_of, heads_its_text, parted
from s3sync_dagster.extraction.pdf.run_in import Runs
from s3sync_dagster.extraction.pdf.standing_out import as_text, main_size, stands_out
from s3sync_dagster.extraction.pdf.styles import (
    BOLD,
    MIN_RATIO,
    Piece,
    body_size,
    by_line,
    count_sizes,
    lines_in,
    style_of,
)
from s3sync_dagster.extraction.pdf.titles import (
    COUNTED,
    MAX_WORDS,
    NUMBERED,
    SENTENCE_END,
    around,
    count_words,
    is_capital,
    is_no_heading,
    is_title,
    level_of,
    without_start,
)

_LEVELS = ((1.7, 1), (1.35, 2))
_MAX_BOLD_WORDS = 8
_BOLD_TEXT = re.compile(r"\s*\*\*[^*]+\*\*\s*")
_MIN_TEXT_WORDS = 12
"""Of the paragraph that a bold line heads; labels of forms have no such below them."""
_NUMBER_APART = re.compile(r"^\*+((?:\d{1,2}|[A-Z])(?:\.\d{1,2})*\.?)\*+\s+")
"""Emphasis of a number alone, whose title is set in other letters."""
_SECTION = re.compile(r"\d{1,2}(?:\.\d{1,2})+(?:\.\s*|\s+)[^\W\d_a-z]")
"""Whose number may be set in ordinary letters before a bold title."""
_DOTTED = re.compile(r"[\d.]+\.\s*\D")
_MIN_SECTION_RATIO = 0.85
"""Of the letters of a section's title in another font, whose letters may be larger at a size."""
_MAX_TITLE_WORDS = 24
"""Of several lines; more are a paragraph in large letters."""
_MAX_BLANK = 4.0
"""Between the words of a heading, in heights of a line."""
_MAX_LINE_GAP = 0.75
"""Between two lines of one title, in heights of a line."""


def find_headings(
    blocks: list[Block],
    pieces: Sequence[Piece],
    *,
    body: float | None = None,
    fonts: Collection[str] = (),
    runs: Runs | None = None,
) -> list[Block]:
    """Return blocks in which lines of a larger or bolder font are headings.

    ``body`` is the size of running text, by default the commonest of the page, ``fonts`` are its
    fonts.
    """
    if not body:
        sizes = count_sizes(pieces)
        body = body_size(sizes, sizes)
    if body is None:
        return blocks
    if may_be_contents(pieces):
        area = contents_area([*by_line([piece for piece in pieces if piece.text.strip()])])
        blocks = [_as_entry(block, area) for block in blocks] if area else blocks
    apart = [
        part
        for block in blocks
        for head in heads_apart(block, pieces)
        for part in numbers_apart(head, pieces)
    ]
    out: list[Block] = []
    for block, following in _pairs(_join_titles(apart, pieces)):
        out += _read(block, following, pieces=pieces, body=body, fonts=fonts, runs=runs)
    return _join_titles(_rejoin(out), pieces)


def _as_entry(block: Block, area: tuple[float, float, float, float]) -> Block:
    """Return a block of a table of contents as what it is: text that names other headings."""
    left, top, right, bottom = area
    across, down = block.left + block.width / 2, block.top + block.height / 2
    is_inside = left - 1 <= across <= right + 1 and top - 1 <= down <= bottom + 1
    if not is_inside or block.kind not in ("heading", "paragraph", "list_item"):
        return block
    return replace(
        block, kind="paragraph" if block.kind == "heading" else block.kind, is_entry=True
    )


def _pairs(blocks: list[Block]) -> list[tuple[Block, Block | None]]:
    return [*pairwise(blocks), *([(blocks[-1], None)] if blocks else [])]


def _read(
    block: Block,
    following: Block | None,
    *,
    pieces: Sequence[Piece],
    body: float,
    fonts: Collection[str],
    runs: Runs | None,
) -> list[Block]:
    """Return what a block is: a heading, text, or a heading and the text that goes on with it."""
    if block.kind not in ("heading", "paragraph", "list_item") or block.is_entry:
        return [block]
    lines = lines_in(block, pieces)
    if len(lines) == 1:
        block.style = style_of(max(lines[0], key=lambda piece: len(piece.text)))
    elif block.kind == "list_item" and block.ordered and heads_its_text(block, lines):
        block.style = style_of(max(lines[0], key=lambda piece: len(piece.text)))
        block.first_line = " ".join(piece.text.strip() for piece in lines[0])
    if block.kind == "list_item":
        whole = replace(block, kind="paragraph", text=_after_number(block))
        is_lone = block.ordered and following is not None and following.kind == "paragraph"
        found = _as_heading(whole, following, lines, body, fonts) if is_lone else None
        is_found = found is not None and not _set_apart(found, lines, body, runs)
        return [found] if found and is_found else parted(block, lines, body, fonts)
    sections = _run_in_sections(block, lines, runs)
    if len(sections) > 1:
        return sections
    found = block
    if block.kind == "paragraph":
        found = _as_heading(block, following, lines, body, fonts)
        if found is None:
            return parted(block, lines, body, fonts)
    if is_no_heading(found.text) or _is_beginning(found, following, lines, body):
        return [as_text(block)]
    if any(map(_is_parted, lines)):
        return [replace(as_text(block), is_parted=True)]
    heads_text = _heads(block, following)
    if found is block and not stands_out(block, lines, body, fonts, heads_text=heads_text):
        # One that only begins in lower case keeps its level: letters before a ligature may be lost.
        whole = replace(block, text=block.text[:1].upper() + block.text[1:])
        is_cut = stands_out(whole, lines, body, fonts, heads_text=heads_text)
        return [replace(as_text(block), level=block.level if is_cut else 0)]
    if lines and is_entry(lines[-1]):
        return [as_text(block)]
    start = _set_apart(found, lines, body, runs)
    return _run_in(block, start) if start else [found]


def _as_heading(
    block: Block,
    following: Block | None,
    lines: list[list[Piece]],
    body: float,
    fonts: Collection[str] = (),
) -> Block | None:
    apart = _NUMBER_APART.match(block.text)
    title = block.text[apart.end() :].strip("* ") if apart else ""
    text = f"{apart[1]} {title}" if apart else block.text.strip("* ")
    if "*" in text or not lines or len(lines) > 2 or is_no_heading(text):
        return None  # among them a bold label and what it says
    count = count_words(text)
    if not 0 < count <= MAX_WORDS or not (is_title(text) or COUNTED.match(text)):
        return None
    inside = [piece for line in lines for piece in line]
    ratio = main_size(inside) / body
    numbered = NUMBERED.match(text)
    ends = ":?!." if numbered and count <= _MAX_BOLD_WORDS else ":?!"
    if ratio >= MIN_RATIO and not SENTENCE_END.search(text.rstrip(ends)):
        level = next((level for least, level in _LEVELS if ratio >= least), 3)
        return replace(block, kind="heading", text=text, level=level)
    is_bold = all(piece.weight >= BOLD for piece in inside) or _BOLD_TEXT.fullmatch(block.text)
    is_section = COUNTED.match(text) and not SENTENCE_END.search(text.removesuffix("etc."))
    is_another = bool(fonts) and all(piece.font not in fonts for piece in inside)
    if is_section and (is_bold or is_another) and ratio >= _MIN_SECTION_RATIO:
        return replace(block, kind="heading", text=text, level=level_of(text))
    least = _MIN_SECTION_RATIO if is_bold and is_another else 0.95
    if ratio <= least or SENTENCE_END.search(text.rstrip("?")) or not _heads(block, following):
        return None
    bold = is_bold and count <= _MAX_BOLD_WORDS
    leans = all(piece.is_italic for piece in inside) or _is_italic(block.text)
    if bold or (numbered and (leans or is_capital(text))):
        return replace(block, kind="heading", text=text, level=level_of(text))
    return None


def _is_parted(line: Sequence[Piece]) -> bool:
    """Return whether wide white parts a line's words: cells of a table, marks in a margin."""
    return any(
        after.left - before.left - before.width > _MAX_BLANK * before.height
        and sum(map(str.isalpha, before.text)) > 1
        for before, after in pairwise(line)
    )


def _is_italic(text: str) -> bool:
    return bool(re.fullmatch(r"\*[^*]+\*", text.strip()))


def _after_number(block: Block) -> str:
    """Return a list item as a line; it is bold where its words are."""
    whole = f"{block.marker} {block.text.strip('* ')}"
    return f"**{whole}**" if _BOLD_TEXT.fullmatch(block.text) else whole


def _is_beginning(
    block: Block, following: Block | None, lines: list[list[Piece]], body: float
) -> bool:
    """Return whether the next line goes on in the middle of this one's sentence."""
    if following is None or following.kind != "paragraph" or not lines:
        return False
    small = lines[-1][0].size < MIN_RATIO * body
    gap = following.top - block.top - block.height
    line = lines[-1][0].height
    near = abs(following.left - lines[-1][0].left) <= 2 and -line < gap < 0.5 * line
    return small and near and following.text.lstrip("* ")[:1].islower()


def _set_apart(block: Block, lines: list[list[Piece]], body: float, runs: Runs | None) -> str:
    """Return the bold or leaning words with which a line of the body's size begins.

    "" where all words are set so.
    """
    if runs is None or not lines or lines[0][0].size > 1.1 * body:
        return ""
    first = lines[0][0]
    start = runs.bold_start(first) if first.weight >= BOLD else None
    if first.weight < BOLD and first.is_italic:
        start = runs.italic_start(first)
    if not start or len("".join(start.split())) >= len("".join(first.text.split())) - 1:
        return ""
    return start if without_start(block.text, start) else ""


def _run_in_sections(block: Block, lines: list[list[Piece]], runs: Runs | None) -> list[Block]:
    """Return a block in parts at titles behind numbers of sections, with their text behind.

    ``6.1. Setup. We begin`` stands at the beginning of a line, below the end of a sentence, and its
    title is bold or leans.
    """
    out: list[Block] = []
    rest = block
    numbered = (line for line in lines if any(piece.text[:1].isdigit() for piece in line))
    for first in (_joined(one) for line in numbered for one in columns_of(line)):
        if runs is None or not _SECTION.match(first.text):
            continue
        start = (runs.bold_start(first) or "").rstrip()
        if _SECTION.match(start) is None:
            start = (runs.italic_start(first) or "").rstrip()
        title = start.rstrip(" :.")
        ends = (".", ":") if _DOTTED.match(start) else (".",)  # a title may go on in code's letters
        if not start.endswith(ends) or len(start) >= len(first.text.rstrip()) - 1:
            continue
        if not _SECTION.match(title) or len(title.split()) > MAX_WORDS:
            continue
        parts = around(rest.text, start)
        if parts is None or not parts[1]:
            continue
        if parts[0] and not SENTENCE_END.search(parts[0].rstrip("*) ")):
            continue
        if parts[0]:
            out.append(replace(as_text(rest), text=parts[0], height=max(1.0, first.top - rest.top)))
        whole = replace(rest, top=first.top, height=rest.top + rest.height - first.top)
        whole.level = level_of(title)
        head, rest = _cut(whole, title, parts[1].lstrip(" :."), at=first.top)
        out.append(head)
    return [*out, rest]


def _joined(line: Sequence[Piece]) -> Piece:
    """Return a line's pieces as one."""
    last = line[-1]
    width = last.left + last.width - line[0].left
    return replace(line[0], text=" ".join(piece.text.strip() for piece in line), width=width)


def _run_in(block: Block, start: str) -> list[Block]:
    """Return a numbered heading and the text that goes on in its line.

    Other bold words are the beginning of their paragraph.
    """
    title, rest = start.rstrip(" :."), without_start(block.text, start) or ""
    if NUMBERED.match(title) and len(title.split()) <= MAX_WORDS:
        return _cut(replace(block, level=level_of(title)), title, rest.lstrip(" :."), at=block.top)
    return [as_text(block)]


def _cut(block: Block, title: str, rest: str, *, at: float) -> list[Block]:
    head = replace(
        block,
        kind="heading",
        text=title.strip("* "),
        level=block.level or level_of(title),
        height=max(1.0, at - block.top),
    )
    bottom = block.top + block.height
    return [head, replace(as_text(block), text=rest, top=at, height=max(1.0, bottom - at))]


def _heads(block: Block, following: Block | None) -> bool:
    """Return whether a paragraph of some length stands right below, in the same column."""
    if following is None or following.kind not in ("paragraph", "list_item"):
        return False
    gap = following.top - (block.top + block.height)
    shared = min(block.left + block.width, following.left + following.width) - max(
        block.left, following.left
    )
    near = -0.5 * block.height <= gap <= 3 * block.height
    return near and shared > 0 and len(following.text.split()) >= _MIN_TEXT_WORDS


def _rejoin(blocks: list[Block]) -> list[Block]:
    """Return blocks in which a line that lost its place as a heading goes on in the next one."""
    out: list[Block] = []
    for block in blocks:
        above = out[-1] if out else None
        if (
            above is not None
            and above.kind == block.kind == "paragraph"
            and above.height <= 2 * 14
            and block.text[:1].islower()
            and not SENTENCE_END.search(above.text)
            and abs(above.left - block.left) <= 2
            and -0.5 * above.height <= block.top - above.top - above.height <= 0.5 * above.height
        ):
            out[-1] = replace(
                above,
                text=f"{above.text} {block.text}",
                width=max(above.width, block.width),
                height=block.top + block.height - above.top,
            )
        else:
            out.append(block)
    return out


def _join_titles(blocks: list[Block], pieces: Sequence[Piece]) -> list[Block]:
    """Return blocks in which a heading that goes on in the next line is one."""
    out: list[Block] = []
    for block in blocks:
        if out and _goes_on(out[-1], block, pieces):
            above = out.pop()
            width = max(above.left + above.width, block.left + block.width)
            left = min(above.left, block.left)
            block = replace(
                above,
                text=f"{above.text} {block.text}",
                left=left,
                width=width - left,
                height=block.top + block.height - above.top,
            )
        out.append(block)
    return out


def _goes_on(above: Block, below: Block, pieces: Sequence[Piece]) -> bool:
    if not above.kind == below.kind == "heading" or above.level != below.level:
        return False
    gap = below.top - (above.top + above.height)
    if not -0.5 * below.height <= gap <= _MAX_LINE_GAP * below.height:
        return False
    if below.text[:1].islower() or above.text.endswith((":", ",", " and")):
        return True
    if NUMBERED.match(below.text) or SENTENCE_END.search(above.text):
        return False
    if len(above.text.split()) + len(below.text.split()) > _MAX_TITLE_WORDS:
        return False
    upper, lower = lines_in(above, pieces), lines_in(below, pieces)
    if not upper or not lower:
        return False
    one, other = upper[-1][0], lower[0][0]
    return abs(one.size - other.size) < 0.2 and one.weight == other.weight
