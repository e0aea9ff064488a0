"""Putting a document's text together from pages, slides, chapters, cells or parts."""

import sys
from collections.abc import Iterable

from s3sync_dagster.model.document import Page


class PageWriter:
    """Text under construction, with the place where each page begins."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._pages: list[Page] = []
        self._length = 0
        self._width = 1

    def add(self, label: str, text: str, *, gap: str = "\n\n") -> None:
        """Add a page; ``gap`` stands between its text and the next one's. Empty pages are kept."""
        self._pages.append(Page(start=self._length, label=label))
        body = text.strip("\n")
        if body.strip():
            self._pieces.append(body + gap)
            self._length += len(body) + len(gap)
            self._width = max(self._width, _width(body))

    @property
    def held_bytes(self) -> int:
        """Bytes of memory that the text takes: one character may make all others as wide."""
        return self._length * self._width

    @property
    def text(self) -> str:
        """Everything so far, ending in one newline; empty when there is no text."""
        return "".join([*self._pieces[:-1], *self._end()])

    @property
    def pages(self) -> tuple[Page, ...]:
        """The pages so far; those after the last text begin at its end."""
        end = self._length - sum(map(len, self._pieces[-1:])) + sum(map(len, self._end()))
        return tuple(Page(start=min(page.start, end), label=page.label) for page in self._pages)

    def _end(self) -> list[str]:
        return [piece.rstrip("\n") + "\n" for piece in self._pieces[-1:]]


def _width(text: str) -> int:
    if text.isascii():
        return 1
    return min(4, sys.getsizeof(text) // len(text))


def page_ranges(pages: Iterable[int]) -> str:
    """Return ``1-3, 7`` for the indices 0, 1, 2 and 6."""
    ranges: list[list[int]] = []
    for number in sorted(page + 1 for page in pages):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ", ".join(f"{first}-{last}" if last > first else str(first) for first, last in ranges)
