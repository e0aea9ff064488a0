"""A worker that did not know that its source was deleted: what it wrote goes, or stays, alike."""

from contextlib import nullcontext
from dataclasses import replace

import pytest

from s3sync_dagster.catalog.database import ROWS_A_PART
from s3sync_dagster.core.patience import Patience
from s3sync_dagster.engine.deleting import (
    DOCUMENTS_A_PAGE,
    delete_records,
    sweep,
    take_down,
)
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.errors import LeaseLost, NotFound, Unavailable
from s3sync_dagster.model.invocation import InvocationStatus, Trigger
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster_tests.core.rules import event, hold, states, work_on
from s3sync_dagster_tests.sources import changed


def end(world, *, keep_records=False):
    world.catalog.sources.mark_deleting(world.source.id, keep_records=keep_records)
    end_of(world, world.source)


def end_of(world, source):
    assert take_down_once(world, source).endswith("is deleted")


def take_down_once(world, source):
    return take_down(
        source,
        catalog=world.catalog,
        collections=lambda: world.collections,
        clock=world.clock,
        drop_partitions=lambda _until: True,
        log=print,
    )


def reasons(world):
    rows = world.catalog.invocations.rows(source_id=world.source.id)
    return {one.reason for one in rows if one.status is InvocationStatus.PENDING}


def swept(world):
    return sweep(catalog=world.catalog, collections=lambda: world.collections)


@pytest.fixture
def written(world):
    """The document of a source that has one."""
    world.bucket.put("a.txt", "text")
    world.sync()
    (state,) = world.catalog.documents.of_source(world.source.id)
    return state


def port_of(world, state):
    return world.collections.open(
        state.collection_name,
        tenant=state.tenant,
        database=state.database_name,
        embedder=world.embedder,
    )


def put_back(world, state):
    port = port_of(world, state)
    record = Record(
        id=f"{state.document_id}-0", document="late", embedding_text="late",
        metadata={"s3sync_source": state.source_id},
    )  # fmt: skip
    port.upsert([record], world.embedder.embed_documents(["late"]))
    world.catalog.documents.distrust([state])


def test_what_an_earlier_deletion_left_although_it_was_accepted_goes_with_its_source(
    world, written
):
    port = port_of(world, written)
    records = [
        Record(id=name, document="left", embedding_text="left", metadata={"s3sync_source": owner})
        for name, owner in (
            (f"{written.document_id}-5", written.source_id),
            ("of-no-document-0", written.source_id),
            ("of-others-0", "another"),
        )
    ]
    port.upsert(records, world.embedder.embed_documents(["left"] * len(records)))
    world.catalog.sources.mark_deleting(world.source.id, keep_records=False)
    assert "2 records of it were left" in take_down_once(world, world.source)
    end_of(world, world.source)
    assert [record.id for page in port.scan() for record in page] == ["of-others-0"]


def test_a_slow_sweeper_leaves_what_a_new_owner_of_the_ids_has_written(world, written):
    end(world)
    put_back(world, written)
    slow = world.catalog.documents.left_behind()  # another one sweeps meanwhile, and all is free
    port = port_of(world, written)
    record = Record(
        id=f"{written.document_id}-0", document="new", embedding_text="new",
        metadata={"s3sync_source": "another"},
    )  # fmt: skip
    port.upsert([record], world.embedder.embed_documents(["new"]))
    delete_records(slow, catalog=world.catalog, collections=world.collections, look=True)
    assert list(world.texts().values()) == ["new"]


def test_late_records_of_a_deleted_source_are_swept_and_their_ids_are_free(world, written):
    end(world)
    put_back(world, written)
    assert list(world.texts().values()) == ["late"]
    assert swept(world) == 1
    assert world.texts() == {}
    assert swept(world) == 0
    again = world.source.with_changes(id="00000000-0000-4000-8000-00000000000a")
    world.catalog.sources.add(again)
    world.source = again
    assert world.sync() == {"a.txt": "indexed"}


def test_a_source_made_anew_waits_until_they_are_swept(world, written):
    end(world)
    put_back(world, written)
    again = world.source.with_changes(id="00000000-0000-4000-8000-00000000000a")
    world.catalog.sources.add(again)
    world.source = again
    assert world.sync() == {"a.txt": "pending"}
    assert reasons(world) == {"record_ids_busy"}
    swept(world)
    assert [one.state for one in world.run_batches()] == ["indexed"]
    assert list(world.texts().values()) == ["text"]


