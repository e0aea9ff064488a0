"""One object's bytes to its document: the way in, and who reads what."""

import functools
from dataclasses import dataclass, replace

from s3sync_dagster.core.filetypes import TEXT, FileKind, kind_of, suffix_of
from s3sync_dagster.core.interfaces import Content, WorkerPool
from s3sync_dagster.extraction.content import read_all, sniff
from s3sync_dagster.extraction.decoding import decode
from s3sync_dagster.extraction.follow import Reading
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.errors import EmptyText, UnreadableFile, UnsupportedFile
from s3sync_dagster.model.source import ExtractionConfig

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
class _Choice:
    """Who reads the file, and what was noticed on the way."""

    kind: FileKind
    warnings: tuple[str, ...] = ()


def extract_document(
    content: Content,
    *,
    name: str,
    content_type: str | None = None,
    config: ExtractionConfig,
    pool: WorkerPool,
) -> Document:
    """Return the text of an object.

    Text and code are decoded in this process, everything else is read in ``pool``.

    Args:
        content: bytes, or the path of a spooled file.
        name: object key or file name; its suffix decides first, the bytes second.
        content_type: media type of the object; decides for names without a known suffix.
        config: engines and choices of the source.
        pool: worker processes.

    Raises:
        UnsupportedFile: ``archive``, ``media``, ``binary``.
        UnreadableFile: ``damaged``, ``encrypted``, ``wrong_suffix``.
        EmptyText: ``empty_file``, ``empty_text``, ``no_text``.
        LimitExceeded: ``timeout``, ``out_of_memory``, ``too_many_pages`` and the like.
        MissingEngine: a program or package is not installed.
    """
    return _extract(
        content, name=name, content_type=content_type, config=config, pool=pool, depth=0
    )


def _extract(
    content: Content,
    *,
    name: str,
    config: ExtractionConfig,
    pool: WorkerPool,
    depth: int,
    content_type: str | None = None,
) -> Document:
    choice = _choose(content, name=name, content_type=content_type)
    if choice.kind.reader == "text":
        document = _read_text(content, choice.kind)
    else:
        reading = Reading(
            config=config,
            pool=pool,
            depth=depth,
            extract=functools.partial(_extract, config=config, pool=pool),
        )
        document = reading.read(
            content, reader=choice.kind.reader, name=name, suffix=suffix_of(name)
        )
    if not document.text.strip():
        raise EmptyText("The file was read and holds no text.", reason="empty_text")
    if choice.warnings:
        document = replace(document, warnings=choice.warnings + document.warnings)
    return document


def _choose(content: Content, *, name: str, content_type: str | None) -> _Choice:
    """Return the reader: by suffix, checked against what the bytes prove."""
    named = kind_of(name)
    if named is not None and named.skip is not None:
        raise UnsupportedFile(_SKIPS[named.skip], reason=named.skip)
    named_as_text = named is not None and named.reader not in _PROVABLE
    proven = sniff(content, named_as_text=named_as_text)
    if proven == "encrypted":
        raise UnreadableFile("The file is protected by a password.", reason="encrypted")
    if proven == "broken_zip":
        raise UnreadableFile("The file is cut off or damaged.", reason="damaged")
    if proven in _SKIPS:
        raise UnsupportedFile(_SKIPS[proven], reason=proven)
    if proven is not None and (named is None or proven != named.reader):
        return _Choice(FileKind(reader=proven), _notice(proven, name, named))
    if named is None:
        media_type = (content_type or "").partition(";")[0].strip().lower()
        reader = _BY_TYPE.get(media_type)
        return _Choice(FileKind(reader=reader) if reader else TEXT)
    if proven is None and suffix_of(name) in _ALSO_TEXT:
        return _Choice(TEXT, (f"The suffix says {suffix_of(name)}, the bytes are text.",))
    if proven is None and named.reader in _PROVABLE:
        raise UnreadableFile(
            f"The suffix says {suffix_of(name)} but the bytes are not of that kind.",
            reason="wrong_suffix",
        )
    return _Choice(named)


_ALSO_TEXT = (".doc", ".msg")
"""Suffixes of plain text too, on systems where Word and Outlook are not at home."""
_PROVABLE = {
    *("pdf", "docx", "doc", "odt", "rtf", "xlsx", "xls", "ods", "pptx", "ppt", "odp", "epub"),
    *("msg", "image"),
}


def _notice(proven: str, name: str, named: FileKind | None) -> tuple[str, ...]:
    if named is None:
        return ()
    return (f"The suffix says {suffix_of(name)}, the bytes are {proven}: read as {proven}.",)


def _read_text(content: Content, kind: FileKind) -> Document:
    decoded = decode(read_all(content))
    warnings: tuple[str, ...] = ()
    if decoded.guessed:
        warnings = (f"The encoding was guessed: {decoded.encoding}.",)
    return Document(
        text=decoded.text,
        format=kind.format,
        encoding=decoded.encoding,
        encoding_guessed=decoded.guessed,
        engine="text",
        warnings=warnings,
    )
