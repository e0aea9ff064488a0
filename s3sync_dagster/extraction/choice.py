"""Who reads a file: by suffix first, by content second."""

import re
from dataclasses import dataclass

from s3sync_dagster.core.filetypes import TEXT, FileKind, kind_of, suffix_of
from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.content import head_of, sniff
from s3sync_dagster.extraction.decoding import is_text
from s3sync_dagster.model.errors import UnreadableFile, UnsupportedFile

_SKIPS = {
    "archive": "Archives are not opened; upload the files in it.",
    "media": "Sound, film and design files hold no text that is read.",
    "binary": "The file is no text and of no kind that is read.",
}
_BY_TYPE = {
    "application/pdf": "pdf",
    "text/html": "html",
    "application/xhtml+xml": "html",
    "text/csv": "csv",
    "message/rfc822": "eml",
    "application/epub+zip": "epub",
    "application/rtf": "rtf",
    "text/rtf": "rtf",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """Who reads the file, and what was noticed on the way."""

    kind: FileKind
    warnings: tuple[str, ...] = ()


def choose(content: Content, *, name: str, content_type: str | None) -> Choice:
    """Return the reader: by suffix, checked against what the bytes prove.

    Raises ``UnsupportedFile`` (``archive``, ``media``, ``binary``), ``UnreadableFile``
    (``encrypted``, ``damaged``, ``wrong_suffix``) and ``EmptyText`` (``empty_file``).
    """
    named = kind_of(name)
    if named is not None and named.skip is not None:
        raise UnsupportedFile(_SKIPS[named.skip], reason=named.skip)
    media_type = (content_type or "").partition(";")[0].strip().lower()
    reader = named.reader if named is not None else _BY_TYPE.get(media_type)
    is_text = named is not None and reader not in _PROVABLE
    proven = sniff(content, named_as="text" if is_text else reader)
    if proven == "encrypted":
        raise UnreadableFile("The file is protected by a password.", reason="encrypted")
    if proven == "compound":
        proven = "broken" if named is not None and named.reader in _COMPOUND else "binary"
    if proven in ("broken", "broken_zip"):
        raise UnreadableFile("The file is cut off or damaged.", reason="damaged")
    if proven == "old_workbook":
        message = "Workbooks of Excel 2 to 4 are not read: save it as XLSX."
        raise UnsupportedFile(message, reason="unsupported_file")
    if proven in _SKIPS:
        raise UnsupportedFile(_SKIPS[proven], reason=proven)
    if proven is not None and (named is None or proven != named.reader):
        return Choice(FileKind(reader=proven), _notice(proven, name, named))
    if named is None:
        return Choice(FileKind(reader=reader) if reader else TEXT)
    if proven is None and (reader := _read_as_text(content, named)):
        kind = FileKind(reader=reader) if reader != "text" else TEXT
        return Choice(kind, (f"The suffix says {suffix_of(name)}, the bytes are {reader}.",))
    if proven is None and named.reader in _PROVABLE:
        raise UnreadableFile(
            f"The suffix says {suffix_of(name)} but the bytes are not of that kind.",
            reason="wrong_suffix",
        )
    return Choice(named)


_COMPOUND = ("doc", "xls", "ppt", "msg")
_ALSO_TEXT = ("doc", "msg", "xls", "ppt")
"""Readers whose suffixes plain text has too: ``.dot`` of Graphviz, ``.xls`` of web shops."""
_WEB_ARCHIVE = re.compile(rb"mime-version:", re.IGNORECASE)
_WEB_PAGE = re.compile(rb"<!doctype html|<html|<table|<head|<body", re.IGNORECASE)
_PROVABLE = {
    *("pdf", "docx", "doc", "odt", "rtf", "xlsx", "xls", "ods", "pptx", "ppt", "odp", "epub"),
    *("msg", "image"),
}


def _read_as_text(content: Content, named: FileKind) -> str | None:
    """Return who reads what an old office suffix promises wrongly, None for what is no text."""
    head = head_of(content)
    if named.reader not in _ALSO_TEXT or not is_text(head):
        return None
    if _WEB_ARCHIVE.match(head.lstrip(b"\xef\xbb\xbf \r\n")):
        return "mhtml"
    if named.reader != "msg" and _WEB_PAGE.search(head[:1024]):
        return "html"
    return "csv" if named.reader == "xls" and b"<?xml" not in head[:100] else "text"


def _notice(proven: str, name: str, named: FileKind | None) -> tuple[str, ...]:
    if named is None:
        return ()
    return (f"The suffix says {suffix_of(name)}, the bytes are {proven}: read as {proven}.",)
