"""A file that several processes open in the same moment."""

import sqlite3
import threading

import pytest

from s3sync_dagster.engine.write_ahead import write_ahead


def test_it_waits_for_whoever_holds_the_file(tmp_path):
    holder = sqlite3.connect(tmp_path / "x.db", isolation_level=None)
    holder.execute("CREATE TABLE t (a)")
    holder.execute("BEGIN EXCLUSIVE")
    opened = sqlite3.connect(tmp_path / "x.db", timeout=0, check_same_thread=False)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        write_ahead(opened, within_seconds=0)
    waits = threading.Thread(target=write_ahead, args=(opened,))
    waits.start()
    waits.join(0.2)
    assert waits.is_alive()
    holder.execute("COMMIT")
    waits.join(60)
    assert opened.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    opened.close()
    holder.close()


def test_a_file_that_is_no_database_is_told_at_once(tmp_path):
    (tmp_path / "x.db").write_bytes(b"no database, whatever its name says" * 100)
    opened = sqlite3.connect(tmp_path / "x.db")
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        write_ahead(opened)
    opened.close()
