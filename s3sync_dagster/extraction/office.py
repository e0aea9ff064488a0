"""Office, web and e-book formats through docling's backends, without its converter.

The converter imports every backend and every pipeline (2.7 CPU-seconds); one backend costs about 1,
once per forker.
"""

import io
from pathlib import Path
from typing import Any, cast

from s3sync_dagster.core.interfaces import Content
from s3sync_dagster.extraction.content import read_all
from s3sync_dagster.model.document import Document, Page
from s3sync_dagster.model.errors import UnreadableFile
from s3sync_dagster.model.source import ExtractionConfig

_BACKENDS = "docling.backend."
PRELOAD = {
    "read_docx": (_BACKENDS + "msword_backend",),
    "read_pptx": (_BACKENDS + "mspowerpoint_backend",),
    "read_opendocument": (_BACKENDS + "opendocument_backend",),
    "read_html": (_BACKENDS + "html_backend",),
    "read_epub": (_BACKENDS + "epub_backend",),
}
_PAGE_BREAK = "\x00page break\x00"


def read_docx(content: Content, *, name: str, config: ExtractionConfig) -> Document:
    """Return a Word document as Markdown."""
    from docling.backend.msword_backend import MsWordDocumentBackend

    del config
    return _convert(content, name=name, format_name="DOCX", backend=MsWordDocumentBackend)


def read_pptx(content: Content, *, name: str, config: ExtractionConfig) -> Document:
    """Return a presentation as Markdown, a page for each slide."""
    from docling.backend.mspowerpoint_backend import (
        MsPowerpointDocumentBackend,
    )

    del config
    return _convert(content, name=name, format_name="PPTX", backend=MsPowerpointDocumentBackend)


def read_opendocument(content: Content, *, name: str, config: ExtractionConfig) -> Document:
    """Return an OpenDocument text or presentation as Markdown."""
    from docling.backend import opendocument_backend

    del config
    slides = name.lower().endswith((".odp", ".otp"))
    return _convert(
        content,
        name=name,
        format_name="ODP" if slides else "ODT",
        backend=(
            opendocument_backend.OdpDocumentBackend
            if slides
            else opendocument_backend.OdtDocumentBackend
        ),
    )


def read_html(content: Content, *, name: str, config: ExtractionConfig) -> Document:
    """Return a web page as Markdown, with or without what stands before its first heading."""
    from docling.backend.html_backend import HTMLDocumentBackend
    from docling.datamodel.backend_options import HTMLBackendOptions

    options: Any = HTMLBackendOptions.model_validate({"infer_furniture": not config.boilerplate})
    return _convert(
        content, name=name, format_name="HTML", backend=HTMLDocumentBackend, options=options
    )


def read_epub(content: Content, *, name: str, config: ExtractionConfig) -> Document:
    """Return an e-book as Markdown."""
    from docling.backend.epub_backend import EpubDocumentBackend

    del config
    return _convert(content, name=name, format_name="EPUB", backend=EpubDocumentBackend)


def _convert(
    content: Content, *, name: str, format_name: str, backend: Any, options: Any = None
) -> Document:
    from docling.datamodel.base_models import InputFormat
    from docling.datamodel.document import InputDocument

    source = content if isinstance(content, Path) else io.BytesIO(read_all(content))
    entry = InputDocument(
        path_or_stream=source,
        format=InputFormat[format_name],
        backend=backend,
        backend_options=options,
        filename=Path(name).name or "document",
    )
    if not entry.valid:
        raise UnreadableFile("The file is cut off, damaged or protected.", reason="damaged")
    try:
        parsed = cast("Any", entry)._backend.convert()
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 (docling lets parsers' errors through)
        message = f"The file cannot be read: docling failed with {type(error).__name__}."
        raise UnreadableFile(message, reason="damaged") from None
    text = parsed.export_to_markdown(
        escape_html=False,
        escape_underscores=False,
        image_placeholder="",
        page_break_placeholder=_PAGE_BREAK,
        compact_tables=True,
        traverse_pictures=True,
    )
    text, pages = _split_pages(text)
    return Document(
        text=text, format="markdown", pages=pages, page_count=len(pages), engine="docling"
    )


def _split_pages(text: str) -> tuple[str, tuple[Page, ...]]:
    """Return the text without page-break marks, and where each page began."""
    parts = text.split(_PAGE_BREAK)
    if len(parts) == 1:
        return text, ()
    pages: list[Page] = []
    pieces: list[str] = []
    length = 0
    for number, part in enumerate(parts, start=1):
        piece = part.strip("\n") + "\n\n"
        pages.append(Page(start=length, label=str(number)))
        pieces.append(piece)
        length += len(piece)
    return "".join(pieces), tuple(pages)
