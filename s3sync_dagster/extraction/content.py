"""What the first bytes say a file is, whatever its name says."""

import io
import re
import struct
import zipfile
from pathlib import Path
from typing import IO, Any, cast

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.archives import BROKEN_ARCHIVE
from s3sync_dagster.extraction.decoding import looks_binary
from s3sync_dagster.model.errors import EmptyText

HEAD_BYTES, TAIL_BYTES = 4096, 1024
_MAX_DIRECTORY_BYTES = 4 * 1024**2
"""Of an archive's list of its parts: some 40,000."""
_MAX_PART_BYTES = 4 * 1024**2
"""Of a part that says what an archive is; a manifest names each part in some 100 bytes."""
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"%PDF-", "pdf"),
    (b"{\\rtf", "rtf"),
    (b"\x89PNG\r\n\x1a\n", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"GIF87a", "image"),
    (b"GIF89a", "image"),
    (b"II*\x00", "image"),
    (b"MM\x00*", "image"),
    (b"II+\x00\x08\x00\x00\x00", "image"),
    (b"MM\x00+\x00\x08\x00\x00", "image"),
    (b"\x1f\x8b", "archive"),
    (b"BZh", "archive"),
    (b"\xfd7zXZ\x00", "archive"),
    (b"7z\xbc\xaf\x27\x1c", "archive"),
    (b"Rar!\x1a\x07", "archive"),
    (b"(\xb5/\xfd", "archive"),
    (b"\x7fELF", "binary"),
    (b"MZ\x90\x00", "binary"),
    (b"SQLite format 3\x00", "binary"),
    (b"\xca\xfe\xba\xbe", "binary"),
    (b"PAR1", "binary"),
    (b"\x09\x00\x04\x00", "old_workbook"),
    (b"\x09\x02\x06\x00", "old_workbook"),
    (b"\x09\x04\x06\x00", "old_workbook"),
    (b"ID3", "media"),
    (b"fLaC", "media"),
    (b"OggS", "media"),
    (b"\x1aE\xdf\xa3", "media"),
)
_NO_TEXT = 9
"""Bytes below the tab are in no text: a magic that has one needs no second look."""
_IN_PLAIN_CHARACTERS = ("pdf", "rtf")
"""Kinds whose whole file may be plain characters."""
HEADER_BYTES = 1024
"""In which a PDF begins; printers and portals write lines of their own before it."""
_PDF_HEADER = re.compile(rb"(?:^|\r|\xef\xbb\xbf)%PDF-\d", re.MULTILINE)
_PDF_BEGINS = re.compile(rb"%PDF-\d\.\d\s")
_PDF_END = re.compile(rb"startxref\s+\d+\s+%%EOF\s*$")
_BITMAP_HEADER = struct.Struct("<6xIII")
_BITMAP_HEADER_SIZES = (12, 16, 40, 52, 56, 64, 108, 124)
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_MANIFEST = "META-INF/manifest.xml"
_OF_IWORK = re.compile(r"Index/.*\.iwa|[^/]+/Index\.zip|buildVersionHistory\.plist")
"""Parts that Pages, Numbers and Keynote write, the last one before 2013."""
_OPEN_DOCUMENT = {
    "application/vnd.oasis.opendocument.text": "odt",
    "application/vnd.oasis.opendocument.spreadsheet": "ods",
    "application/vnd.oasis.opendocument.presentation": "odp",
    "application/epub+zip": "epub",
}


def read_all(content: Content) -> bytes:
    """Return the bytes, from memory or from the spooled file."""
    return content.read_bytes() if isinstance(content, Path) else content


def size_of(content: Content) -> int:
    """Return how many bytes there are."""
    return content.stat().st_size if isinstance(content, Path) else len(content)


def head_of(content: Content) -> bytes:
    """Return the first bytes; raises ``EmptyText`` (``empty_file``) when there are none."""
    if isinstance(content, Path):
        with content.open("rb") as file:
            head = file.read(HEAD_BYTES)
    else:
        head = content[:HEAD_BYTES]
    if not head:
        raise EmptyText("The file is empty.", reason="empty_file")
    return head


def _tail_of(content: Content) -> bytes:
    if not isinstance(content, Path):
        return content[-TAIL_BYTES:]
    with content.open("rb") as file:
        file.seek(max(0, content.stat().st_size - TAIL_BYTES))
        return file.read()


