"""Where a listing goes on, sealed where the key behind which it does is kept from who reads it."""

import base64
import hashlib
import json
import secrets
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken

from s3sync_dagster.core.keys import MAX_OBJECT_KEY_BYTES
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.settings import Settings, read_encryption_key

_PURPOSE = b"s3sync cursor"
_BEGIN = "s3sync:"
"""Tells a cursor from a key."""


def secret_for(settings: Settings, purpose: bytes) -> bytes:
    """Return 32 bytes of the encryption key for one purpose; without a key, of this process."""
    try:
        root = read_encryption_key(settings).encode()
    except InvalidSetting:
        root = secrets.token_bytes(32)
    return hashlib.sha256(purpose + root).digest()


class Cursors:
    """Seals keys of a source's objects, all to texts of one length."""

    def __init__(self, settings: Settings) -> None:
        self._fernet = Fernet(base64.urlsafe_b64encode(secret_for(settings, _PURPOSE)))

    def seal(self, whose: Sequence[str], key: str) -> str:
        """Return what ``open`` opens for the same source and groups."""
        name = key.encode()
        held = _digest(whose) + len(name).to_bytes(2) + name.ljust(MAX_OBJECT_KEY_BYTES, b"\0")
        return _BEGIN + self._fernet.encrypt(held).decode()

    def open(self, whose: Sequence[str], after: str) -> str | None:
        """Return the key that is sealed; None: it is no cursor, or of another source or reader."""
        if not after.startswith(_BEGIN):
            return None
        try:
            held = self._fernet.decrypt(after.removeprefix(_BEGIN).encode())
        except InvalidToken:
            return None
        begin = _digest(whose)
        if not held.startswith(begin):
            return None
        start = len(begin) + 2
        return held[start : start + int.from_bytes(held[start - 2 : start])].decode()


def _digest(whose: Sequence[str]) -> bytes:
    return hashlib.sha256(json.dumps(list(whose)).encode()).digest()
