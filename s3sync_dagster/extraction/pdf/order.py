"""Reading order of a page's blocks, where layout analysis has some in a wrong place."""

from s3sync_dagster.extraction.pdf.blocks import Block

_MIN_LINES_POINTS = 30.0
"""Height of a paragraph of three lines: what makes a column, other than the cells of a form."""
_MIN_COLUMN = 0.2
"""Width of a column, as share of the page's."""


def in_reading_order(blocks: list[Block], *, width: float) -> list[Block]:
    """Return blocks with those moved ahead that stand above, or in the column before.

    A block comes before each one that it stands above of in the same column. On a page of two
    columns the left one ends before the right one begins. All others stay where they are.
    """
    gutter = _gutter(blocks, width=width)
    out: list[Block] = []
    for block in blocks:
        place = len(out)
        if block.kind != "rule":
            earlier = (
                i
                for i, other in enumerate(out)
                if _is_above(block, other)
                or _is_in_column_before(block, other, blocks=blocks, gutter=gutter)
            )
            place = next(earlier, place)
        while 0 < place < len(out) and _heads(out[place - 1], out[place], below=block):
            place -= 1
        out.insert(place, block)
    return out


def put_in_place(blocks: list[Block], block: Block) -> None:
    """Put a block before the first one below it in its column; at the end where there is none."""
    below = (i for i, other in enumerate(blocks) if _is_above(block, other))
    blocks.insert(next(below, len(blocks)), block)


def _is_above(block: Block, other: Block) -> bool:
    return _bottom(block) <= other.top and other.kind != "rule" and _share_column(block, other)


def _heads(before: Block, other: Block, *, below: Block) -> bool:
    """Return whether a block has to stay before the other, and stands below a third one."""
    return before.top >= _bottom(below) and _share_column(before, other)


def _share_column(block: Block, other: Block) -> bool:
    shared = min(_right(block), _right(other)) - max(block.left, other.left)
    return shared > 0.5 * min(block.width, other.width)


def _is_in_column_before(
    block: Block, other: Block, *, blocks: list[Block], gutter: float | None
) -> bool:
    if gutter is None or _right(block) > gutter or other.left < gutter or other.kind == "rule":
        return False
    upper, lower = sorted((block.top, other.top))
    return not any(
        each.left < gutter < _right(each) and upper <= each.top <= lower for each in blocks
    )


def _gutter(blocks: list[Block], *, width: float) -> float | None:
    """Return the middle of the gap between two columns, None on other pages."""
    texts = [
        block
        for block in blocks
        if block.kind in ("paragraph", "table")
        and block.height >= _MIN_LINES_POINTS
        and block.width >= width * _MIN_COLUMN
    ]
    left = [block for block in texts if _right(block) <= width * 0.55]
    right = [block for block in texts if block.left >= width * 0.45]
    if not left or not right or len(left) + len(right) < len(texts) / 2:
        return None
    start, end = max(map(_right, left)), min(block.left for block in right)
    return (start + end) / 2 if start < end else None


def _right(block: Block) -> float:
    return block.left + block.width


def _bottom(block: Block) -> float:
    return block.top + block.height