def sniff(content: Content, *, named_as: str | None = None) -> str | None:
    """Return the reader, or the reason to skip, that the bytes prove; None when they prove none.

    Text formats prove nothing (an HTML file may be a lesson about HTML), and plain characters
    prove little: what is named as text and looks like text is text, though it begin with ``ID3``. A
    PDF from its header to its end is one.

    Args:
        content: the file.
        named_as: what its name or type promises, ``text`` or a reader; None for nothing.
    """
    head = head_of(content)
    plain = not looks_binary(head)
    if plain and named_as == "text":
        return "pdf" if _PDF_BEGINS.match(head) and _PDF_END.search(_tail_of(content)) else None
    for magic, answer in _MAGIC:
        sure = not plain or answer in _IN_PLAIN_CHARACTERS or min(magic) < _NO_TEXT
        if sure and head.startswith(magic):
            return answer
    if _is_bitmap(head):
        return "image"
    if head.startswith(b"PK\x03\x04"):
        return _sniff_zip(content)
    if head.startswith(_OLE):
        return _sniff_ole(content)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image"
    if head[:4] == b"RIFF" or head[4:8] == b"ftyp":
        return "media"
    # After what others wrote before it, such as a portal's page. In a line of its own its header is
    # enough; in the midst of a line the name must say so, or the end of a file that is no text.
    if _PDF_HEADER.search(head[:HEADER_BYTES]):
        return "pdf"
    begins = _PDF_BEGINS.search(head[:HEADER_BYTES]) is not None
    is_known = named_as == "pdf" or not plain and _PDF_END.search(_tail_of(content)) is not None
    return "pdf" if begins and is_known else None


def _is_bitmap(head: bytes) -> bool:
    """Return whether a file begins as a BMP does: ``BM`` and the sizes of its two headers."""
    if not head.startswith(b"BM") or len(head) < _BITMAP_HEADER.size:
        return False
    reserved, start, header = _BITMAP_HEADER.unpack_from(head)
    return reserved == 0 and header in _BITMAP_HEADER_SIZES and start >= 14 + header


class _LongDirectoryError(Exception):
    """An archive lists more than a document has parts: each takes the memory of ten."""


class _CarefulFile:
    """An archive's file, of which no list of parts is read that is long."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if size > _MAX_DIRECTORY_BYTES:
            raise _LongDirectoryError
        return self._file.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _part_of(file: zipfile.ZipFile, name: str) -> bytes:
    """Return the head of a small part, whatever the archive says of its size.

    This is done beside the workers, where nothing bounds memory. Other ways to pack it, which the
    formats do not know, give all that a few bytes unpack to, at once.
    """
    entry = file.getinfo(name)
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return b""
    with file.open(entry) as part:
        return part.read(_MAX_PART_BYTES)


def _sniff_zip(content: Content) -> str:
    try:
        with (
            content.open("rb") if isinstance(content, Path) else io.BytesIO(content) as whole,
            zipfile.ZipFile(cast("IO[bytes]", _CarefulFile(whole))) as file,
        ):
            names = set(file.namelist()[:2000])
            if "mimetype" in names and file.getinfo("mimetype").file_size < 200:
                kind = _part_of(file, "mimetype").decode("ascii", "replace").strip()
                kind = kind.removesuffix("-template")
                if _MANIFEST in names and b":encryption-data" in _part_of(file, _MANIFEST):
                    return "encrypted"
                return _OPEN_DOCUMENT.get(kind, "archive")
    except _LongDirectoryError:
        return "archive"
    except BROKEN_ARCHIVE:
        return "broken_zip"
    for folder, reader in (("word/", "docx"), ("xl/", "xlsx"), ("ppt/", "pptx")):
        if "[Content_Types].xml" in names and any(name.startswith(folder) for name in names):
            return reader
    if "META-INF/container.xml" in names:
        return "epub"
    return "iwork" if any(map(_OF_IWORK.fullmatch, names)) else "archive"


_STREAMS = (
    ("encryptedpackage", "encrypted"),
    ("__properties_version1.0", "msg"),
    ("powerpoint document", "ppt"),
    ("workbook", "xls"),
    ("book", "xls"),
    ("worddocument", "doc"),
)
"""Streams that say whose file it is, in small letters: some programs write them in capitals."""


def _sniff_ole(content: Content) -> str:
    """Return the kind of a compound file by the names of the streams in its root.

    Deeper ones are of files inside the file. Where the directory cannot be read, a name anywhere
    in the bytes counts. Without any known name it is of another program, or cut off: ``compound``.
    """
    import olefile  # noqa: PLC0415 (only for such files)

    from s3sync_dagster.extraction.passwords import is_protected  # noqa: PLC0415

    body = read_all(content)
    try:
        with olefile.OleFileIO(body) as file:
            names = {str(path[0]).casefold() for path in file.listdir() if len(path) == 1}
            if is_protected(file, names):
                return "encrypted"
    except _BROKEN_COMPOUND:
        lower = body.lower()
        names = {name for name, _ in _STREAMS if name.encode("utf-16-le") in lower}
    return next((reader for name, reader in _STREAMS if name in names), "compound")


_BROKEN_COMPOUND = (OSError, ValueError, IndexError, KeyError, TypeError, struct.error)
