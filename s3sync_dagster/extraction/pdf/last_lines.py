"""Last lines of a text that layout analysis takes for the first row of the table below."""

from collections.abc import Sequence
from dataclasses import replace

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.grids import Word, cells_in, lines_of
from s3sync_dagster.extraction.pdf.kept_words import keeps_words
from s3sync_dagster.extraction.pdf.rows import has_places
from s3sync_dagster.extraction.pdf.table_lines import SHIFT
from s3sync_dagster.extraction.pdf.text_layer import plain

_MIN_ROWS = 3
_MAX_GAP = 0.8
"""To the text above, in heights of the line; that to the row below is wider."""
_ENDS = (".", "!", "?", ":")
_BULLETS = frozenset("•·▪◦‣–\uf0b7\uf0a7")


def part_last_lines(blocks: list[Block], words: Sequence[Word]) -> list[Block]:
    """Return blocks in which a line that ends the text above a table is no row of it.

    Columns cut such a line where no wide white is. It ends a sentence of which the text above has
    the beginning, or is one more item of the list above. Blocks stay where a word would not.
    """
    out: list[Block] = []
    is_same = True
    for block in blocks:
        parted = _parted(out[-1], block, words) if out else None
        if parted is None:
            out.append(block)
        else:
            out[-1:] = parted
            is_same = False
    return out if is_same or keeps_words(blocks, out, words) else blocks


def _parted(above: Block, table: Block, words: Sequence[Word]) -> list[Block] | None:
    """Return the text, its list's next item if it is one, and the table; None for others."""
    if above.kind not in ("paragraph", "list_item") or table.kind != "table":
        return None
    if len(table.rows) < _MIN_ROWS or not has_places(table) or sum(map(bool, table.rows[0])) < 2:
        return None
    first, second = table.tops[:2]
    right = table.left + table.width
    inside = [
        w for w in words if first - SHIFT < w.middle < second and table.left <= w.left + SHIFT
    ]
    lines = [*lines_of([word for word in inside if word.left < right])]
    if len(lines) != 1:
        return None
    (line,) = lines
    gap = first - above.top - above.height
    is_near = gap <= _MAX_GAP * line[0].height and gap < second - first - 2 * line[0].height
    is_item = above.kind == "list_item" and line[0].text in _BULLETS
    said = line[1:] if is_item else line
    if not (is_near and abs(line[0].left - above.left) <= SHIFT and len([*cells_in(said)]) == 1):
        return None
    text = plain(" ".join(word.text for word in said))
    if not text.endswith(_ENDS) or not is_item and above.text.rstrip("*_").endswith(_ENDS):
        return None
    rest = replace(
        table,
        rows=table.rows[1:],
        first_row=table.rows[1],
        tops=table.tops[1:],
        top=second,
        height=table.top + table.height - second,
    )
    end = max(word.top + word.height for word in line)
    width = max(above.width, line[-1].left + line[-1].width - above.left)
    if is_item:
        item = replace(above, text=text, top=first, height=end - first, width=width)
        return [above, item, rest]
    text = f"{above.text} {text}"
    return [replace(above, text=text, height=end - above.top, width=width), rest]
