"""Where a listing goes on, sealed where the key behind which it does is kept from who reads it."""

import base64
import hashlib
import json
import secrets

from cryptography.fernet import Fernet, InvalidToken

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
    """Seals keys of a source's objects."""

    def __init__(self, settings: Settings) -> None:
        self._fernet = Fernet(base64.urlsafe_b64encode(secret_for(settings, _PURPOSE)))

    def seal(self, source_id: str, key: str) -> str:
        """Return what ``open`` opens, for the same source."""
        # As short as may be: a cursor is held against the length of a field.
        held = json.dumps([source_id, key], ensure_ascii=False)
        return _BEGIN + self._fernet.encrypt(held.encode()).decode()

    def plain(self, source_id: str, key: str) -> str:
        """Return a key that may be known as it is, unless it reads like what is sealed."""
        return self.seal(source_id, key) if key.startswith(_BEGIN) else key

    def open(self, source_id: str, after: str | None) -> str | None:
        """Return the key behind which a listing goes on: the one that is sealed, or as it came.

        Raises:
            InvalidSetting: it was sealed for another source, or by another server.
        """
        if after is None or not after.startswith(_BEGIN):
            return after
        try:
            opened = self._fernet.decrypt(after.removeprefix(_BEGIN).encode())
        except InvalidToken:
            opened = b'["", ""]'
        sealed_for, key = json.loads(opened)
        if sealed_for != source_id:
            raise InvalidSetting("after is not from a page of this listing: begin it anew.")
        return key
