"""Workers that were thought dead and write late: whoever owns the records learns of it."""

import json

import pytest

from s3sync_dagster.catalog.deletions import CUT_OFF_SECONDS
from s3sync_dagster.core.patience import LEASE_SECONDS
from s3sync_dagster.core.state import DocumentPhase
from s3sync_dagster.engine.batch.sidecars import end_sidecars
from s3sync_dagster.engine.ports import WriteLimits
from s3sync_dagster.engine.verifying import verify_collection
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.errors import LeaseLost, RecordRejected, Unavailable
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster.ports.memory_chroma import MemoryCollections
from s3sync_dagster_tests.core.rules import (
    LONG,
    Died,
    Refusing,
    event,
    hold,
    refuse_with,
    sidecar,
    states,
    work_and_die,
    work_on,
)
from s3sync_dagster_tests.engine_fixture import make_world


class LateCollections:
    """Collections of a batch whose first write comes after all that others do meanwhile."""

    def __init__(self, world, batch, meanwhile, *, answer=None):
        self._world, self._batch, self._meanwhile = world, batch, meanwhile
        self._answer = answer

    def open(self, name, **options):
        return _Late(self._world.collections.open(name, **options), self._first_write)

    def _first_write(self, write):
        if self._meanwhile is None:
            write()
            return
        meanwhile, self._meanwhile = self._meanwhile, None
        self._world.catalog.batches.release(self._batch.token, died=True)
        meanwhile()
        write()
        if self._answer is not None:
            raise self._answer


class _Late:
    def __init__(self, port, first_write):
        self._port, self._first_write = port, first_write

    def __getattr__(self, name):
        return getattr(self._port, name)

    def upsert(self, records, vectors):
        self._first_write(lambda: self._port.upsert(records, vectors))

    def delete(self, ids):
        self._first_write(lambda: self._port.delete(ids))


def all_clean(world):
    rows = world.catalog.documents.of_source(world.source.id)
    return {row.phase for row in rows} == {DocumentPhase.CLEAN}


@pytest.mark.parametrize(("number", "threads"), [(1, 1), (2, 1), (2, 4)])
def test_who_has_lost_the_batch_by_the_time_of_a_write_begins_none(world, number, threads):
    for n in range(number):
        world.bucket.put(f"{n}.txt", "text")
    world.listing()

    def lose(at):
        if at == "after_embed":
            world.clock.seconds += LEASE_SECONDS
            for row in world.catalog.batches.live():
                world.catalog.batches.release(row.token, died=True)

    with pytest.raises(LeaseLost):
        world.run_batches(at=lose, threads=threads)
    assert world.texts() == {}
    assert {r.state for r in world.run_batches()} == {"indexed"}


def test_a_late_write_of_a_document_that_is_gone_is_cleaned_up(world):
    world.bucket.put("a.txt", LONG)
    world.bucket.put("b.txt", "stays")
    world.sync()
    world.bucket.put("a.txt", LONG + "\n\npart 12")
    world.listing()
    late = hold(world, "a.txt")

    def gone():
        world.bucket.delete("a.txt")
        world.sync(approve_deletes=True)
        assert world.keys_indexed() == {"b.txt"}

    with pytest.raises(LeaseLost):
        work_on(world, late, collections=LateCollections(world, late, gone))
    assert world.keys_indexed() == {"a.txt", "b.txt"}  # the harm is done, and known
    world.run_batches()
    assert world.keys_indexed() == {"b.txt"}
    assert all_clean(world)


@pytest.mark.parametrize("mode", DeleteMode)
def test_an_object_that_is_back_is_indexed_over_what_was_written_late_of_it(mode):
    world = make_world(mode=mode)
    world.bucket.put("a.txt", "one")
    world.listing()
    late = hold(world, "a.txt")

    def gone():
        world.bucket.delete("a.txt")
        world.sync(approve_deletes=True)
        assert world.texts() == {}

    with pytest.raises(LeaseLost):
        work_on(world, late, collections=LateCollections(world, late, gone))
    assert list(world.texts().values()) == ["one"]
    world.bucket.put("a.txt", "two")
    world.sync()
    assert (list(world.texts().values()), all_clean(world)) == (["two"], True)


def test_what_append_mode_has_kept_meanwhile_is_written_over_late_and_kept_no_more():
    world = make_world(mode=DeleteMode.APPEND)
    world.collections = MemoryCollections(write_limits=WriteLimits(max_records=4))
    world.bucket.put("a.txt", "one")
    world.listing()

    def at(place):
        if place == "upserted":
            raise Died

    work_and_die(world, workers=1, at=at)
    world.bucket.delete("a.txt")
    world.listing(approve_deletes=True)
    away = refuse_with(Unavailable("away", reason="chroma_unavailable"))
    world.run_batches(collections=Refusing(world, delete=away))  # it is on its way out
    world.bucket.put("a.txt", LONG)
    world.clock.seconds += 7200
    world.listing()
    late = hold(world, "a.txt")

    def kept():
        world.clock.seconds += LEASE_SECONDS
        world.run_batches()
        assert (list(world.texts().values()), states(world)["a.txt"][0]) == (["one"], "skipped")

    with pytest.raises(LeaseLost):
        work_on(world, late, collections=LateCollections(world, late, kept))
    assert len(world.texts()) == 4
    world.run_batches()
    assert set(world.texts().values()) == set(LONG.split("\n\n"))
    assert (states(world)["a.txt"], all_clean(world)) == (("indexed", None), True)


