"""Documents of Apple's Pages, Numbers and Keynote through docling."""

import io
import zipfile
from pathlib import Path

from s3sync_dagster.core.filetypes import suffix_of
from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.archives import BROKEN_ARCHIVE
from s3sync_dagster.extraction.docling_reader import (
    TO_MARKDOWN,
    convert,
    fill_pictures,
    open_backend,
    to_markdown,
)
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.errors import UnreadableFile, UnsupportedFile
from s3sync_dagster.model.source import ExtractionConfig

PRELOAD = {"read_iwork": ("docling.backend.iwork_backend", TO_MARKDOWN)}


def read_iwork(content: Content, *, name: str, config: ExtractionConfig) -> Document:
    """Return a document of Pages, Numbers or Keynote; its suffix says of which.

    Raises ``UnreadableFile`` (``encrypted``, ``damaged``) and ``UnsupportedFile``
    (``unsupported_file``) for one without its suffix, and for a package of Numbers in a folder.
    """
    from docling.backend import iwork_backend as docling
    from docling.backend.iwork.iwa import is_encrypted

    del config
    backends = {
        ".pages": ("IWORK_PAGES", docling.IWorkPagesDocumentBackend),
        ".numbers": ("IWORK_NUMBERS", docling.IWorkNumbersDocumentBackend),
        ".key": ("IWORK_KEYNOTE", docling.IWorkKeynoteDocumentBackend),
    }
    known = backends.get(suffix_of(name))
    if known is None:
        message = (
            "A document of Pages, Numbers or Keynote needs its suffix: .pages, .numbers, .key."
        )
        raise UnsupportedFile(message, reason="unsupported_file")
    members = _members(content)
    if any(map(is_encrypted, members)):
        raise UnreadableFile("The document is protected by a password.", reason="encrypted")
    if known[0] == "IWORK_NUMBERS" and any(one.filename.endswith("/Index.zip") for one in members):
        message = "This form of a Numbers document is not read: export it as XLSX."
        raise UnsupportedFile(message, reason="unsupported_file")
    backend = open_backend(content, name=name, format_name=known[0], backend=known[1])
    markdown = fill_pictures(to_markdown(convert(backend), layers=("BODY", "NOTES")))
    return Document(text=markdown, format="markdown", engine="docling")


def _members(content: Content) -> list[zipfile.ZipInfo]:
    try:
        with zipfile.ZipFile(content if isinstance(content, Path) else io.BytesIO(content)) as file:
            return file.infolist()
    except BROKEN_ARCHIVE:
        return []  # docling says what is wrong
