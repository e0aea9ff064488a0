"""One object's bytes to its document: the way in."""

import functools
import re
import sys
from collections.abc import Callable
from dataclasses import replace

from s3sync_dagster.core.filetypes import FileKind, kind_of, suffix_of
from s3sync_dagster.engine.ports import Content, TextRoom, WorkerPool
from s3sync_dagster.extraction.beside_text import shortened
from s3sync_dagster.extraction.choice import Choice, choose
from s3sync_dagster.extraction.content import read_all, size_of
from s3sync_dagster.extraction.decoding import decode
from s3sync_dagster.extraction.follow import Reading
from s3sync_dagster.extraction.illustrated import add_pictures
from s3sync_dagster.extraction.inside import Inside, open_inside
from s3sync_dagster.extraction.picture_files import may_hold_pictures
from s3sync_dagster.extraction.vision import Describe, open_describer
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.errors import EmptyText, MissingEngine, UnsupportedFile
from s3sync_dagster.model.source import ExtractionConfig

_BYTES_PER_BYTE = 5
"""Of memory, for a text that is about as long as its file: the bytes, and characters of four."""
_PACKED = {
    *("pdf", "image", "docx", "doc", "odt", "pptx", "ppt", "odp", "xlsx", "xls", "ods", "epub"),
    *("iwork", "html", "mhtml", "eml", "msg"),
}
"""Readers of files whose size says nothing of their text: cells of a page, or of a mail's, stand in
each row and column that they span."""
FILLING = 64
"""So many times one letter that is not ASCII are no text."""


def extract_document(
    content: Content,
    *,
    name: str,
    content_type: str | None = None,
    config: ExtractionConfig,
    pool: WorkerPool,
    room: TextRoom | None = None,
    resolve_env: Callable[[str], str | None] | None = None,
) -> Document:
    """Return the text of an object.

    Text and code are decoded in this process, everything else is read in ``pool``.

    Args:
        content: bytes, or the path of a spooled file.
        name: object key or file name; its suffix decides first, the bytes second.
        content_type: media type of the object; decides for names without a known suffix.
        config: engines and choices of the source.
        pool: worker processes.
        room: of a batch that reads many objects.
        resolve_env: gives the value of the variable that ``config.vision_api_key_env`` names.

    Raises:
        UnsupportedFile: ``archive``, ``media``, ``binary``.
        UnreadableFile: ``damaged``, ``encrypted``, ``wrong_suffix``.
        EmptyText: ``empty_file``, ``empty_text``, ``no_text``.
        LimitExceeded: ``timeout``, ``out_of_memory``, ``too_many_pages`` and the like.
        MissingEngine: a program or package is not installed.
        InvalidSetting: settings of the vision endpoint are not complete.
        FixConfiguration, Unavailable: of that endpoint, for a picture without text.
    """
    describe = open_describer(config, resolve_env=resolve_env)
    return _extract(
        content,
        name=name,
        content_type=content_type,
        config=config,
        pool=pool,
        depth=0,
        describe=describe,
        inside=open_inside(room),
    )


def _extract(
    content: Content,
    *,
    name: str,
    config: ExtractionConfig,
    pool: WorkerPool,
    depth: int,
    describe: Describe | None,
    inside: Inside,
    content_type: str | None = None,
) -> Document:
    choice = choose(content, name=name, content_type=content_type)
    if depth == 0 and inside.room is not None:
        packed = choice.kind.reader in _PACKED
        inside.room.wait(None if packed else _BYTES_PER_BYTE * size_of(content))
    if choice.kind.reader == "text":
        document = _read_text(content, choice.kind)
    else:
        inner = functools.partial(
            _extract, config=config, pool=pool, describe=describe, inside=inside
        )
        reading = Reading(config=config, pool=pool, depth=depth, extract=inner, inside=inside)
        if _is_illustrated(content, choice.kind.reader, describe=describe):
            document = _read_and_look(reading, choice, content, name=name, describe=describe)
        else:
            document = _read(reading, choice, content, name=name)
    if not document.text or document.text.isspace():
        raise EmptyText("The file was read and holds no text.", reason="empty_text")
    if _is_filling(document.text):
        raise EmptyText("The text is one character, over and over.", reason="empty_text")
    if choice.warnings:
        document = replace(document, warnings=choice.warnings + document.warnings)
    return shortened(document)


def _is_filling(text: str) -> bool:
    """Say whether a text is one character, as bytes 0xFF of erased memory are, read as Latin-1."""
    first = re.search(r"\S", text)
    if first is None or first[0].isascii() or text.count(first[0]) < FILLING:
        return False
    return sum(map(text.count, (first[0], " ", "\r", "\n"))) == len(text)


def _read(reading: Reading, choice: Choice, content: Content, *, name: str) -> Document:
    named = kind_of(name)
    # An engine that the source names for a suffix is for files that are what the suffix says.
    as_named = named is not None and named.reader == choice.kind.reader
    suffix = suffix_of(name) if as_named else ""
    return reading.read(content, reader=choice.kind.reader, name=name, suffix=suffix)


def _read_and_look(
    reading: Reading, choice: Choice, content: Content, *, name: str, describe: Describe | None
) -> Document:
    """Return the text, and what the pictures say and show; either alone is enough."""
    nothing: EmptyText | MissingEngine | UnsupportedFile | None = None
    try:
        document = _read(reading, choice, content, name=name)
    except (EmptyText, MissingEngine, UnsupportedFile) as error:
        document, nothing = None, error
    room = reading.inside.room
    if room is not None and not reading.depth:  # others are read while an endpoint looks
        room.found(0 if document is None else sys.getsizeof(document.text))
    document = add_pictures(
        document,
        content,
        reader=choice.kind.reader,
        config=reading.config,
        pool=reading.pool,
        describe=describe,
    )
    if document is None:
        raise nothing or EmptyText("No text was found in the picture.", reason="no_text")
    return document


def _is_illustrated(content: Content, reader: str, *, describe: Describe | None) -> bool:
    # Tesseract reads image files in any case.
    return (reader != "image" or describe is not None) and may_hold_pictures(content, reader)


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
