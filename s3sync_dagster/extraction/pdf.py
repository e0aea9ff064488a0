"""PDF text with pdfium, page by page. Runs in a worker: pdfium can hang and crash."""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from s3sync_dagster.core.interfaces import Content
from s3sync_dagster.model.document import Document, Page
from s3sync_dagster.model.errors import EmptyText, LimitExceeded, UnreadableFile
from s3sync_dagster.model.source import ExtractionConfig

PRELOAD = {"read_with_pdfium": ("pypdfium2",)}
MAX_PAGES = 7000
_PASSWORD_ERROR = 4
_LINE_HYPHEN = re.compile("[\ufffe\x02]\r?\n?")
"""pdfium's mark for a hyphen that only the line's end made."""


def read_with_pdfium(content: Content, *, name: str, config: ExtractionConfig) -> Document:
    """Return the text layer of a PDF, one ``Page`` each.

    Raises ``UnreadableFile`` (``encrypted``, ``damaged``), ``LimitExceeded``
    (``too_many_pages``) and ``EmptyText`` (``no_text``) for a scan.
    """
    del name, config
    pdf = open_pdf(content)
    pieces: list[str] = []
    pages: list[Page] = []
    length = 0
    for number, text in enumerate(page_texts(pdf), start=1):
        pages.append(Page(start=length, label=str(number)))
        piece = text.strip() + "\n\n" if text.strip() else ""
        pieces.append(piece)
        length += len(piece)
    whole = "".join(pieces)
    if not whole.strip():
        raise EmptyText("The PDF has no text layer: it is a scan or empty.", reason="no_text")
    metadata = pdf.get_metadata_dict(skip_empty=True)
    return Document(
        text=whole,
        format="markdown",
        pages=tuple(pages),
        page_count=len(pdf),
        title=metadata.get("Title"),
        author=metadata.get("Author"),
        created=iso_date(metadata.get("CreationDate", "")),
        engine="pypdfium2",
    )


def open_pdf(content: Content) -> Any:
    """Return pdfium's document, its pages counted."""
    import pypdfium2

    try:
        pdf = pypdfium2.PdfDocument(content if isinstance(content, Path) else io.BytesIO(content))
    except pypdfium2.PdfiumError as error:
        if error.err_code == _PASSWORD_ERROR:
            message = "The PDF is protected by a password."
            raise UnreadableFile(message, reason="encrypted") from None
        raise UnreadableFile("The PDF is cut off or damaged.", reason="damaged") from None
    if len(pdf) > MAX_PAGES:
        raise LimitExceeded(
            f"The PDF has {len(pdf)} pages; at most {MAX_PAGES} are read.", reason="too_many_pages"
        )
    return pdf


def page_texts(pdf: Any) -> Iterator[str]:
    """Yield each page's text with plain newlines; a page that cannot be loaded gives none."""
    import pypdfium2

    for number in range(len(pdf)):
        try:
            page = pdf[number]
        except pypdfium2.PdfiumError:
            yield ""
            continue
        layer = page.get_textpage()
        text = layer.get_text_range()
        layer.close()
        page.close()
        yield _LINE_HYPHEN.sub("", text).replace("\r\n", "\n").replace("\x00", "")


def iso_date(text: str) -> str | None:
    """Return ``D:20240229120000+01'00'`` as ``2024-02-29T12:00:00+01:00``, None for anything else.

    Only the parts that are given are kept.
    """
    found = re.fullmatch(
        r"(?:D:)?(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?(Z|[+-]\d\d)?'?(\d\d)?'?.*", text
    )
    if not found:
        return None
    year, month, day, hour, minute, second, zone, zone_minutes = found.groups()
    date = f"{year}-{month}-{day}"
    if hour is None:
        return date
    offset = "" if zone is None else "Z" if zone == "Z" else f"{zone}:{zone_minutes or '00'}"
    return f"{date}T{hour}:{minute}:{second or '00'}{offset}"
