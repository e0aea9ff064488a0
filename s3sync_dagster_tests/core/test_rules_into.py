"""``reindex --into``: a second source takes along what people said, and what it lacks is named."""

import pytest

from s3sync_dagster.catalog.recovered import hand_on_requests
from s3sync_dagster.engine.readers_told import hear_all
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.sources import changed


def into(world):
    """Make the second source as the command does and index it; returns the one before."""
    before = world.source
    hear_all(before, catalog=world.catalog, collections=world.collections)
    made = changed(
        before, id="00000000-0000-4000-8000-000000000002", name="docs_2", collection_name="docs-2"
    )
    world.source = world.catalog.sources.add(
        made,
        completed=lambda source, tx: hand_on_requests(world.catalog.database, tx, before, source),
    )
    world.listing(reindex=True)
    world.catalog.documents.enqueue_unclean(world.source.id)
    world.run_batches()
    return before


@pytest.mark.parametrize("auto_sync", list(AutoSync))
def test_what_a_request_asked_for_is_in_the_new_collection_too(auto_sync):
    world = make_world(auto_sync=auto_sync)
    world.bucket.put("a.txt", "alpha")
    world.sync()
    world.ask("a.txt", custom_id="invoice-7", metadata={"team": "red"})
    world.run_batches()
    before = into(world)
    ((name, one),) = world.metadata().items()
    assert (name, one["custom_id"], one["team"]) == ("invoice-7-0", "invoice-7", "red")
    assert world.catalog.rebuilding.without_successor(before, world.source) == []


def test_what_the_old_source_alone_has_is_named():
    world = make_world(mode=DeleteMode.KEEP_DELETED)
    for key in ("a.txt", "b.txt", "c.txt"):
        world.bucket.put(key, f"text of {key}")
    world.sync()
    world.ask("a.txt", target_collection_name="second")
    world.run_batches()
    world.bucket.delete("b.txt")
    world.sync()
    before = into(world)
    left = world.catalog.rebuilding.without_successor(before, world.source)
    assert left == [("second", "a.txt"), ("docs", "b.txt")]


@pytest.mark.parametrize("mode", list(DeleteMode))
def test_what_a_request_asked_of_an_object_that_is_gone_is_no_work_for_ever(mode):
    world = make_world(mode=DeleteMode.KEEP_DELETED)
    world.bucket.put("a.txt", "alpha")
    world.sync()
    world.ask("a.txt", custom_id="invoice-7", metadata={"team": "red"})
    world.run_batches()
    world.bucket.delete("a.txt")
    world.sync()
    world.configure(mode=mode)
    into(world)
    for _ in range(2):
        world.catalog.documents.enqueue_unclean(world.source.id)
        world.run_batches()
    world.catalog.documents.enqueue_unclean(world.source.id)
    assert world.run_batches() == []
    assert world.texts() == {}
    if mode is DeleteMode.MIRROR:
        return  # there the request went with its object
    world.bucket.put("a.txt", "alpha again")
    world.sync()
    assert world.metadata()["invoice-7-0"]["team"] == "red"


class Silent:
    """The embedder of a service that does not answer."""

    def __init__(self, embedder):
        self._embedder = embedder

    def embed_documents(self, _texts):
        raise Unavailable("does not answer", reason="embedding_unavailable")

    def __getattr__(self, name):
        return getattr(self._embedder, name)


@pytest.mark.parametrize("changed_before", [True, False])
def test_append_mode_writes_what_the_first_try_could_not(changed_before):
    world = make_world(mode=DeleteMode.APPEND)
    world.bucket.put("a.txt", "alpha")
    world.sync()
    world.ask("a.txt", custom_id="invoice-7", metadata={"team": "red"})
    world.run_batches()
    if changed_before:
        world.bucket.put("a.txt", "beta")
        world.sync()
    answering, world.embedder = world.embedder, Silent(world.embedder)
    into(world)
    world.embedder = answering
    world.bucket.put("a.txt", "gamma")
    world.clock.seconds += 7200
    world.sync()
    assert world.texts() == {"invoice-7-0": "gamma"}


def test_an_earlier_text_that_append_mode_keeps_is_named_although_its_key_is_there():
    world = make_world(mode=DeleteMode.APPEND)
    for key in ("a.txt", "b.txt"):
        world.bucket.put(key, f"{key} first")
    world.sync()
    world.bucket.put("a.txt", "second")
    world.sync()
    before = into(world)
    left = world.catalog.rebuilding.without_successor(before, world.source)
    assert left == [("docs", "a.txt")]


def test_what_the_new_collection_has_of_bytes_before_is_no_successor():
    world = make_world()
    world.bucket.put("a.txt", "first")
    world.sync()
    before = into(world)
    world.bucket.put("a.txt", "second")
    after, world.source = world.source, before
    world.sync()
    world.source = after
    world.listing()  # and the model does not answer, or the text cannot be read
    assert world.catalog.rebuilding.without_successor(before, after) == [("docs", "a.txt")]
    world.run_batches()
    assert world.catalog.rebuilding.without_successor(before, after) == []
    world.bucket.put("a.txt", "third")  # which the old source does not follow any more
    world.sync()
    assert world.catalog.rebuilding.without_successor(before, after) == []
