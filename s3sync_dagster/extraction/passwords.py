"""Whether a Word, Excel or PowerPoint file before 2007 needs a password."""

import struct
from collections.abc import Collection
from typing import Any

_HEAD_BYTES = 4096
_WORD_ENCRYPTED = 0x0100
"""Bit of the flags at byte 10 of Word's main stream (MS-DOC: FibBase, fEncrypted)."""
_FILE_PASS = 0x2F
"""Excel's record before all that is encrypted (MS-XLS, FilePass)."""
_FIRST_SHEET = 0x85
_SLIDES_ENCRYPTED = 0xF3D1C4DF
"""Token of PowerPoint's current user (MS-PPT, CurrentUserAtom)."""


def is_protected(file: Any, names: Collection[str]) -> bool:
    """Return whether a compound file's program would ask for a password.

    Args:
        file: of olefile.
        names: the streams in its root, in small letters.
    """
    if "worddocument" in names:
        flags = _head(file, "WordDocument")[10:12]
        return len(flags) == 2 and bool(struct.unpack("<H", flags)[0] & _WORD_ENCRYPTED)
    if "current user" in names:
        token = _head(file, "Current User")[12:16]
        return len(token) == 4 and struct.unpack("<I", token)[0] == _SLIDES_ENCRYPTED
    for name in ("Workbook", "Book"):
        if name.casefold() in names:
            return _has_file_pass(_head(file, name))
    return False


def _has_file_pass(head: bytes) -> bool:
    place = 0
    while place + 4 <= len(head):
        kind, size = struct.unpack_from("<HH", head, place)
        if kind in (_FILE_PASS, _FIRST_SHEET):
            return kind == _FILE_PASS
        place += 4 + size
    return False


def _head(file: Any, name: str) -> bytes:
    return file.openstream(name).read(_HEAD_BYTES)
