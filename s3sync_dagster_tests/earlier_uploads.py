"""Uploads in a data folder as the version that kept them there wrote them."""

import hashlib
import sqlite3
import time
import uuid
from contextlib import closing
from pathlib import Path

SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    key BLOB PRIMARY KEY, etag TEXT NOT NULL, size INTEGER NOT NULL, modified REAL NOT NULL,
    content_type TEXT, metadata TEXT NOT NULL, file TEXT NOT NULL
) WITHOUT ROWID
"""


def upload_as_before(folder: Path, key: str, text: str) -> None:
    """Make a text the upload at ``key`` in the folder of a source, instead of what was there."""
    data, name = text.encode(), uuid.uuid4().hex
    (folder / "objects").mkdir(parents=True, exist_ok=True)
    (folder / "objects" / name).write_bytes(data)
    with closing(sqlite3.connect(folder / "index.db")) as index, index:
        index.execute("PRAGMA journal_mode = WAL")
        index.execute(SCHEMA)
        index.execute(
            "INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?, NULL, '{}', ?)",
            (key.encode(), hashlib.sha256(data).hexdigest(), len(data), time.time(), name),
        )