@pytest.mark.parametrize("records", ["there", "gone"])
def test_a_source_of_the_same_ids_waits_until_the_other_one_is_deleted(world, written, records):
    old = world.source
    if records == "gone":  # and the catalog is told next
        port_of(world, written).delete([f"{written.document_id}-0"])
    world.catalog.sources.mark_deleting(old.id, keep_records=False)
    world.source = old.with_changes(id="00000000-0000-4000-8000-00000000000a", name="new")
    world.source = changed(world.source, bucket_name="another")
    world.catalog.sources.add(world.source)
    assert world.sync() == {"a.txt": "pending"}
    world.run_batches(patience=Patience(tries=1, attempts=1))
    for _ in range(5):  # until it waits for an hour
        world.clock.seconds += 600
        world.run_batches()
    assert states(world) == {"a.txt": ("pending", None)}
    end_of(world, old)
    assert [one.state for one in world.run_batches()] == ["indexed"]


def test_all_keys_that_failed_for_ids_of_another_source_are_asked_for_in_parts(world, monkeypatch):
    monkeypatch.setattr("s3sync_dagster.catalog.deleted_sources.ROWS_A_PART", 2)
    for n in range(5):
        world.bucket.put(f"{n}.txt", f"text {n}")
    world.sync()
    old = world.source
    world.source = old.with_changes(id="00000000-0000-4000-8000-00000000000a", name="new")
    world.source = changed(world.source, bucket_name="another")
    world.catalog.sources.add(world.source)
    world.sync()
    assert set(states(world).values()) == {("failed", "record_ids_taken")}
    world.catalog.sources.mark_deleting(old.id, keep_records=False)
    end_of(world, old)
    assert [one.state for one in world.run_batches()] == ["indexed"] * 5


def test_records_that_were_written_late_in_the_name_of_a_source_that_is_no_more_are_nobodys(
    world, written
):
    stored = port_of(world, written).get([f"{written.document_id}-0"])
    end(world)
    (name, one), *_ = stored.items()
    late = Record(id=name, document="text", embedding_text="text", metadata=one.metadata)
    port_of(world, written).upsert([late], world.embedder.embed_documents(["text"]))
    world.source = world.source.with_changes(id="00000000-0000-4000-8000-00000000000a")
    world.catalog.sources.add(world.source)
    assert world.sync() == {"a.txt": "indexed"}
    (now,) = port_of(world, written).get([name]).values()
    assert now.metadata["s3sync_source"] == world.source.id


@pytest.mark.parametrize("works", [True, False], ids=["indexed", "only declared"])
def test_a_source_that_is_declared_again_while_a_sweeper_is_at_work_is_written_again(
    world, written, works
):
    end(world)
    put_back(world, written)
    plain, met = world.collections.open, []

    def declared_meanwhile(name, **options):
        if not met:
            met.append(name)
            world.source = world.catalog.sources.register(world.source)
            if works:
                world.sync()  # waits for the ids that are being swept
                assert states(world) == {"a.txt": ("pending", None)}
        return plain(name, **options)

    world.collections.open = declared_meanwhile
    swept(world)
    assert world.texts() == {}
    world.sync()
    world.run_batches()
    assert list(world.texts().values()) == ["text"]
    assert states(world) == {"a.txt": ("indexed", None)}


def test_where_the_records_of_a_deleted_source_stay_its_ids_stay_taken(world, written):
    end(world, keep_records=True)
    world.source = world.source.with_changes(id="00000000-0000-4000-8000-00000000000a")
    world.catalog.sources.add(world.source)
    assert world.sync() == {"a.txt": "failed"}
    assert states(world) == {"a.txt": ("failed", "record_ids_taken")}


def test_where_the_records_were_to_stay_late_ones_stay_too(world, written):
    end(world, keep_records=True)
    put_back(world, written)
    assert swept(world) == 0
    assert list(world.texts().values()) == ["late"]


@pytest.mark.parametrize("keep_records", [False, True])
def test_a_batch_of_a_deleted_source_ends_unless_its_records_are_to_stay(world, keep_records):
    """A run of many large objects would go on writing, and be paid for, long after."""
    world.bucket.put("a.txt", "text")
    event(world, "a.txt")
    batch = hold(world, "a.txt")

    def deleted_meanwhile(kind, _key):
        if kind == "GET":
            world.catalog.sources.mark_deleting(world.source.id, keep_records=keep_records)
            assert "batches have ended" in take_down_once(world, world.source)

    world.fault = deleted_meanwhile
    with nullcontext() if keep_records else pytest.raises(LeaseLost):
        work_on(world, batch)
    assert list(world.texts().values()) == (["text"] if keep_records else [])
    end_of(world, world.source)


