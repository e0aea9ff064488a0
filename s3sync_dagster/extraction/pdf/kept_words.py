"""Whether a rule that makes other blocks of a page's text has kept its words."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.grids import Word
from s3sync_dagster.extraction.pdf.text_layer import plain

LEADERS = re.compile(r"(?:[.·]\s?){3,}|…(?:\s?…)*")
"""Dots that lead from a name to its page."""
_MARKUP = re.compile(r"\\([^\w\s])|\*{1,3}(?=\S)|(?<=\S)\*{1,3}")
"""Emphasis, and the backslash before a character that has a meaning in Markdown."""


def keeps_words(before: list[Block], after: list[Block], words: Sequence[Word]) -> bool:
    """Return whether two forms of a page say the same words as often, dots that lead aside.

    A word is what blanks part, so that a number that falls into two counts. The second form may
    say words that the page has and the first does not, and no oftener than the page what the first
    says oftener: layout analysis drops some, and says some twice.
    """
    said, now = _words(_texts(before)), _words(_texts(after))
    if said == now:
        return True
    page = _words(plain(word.text) for word in words)
    lost, added = said - now, now - said
    return added <= page - said and all(0 < page[word] <= now[word] for word in lost)


def _texts(blocks: list[Block]) -> Iterator[str]:
    for block in blocks:
        yield block.marker
        yield block.text if block.text.strip() else "\n".join(block.lines)
        for row in block.rows:
            yield from row


def _words(texts: Iterable[str]) -> Counter[str]:
    return Counter(
        word.rstrip(".·…")
        for text in texts
        for word in _MARKUP.sub(r"\1", LEADERS.sub(" ", text)).split()
        if any(map(str.isalnum, word))
    )
