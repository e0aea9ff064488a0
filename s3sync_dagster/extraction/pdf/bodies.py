"""Bodies of a PDF's pages: their blocks with lost lines put back and running heads left out."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from s3sync_dagster.extraction.pdf.blocks import Block, blocks_to_markdown
from s3sync_dagster.extraction.pdf.lost_lines import Line, add_lines
from s3sync_dagster.extraction.pdf.margins import MARGIN, MarginLine
from s3sync_dagster.extraction.pdf.running_heads import (
    apart_twice,
    cuts_of,
    find_running_heads,
    later_ones,
    without_heads,
)


@dataclass(slots=True)
class Layout:
    """What layout analysis says of one page."""

    blocks: list[Block] = field(default_factory=list)
    margins: list[MarginLine] = field(default_factory=list)
    height: float = 0.0
    lost: Counter[str] = field(default_factory=Counter)
    """Words of the text layer that the blocks lack."""
    lines: list[Line] = field(default_factory=list)
    """Lines that are lost as a whole."""
    is_garbled: bool = False
    """Whether the text layer is proven to be no text, and layout analysis suspects that too."""


@dataclass(slots=True)
class Body:
    """A page's blocks, and what stays of running heads above and below them."""

    blocks: list[Block] = field(default_factory=list)
    above: list[Block] = field(default_factory=list)
    below: list[Block] = field(default_factory=list)

    def whole(self, *, is_continued: bool, goes_on: bool) -> list[Block]:
        """Return all blocks in order.

        Where a table goes on from the page before or on the next, nothing stands in between.
        """
        above, below = list(self.above), list(self.below)
        if is_continued:
            above, below = [], [*above, *below]
        if goes_on and not (is_continued and len(self.blocks) == 1):
            return [*above, *self.blocks[:-1], *below, *self.blocks[-1:]]
        return [*above, *self.blocks, *below]


def bodies_of(
    layouts: Sequence[Layout], *, plain_pages: Collection[int], scans: Collection[int]
) -> list[Body]:
    """Return the body of each page, an empty one of the plain pages.

    Pages that are nothing but running heads keep them. Scans keep all, as they may be read anew.
    What stays of running heads is no heading.
    """
    margins = [
        [*layout.margins, *(line.mark for line in layout.lines if line.is_marginal)]
        for layout in layouts
    ]
    heads = find_running_heads(margins)
    repeated = apart_twice(margins)
    laid_out = set(range(len(layouts))) - {*plain_pages, *scans}

    def blocks_of(page: int, left_out: Collection[MarginLine]) -> list[Block]:
        layout = layouts[page]
        elsewhere = {line.mark.text for line in layout.lines}
        cuts = [cut for cut in cuts_of(margins[page], left_out) if cut.text not in elsewhere]
        blocks = without_heads(layout.blocks, cuts, height=layout.height)
        lines = [line for line in layout.lines if line.is_visible and line.mark not in left_out]
        add_lines(blocks, lines)
        return blocks

    without = {page: blocks_of(page, heads[page]) for page in sorted(laid_out)}
    bare = {page: blocks_to_markdown(blocks) for page, blocks in without.items()}
    bodies: list[Body] = []
    for page, left_out in enumerate(later_ones(heads, bare)):
        if page in without and left_out == heads[page].keys():
            blocks = without[page]
        else:
            blocks = [] if page in plain_pages else blocks_of(page, left_out)
        if not blocks and page in laid_out:
            blocks = blocks_of(page, {line for line, words in heads[page].items() if not words})
        kept = {line.text for line in (*heads[page], *repeated.intersection(margins[page]))}
        bodies.append(_parted(blocks, kept, height=layouts[page].height))
    return bodies


def _parted(blocks: list[Block], kept: Collection[str], *, height: float) -> Body:
    """Return blocks with those of some margins' lines apart, as paragraphs."""
    body = Body()
    for block in blocks:
        if block.kind not in ("heading", "paragraph") or block.text.strip("* ") not in kept:
            body.blocks.append(block)
            continue
        plain = replace(block, kind="paragraph", level=0)
        if block.top + block.height / 2 < height * MARGIN:
            body.above.append(plain)
        elif block.top + block.height / 2 > height * (1 - MARGIN):
            body.below.append(plain)
        else:
            body.blocks.append(block)
    return body
