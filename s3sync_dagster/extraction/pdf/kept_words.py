"""Whether a rule that makes other blocks of a page's text has kept its words."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.grids import Word
from s3sync_dagster.extraction.pdf.text_layer import plain

LEADERS = re.compile(r"(?:[.·]\s?){3,}|…(?:\s?…)*")
"""Dots that lead from a name to its page; four full stops of a shortened word are none of them."""
_EMPHASIS = re.compile(r"\*{1,3}(?=\S)|(?<=\S)\*{1,3}")


def keeps_words(before: list[Block], after: list[Block], words: Sequence[Word]) -> bool:
    """Return whether two forms of a page say the same words as often, dots that lead aside.

    A word is what blanks part, so that a number that falls into two counts. The second form may
    also say words of the page that the first says nowhere.
    """
    said, now = _words(_texts(before)), _words(_texts(after))
    if said == now:
        return True
    unsaid = _words(plain(word.text) for word in words) - said
    return said <= now and now - said <= unsaid


def _texts(blocks: list[Block]) -> Iterator[str]:
    for block in blocks:
        yield block.marker
        yield block.text if block.text.strip() else "\n".join(block.lines)
        for row in block.rows:
            yield from row


def _words(texts: Iterable[str]) -> Counter[str]:
    return Counter(
        word
        for text in texts
        for word in _EMPHASIS.sub("", LEADERS.sub(" ", text)).split()
        if any(map(str.isalnum, word))
    )
