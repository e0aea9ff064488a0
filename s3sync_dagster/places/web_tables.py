"""The tables in which what crawls remember of a site stands."""

from contextlib import AbstractContextManager
from typing import Any

from s3sync_dagster.engine.data_folder import folder_refusals
from s3sync_dagster.places.web_known import Task

LAYOUT = 1
"""Of the file; in the one before, a sitemap had the place of the page of the same address."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS pages (key TEXT PRIMARY KEY, depth INTEGER, page TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS before (key TEXT PRIMARY KEY, page TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lately (etag TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS bodies (key TEXT PRIMARY KEY, etag TEXT, body BLOB, size INTEGER);
CREATE TABLE IF NOT EXISTS tasks (
    number INTEGER PRIMARY KEY, key TEXT, kind TEXT, depth INTEGER, known INTEGER,
    hops INTEGER, tries INTEGER DEFAULT 0, changed TEXT, outcome TEXT, target TEXT,
    UNIQUE (key, kind)
);
CREATE INDEX IF NOT EXISTS open_tasks ON tasks (kind DESC, depth, known DESC, tries, number)
    WHERE outcome IS NULL;
CREATE TABLE IF NOT EXISTS misses (key TEXT PRIMARY KEY, at REAL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS variants (path TEXT PRIMARY KEY, number INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
"""


def task_of(row: tuple[Any, ...]) -> Task:
    """Return the task of a row."""
    number, key, kind, depth, known, hops, tries, changed, outcome, target = row
    return Task(
        number=number, key=key, kind=kind, depth=depth, known=known > 0, hops=hops, tries=tries,
        changed=changed, outcome=outcome, target=target,
    )  # fmt: skip


def crawl_refusals() -> AbstractContextManager[None]:
    """Tell in words what the folder of the crawls refuses."""
    folder = "The folder `web` of the data folder, in which crawls are kept"
    return folder_refusals(folder, reason="crawl_unusable")
