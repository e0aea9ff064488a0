"""Bytes become an upload only whole and of a source that is there; what is left is removed."""

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.catalog.tables import upload_bytes, upload_files
from s3sync_dagster.catalog.uploads import Uploads
from s3sync_dagster.core.state import UploadedFile
from s3sync_dagster.model.errors import Conflict, InvalidSetting, NotFound, Unavailable
from s3sync_dagster.model.place import UploadPlace
from s3sync_dagster.model.source import Source
from s3sync_dagster_tests.conftest_catalog import HandClock

DAY = 86_400.0


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def catalog(catalog_url, clock):
    made = open_catalog(catalog_url, clock=clock)
    made.sources.add(Source(id="s", name="s", place=UploadPlace(), collection_name="texts"))
    yield made
    made.close()


def put(catalog, source_id="s", key="a.md", data=b"bytes", size=None):
    body = catalog.uploads.write_bytes([data])
    return put_body(catalog, body, source_id=source_id, key=key, size=size or len(data))


def put_body(catalog, body, source_id="s", key="a.md", size=5):
    file = UploadedFile(key=key, etag="e", size=size, modified_at=0.0, body=body)
    return catalog.uploads.put(source_id, file)


def rows(catalog):
    """Return how many files and rows of bytes there are."""
    with catalog.database.read() as tx:
        return tuple(
            tx.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
            for table in (upload_files, upload_bytes)
        )


def test_a_file_whose_commit_was_not_answered_keeps_its_bytes(catalog, monkeypatch):
    body = catalog.uploads.write_bytes([b"bytes"])
    dialect = catalog.database.engine.dialect
    plain, lost = dialect.do_commit, []

    def commit(connection):
        plain(connection)
        if not lost:
            lost.append(connection)
            raise dialect.loaded_dbapi.OperationalError("the answer was lost")

    monkeypatch.setattr(dialect, "do_commit", commit)
    with pytest.raises(Unavailable):
        put_body(catalog, body)
    there = catalog.uploads.find("s", "a.md")
    assert b"".join(catalog.uploads.pieces(there)) == b"bytes"


def test_an_upload_that_ends_after_its_source_leaves_nothing(catalog):
    late = catalog.uploads.write_bytes([b"bytes"])
    catalog.sources.mark_deleting("s", keep_records=True)
    with pytest.raises(Conflict) as caught:
        put(catalog)
    assert caught.value.reason == "source_being_deleted"
    catalog.documents.drop_source("s")
    with pytest.raises(NotFound) as gone:
        put_body(catalog, late)
    assert gone.value.reason == "source_not_found"
    assert rows(catalog) == (0, 0)


def test_an_upload_that_ends_while_its_source_is_dropped_leaves_no_file(
    catalog, clock, monkeypatch
):
    clear = Uploads.clear

    def clear_and_be_late(uploads, source_id):
        clear(uploads, source_id)
        put(catalog)

    monkeypatch.setattr(Uploads, "clear", clear_and_be_late)
    catalog.documents.drop_source("s")
    assert rows(catalog)[0] == 0
    clock.seconds += 2 * DAY
    catalog.uploads.prune(older_than_seconds=DAY)
    assert rows(catalog) == (0, 0)


def test_files_of_a_source_that_is_not_there_are_pruned(catalog):
    put(catalog)
    put(catalog, key="b.md")
    with catalog.database.write() as tx:  # as versions before left one
        tx.execute(
            upload_files.update().where(upload_files.c.object_key == "b.md").values(source_id="old")
        )
    catalog.uploads.prune(older_than_seconds=DAY)
    assert rows(catalog) == (1, 1)
    assert catalog.uploads.find("s", "a.md") is not None


def test_bytes_that_are_not_all_there_become_no_file(catalog, clock):
    body = catalog.uploads.write_bytes([b"bytes"])
    clock.seconds += 2 * DAY  # a clock that is wrong for a while
    assert catalog.uploads.prune(older_than_seconds=DAY) == 1
    clock.seconds -= 2 * DAY
    with pytest.raises(InvalidSetting, match="Of the 5 bytes of 'a.md', 0 came") as caught:
        put_body(catalog, body)
    assert caught.value.reason == "upload_broken"
    with pytest.raises(InvalidSetting):
        put(catalog, size=6)
    assert rows(catalog) == (0, 0)
    assert put(catalog)
    assert put(catalog, key="empty.md", data=b"", size=0)


def test_only_what_no_file_names_and_is_old_is_pruned(catalog, clock):
    put(catalog)
    catalog.uploads.write_bytes([b"of a crash"] * 9)
    clock.seconds += DAY + 1
    catalog.uploads.write_bytes([b"on its way"])
    assert catalog.uploads.prune(older_than_seconds=DAY) == 9
    assert rows(catalog) == (1, 2)
    assert list(catalog.uploads.pieces(catalog.uploads.find("s", "a.md"))) == [b"bytes"]


def test_pruning_nothing_waits_for_no_writer_and_reads_no_bytes(tmp_path, clock):
    catalog = open_catalog(f"sqlite:///{tmp_path}/catalog.db", clock=clock)
    catalog.sources.add(Source(id="s", name="s", place=UploadPlace(), collection_name="texts"))
    put(catalog)
    clock.seconds += DAY + 1
    asked = []

    @event.listens_for(catalog.database.engine, "before_cursor_execute")
    def note(_connection, _cursor, statement, parameters, _context, _many):
        asked.append((statement, parameters))

    with catalog.database.write():  # two writers would wait for each other
        assert catalog.uploads.prune(older_than_seconds=DAY) == 0
    event.remove(catalog.database.engine, "before_cursor_execute", note)
    plans = []
    with catalog.database.read() as tx:
        for statement, parameters in asked:
            if "upload_bytes" in statement:
                plan = tx.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
                plans += [row[3] for row in plan if "upload_bytes" in row[3]]
    catalog.close()
    assert plans
    assert all("COVERING INDEX" in plan for plan in plans)
