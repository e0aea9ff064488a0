"""What a document says beside its text is short: people read it, and its memory is in no bound.

A sheet's name may have a million characters, which stand in a label for each 100 of its rows.
"""

from collections.abc import Iterable, Sequence
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
        return _with_rest(self._kept, self._more)


def short_name(name: str) -> str:
    """Return the name of a file inside a file, with its suffix, as short as file systems ask."""
    if len(name) <= NAME_CHARACTERS:
        return name
    end = suffix_of(name)[-NAME_CHARACTERS // 4 :]
    return f"{name[: NAME_CHARACTERS - 3 - len(end)]}...{end}"


def shortened(document: Document) -> Document:
    """Return the document with short labels and names, and no more warnings than people read."""
    pages = tuple(
        page if len(page.label) <= LABEL_CHARACTERS else replace(page, label=_cut(page.label))
        for page in document.pages
    )
    warnings = document.warnings[:MOST_WARNINGS]
    warnings = _with_rest(warnings, len(document.warnings) - len(warnings))
    return replace(
        document,
        pages=pages,
        warnings=tuple(_cut(one, WARNING_CHARACTERS) for one in warnings),
        title=document.title and _cut(document.title),
        author=document.author and _cut(document.author),
        created=document.created and _cut(document.created),
        language=document.language and _cut(document.language),
        encoding=_cut(document.encoding),
        engine=_cut(document.engine),
    )


def _with_rest(warnings: Sequence[str], more: int) -> tuple[str, ...]:
    if not more:
        return tuple(warnings)
    return (*warnings[:-1], f"{more + 1} more warnings are not shown.")


def short_header(value: str) -> str:
    """Return what a header of a mail says, of whom it goes to for the most part."""
    return _cut(value, HEADER_CHARACTERS)


def short_label(text: str) -> str:
    """Return what a file says of itself, as short as people read it."""
    return _cut(text)


def _cut(text: str, characters: int = LABEL_CHARACTERS) -> str:
    return text if len(text) <= characters else text[: characters - 3] + "..."
