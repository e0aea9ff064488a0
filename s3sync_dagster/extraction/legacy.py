"""Formats before 2007: converted by LibreOffice, or read as plain text without it."""

import re
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.content import read_all
from s3sync_dagster.extraction.steps import Converted
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.errors import FixInput, MissingEngine, UnreadableFile
from s3sync_dagster.model.source import ExtractionConfig
from s3sync_dagster.workers.programs import run_program

PROGRAMS = ("soffice",)
"""What workers with these functions may start."""

PRELOAD = {"read_doc": ("olefile",), "read_ppt": ("olefile",), "read_rtf": ("striprtf.striprtf",)}
_NO_LIBREOFFICE = "LibreOffice is not installed: headings, lists and tables are lost."
_TARGETS = {"doc": "docx", "rtf": "docx", "ppt": "pptx"}
_FIB_CLX_OFFSET = 0x01A2
_FIRST_WORD_97 = 0x69
"""Version number in the head of Word's stream (MS-DOC: FibBase, nFib); Word 95 has 0x68."""
_TABLE_1_FLAG = 0x0200
_ENCRYPTED_FLAG = 0x0100
_TEXT_CHARS, _TEXT_BYTES, _MASTER = 0x0FA0, 0x0FA8, 0x03F8
_OUTLINE, _OF_MASTERS = 0x0FF0, 1
_CONTAINER_VERSION = 0xF
_BROKEN = (OSError, ValueError, IndexError, KeyError, TypeError, struct.error, RecursionError)


def convert_with_libreoffice(content: Content, *, name: str, config: ExtractionConfig) -> Converted:
    """Return a DOC, RTF or PPT file as DOCX or PPTX.

    Raises ``MissingEngine`` without LibreOffice and ``UnreadableFile`` (``damaged``).
    """
    folder = Path(tempfile.gettempdir())
    suffix = _legacy_kind(content, name)
    source = folder / f"in.{suffix}"
    source.write_bytes(read_all(content))
    target = _TARGETS[suffix]
    run_program(
        [
            *("soffice", "--headless", "--norestore", "--nolockcheck"),
            f"-env:UserInstallation=file://{folder}/profile",
            *("--convert-to", target, "--outdir", str(folder / "out"), str(source)),
        ]
    )
    made = folder / "out" / f"in.{target}"
    if not made.exists():
        raise UnreadableFile("LibreOffice cannot open the file.", reason="damaged")
    stem = Path(name).name.rpartition(".")[0] or "document"
    return Converted(
        content=made.read_bytes(),
        name=f"{stem}.{target}",
        engine="libreoffice",
        plain=_plain(content, suffix, name=name, config=config),
    )


def _plain(
    content: Content, suffix: str, *, name: str, config: ExtractionConfig
) -> Document | None:
    """Return the file's text as it is without LibreOffice, None where it cannot be had."""
    try:
        return _PLAIN_READERS[suffix](content, name=name, config=config)
    except (FixInput, MissingEngine):
        return None


def read_rtf(content: Content, *, name: str, config: ExtractionConfig) -> Document:
    """Return the plain text of an RTF file."""
    from striprtf.striprtf import rtf_to_text  # noqa: PLC0415 (loaded once by the forker)

    del name, config
    try:
        text = rtf_to_text(read_all(content).decode("latin-1"), errors="replace")
    except (ValueError, IndexError, KeyError, LookupError):
        raise UnreadableFile("The RTF file is cut off or damaged.", reason="damaged") from None
    return Document(text=text, format="text", engine="striprtf", warnings=(_NO_LIBREOFFICE,))


def read_doc(content: Content, *, name: str, config: ExtractionConfig) -> Document:
    """Return the plain text of a Word 97-2003 document, by its table of text pieces."""
    del name, config
    with _open_ole(content) as ole:
        try:
            text = "".join(_doc_text(ole))
        except _BROKEN:
            raise _damaged() from None
    return Document(
        text=_plain_word_text(text), format="text", engine="ole", warnings=(_NO_LIBREOFFICE,)
    )


def read_ppt(content: Content, *, name: str, config: ExtractionConfig) -> Document:
    """Return the plain text of a PowerPoint 97-2003 presentation, record by record."""
    del name, config
    with _open_ole(content) as ole:
        try:
            stream = ole.openstream("PowerPoint Document").read()
            lines = list(_slide_texts(stream))
        except _BROKEN:
            raise _damaged() from None
    # An asterisk alone stands for a date or a slide's number.
    text = "\n\n".join(line for line in lines if line.strip() not in ("", "*"))
    return Document(text=text, format="text", engine="ole", warnings=(_NO_LIBREOFFICE,))


_PLAIN_READERS = {"doc": read_doc, "ppt": read_ppt, "rtf": read_rtf}


