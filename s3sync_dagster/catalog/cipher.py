"""The keys with which stored credentials are encrypted, and how they are changed.

A key file is changed without a moment in which a crash or another process loses anything: the
new key lies beside the old one (``.next``) before the first row is written with it, and the old
one stays (``.old``) for rows that another process wrote meanwhile.
"""

import os
from pathlib import Path

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.settings import Settings, read_encryption_key

OLD_KEYS_VARIABLE = "S3SYNC_ENCRYPTION_KEY_OLD"


class Cipher:
    """Encrypts with the first key, decrypts with any."""

    def __init__(self, keys: list[str], *, name: str = "S3SYNC_ENCRYPTION_KEY") -> None:
        """Take the keys; ``name`` says where the first one is from, for messages."""
        self._name = name
        self._fernet = MultiFernet([Fernet(key) for key in keys])

    def encrypt(self, data: bytes) -> bytes:
        """Return the data encrypted and signed."""
        return self._fernet.encrypt(data)

    def decrypt(self, data: bytes) -> bytes:
        """Return the data. Raises ``InvalidSetting`` when no key of this process fits."""
        try:
            return self._fernet.decrypt(data)
        except InvalidToken:
            raise InvalidSetting(
                f"A stored credential cannot be decrypted: {self._name} is not the key it was "
                f"stored with. Bring that key back, or name it in {OLD_KEYS_VARIABLE}.",
                reason="wrong_encryption_key",
            ) from None


def open_cipher(settings: Settings) -> Cipher:
    """Return the cipher of a process.

    Raises:
        InvalidSetting: there is no key, or one that is none.
    """
    name = "S3SYNC_ENCRYPTION_KEY" if settings.encryption_key else str(settings.encryption_key_file)
    return Cipher([read_encryption_key(settings), *_older_keys(settings)], name=name)


def begin_rotation(settings: Settings) -> Cipher:
    """Return a cipher that encrypts with the key to come.

    With a key file that is a fresh key; with ``S3SYNC_ENCRYPTION_KEY`` the variable already
    holds the new one, and ``S3SYNC_ENCRYPTION_KEY_OLD`` the ones before.

    Raises:
        InvalidSetting: the variable is set and no older one is named: there is nothing to do.
    """
    current = read_encryption_key(settings)
    older = _older_keys(settings)
    if settings.encryption_key:
        if not older:
            raise InvalidSetting(
                "To rotate a key of the environment, set S3SYNC_ENCRYPTION_KEY to the new key and "
                f"{OLD_KEYS_VARIABLE} to the one before, restart, and rotate then."
            )
        return Cipher([current, *older])
    upcoming = _beside(settings, "next")
    if not upcoming.exists():
        _write_secret(upcoming, Fernet.generate_key().decode())
    return Cipher([upcoming.read_text("ascii").strip(), current, *older])


def finish_rotation(settings: Settings) -> None:
    """Make the new key the key, once every row was written with it."""
    if settings.encryption_key:
        return
    upcoming, path = _beside(settings, "next"), settings.encryption_key_file
    _write_secret(_beside(settings, "old"), path.read_text("ascii").strip())
    upcoming.replace(path)


def _older_keys(settings: Settings) -> list[str]:
    named = settings.environment.get(OLD_KEYS_VARIABLE, "").replace(",", " ").split()
    if settings.encryption_key is None:
        files = (_beside(settings, "next"), _beside(settings, "old"))
        named += [file.read_text("ascii").strip() for file in files if file.exists()]
    for key in named:
        try:
            Fernet(key)
        except ValueError:
            raise InvalidSetting(f"{OLD_KEYS_VARIABLE} holds no Fernet keys.") from None
    return named


def _beside(settings: Settings, word: str) -> Path:
    path = settings.encryption_key_file
    return path.with_name(f"{path.name}.{word}")


def _write_secret(path: Path, text: str) -> None:
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
