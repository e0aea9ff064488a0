"""Putting a document's text together from pages, slides, chapters, cells or parts."""

from collections.abc import Iterable

from s3sync_dagster.model.document import Page


class PageWriter:
    """Text under construction, with the place where each page begins."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._pages: list[Page] = []
        self._length = 0

    def add(self, label: str, text: str, *, gap: str = "\n\n") -> None:
        """Add a page; ``gap`` stands between its text and the next one's. Empty pages are kept."""
        self._pages.append(Page(start=self._length, label=label))
        body = text.strip("\n")
        if body.strip():
            self._pieces.append(body + gap)
            self._length += len(body) + len(gap)

    @property
    def text(self) -> str:
        """Everything so far, ending in one newline; empty when there is no text."""
        whole = "".join(self._pieces).rstrip("\n")
        return whole + "\n" if whole else ""

    @property
    def pages(self) -> tuple[Page, ...]:
        """The pages so far; those after the last text begin at its end."""
        end = len(self.text)
        return tuple(Page(start=min(page.start, end), label=page.label) for page in self._pages)


def page_ranges(pages: Iterable[int]) -> str:
    """Return ``1-3, 7`` for the indices 0, 1, 2 and 6."""
    ranges: list[list[int]] = []
    for number in sorted(page + 1 for page in pages):
        if ranges and number == ranges[-1][1] + 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ", ".join(f"{first}-{last}" if last > first else str(first) for first, last in ranges)
