"""What a sidecar said last of who may read holds of what a mode keeps when the sidecar goes."""

import pytest

from s3sync_dagster.catalog.rights import rights_of, seen_keys
from s3sync_dagster.core.rights import Reader
from s3sync_dagster.model.errors import AccessDenied, Unavailable
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.core.rules import Refusing, refuse_with, sidecar
from s3sync_dagster_tests.engine_fixture import make_world

WAY = "a.md.meta.json"
DAY = 24 * 3600


def said(world, team, **fields):
    world.bucket.put(WAY, sidecar("a.md", "x", metadata={"team": team}, **fields))


def readers(world, collection="docs"):
    """Return which of two groups find it."""
    found = []
    for group in ("sales", "hr"):
        rights = rights_of(world.catalog, Reader(frozenset({group})), tenant=world.source.tenant)
        seen = any(rights.allow_record(one) for one in world.metadata(collection).values())
        assert not seen or seen_keys(world.catalog, rights, world.source, ["a.md"])
        found += [group] if seen else []
    return found


def chroma_is_away(world):
    away = refuse_with(Unavailable("away", reason="chroma_unavailable"))
    return Refusing(world, update_metadata=away, upsert=away)


def object_is_denied(world):
    world.bucket.put("a.md", "changed")

    def fault(asked, key):
        if (asked, key) == ("GET", "a.md"):
            raise AccessDenied("not allowed")

    world.fault = fault
    return world.collections


def make(mode, auto_sync=AutoSync.METADATA, **by_path):
    world = make_world(auto_sync=auto_sync, mode=mode, reader_keys=("team",), **by_path)
    world.bucket.put("a.md", "secret")
    said(world, "sales")
    world.sync()
    assert readers(world) == ["sales"]
    return world


def pass_by(world, collections=None):
    world.listing()
    world.run_batches(**({"collections": collections} if collections else {}))
    world.clock.seconds += DAY


@pytest.mark.parametrize("mode", [DeleteMode.APPEND, DeleteMode.KEEP_DELETED])
@pytest.mark.parametrize("trouble", [chroma_is_away, object_is_denied])
@pytest.mark.parametrize("elsewhere", [False, True])
@pytest.mark.parametrize("goes", [True, False])
def test_a_word_that_could_not_be_written_outlives_its_sidecar(mode, trouble, elsewhere, goes):
    world = make(mode)
    collections = trouble(world)
    said(world, "hr", **({"target_collection_name": "other"} if elsewhere else {}))
    pass_by(world, collections)
    assert readers(world) == []
    if goes:
        world.bucket.delete(WAY)
    else:
        world.bucket.put(WAY, sidecar("none.md", "x"))
    for _ in range(2):
        pass_by(world, collections)
        assert readers(world) == []
    world.fault = collections.on = None
    for _ in range(2):
        pass_by(world)
        world.catalog.documents.enqueue_unclean(world.source.id)
        world.run_batches()
        assert "sales" not in readers(world)
    assert world.catalog.invocations.live_count(world.source.id) == 0


@pytest.mark.parametrize("mode", [DeleteMode.APPEND, DeleteMode.KEEP_DELETED])
def test_a_word_that_was_written_stays_when_its_sidecar_goes(mode):
    world = make(mode)
    world.bucket.delete(WAY)
    for _ in range(2):
        pass_by(world)
        assert readers(world) == ["sales"]


def test_in_mirror_nobody_reads_it_by_an_earlier_word_until_it_goes():
    world = make(DeleteMode.MIRROR)
    collections = chroma_is_away(world)
    said(world, "hr")
    pass_by(world, collections)
    world.bucket.delete(WAY)
    collections.on = False
    for _ in range(2):
        pass_by(world)
        assert "sales" not in readers(world)


@pytest.mark.parametrize("mode", [DeleteMode.APPEND, DeleteMode.KEEP_DELETED])
@pytest.mark.parametrize("denied", [False, True])
def test_what_a_sidecar_says_last_is_said_of_the_object_that_it_names_then(mode, denied):
    world = make(mode)
    world.bucket.put("b.md", "menu")
    collections = object_is_denied(world) if denied else None
    world.bucket.put(WAY, sidecar("b.md", "y", metadata={"team": "hr"}))
    pass_by(world, collections)
    world.bucket.delete(WAY)
    for _ in range(3):
        pass_by(world, collections)
        world.fault = None
        world.catalog.documents.enqueue_unclean(world.source.id)
        world.run_batches()
        seen = [
            one["document_key"]
            for one in world.metadata().values()
            if rights_of(
                world.catalog, Reader(frozenset({"hr"})), tenant=world.source.tenant
            ).allow_record(one)
        ]
        assert "a.md" not in seen


@pytest.mark.parametrize("opens", ["sales", "hr"])
def test_append_mode_keeps_its_text_as_a_sidecar_closed_it_and_not_as_the_path_has_it(opens):
    path = {"path_metadata": "(?P<team>[^.]+)"}  # "a"
    world = make(DeleteMode.APPEND, AutoSync.DIRECT, **path)
    collections = chroma_is_away(world)
    said(world, opens)
    pass_by(world, collections)
    world.bucket.delete(WAY)
    collections.on = False
    for _ in range(3):
        pass_by(world)
        world.catalog.documents.enqueue_unclean(world.source.id)
        world.run_batches()
        assert set(world.texts()) == {"x-0"}
        rights = rights_of(world.catalog, Reader(frozenset({"a"})), tenant=world.source.tenant)
        assert not any(rights.allow_record(one) for one in world.metadata().values())
