"""Marks around code in a Markdown text."""

import re

_MARKS = re.compile("`{3,}")


def fence_of(text: str) -> str:
    """Return backticks that stand nowhere in a text, three at least, in one look at it."""
    return "`" * max(3, 1 + max((len(found) for found in _MARKS.findall(text)), default=0))
