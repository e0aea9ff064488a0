"""What a restored catalog has forgotten of an object, beside the document of it that it knows."""

import pytest

from s3sync_dagster.core.state import DocumentPhase
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.errors import RecordRejected, Unavailable
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.core.rules import Refusing, refuse_with, refused, sidecar
from s3sync_dagster_tests.core.test_rules_disputed import HR, KEY
from s3sync_dagster_tests.core.test_rules_owner_words import (
    ALL_OF_HR,
    goes_on,
    of_key,
    says,
    sees,
    world_of_sales,
)
from s3sync_dagster_tests.core.test_rules_restore_ends import asked_about, checks
from s3sync_dagster_tests.core.test_rules_restored import back_up, open_collection, restore

REPLACES = [DeleteMode.MIRROR, DeleteMode.KEEP_DELETED]
SIDECAR = f"{KEY}.meta.json"


def by_request(world):
    world.ask(KEY, custom_id="n", vouched=True)
    world.run_batches()


def by_sidecar(world):
    world.bucket.put(SIDECAR, sidecar(KEY, "n"))
    goes_on(world)


def renamed_since(mode, how=by_request):
    """Return a world whose catalog has forgotten that the document of ``KEY`` got the id n."""
    world = world_of_sales(mode, auto_sync=AutoSync.DIRECT)
    copy = back_up(world)
    how(world)
    assert texts_of(world) == {"n-0": "salaries"}
    restore(world, copy)
    world.bucket.delete(SIDECAR)
    return world


def texts_of(world, key=KEY):
    """Return the texts of an object by record id; its own ids are long."""
    told = world.metadata()
    return {
        name if name.startswith("n-") else "own": text
        for name, text in world.texts().items()
        if told[name]["document_key"] == key
    }


def put_beside(world, text="older", *, record_id="n-0", **metadata):
    """Have a record in the collection that no document of the source has."""
    told = {"s3sync_source": world.source.id, "document_key": KEY, "team": "sales", **metadata}
    record = Record(id=record_id, document=text, embedding_text=text, metadata=told)
    open_collection(world).upsert([record], world.embedder.embed_documents([text]))


def is_over(world):
    return world.catalog.sources.looked_through(world.source.id) is None


def closes_by_request(world):
    says(world, HR)
    world.run_batches()


def closes_by_metadata(world):
    world.configure(**ALL_OF_HR)


def closes_by_sidecar(world):
    world.bucket.put(SIDECAR, sidecar(KEY, "z", metadata=HR))


@pytest.mark.parametrize("mode", list(DeleteMode))
@pytest.mark.parametrize("closes", [closes_by_request, closes_by_metadata, closes_by_sidecar])
@pytest.mark.parametrize("how", [by_request, by_sidecar])
def test_what_is_closed_after_a_restore_is_read_under_no_id_of_before(mode, closes, how):
    if mode is DeleteMode.APPEND and how is by_sidecar:
        pytest.skip("append mode gives no other id to what it has")
    world = renamed_since(mode, how)
    goes_on(world)
    if mode is not DeleteMode.APPEND:
        world.bucket.put(KEY, "salaries two")
    closes(world)
    for _ in range(3):
        goes_on(world)
        checks(world)
    assert KEY not in sees(world, "sales")
    assert is_over(world)
    if mode is not DeleteMode.APPEND:
        assert "salaries" not in texts_of(world).values()