def test_nobody_asks_for_work_of_a_deleted_source(world, written):
    end(world)
    with pytest.raises(NotFound):
        world.ask("a.txt")
    assert world.catalog.invocations.request_automatic(
        world.source.id, ["a.txt"], trigger=Trigger.EVENT
    ) == 0  # fmt: skip
    event(world, "a.txt", told=_refs(["a.txt"])[0])
    assert world.catalog.invocations.live_count(world.source.id) == 0
    assert world.catalog.work.object(world.source.id, "a.txt") is None


def test_a_source_of_many_rows_ends_in_parts_and_leaves_others_alone(world):
    other = world.source.with_changes(
        id="00000000-0000-4000-8000-00000000000a", name="other", collection_name="other"
    )
    world.catalog.sources.add(other)
    keys = [f"{n:05}" for n in range(ROWS_A_PART + 10)]
    for source in (world.source, other):
        world.catalog.work.record_events(
            source.id,
            upserts=[(told, None) for told in _refs(keys)],
            sync=keys,
            remove=[],
            sequencers={},
        )
    end(world)
    assert world.catalog.views.counts(other.id).objects == len(keys)
    assert world.catalog.invocations.live_count(other.id) == len(keys)
    assert world.catalog.views.counts(world.source.id).objects == 0
    cancelled = world.catalog.invocations.rows(source_id=world.source.id, limit=len(keys))
    assert {one.reason for one in cancelled} == {"source_deleted"}
    assert len(cancelled) == len(keys)


def _refs(keys):
    return [ObjectRef(key=key, etag="e", size=1) for key in keys]


def test_who_adopts_waits_for_ids_whose_records_are_being_deleted(world, written):
    adopts = changed(
        world.source,
        id="00000000-0000-4000-8000-000000000002",
        name="b",
        bucket_name="another",
        adopt=True,
    )
    world.catalog.sources.add(adopts)
    other = type(world)(
        source=adopts,
        bucket=world.bucket,
        catalog=world.catalog,
        collections=world.collections,
        clock=world.clock,
    )
    world.catalog.sources.mark_deleting(world.source.id, keep_records=False)
    plain, met = world.collections.open, []

    def write_in_between(name, **options):
        port = plain(name, **options)
        if not met and options["embedder"] is None:  # of the deletion, which has its documents
            met.append(other.sync())
        return port

    world.collections.open = write_in_between
    assert take_down_once(world, world.source).endswith("is deleted")
    assert met == [{"a.txt": "pending"}]
    assert {one.key: one.state for one in other.run_batches()} == {"a.txt": "indexed"}
    assert list(other.texts().values()) == ["text"]


def test_a_tick_whose_time_is_over_leaves_the_rest_of_a_sweep_to_the_next(
    world, written, monkeypatch
):
    monkeypatch.setattr("s3sync_dagster.engine.deleting.DOCUMENTS_A_PAGE", 1)
    end(world)
    put_back(world, written)
    put_back(world, replace(written, document_id="f" * 64, object_key="other.md"))
    options = {"catalog": world.catalog, "collections": lambda: world.collections}
    assert [sweep(**options, late=lambda: True) for _ in range(3)] == [1, 1, 0]
    assert world.texts() == {}


def test_a_collection_that_refuses_keeps_no_late_records_of_others_from_being_swept(world):
    number = DOCUMENTS_A_PAGE + 1
    for n in range(number):
        world.bucket.put(f"a{n:03}.md", "text")
    world.sync()
    first, late = world.source, list(world.catalog.documents.of_source(world.source.id))
    other = first.with_changes(id="00000000-0000-4000-8000-00000000000a", name="other")
    world.source = changed(other, collection_name="second", bucket_name="other")
    world.catalog.sources.add(world.source)
    world.sync()
    for source in (first, world.source):
        world.catalog.sources.mark_deleting(source.id, keep_records=False)
        end_of(world, source)
    world.catalog.documents.distrust(late[:DOCUMENTS_A_PAGE])
    moved = replace(late[-1], collection_name="second", source_id=world.source.id)
    put_back(world, moved)
    refusing = RefusesOne(world, first.collection_name)
    with pytest.raises(Unavailable):
        sweep(catalog=world.catalog, collections=lambda: refusing)
    assert world.texts("second") == {}
    assert len(world.catalog.documents.left_behind(limit=number)) == DOCUMENTS_A_PAGE


class RefusesOne:
    """Collections of which one cannot be opened."""

    def __init__(self, world, name):
        self._world, self._name = world, name

    def open(self, name, **options):
        if name == self._name:
            raise Unavailable("It does not answer.")
        return self._world.collections.open(name, **options)

    def __getattr__(self, name):
        return getattr(self._world.collections, name)
