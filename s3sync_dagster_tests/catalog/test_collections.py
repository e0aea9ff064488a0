"""The table ``collections`` on both databases, and the migration that brings it."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog import collections as rows
from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.catalog.database import Database, _alembic_config
from s3sync_dagster.catalog.recovered import store_recovered
from s3sync_dagster.core.state import KnownCollection
from s3sync_dagster.engine.rebuilding import RecoveredDocument
from s3sync_dagster.model.errors import NotFound
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster_tests.catalog.scenes import done, index, index_all, list_all, ref, source

KEYS = [f"k{n}" for n in range(5)]


def known(collection_id, name="ccc"):
    return KnownCollection(
        tenant="default_tenant",
        database_name="default_database",
        collection_name=name,
        collection_id=collection_id,
    )


@pytest.fixture
def filled(catalog):
    src = source()
    catalog.sources.add(src)
    list_all(catalog, src, [ref(key) for key in KEYS])
    index_all(catalog, src, KEYS)
    return src


def test_nothing_is_kept_for_a_source_that_was_deleted_meanwhile(catalog, filled):
    found = [RecoveredDocument(document_id="x", object_key="x", custom_id=None, etag="e")]
    catalog.documents.drop_source(filled.id)
    assert catalog.collections.meet(filled.id, known("A")) == 0
    assert catalog.collections.of_source(filled.id) == []
    here = {"collection_name": "ccc", "collection_id": "A"}
    with pytest.raises(NotFound):
        store_recovered(catalog.database, filled, found, **here)
    assert catalog.documents.of_source(filled.id) == []
    with pytest.raises(NotFound):
        catalog.wholes.insert(filled, ref={})


def trusted(catalog, src):
    counts = catalog.views.counts(src.id)
    assert counts.indexed == counts.documents
    return counts.indexed


def test_what_was_written_to_another_collection_loses_its_trust_in_parts(
    catalog, filled, monkeypatch
):
    monkeypatch.setattr(rows, "DOCUMENTS_AT_ONCE", 2)
    meet = catalog.collections.meet
    assert meet(filled.id, known("A")) == 0  # from before ids were kept: believed
    assert {one.collection_id for one in catalog.documents.of_source(filled.id)} == {"A"}
    assert trusted(catalog, filled) == 5
    assert meet(filled.id, known("A")) == 0
    assert meet(filled.id, known("B"), seconds=0) is None
    assert trusted(catalog, filled) == 3
    assert catalog.invocations.live_count(filled.id) == 2
    assert catalog.collections.of_source(filled.id) == [known("A")]
    assert meet(filled.id, known("B")) == 3
    assert trusted(catalog, filled) == 0
    assert catalog.invocations.live_count(filled.id) == 5
    assert catalog.collections.of_source(filled.id) == [known("B")]
    assert catalog.collections.records(filled.id, known("B")) == 0


def test_what_is_committed_of_a_collection_that_is_no_more_is_written_again(catalog, filled):
    catalog.collections.meet(filled.id, known("A"))
    catalog.invocations.request_automatic(filled.id, ["k0"], trigger=Trigger.EVENT)
    batch = catalog.batches.reserve(filled.id, take=Take(), owner="w", run_id="r")
    _, commit = index(catalog, filled, batch.token, "k0")
    with catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE documents SET collection_id = 'A'"))
    catalog.collections.meet(filled.id, known("B"))
    lost = catalog.documents.commit(
        batch.token, filled, written=[commit], outcomes=[done("k0", etag="e1")]
    )
    assert lost == {commit.id}
    assert trusted(catalog, filled) == 0
    keys = [one.object_key for one in catalog.invocations.rows(source_id=filled.id)
            if one.status == "pending"]  # fmt: skip
    assert "k0" in keys


def test_a_deleted_source_leaves_no_collection(catalog, filled):
    catalog.collections.meet(filled.id, known("A"))
    assert not catalog.collections.forget_unused(filled.id, known("A"))
    catalog.documents.drop_source(filled.id)
    assert catalog.collections.of_source(filled.id) == []


def test_a_migrated_catalog_knows_where_its_documents_are_and_back(empty_url, clock):
    from alembic import command

    database = Database(empty_url)
    config = _alembic_config(database.url)
    with database.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0006")
        for number, name in enumerate(("ccc", "ccc", "other")):
            connection.execute(
                sa.text(
                    "INSERT INTO documents (source_id, object_key, tenant, database_name, "
                    "collection_name, document_id, metadata, owner, phase, digests, metadata_keys) "
                    "VALUES ('s', :key, 'default_tenant', 'default_database', :name, :key, '{}', "
                    "'source', 'writing', :none, '[]')"
                ),
                {"key": f"k{number}", "name": name, "none": b""},
            )
        connection.commit()
        command.upgrade(config, "head")
        connection.commit()
        found = rows.CollectionRows(database).of_source("s")
        assert found == [known(None), known(None, "other")]
        command.downgrade(config, "0006")
        connection.commit()
        assert "collections" not in sa.inspect(connection).get_table_names()
    database.close()


@pytest.mark.parametrize("catalog_url", ["postgres"], indirect=True)
def test_what_the_server_ends_for_another_transaction_is_done_again(catalog, filled):
    """Others hold a document of the source and then want the source: one of the two is ended."""
    database = catalog.database
    catalog.collections.meet(filled.id, known("A"))
    with database.engine.connect() as other, ThreadPoolExecutor() as threads:
        # Who waits for so long looks whether the two wait for each other: not this one.
        other.exec_driver_sql("SET deadlock_timeout = '60s'")
        other.exec_driver_sql("SELECT id FROM documents FOR UPDATE")
        meeting = threads.submit(catalog.collections.meet, filled.id, known("B"))
        waits = sa.text(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
            "AND datname = current_database()"
        )
        with database.engine.connect() as watcher:
            watcher = watcher.execution_options(isolation_level="AUTOCOMMIT")
            while not watcher.execute(waits).scalar_one():
                assert not meeting.done()
        database.lock_source(other, filled.id)
        other.rollback()
        assert meeting.result() == len(KEYS)
    assert trusted(catalog, filled) == 0
