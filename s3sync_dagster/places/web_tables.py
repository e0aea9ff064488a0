"""The tables in which what crawls remember of a site stands."""

LAYOUT = 1
"""Of the file; in the one before, a sitemap had the place of the page of the same address."""
SCHEMA = """
CREATE TABLE IF NOT EXISTS pages (key TEXT PRIMARY KEY, depth INTEGER, page TEXT) WITHOUT ROWID;
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