def _legacy_kind(content: Content, name: str) -> str:
    suffix = Path(name).suffix.lower().lstrip(".")
    head = content[:5] if isinstance(content, bytes) else content.open("rb").read(5)
    if head == b"{\\rtf":
        return "rtf"
    return "ppt" if suffix in ("ppt", "pps") else "doc"


def _open_ole(content: Content) -> Any:
    import olefile  # noqa: PLC0415 (loaded once by the forker)

    try:
        ole: Any = olefile.OleFileIO(read_all(content))
    except _BROKEN:
        raise _damaged() from None
    if not (ole.exists("WordDocument") or ole.exists("PowerPoint Document")):
        raise _damaged()
    return ole


def _doc_text(ole: Any) -> Iterator[str]:
    main = ole.openstream("WordDocument").read()
    if struct.unpack_from("<H", main, 2)[0] < _FIRST_WORD_97:
        message = "Documents of Word 6 and 95 are read where LibreOffice is installed."
        raise MissingEngine(message, reason="missing_program")
    flags = struct.unpack_from("<H", main, 10)[0]
    if flags & _ENCRYPTED_FLAG:
        raise UnreadableFile("The document is protected by a password.", reason="encrypted")
    table = ole.openstream("1Table" if flags & _TABLE_1_FLAG else "0Table").read()
    yield from _doc_pieces(main, table)


def _doc_pieces(main: bytes, table: bytes) -> Iterator[str]:
    """Yield the text pieces in order (MS-DOC: Clx, PlcPcd)."""
    offset, length = struct.unpack_from("<II", main, _FIB_CLX_OFFSET)
    clx = table[offset : offset + length]
    place = 0
    while clx[place] == 1:  # property modifiers before the piece table
        place += 3 + struct.unpack_from("<H", clx, place + 1)[0]
    size = struct.unpack_from("<I", clx, place + 1)[0]
    pieces = clx[place + 5 : place + 5 + size]
    count = (size - 4) // 12
    ends = struct.unpack_from(f"<{count + 1}I", pieces, 0)
    for number in range(count):
        start = struct.unpack_from("<I", pieces, 4 * (count + 1) + 8 * number + 2)[0]
        characters = ends[number + 1] - ends[number]
        if start & 0x40000000:  # one byte a character
            start = (start & ~0x40000000) // 2
            yield main[start : start + characters].decode("cp1252", "replace")
        else:
            yield main[start : start + 2 * characters].decode("utf-16-le", "replace")


def _plain_word_text(text: str) -> str:
    """Return Word's characters as plain ones; field codes go, their results stay."""
    out: list[str] = []
    depth = 0
    for character in text:
        if character == "\x13":
            depth += 1
        elif character in "\x14\x15":
            depth = max(0, depth - 1) if depth else 0
        elif depth == 0:
            plain = _WORD_CHARACTERS.get(character, character)
            out.append(plain if plain >= " " or plain[0] in "\n\t" else "")
    plain = "".join(out).replace("\t\t", "\n")  # a row ends with a mark of its own
    return re.sub(r"\n{3,}", "\n\n", plain)


_WORD_CHARACTERS = {
    "\r": "\n\n",
    "\x0b": "\n",
    "\x0c": "\n\n",
    "\x07": "\t",
    "\x1e": "-",
    "\xa0": " ",
}


def _slide_texts(stream: bytes) -> Iterator[str]:
    """Yield the texts of the outline and the slides, each once.

    What a later save has replaced stays in the stream: of records with the same texts one counts.
    """
    seen: set[tuple[str, ...]] = set()
    place = 0
    while place + 8 <= len(stream):
        size = struct.unpack_from("<I", stream, place + 4)[0]
        texts = tuple(_ppt_texts(stream, place, min(len(stream), place + 8 + size)))
        if texts not in seen:
            seen.add(texts)
            yield from texts
        place += 8 + size


def _ppt_texts(stream: bytes, start: int, end: int) -> Iterator[str]:
    """Yield the texts of all records between two offsets."""
    place = start
    while place + 8 <= end:
        version, kind, size = struct.unpack_from("<HHI", stream, place)
        place += 8
        stop = min(end, place + size)
        if kind == _MASTER or (kind == _OUTLINE and version >> 4 == _OF_MASTERS):
            pass  # "Click to edit": the template's text
        elif version & 0xF == _CONTAINER_VERSION:
            yield from _ppt_texts(stream, place, stop)
        elif kind == _TEXT_CHARS:
            yield stream[place:stop].decode("utf-16-le", "replace").replace("\r", "\n")
        elif kind == _TEXT_BYTES:
            yield stream[place:stop].decode("latin-1").replace("\r", "\n")
        place = stop


def _damaged() -> UnreadableFile:
    return UnreadableFile("The file is cut off or damaged.", reason="damaged")
