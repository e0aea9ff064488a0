"""A folder that is read like a bucket: where uploads lay before they lay in the catalog.

An SQLite file beside the bytes is the list of objects, so that keys may be anything and listings
are in order; the bytes lie under random names. Both are safe on the disk before ``commit`` returns.
"""

import hashlib
import json
import os
import shutil
import sqlite3
import time
import uuid
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from s3sync_dagster.engine.ports import Content, ListPage, ObjectBody
from s3sync_dagster.model.errors import (
    FixConfiguration,
    LimitExceeded,
    NotFound,
    ObjectChanged,
    S3SyncError,
)
from s3sync_dagster.model.object import ObjectRef

INDEX = "index.db"
"""Name of the list of a folder's objects: where it is, uploads are."""
MAX_MEMORY_BYTES = 8 * 1024 * 1024
"""Bodies up to here are given as bytes, larger ones as a file that the caller deletes."""
LEFTOVER_SECONDS = 86_400.0
"""Age at which bytes that no object names are removed: a crash left them."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    key BLOB PRIMARY KEY, etag TEXT NOT NULL, size INTEGER NOT NULL, modified REAL NOT NULL,
    content_type TEXT, metadata TEXT NOT NULL, file TEXT NOT NULL
) WITHOUT ROWID
"""


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


@dataclass(frozen=True, slots=True)
class _Row:
    ref: ObjectRef
    content_type: str | None
    metadata: Mapping[str, str]
    file: str


