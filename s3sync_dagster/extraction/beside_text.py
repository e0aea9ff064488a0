"""What a document says beside its text is short: people read it, and its memory is in no bound.

A sheet's name may have a million characters, which stand in a label for each 100 of its rows.
"""

from collections.abc import Iterable
from dataclasses import replace

from s3sync_dagster.core.filetypes import suffix_of
from s3sync_dagster.model.document import Document

LABEL_CHARACTERS = 256
"""Of a page's label, and of what else a file says of itself."""
NAME_CHARACTERS = 255
"""Of a file inside a file."""
HEADER_CHARACTERS = 65_536
"""Of a mail's header: to some thousand people."""
WARNING_CHARACTERS = 1000
MOST_WARNINGS = 100


class Warnings:
    """Warnings while a document is put together: what is beyond the most is counted, not kept."""

    def __init__(self, first: Iterable[str] = ()) -> None:
        self._kept: list[str] = []
        self._more = 0
        self.add(first)

    def add(self, warnings: Iterable[str], *, before: str = "") -> None:
        """Take warnings, each with something before it."""
        for warning in warnings:
            if len(self._kept) < MOST_WARNINGS:
                self._kept.append(_cut(before + warning, WARNING_CHARACTERS))
            else:
                self._more += 1

    def shown(self) -> tuple[str, ...]:
        """Return them; the last one says how many are not shown."""
        if not self._more:
            return tuple(self._kept)
        return (*self._kept[:-1], f"{self._more + 1} more warnings are not shown.")


def short_name(name: str) -> str:
    """Return the name of a file inside a file, with its suffix, as short as file systems ask."""
    if len(name) <= NAME_CHARACTERS:
        return name
    end = suffix_of(name)[-NAME_CHARACTERS // 4 :]
    return f"{name[: NAME_CHARACTERS - 3 - len(end)]}...{end}"


def shortened(document: Document) -> Document:
    """Return the document with short labels and names, and no more warnings than people read."""
    pages = tuple(
        page
        if len(page.label) <= LABEL_CHARACTERS
        else replace(page, label=short_label(page.label))
        for page in document.pages
    )
    return replace(
        document,
        pages=pages,
        warnings=Warnings(document.warnings).shown(),
        title=document.title and short_label(document.title),
        author=document.author and short_label(document.author),
        created=document.created and short_label(document.created),
        language=document.language and short_label(document.language),
        encoding=short_label(document.encoding),
        engine=short_label(document.engine),
    )


def short_header(value: str) -> str:
    """Return what a header of a mail says, of whom it goes to for the most part."""
    return _cut(value, HEADER_CHARACTERS)


def short_label(text: str) -> str:
    """Return what a file says of itself, as short as people read it."""
    return _cut(text, LABEL_CHARACTERS)


def _cut(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 3] + "..."
