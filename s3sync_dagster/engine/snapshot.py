"""A listing without order, sorted on the disk: SQLite keeps it, memory holds a few pages.

It stands for one point in time, that of its first question: what was told since is newer. Each page
is stored together with the token of the next, so whoever opens the file again, after a tick or the
death of its process, goes on where it ended; where it is lost, it is gathered anew.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from s3sync_dagster.core.selection import BAD_NAME
from s3sync_dagster.engine.data_folder import folder_refusals
from s3sync_dagster.engine.store_ports import ListPage, UnorderedPage
from s3sync_dagster.engine.write_ahead import write_ahead
from s3sync_dagster.model.object import ObjectRef

if TYPE_CHECKING:
    from s3sync_dagster.core.state import ListingRow

CACHE_KIB = 16 * 1024
LEFTOVER_SECONDS = 7 * 86_400.0
"""Age at which a file is removed that no listing came back to: its source was deleted."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    key BLOB PRIMARY KEY, etag TEXT NOT NULL, size INTEGER NOT NULL, modified REAL,
    storage_class TEXT NOT NULL, restored INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS progress (number INTEGER NOT NULL, token TEXT);
"""
_ADD = f"""
INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET
    etag = excluded.etag, size = excluded.size, modified = excluded.modified,
    storage_class = excluded.storage_class, restored = excluded.restored
WHERE excluded.storage_class <> '{BAD_NAME}'
"""
"""What is listed twice is as it was the last time; but a name that is shown escaped never stands in
the place of the object that really has that name."""


def snapshot_file(folder: Path, listing: ListingRow) -> Path:
    """Return where a listing keeps its snapshot; those of the source's earlier ones are removed.

    By its number and its time: a restored catalog gives numbers anew.
    """
    source, stem = _names(listing)
    with _refusals():
        for path in folder.glob("*-*.db*"):
            with suppress(FileNotFoundError):  # another process tidies up as well
                left = path.stat().st_mtime < time.time() - LEFTOVER_SECONDS
                if left or (path.name.startswith(f"{source}-") and not path.name.startswith(stem)):
                    path.unlink()
    return folder / f"{stem}db"


def is_kept(folder: Path | None, listing: ListingRow) -> bool:
    """Return whether a listing left something in a folder with which it goes on."""
    return folder is not None and (folder / f"{_names(listing)[1]}db").exists()


def _names(listing: ListingRow) -> tuple[str, str]:
    """Return how the files of a listing's source begin, and its own."""
    source = hashlib.sha256(listing.source_id.encode()).hexdigest()[:16]
    return source, f"{source}-{listing.id}-{round(listing.started_at * 1e6)}."


class Snapshot:
    """The sorted keys of one listing.

    Args:
        file: where it is kept between two calls, for this user alone. None: a file without a name,
            which ends with the snapshot.

    Raises:
        FixConfiguration: ``listing_snapshot_unusable``, here and in every method.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file
        with _refusals():
            if file is not None:
                file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
            self._database = sqlite3.connect(file or "", timeout=30, isolation_level=None)
            self._database.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            if file is not None:
                write_ahead(self._database)
            self._database.execute("PRAGMA synchronous = NORMAL")
            self._database.executescript(_SCHEMA)
            self._read_progress()

    def add(self, page: UnorderedPage, *, number: int) -> None:
        """Store a page with the token of the next.

        Args:
            page: what the bucket answered.
            number: of the listing's page when it was asked; the first one counts for all.
        """
        rows = [
            (
                ref.key.encode(),
                ref.etag,
                ref.size,
                ref.last_modified.timestamp() if ref.last_modified else None,
                ref.storage_class,
                ref.restored,
            )
            for ref in page.objects
        ]
        with _refusals(), self._database as database:
            database.execute("BEGIN IMMEDIATE")
            database.executemany(_ADD, rows)
            if self.number is None:
                database.execute("INSERT INTO progress VALUES (?, ?)", (number, page.token))
            else:
                database.execute("UPDATE progress SET token = ?", (page.token,))
            self._read_progress()

    def page(self, after: str | None, *, limit: int) -> ListPage:
        """Return the page of keys after ``after``, in order."""
        with _refusals():
            rows = self._database.execute(
                "SELECT * FROM objects WHERE key > ? ORDER BY key LIMIT ?",
                ((after or "").encode(), limit + 1),
            ).fetchall()
        return ListPage(objects=tuple(_ref(row) for row in rows[:limit]), last=len(rows) <= limit)

    def close(self) -> None:
        """Close it; a file stays for who goes on."""
        self._database.close()

    def discard(self) -> None:
        """Close it and remove its file."""
        self.close()
        if self._file is not None:
            for path in (self._file, *self._file.parent.glob(f"{self._file.name}-*")):
                path.unlink(missing_ok=True)

    def _read_progress(self) -> None:
        row = self._database.execute("SELECT number, token FROM progress").fetchone()
        self.number: int | None = row[0] if row else None
        """Number of the listing's page when the bucket was first asked; None: it was not yet."""
        self.token: str | None = row[1] if row else None
        self.complete = row is not None and row[1] is None


def _ref(row: tuple[Any, ...]) -> ObjectRef:
    key, etag, size, modified, storage_class, restored = row
    return ObjectRef(
        key=bytes(key).decode(),
        etag=etag,
        size=size,
        last_modified=None if modified is None else datetime.fromtimestamp(modified, UTC),
        storage_class=storage_class,
        restored=bool(restored),
    )


def _refusals() -> AbstractContextManager[None]:
    folder = "The folder `listings` of the data folder, in which a listing without order is sorted"
    return folder_refusals(folder, reason="listing_snapshot_unusable")
