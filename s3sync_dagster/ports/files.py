"""Uploaded files on a disk: on their way into the catalog, and where they lay before it took them.

An older version kept a source's uploads in the data folder of the host that took them: an SQLite
file was the list of them, the bytes lay beside it under random names.
"""

import errno
import hashlib
import os
import re
import shutil
import sqlite3
import uuid
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from s3sync_dagster.model.errors import FixConfiguration, S3SyncError
from s3sync_dagster.model.object import ObjectRef

INDEX = "index.db"
"""Name of the list of a folder's uploads: where it is, uploads are."""
_NAME = re.compile(r"[0-9a-f]{32}")
"""Of the bytes of one. A list may come from a backup that somebody else has written to: another
name leads to a file that is none of the uploads."""
_WHAT_IS_NO_TABLE = "SELECT 1 FROM sqlite_master WHERE type <> 'table' AND sql IS NOT NULL"
_MADE_UP = "SELECT 1 FROM pragma_table_xinfo('objects') WHERE hidden"
"""Columns whose values stand in no row, also all of a virtual table that have none."""


class IncomingFile:
    """Bytes on their way into a folder; a context that removes them unless they are committed."""

    def __init__(self, folder: Path) -> None:
        with _refusals(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path = folder / f"{uuid.uuid4().hex}.part"
            self._file = self.path.open("xb")
        self._hash = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes | memoryview) -> None:
        """Add bytes."""
        with _refusals(self.path.parent):
            self._file.write(data)
        self._hash.update(data)
        self.size += len(data)

    def finish(self) -> str:
        """Bring the bytes to the disk and return their etag."""
        with _refusals(self.path.parent):
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        return self._hash.hexdigest()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.path.unlink(missing_ok=True)


class EarlierUploads:
    """The uploads of one source in a data folder: to be taken out, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._bytes = folder / "objects"

    def any(self) -> bool:
        """Return whether this folder is one of uploads."""
        return (self.folder / INDEX).exists()

    def refs(self) -> list[ObjectRef]:
        """Return what is there now."""
        with self._database() as database:
            rows = database.execute("SELECT key, etag, size, modified FROM objects").fetchall()
        try:
            return [
                ObjectRef(
                    key=bytes(key).decode(), etag=etag, size=size, last_modified=_time(modified)
                )
                for key, etag, size, modified in rows
            ]
        except (ValueError, TypeError, OverflowError, OSError):
            raise _unusable(self.folder) from None

    def open(self, key: str) -> tuple[ObjectRef, str | None, Iterator[bytes]]:
        """Return an upload, its content type and its bytes piece by piece.

        Raises:
            OSError: its bytes are not there, or its name is that of none.
        """
        with self._database() as database:
            etag, size, modified, content_type, name = database.execute(
                "SELECT etag, size, modified, content_type, file FROM objects WHERE key = ?",
                (key.encode(),),
            ).fetchone()
        file = open(self._place(name), "rb", opener=_through_no_link)  # noqa: SIM115

        def pieces() -> Iterator[bytes]:
            with file:
                while piece := file.read(1024 * 1024):
                    yield piece

        ref = ObjectRef(key=key, etag=etag, size=size, last_modified=_time(modified))
        return ref, content_type, pieces()

    def delete(self, key: str) -> None:
        """Remove an upload."""
        with self._database() as database:
            [name] = database.execute(
                "DELETE FROM objects WHERE key = ? RETURNING file", (key.encode(),)
            ).fetchone()
        self._place(name).unlink(missing_ok=True)

    def _place(self, name: object) -> Path:
        return self._bytes / stored_name(name)

    def clear(self) -> None:
        """Remove all of them and the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def _database(self) -> Generator[sqlite3.Connection]:
        try:
            path = self.folder / INDEX
            with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as database:
                require_plain_list(database)
                yield database
        except sqlite3.Error:
            raise _unusable(self.folder) from None


def stored_name(name: object) -> str:
    """Return the name under which a list says that bytes lie.

    Raises:
        OSError: it is that of none.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise OSError(errno.EINVAL, "no name of an upload")
    return name


def require_plain_list(index: sqlite3.Connection) -> None:
    """Raise ``sqlite3.DatabaseError`` for a list that does more by itself than hold rows."""
    if index.execute(_WHAT_IS_NO_TABLE).fetchone() or index.execute(_MADE_UP).fetchone():
        raise sqlite3.DatabaseError("no list of uploads")


def _through_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


@contextmanager
def _refusals(folder: Path) -> Generator[None]:
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unusable(folder, os.strerror(error.errno or 0)) from None


def _unusable(folder: Path, why: str = "its index cannot be used") -> S3SyncError:
    return FixConfiguration(
        f"The folder {str(folder)!r} of uploads cannot be used: {why}.",
        reason="uploads_unusable",
    )