class FolderObjectStore:
    """``engine.ports.ObjectStore`` over a folder, and the way to put objects into it.

    Several processes may read and write one folder.
    """

    ordered = True

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bytes = folder / "objects"
        self._requests: Counter[str] = Counter({"LIST": 0, "GET": 0, "HEAD": 0})

    def __repr__(self) -> str:
        return f"FolderObjectStore({str(self._folder)!r})"

    def commit(
        self,
        incoming: IncomingFile,
        key: str,
        *,
        content_type: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> ObjectRef:
        """Make what came the object at ``key``, instead of what was there."""
        etag = incoming.finish()
        name = uuid.uuid4().hex
        with self._database(new=True) as database:
            with _refusals(self._folder):
                incoming.path.replace(self._bytes / name)
                _sync_folder(self._bytes)
            row = (key.encode(), etag, incoming.size, time.time(), content_type)
            with database:
                database.execute("BEGIN IMMEDIATE")
                old = database.execute(
                    "SELECT file FROM objects WHERE key = ?", (key.encode(),)
                ).fetchone()
                database.execute(
                    "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, ?, ?, ?)",
                    (*row, json.dumps(dict(metadata or {})), name),
                )
        if old is not None:
            (self._bytes / old[0]).unlink(missing_ok=True)
        return ObjectRef(key=key, etag=etag, size=incoming.size, last_modified=_time(row[3]))

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        with self._database() as database, database:
            database.execute("BEGIN IMMEDIATE")
            old = database.execute(
                "DELETE FROM objects WHERE key = ? RETURNING file", (key.encode(),)
            ).fetchone()
        if old is not None:
            (self._bytes / old[0]).unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all objects and the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def sweep(self) -> int:
        """Remove bytes that no object names, a day after a crash left them; returns how many."""
        if not self._bytes.is_dir():
            return 0
        with self._database() as database:
            named = {row[0] for row in database.execute("SELECT file FROM objects")}
        limit = time.time() - LEFTOVER_SECONDS
        removed = 0
        for path in (*self._bytes.iterdir(), *self._folder.glob("*.body")):
            with suppress(FileNotFoundError):
                if path.name not in named and path.stat().st_ctime < limit:
                    path.unlink()
                    removed += 1
        return removed

    def list_page(self, prefix: str, *, start_after: str | None, limit: int = 1000) -> ListPage:
        """Return the page of keys that begin with ``prefix`` and come after ``start_after``."""
        self._requests["LIST"] += 1
        begin = prefix.encode()
        with self._database() as database:
            rows = database.execute(
                "SELECT * FROM objects WHERE key >= ? AND key > ? AND substr(key, 1, ?) = ? "
                "ORDER BY key LIMIT ?",
                (begin, (start_after or "").encode(), len(begin), begin, limit + 1),
            ).fetchall()
        objects = tuple(_row(row).ref for row in rows[:limit])
        return ListPage(objects=objects, last=len(rows) <= limit)

    def head(self, key: str, *, version_id: str | None = None) -> ObjectRef:
        """Return what is at ``key`` now. Raises ``NotFound`` (``object_gone``)."""
        self._requests["HEAD"] += 1
        return self._find(key, version_id).ref

    def read(
        self,
        key: str,
        *,
        version_id: str | None = None,
        if_match: str | None = None,
        max_size_bytes: int,
    ) -> ObjectBody:
        """Return the object's bytes.

        Raises:
            NotFound: ``object_gone``.
            LimitExceeded: ``too_large``.
            ObjectChanged: ``if_match`` does not hold, or the object was replaced meanwhile.
        """
        self._requests["GET"] += 1
        found = self._find(key, version_id)
        if if_match and if_match != found.ref.etag:
            raise ObjectChanged(f"object {key!r} was overwritten before it could be read")
        if found.ref.size > max_size_bytes:
            raise LimitExceeded(
                f"object {key!r} has {found.ref.size} bytes; at most {max_size_bytes} are read",
                reason="too_large",
            )
        return ObjectBody(
            ref=found.ref,
            content=self._content(found, key),
            content_type=found.content_type,
            metadata=found.metadata,
        )

    def open(self, key: str) -> tuple[ObjectRef, str | None, Iterator[bytes]]:
        """Return an object, its content type and its bytes piece by piece."""
        self._requests["GET"] += 1
        found = self._find(key, None)
        try:
            file = (self._bytes / found.file).open("rb")
        except FileNotFoundError:
            raise ObjectChanged(f"object {key!r} was overwritten before it could be read") from None

        def pieces() -> Iterator[bytes]:
            with file:
                while piece := file.read(1024 * 1024):
                    yield piece

        return found.ref, found.content_type, pieces()

    def requests(self) -> Mapping[str, int]:
        """Return requests so far by kind (LIST, GET, HEAD)."""
        return dict(self._requests)

    def close(self) -> None:
        """Do nothing: a connection lives as long as a call."""

    def _find(self, key: str, version_id: str | None) -> _Row:
        with self._database() as database:
            row = database.execute(
                "SELECT * FROM objects WHERE key = ?", (key.encode(errors="surrogatepass"),)
            ).fetchone()
        if row is None or version_id is not None:
            raise NotFound(f"object {key!r} does not exist among the uploads", reason="object_gone")
        return _row(row)

    def _content(self, found: _Row, key: str) -> Content:
        path = self._bytes / found.file
        try:
            if found.ref.size <= MAX_MEMORY_BYTES:
                return path.read_bytes()
            # The caller deletes what it is given: it gets a name of its own for the same bytes.
            twin = self._folder / f"{uuid.uuid4().hex}.body"
            os.link(path, twin)
        except FileNotFoundError:
            raise ObjectChanged(f"object {key!r} was overwritten before it could be read") from None
        return twin

    @contextmanager
    def _database(self, *, new: bool = False) -> Generator[sqlite3.Connection]:
        """Give the list of objects; only who adds to it may make it.

        A folder without it is not that of an upload: another host's, or a data folder that was
        not brought along. What is missing there was not deleted.
        """
        path = self._folder / INDEX
        with _refusals(self._folder):
            if not path.exists() and not new:
                raise FixConfiguration(
                    f"The uploads are not in this data folder ({str(self._folder)!r} has no list "
                    "of them): share the folder of the host that took them, or bring it back.",
                    reason="uploads_elsewhere",
                )
            if not path.exists():
                self._bytes.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as database:
                database.execute("PRAGMA journal_mode = WAL")
                database.execute("PRAGMA synchronous = FULL")
                database.execute(_SCHEMA)
                yield database
        except sqlite3.Error:
            raise _unusable(self._folder) from None


def _row(row: tuple[Any, ...]) -> _Row:
    key, etag, size, modified, content_type, metadata, file = row
    ref = ObjectRef(key=bytes(key).decode(), etag=etag, size=size, last_modified=_time(modified))
    return _Row(ref, content_type, json.loads(metadata), file)


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