@pytest.mark.parametrize(
    "answer",
    [
        RecordRejected("Chroma took some records and refused others"),
        Unavailable("the answer was lost", reason="chroma_unavailable"),
    ],
)
def test_a_late_write_that_ends_in_an_error_is_distrusted_too(world, answer):
    world.bucket.put("a.txt", LONG)
    world.listing()
    late = hold(world, "a.txt")

    def shorter():
        world.bucket.put("a.txt", "short")
        world.sync()
        assert set(world.texts().values()) == {"short"}

    with pytest.raises(LeaseLost):
        work_on(world, late, collections=LateCollections(world, late, shorter, answer=answer))
    assert len(world.texts()) == 12
    world.run_batches()
    assert set(world.texts().values()) == {"short"}
    assert all_clean(world)


def test_a_late_removal_that_ends_in_an_error_is_distrusted_too(world):
    for name in "abcdef":
        world.bucket.put(f"{name}.txt", f"text {name}")
    world.sync()
    world.bucket.delete("a.txt")
    world.listing()
    late = hold(world, "a.txt")

    def here_again():
        world.bucket.put("a.txt", "here again")
        world.sync()
        assert "here again" in world.texts().values()

    answer = Unavailable("the answer was lost", reason="chroma_unavailable")
    with pytest.raises(LeaseLost):
        work_on(world, late, collections=LateCollections(world, late, here_again, answer=answer))
    assert "here again" not in world.texts().values()
    world.run_batches()
    assert "here again" in world.texts().values()
    assert all_clean(world)


@pytest.mark.parametrize("read", ["an older sidecar", "that there was none"])
def test_a_late_worker_stores_nothing_of_the_sidecars_that_it_read(world, read):
    world.bucket.put("a.txt", "text")
    world.bucket.put("a.txt.meta.json", sidecar("a.txt", metadata={"v": 0}))
    world.sync()
    world.run_batches()
    if read == "an older sidecar":
        world.bucket.put("a.txt.meta.json", sidecar("a.txt", metadata={"v": 1}))
    else:
        world.bucket.delete("a.txt.meta.json")
    event(world, "a.txt.meta.json")
    late = hold(world, "a.txt.meta.json")

    def meanwhile(step):
        if step == "fetched":
            world.catalog.batches.release(late.token, died=True)
            world.bucket.put("a.txt.meta.json", sidecar("a.txt", metadata={"v": 2}))
            event(world, "a.txt.meta.json")
            world.run_batches()

    with pytest.raises(LeaseLost):
        work_on(world, late, at=meanwhile)
    world.sync()
    assert [told.get("v") for told in world.metadata().values()] == [2]
    assert world.catalog.work.claims_of(world.source.id, ["a.txt"])["a.txt"][0].metadata == {"v": 2}


def test_what_is_no_sidecar_any_more_ends_only_while_its_batch_runs(world):
    world.bucket.put("a.txt", "text")
    world.bucket.put("a.txt.metadata.json", json.dumps({"metadataAttributes": {"v": 1}}))
    world.configure(bedrock_sidecars=True)
    world.sync()
    world.run_batches()
    world.configure(bedrock_sidecars=False)
    event(world, "a.txt.metadata.json")
    late = hold(world, "a.txt.metadata.json")
    token, work = late.token, world.catalog.work
    found = work.load(token)
    world.catalog.batches.release(token, died=True)
    with pytest.raises(LeaseLost):
        end_sidecars(world.engine(), token, found)
    assert work.claims_of(world.source.id, ["a.txt"])


class Killed(BaseException):
    """The process is gone: nothing that it had in mind is done."""


@pytest.mark.parametrize("error", [None, Killed(), Unavailable("no answer")], ids=repr)
@pytest.mark.parametrize("ends", ["before the delete", "after the delete"])
def test_a_document_that_grows_into_a_stray_while_it_is_deleted_is_written_again(
    world, ends, error
):
    world.bucket.put("k.txt", "a\n\nb")
    world.sync()
    port = world.collections.open(
        "docs", tenant=world.source.tenant, database=world.source.database_name,
        embedder=world.embedder,
    )  # fmt: skip
    (document,) = world.catalog.documents.of_key(world.source.id, "k.txt")
    record = next(iter(port.get([f"{document.document_id}-1"]).values()))
    stray = Record(
        id=f"{document.document_id}-2", document="stray", embedding_text="stray",
        metadata=dict(record.metadata),
    )  # fmt: skip
    port.upsert([stray], world.embedder.embed_documents(["stray"]))

    class Slow:
        """A collection in which the document grows between the second look and the deletion."""

        def __getattr__(self, name):
            return getattr(port, name)

        def delete(self, ids):
            world.bucket.put("k.txt", "a\n\nb\n\nc")
            world.listing()
            if ends == "before the delete":
                world.run_batches()
                port.delete(ids)
            else:
                work_on(world, hold(world, "k.txt"), at=lambda s: self._at(s, ids))
            if error is not None:
                raise error

        def _at(self, step, ids):
            if step == "upserted":
                port.delete(ids)

    def fix():
        return verify_collection(
            world.source, collection=Slow(), documents=world.catalog.documents, fix=True
        )

    if error is None:
        assert fix().stray == [stray.id]
    else:
        with pytest.raises(type(error)):
            fix()
        world.clock.seconds += CUT_OFF_SECONDS
        world.sync()
    world.run_batches()
    assert sorted(world.texts().values()) == ["a", "b", "c"]
    (document,) = world.catalog.documents.of_key(world.source.id, "k.txt")
    assert (document.phase, document.count) == (DocumentPhase.CLEAN, 3)
