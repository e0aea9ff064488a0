"""E-books: the chapters in reading order, each a web page and a page of the document."""

import io
import posixpath
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.archives import BROKEN_ARCHIVE, check_unpacked_size
from s3sync_dagster.extraction.decoding import Decoded, decode
from s3sync_dagster.extraction.docling_reader import CSS_SELECTORS, TO_MARKDOWN
from s3sync_dagster.extraction.metadata import office_properties
from s3sync_dagster.extraction.pages import PageWriter
from s3sync_dagster.extraction.web import html_to_document
from s3sync_dagster.extraction.web_fast import markdown_by_walk, page_document
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.errors import UnreadableFile
from s3sync_dagster.model.source import ExtractionConfig

PRELOAD = {
    "read_epub": (
        "docling.backend.html_backend",
        "defusedxml.ElementTree",
        TO_MARKDOWN,
        CSS_SELECTORS,
    ),
    "read_epub_fast": ("lxml.html", "defusedxml.ElementTree"),
}
_CONTAINER = "META-INF/container.xml"
_ENCRYPTION = "META-INF/encryption.xml"
_MAX_LABEL_CHARACTERS = 80


def read_epub(content: Content, *, name: str, config: ExtractionConfig) -> Document:
    """Return a book through docling, as ``read_epub_fast`` does without it."""
    return _book(content, lambda page: html_to_document(page, name=name, config=config))


def read_epub_fast(content: Content, *, name: str, config: ExtractionConfig) -> Document:
    """Return a book; pages are labelled with the first heading of each chapter.

    Raises ``UnreadableFile`` (``encrypted``, ``damaged``) and ``LimitExceeded`` (``zip_bomb``).
    """
    del name
    markdown = markdown_by_walk(config)
    return _book(content, lambda page: page_document(page, markdown))


def _book(content: Content, read: Callable[[Decoded], Document]) -> Document:
    """Return the chapters as one document, each read as a web page."""
    check_unpacked_size(content)
    engine = ""
    writer = PageWriter()
    warnings: list[str] = []
    for number, body in enumerate(_chapters(content), start=1):
        chapter = read(decode(body))
        engine = engine or chapter.engine
        if not chapter.text.strip():
            continue
        writer.add(_label(chapter.text) or f"Part {number}", chapter.text)
        warnings.extend(text for text in chapter.warnings if text not in warnings)
    properties = office_properties(content)
    return Document(
        text=writer.text,
        format="markdown",
        pages=writer.pages,
        page_count=len(writer.pages),
        title=properties.title,
        author=properties.author,
        created=properties.created,
        engine=engine,
        warnings=tuple(warnings),
    )


def _chapters(content: Content) -> Iterator[bytes]:
    """Yield the book's XHTML files in reading order."""
    from defusedxml import DefusedXmlException  # noqa: PLC0415 (only in workers)
    from defusedxml.ElementTree import ParseError  # noqa: PLC0415

    source = content if isinstance(content, Path) else io.BytesIO(content)
    try:
        with zipfile.ZipFile(source) as archive:
            paths = _reading_order(archive)
            if not _encrypted_paths(archive).isdisjoint(paths):
                message = "The book is protected: its chapters are encrypted."
                raise UnreadableFile(message, reason="encrypted")
            for path in paths:
                yield archive.read(path)
    except (KeyError, StopIteration, ParseError, DefusedXmlException):
        raise UnreadableFile(
            "The book has no readable table of its files.", reason="damaged"
        ) from None
    except BROKEN_ARCHIVE:
        raise UnreadableFile("The book is cut off or damaged.", reason="damaged") from None


def _encrypted_paths(archive: zipfile.ZipFile) -> set[str]:
    """Return the files that need a key; most books encrypt nothing but their fonts."""
    if _ENCRYPTION not in archive.namelist():
        return set()
    table = _parse(archive.read(_ENCRYPTION))
    return {
        posixpath.normpath(unquote(element.get("URI", "")))
        for element in table.iter()
        if _is(element, "CipherReference")
    }


def _reading_order(archive: zipfile.ZipFile) -> list[str]:
    """Return the paths of the spine's files."""
    container = _parse(archive.read(_CONTAINER))
    package_path = next(
        element.attrib["full-path"] for element in container.iter() if _is(element, "rootfile")
    )
    package = _parse(archive.read(package_path))
    folder = posixpath.dirname(package_path)
    files = {
        element.attrib["id"]: posixpath.normpath(
            posixpath.join(folder, unquote(element.attrib["href"]))
        )
        for element in package.iter()
        if _is(element, "item") and "html" in element.attrib.get("media-type", "")
    }
    present = set(archive.namelist())
    spine = [
        files.get(element.attrib["idref"], "")
        for element in package.iter()
        if _is(element, "itemref")
    ]
    return [path for path in spine if path in present]


def _parse(xml: bytes) -> Any:
    from defusedxml.ElementTree import fromstring  # noqa: PLC0415 (only in workers)

    return fromstring(xml)


def _is(element: Any, name: str) -> bool:
    return str(element.tag).rpartition("}")[2] == name


def _label(markdown: str) -> str:
    """Return the first heading, shortened."""
    for line in markdown.split("\n"):
        if line.startswith("#"):
            return line.lstrip("# ").strip()[:_MAX_LABEL_CHARACTERS]
    return ""
