"""A catalog as one file, from SQLite or Postgres, and back into either."""

import sqlite3
import threading
from contextlib import closing

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.catalog.copying import put_catalog, write_catalog
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.tables import metadata
from s3sync_dagster.model.errors import Conflict
from s3sync_dagster_tests.catalog.scenes import source
from s3sync_dagster_tests.conftest_catalog import fresh_postgres_database

AUDIT = {
    "at": 1.25, "who": "os user ü", "role": "operator", "door": "cli",
    "action": "sync", "subject": "docs", "outcome": "done",
}  # fmt: skip
DOCUMENT = {
    "source_id": "id-docs", "tenant": "t", "database_name": "d", "collection_name": "c",
    "owner": "source", "phase": "clean", "etag": "e", "fingerprint": "f", "digests": b"\x00\xff",
    "metadata": {"team": None, "n": 1.5}, "metadata_keys": ["a"], "high_water": 3, "chunks": 3,
    "indexed_at": 1_700_000_000.123456,
}  # fmt: skip
SHARD = {"shard": 2, "partitions": 7}
UPLOAD = {
    "source_id": "id-docs", "object_key": "up\x00.md", "etag": "e", "size": 20_000,
    "modified_at": 1.5, "metadata": {"a": None}, "body": "b",
}  # fmt: skip


def fill(catalog):
    """Rows with what is hard to carry: NUL and other alphabets in keys, bytes, JSON, NULL."""
    catalog.sources.add(source())
    documents, audit = metadata.tables["documents"], metadata.tables["audit"]
    with catalog.database.write() as tx:
        for number, key in enumerate(("a\x00b.md", "日本/ü %.md", "gone.md")):
            row = {**DOCUMENT, "object_key": key, "document_id": f"d{number}"}
            tx.execute(documents.insert().values(**row))
        tx.execute(documents.delete().where(documents.c.object_key == "gone.md"))
        tx.execute(audit.insert().values(**AUDIT))
        tx.execute(metadata.tables["shards"].insert().values(source_id="id-docs", **SHARD))
        files, pieces = metadata.tables["upload_files"], metadata.tables["upload_bytes"]
        tx.execute(files.insert().values(**UPLOAD))
        for place in range(20):
            data = bytes([place]) * 1000
            row = {"body": "b", "place": place, "data": data, "written_at": 1.0}
            tx.execute(pieces.insert().values(**row))


def rows(url):
    with closing(Database(url)) as database, database.read() as tx:
        return {
            table.name: sorted(map(repr, tx.execute(sa.select(table)).all()))
            for table in metadata.sorted_tables
        }


def test_a_copy_has_every_row_of_every_table(catalog_url, tmp_path):
    with closing(open_catalog(catalog_url)) as catalog:
        fill(catalog)
        write_catalog(catalog.database, tmp_path / "copy.db")
    assert rows(f"sqlite:///{tmp_path}/copy.db") == rows(catalog_url)
    assert [path.name for path in tmp_path.glob("copy.db*")] == ["copy.db"]


@pytest.fixture(params=["postgres", "sqlite", "sqlite that is not there"])
def target(request, tmp_path):
    """The address of an empty catalog."""
    if request.param == "postgres":
        return fresh_postgres_database(request.getfixturevalue("postgres_url"))
    url = f"sqlite:///{tmp_path}/target.db"
    if request.param == "sqlite":
        open_catalog(url).close()
    return url


def test_a_copy_fills_an_empty_catalog_whose_numbers_go_on(catalog_url, target, tmp_path):
    with closing(open_catalog(catalog_url)) as catalog:
        fill(catalog)
        write_catalog(catalog.database, tmp_path / "copy.db")
    with closing(Database(target)) as database:
        put_catalog(tmp_path / "copy.db", database)
        assert rows(target) == rows(catalog_url)
        documents = metadata.tables["documents"]
        values = {**DOCUMENT, "object_key": "next.md", "document_id": "next"}
        with database.write() as tx:
            made = tx.execute(documents.insert().values(**values).returning(documents.c.id))
            assert made.scalar_one() == 4, "3 was gone.md's: a late worker may remember it"


def test_a_catalog_that_holds_something_by_then_is_not_written_into(target, tmp_path):
    with closing(open_catalog(f"sqlite:///{tmp_path}/saved.db")) as catalog:
        fill(catalog)
        write_catalog(catalog.database, tmp_path / "copy.db")
    with closing(open_catalog(target)) as catalog:
        fill(catalog)
        before = rows(target)
        with pytest.raises(Conflict, match="not empty") as refused:
            put_catalog(tmp_path / "copy.db", catalog.database)
    assert refused.value.reason == "restore_target_in_use"
    assert rows(target) == before


def test_a_copy_stands_for_one_moment_while_others_write(catalog_url, tmp_path):
    """Two rows are always changed together: no copy may have one of them alone."""
    with closing(open_catalog(catalog_url)) as catalog:
        fill(catalog)
        audit, sources = metadata.tables["audit"], metadata.tables["sources"]
        stop, written = threading.Event(), threading.Semaphore(0)

        def write():
            number = 0
            while not stop.is_set():
                number += 1
                with catalog.database.write() as tx:
                    tx.execute(audit.update().values(at=float(number)))
                    tx.execute(sources.update().values(updated_at=float(number)))
                written.release()

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for number in range(5):
                for _ in range(3):
                    written.acquire()
                copy = tmp_path / f"copy-{number}.db"
                write_catalog(catalog.database, copy)
                with closing(sqlite3.connect(copy)) as here:
                    [(at,)] = here.execute("SELECT at FROM audit")
                    [(updated,)] = here.execute("SELECT updated_at FROM sources")
                    assert at == updated
        finally:
            stop.set()
            writer.join()
