"""Postgres: who takes a document over and who takes its owner's records away wait for another."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from s3sync_dagster.catalog import claims, open_catalog
from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.core.intent import Intent, Refusal
from s3sync_dagster.core.state import Target
from s3sync_dagster_tests.catalog.scenes import done, index, index_all, list_all, ref, source
from s3sync_dagster_tests.conftest_catalog import HandClock, fresh_postgres_catalog

OWNER = source()
ADOPTER = source("adopter", bucket_name="other", adopt=True, collection_name=OWNER.collection_name)


@pytest.fixture
def shared(postgres_url):
    """A catalog in which ADOPTER is about to ask for what OWNER has."""
    catalog = open_catalog(fresh_postgres_catalog(postgres_url), clock=HandClock())
    for one in (OWNER, ADOPTER):
        catalog.sources.add(one)
    index_all(catalog, OWNER, ["docs/a"])
    list_all(catalog, ADOPTER, [ref("docs/a")])
    yield catalog
    catalog.close()


def reserved(catalog):
    return catalog.batches.reserve(ADOPTER.id, take=Take(), owner="me", run_id="r").token


def test_a_deletion_that_begins_while_a_document_is_taken_over_does_not_see_it(shared, monkeypatch):
    token, looked, real = reserved(shared), threading.Event(), claims.cleared_owners
    waited = []

    def delete():
        assert looked.wait(10)
        shared.sources.mark_deleting(OWNER.id, keep_records=False)
        return shared.documents.of_source(OWNER.id)

    def slow(tx, source_ids):
        found = real(tx, source_ids)
        looked.set()
        waited.append(not deletion.done() and not threading.Event().wait(1) and not deletion.done())
        return found

    monkeypatch.setattr(claims, "cleared_owners", slow)
    with ThreadPoolExecutor(1) as pool:
        deletion = pool.submit(delete)
        _claim, commit = index(shared, ADOPTER, token, "docs/a")
        assert deletion.result(10) == []
    assert waited == [True]
    lost = shared.documents.commit(token, ADOPTER, written=[commit], outcomes=[done("docs/a")])
    assert lost == set()
    assert [one.object_key for one in shared.documents.of_source(ADOPTER.id)] == ["docs/a"]


def test_what_is_being_taken_away_is_not_taken_over(shared):
    token = reserved(shared)
    shared.sources.mark_deleting(OWNER.id, keep_records=False)
    [held] = shared.documents.of_source(OWNER.id)
    intent = Intent(
        key="docs/a",
        target=Target(collection_name=OWNER.collection_name),
        document_id=held.document_id,
        count=1,
        metadata_keys=(),
    )
    [answer] = shared.documents.claim(token, ADOPTER, [intent])
    assert isinstance(answer, Refusal)
    assert [one.id for one in shared.documents.of_source(OWNER.id)] == [held.id]
