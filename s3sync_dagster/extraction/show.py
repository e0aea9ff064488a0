"""What ``s3sync extract FILE --json`` prints: where a document's text came from."""

from typing import Any

from s3sync_dagster.model.document import Document


def provenance(document: Document) -> dict[str, Any]:
    """Return all that is known of a document but its text, as plain JSON values.

    ``pages`` gives label, first character, first line (1-based) and length of each page.
    """
    return {
        "engine": document.engine,
        "format": document.format,
        "language": document.language,
        "encoding": document.encoding,
        "encoding_guessed": document.encoding_guessed,
        "characters": len(document.text),
        "lines": len(document.text.splitlines()),
        "title": document.title,
        "author": document.author,
        "created": document.created,
        "page_count": document.page_count,
        "pages": _pages(document),
        "warnings": list(document.warnings),
    }


def _pages(document: Document) -> list[dict[str, Any]]:
    if not document.pages:
        return []
    shown: list[dict[str, Any]] = []
    line, seen = 1, 0
    ends = [page.start for page in document.pages[1:]] + [len(document.text)]
    for page, end in zip(document.pages, ends, strict=True):
        line += document.text.count("\n", seen, page.start)
        seen = page.start
        shown.append(
            {"label": page.label, "start": page.start, "line": line, "characters": end - page.start}
        )
    return shown
