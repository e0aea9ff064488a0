"""What a document says beside its text is short: people read it, and its memory is in no bound.

A sheet's name may have a million characters, which stand in a label for each 100 of its rows.
"""

from dataclasses import replace

from s3sync_dagster.model.document import Document

LABEL_CHARACTERS = 256
"""Of a page's label, and of what else a file says of itself."""
WARNING_CHARACTERS = 1000
MOST_WARNINGS = 100


def shortened(document: Document) -> Document:
    """Return the document with short labels and names, and no more warnings than people read."""
    pages = tuple(
        page if len(page.label) <= LABEL_CHARACTERS else replace(page, label=_cut(page.label))
        for page in document.pages
    )
    warnings = document.warnings[:MOST_WARNINGS]
    if more := len(document.warnings) - len(warnings):
        warnings = (*warnings[:-1], f"{more + 1} more warnings are not shown.")
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


def _cut(text: str, characters: int = LABEL_CHARACTERS) -> str:
    return text if len(text) <= characters else text[: characters - 3] + "..."
