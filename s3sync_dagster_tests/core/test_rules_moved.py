"""A source that is moved: new records first, and no record of before leaves too early."""

from contextlib import suppress

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog.quotas import ObjectQuota
from s3sync_dagster.core.keys import document_id
from s3sync_dagster.core.state import DocumentPhase
from s3sync_dagster.engine.deleting import take_down
from s3sync_dagster.engine.moving import finish_move, how_far
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.errors import Conflict, NotFound, Unavailable
from s3sync_dagster.model.invocation import InvocationStatus
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster.ports.memory_s3 import MemoryBucket, MemoryObjectStore
from s3sync_dagster_tests.core.rules import Refusing, event, hold, refuse_with, work_on
from s3sync_dagster_tests.sources import changed

CHANGES = [
    {"bucket_name": "bucket-eu"},
    {"collection_name": "docs2"},
    {"tenant": "other"},
    {"id_prefix": "p-"},
]
KEYS = ("a.md", "b.md", "dir/c.md")


@pytest.fixture
def declared(world):
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    for key in KEYS:
        world.bucket.put(key, f"{key} one\n\n{key} two")
    world.sync()
    return world


def declare(world, **changes):
    world.catalog.sources.register(changed(world.source, id="of the code", **changes))


def move(world, **changes):
    declare(world, **changes)
    before, world.source = world.source, world.catalog.moves.begin("docs")
    return before


def finish(world, **options):
    options = {"collections": lambda: world.collections, "now": False, **options}
    return finish_move(
        world.source,
        catalog=world.catalog,
        clock=world.clock,
        log=lambda _: None,
        **options,
    )


def everything(world, *sources):
    """Return the texts of all places of these sources."""
    return {text for one in sources for text in _of(world, one).texts(one.collection_name).values()}


def _of(world, source):
    return type(world)(
        source=source,
        bucket=world.bucket,
        catalog=world.catalog,
        collections=world.collections,
        clock=world.clock,
    )


def owners(world, source):
    return {one["s3sync_source"] for one in _of(world, source).metadata().values()}


@pytest.mark.parametrize("changes", CHANGES, ids=lambda one: next(iter(one)))
def test_no_record_is_missing_at_any_step_and_in_the_end_there_are_only_new_ones(declared, changes):
    texts = everything(declared, declared.source)
    before = move(declared, **changes)
    assert declared.source.id != before.id
    assert [one.name for one in declared.catalog.sources.all()] == ["docs"]
    looked, waited = [], []

    def look(step):
        looked.append(step)
        assert everything(declared, before, declared.source) >= texts
        if finish(declared) is None:
            assert everything(declared, declared.source) >= texts
            assert owners(declared, declared.source) == {declared.source.id}
        else:
            waited.append(step)

    declared.at = look
    declared.sync()
    assert {"begun", "claimed"} <= set(waited)
    declared.at = None
    declared.bucket.put("a.md", "a.md changed")
    declared.sync()
    assert finish(declared) is None
    assert how_far(declared.source, catalog=declared.catalog) is None
    assert owners(declared, declared.source) == {declared.source.id}
    assert everything(declared, declared.source) == {
        "a.md changed", "b.md one", "b.md two", "dir/c.md one", "dir/c.md two",
    }  # fmt: skip
    if _of(declared, before).metadata() != declared.metadata():
        assert _of(declared, before).metadata() == {}
    assert declared.catalog.sources.ids() == {declared.source.id}
    assert declared.catalog.sources.register(declared.source, origin="python") == declared.source


@pytest.mark.parametrize("changes", [{"collection_name": "docs2"}, {"bucket_name": "bucket-eu"}])
def test_a_move_that_breaks_off_at_any_call_to_chroma_goes_on(declared, changes):
    declared.bucket.put("long.md", "\n\n".join(f"part {n}" for n in range(9)))
    declared.sync()
    before = move(declared, **changes)
    declared.bucket.put("long.md", "part 0")
    stay = everything(declared, before) - {f"part {n}" for n in range(1, 9)}
    calls = 0
    while declared.catalog.moves.left_by(declared.source.id):
        calls += 1
        assert calls < 40
        broken = break_at(declared, calls)
        declared.listing()
        declared.run_batches(collections=broken)
        with suppress(Unavailable):
            finish(declared, collections=lambda broken=broken: broken)
        broken.on = False
        assert everything(declared, before, declared.source) >= stay
        declared.clock.seconds += 4000
    assert calls > 2
    assert owners(declared, declared.source) == {declared.source.id}
    assert declared.catalog.sources.ids() == {declared.source.id}


def break_at(world, call):
    """Return collections of which one call fails, and all after it."""
    left = [call]

    def rule(_first):
        left[0] -= 1
        if left[0] <= 0:
            raise Unavailable("Chroma did not answer", reason="chroma_unavailable")

    return Refusing(world, upsert=rule, delete=rule)


def test_an_empty_bucket_in_the_new_place_removes_nothing_until_a_person_says_so(declared):
    before = move(declared, bucket_name="bucket-eu")
    declared.bucket = MemoryBucket()
    declared.store = MemoryObjectStore(declared.bucket)
    declared.sync()
    assert "3 of 3 have no successor" in finish(declared)
    assert len(everything(declared, before)) == 6
    assert finish(declared, now=True) is None
    assert everything(declared, before) == set()


KEEPING = [DeleteMode.KEEP_DELETED, DeleteMode.APPEND]


@pytest.mark.parametrize("mode", KEEPING)
@pytest.mark.parametrize("changes", [{"collection_name": "docs2"}, {"id_prefix": "p-"}])
def test_what_the_mode_keeps_stays_until_a_person_says_so(declared, mode, changes):
    declared.source = changed(declared.source, mode=mode)
    declared.catalog.sources.update(declared.source)
    declared.bucket.delete("a.md")
    declared.sync()
    before = move(declared, **changes)
    declared.sync()
    assert "1 of 3 have no successor, and the source's mode keeps what is gone" in finish(declared)
    assert {"a.md one", "a.md two"} <= everything(declared, before)
    assert finish(declared, now=True) is None
    assert "a.md one" not in everything(declared, before)


@pytest.mark.parametrize("mode", KEEPING)
def test_a_source_that_keeps_what_is_gone_from_now_on_keeps_what_is_gone_already(declared, mode):
    before = move(declared, collection_name="docs2", mode=mode)
    declared.bucket.delete("a.md")
    declared.sync()
    assert "1 of 3 have no successor, and the source's mode keeps what is gone" in finish(declared)
    assert "a.md one" in everything(declared, before)


def test_what_a_quota_left_out_of_the_new_place_keeps_its_document_of_before(declared):
    before = move(declared, collection_name="docs2")
    declared.catalog.database.quota = ObjectQuota(most=2)
    declared.sync()
    said = finish(declared)
    declared.catalog.database.quota = None
    assert "1 documents of before (2 records) stay: 1 without a successor, as 1 objects" in said
    assert len(everything(declared, before)) == 2
    declared.sync()
    assert finish(declared) is None
    assert len(everything(declared, declared.source)) == 6


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("keys", ["same", "others"])
def test_a_move_needs_no_room_beside_what_it_takes_the_place_of(declared, change, keys):
    declared.catalog.database.quota = ObjectQuota(most=4)
    before = move(declared, **change)
    if keys == "others":
        for key in KEYS:
            declared.bucket.delete(key)
            declared.bucket.put(f"new/{key}", f"new/{key} one\n\n{key} two")
    declared.sync()
    said = finish(declared)
    if keys == "same":
        assert said is None
    else:
        assert "3 of 3 have no successor" in said
        assert "left out" not in said
        assert finish(declared, now=True) is None
    assert len(everything(declared, before, declared.source)) == 6
    declared.bucket.put("z1.md", "one")
    declared.bucket.put("z2.md", "one")
    assert declared.listing().listing.left_out == 1  # one more than four


def test_an_object_whose_invocation_was_cancelled_keeps_its_document_of_before(declared):
    before = move(declared, collection_name="docs2")
    declared.listing()
    waiting = declared.catalog.invocations.rows(
        source_ids=[declared.source.id], status=InvocationStatus.PENDING
    )
    declared.catalog.invocations.cancel(waiting[0].id)
    declared.run_batches()
    assert "stay: 1 whose objects were not worked on" in finish(declared)
    assert len(everything(declared, before)) == 2
    declared.ask(waiting[0].object_key)
    declared.run_batches()
    assert finish(declared) is None
    assert len(everything(declared, declared.source)) == 6


def test_what_fails_in_the_new_place_keeps_its_document_of_before(declared):
    move(declared, collection_name="docs2")
    declared.bucket.put("b.md", "BAD")
    declared.sync()
    assert "stay: 1 whose keys have failed" in finish(declared)
    declared.bucket.put("b.md", "well again")
    declared.sync()
    assert finish(declared) is None


@pytest.mark.parametrize("collection", ["docs", "docs2"])
def test_another_folder_with_more_in_it_is_no_successor_of_all_of_before(declared, collection):
    declared.catalog.sources.update(changed(declared.source, path_prefix="dir/"))
    declared.source = declared.catalog.sources.find("docs")
    declared.sync(approve_deletes=True)
    for number in range(60):
        declared.bucket.put(f"more/{number}.md", f"more {number}")
    before = move(declared, path_prefix="more/", collection_name=collection)
    declared.sync()
    assert "have no successor" in finish(declared)
    assert "dir/c.md one" in everything(declared, before)


def test_documents_that_were_taken_over_count_for_the_guard(declared):
    move(declared, bucket_name="bucket-eu")
    declared.bucket.delete("a.md")
    declared.sync()
    assert finish(declared) is None
    assert len(declared.texts()) == 4


def test_what_was_taken_over_and_could_not_be_written_does_not_leave_by_mistake(declared):
    texts = declared.texts()
    move(declared, bucket_name="bucket-eu")
    declared.listing()
    busy = refuse_with(Unavailable("busy"))
    declared.run_batches(collections=Refusing(declared, upsert=busy, update_metadata=busy))
    rows = declared.catalog.documents.of_source(declared.source.id)
    assert {row.phase for row in rows} == {DocumentPhase.WRITING}
    there, declared.bucket = declared.bucket, MemoryBucket()
    declared.store = MemoryObjectStore(declared.bucket)
    declared.listing()
    declared.approve()
    declared.bucket = there
    declared.store = MemoryObjectStore(there)
    declared.listing()
    declared.configure(exclude_globs=("*", "**"))
    declared.sync()
    assert declared.texts() == texts


@pytest.mark.parametrize("now", [False, True])
def test_what_a_mode_keeps_unwritten_is_named_and_ends_in_mode_mirror(declared, now):
    declared.configure(mode=DeleteMode.KEEP_DELETED)
    move(declared, bucket_name="bucket-eu", mode=DeleteMode.KEEP_DELETED)
    declared.listing()
    busy = refuse_with(Unavailable("busy"))
    refusing = Refusing(declared, upsert=busy, update_metadata=busy)
    declared.run_batches(collections=refusing)
    refusing.on = False
    declared.bucket.delete("a.md")
    declared.clock.seconds += 7200
    declared.sync()
    told = "1 documents that were taken over of the source before are not written anew yet"
    assert told in finish(declared, now=now)
    assert told in how_far(declared.source, catalog=declared.catalog)
    assert len(declared.texts()) == 6
    declared.configure(mode=DeleteMode.MIRROR)
    declared.sync()
    assert finish(declared, now=now) is None
    assert how_far(declared.source, catalog=declared.catalog) is None


@pytest.mark.parametrize("adopt", [False, True])
def test_no_key_takes_the_record_ids_of_another_one_of_before(declared, adopt):
    declared.ask("a.md", target_collection_name="asked", custom_id="q")
    declared.run_batches()
    texts = declared.texts("asked")
    before = move(declared, bucket_name="bucket-eu", adopt=adopt)
    declared.bucket = MemoryBucket()  # a wrong one
    declared.store = MemoryObjectStore(declared.bucket)
    declared.bucket.put("other.md", "of another key")
    declared.listing()
    declared.ask("other.md", target_collection_name="asked", custom_id="q")
    declared.run_batches()
    assert "4 of 4 have no successor" in finish(declared)
    assert len(everything(declared, before)) == 7
    assert declared.texts("asked") == texts
    [failed] = declared.catalog.invocations.rows(
        source_ids=[declared.source.id], status=InvocationStatus.FAILED
    )
    assert failed.reason == "record_ids_taken"


@pytest.mark.parametrize("half", [False, True])
def test_what_a_late_batch_of_before_removes_is_no_successor_of_the_others(declared, half):
    declared.bucket.delete("a.md")
    event(declared, "a.md", remove=True)
    batch = hold(declared, "a.md")
    before = move(declared, bucket_name="bucket-eu")
    new, declared.source = declared.source, before
    broken = break_at(declared, 1)
    work_on(declared, batch, **({"collections": broken} if half else {}))
    declared.source, broken.on = new, False
    declared.bucket = MemoryBucket()
    declared.store = MemoryObjectStore(declared.bucket)
    declared.sync()
    for _ in range(2):
        assert "2 of 2 have no successor" in finish(declared)
    assert everything(declared, before) == {"b.md one", "b.md two", "dir/c.md one", "dir/c.md two"}


def test_what_requests_asked_for_does_not_leave_unasked(declared):
    declared.ask("a.md", target_collection_name="asked", custom_id="q")
    declared.run_batches()
    move(declared, collection_name="docs2")
    declared.sync()
    assert "stay: 1 which requests had asked for" in finish(declared)
    declared.ask("a.md", target_collection_name="asked", custom_id="q")
    declared.run_batches()
    assert finish(declared) is None
    assert set(declared.texts("asked")) == {"q-0", "q-1"}


@pytest.mark.parametrize("vouched", [True, False])
@pytest.mark.parametrize("changes", CHANGES)
def test_what_a_request_said_of_its_document_is_said_of_its_successor(declared, changes, vouched):
    said = {"why": "asked"}
    declared.ask("a.md", custom_id="q", metadata=said, vouched=vouched)
    declared.run_batches()
    move(declared, **changes)
    declared.sync()
    assert finish(declared) is None
    found = declared.metadata()
    prefix = declared.source.id_prefix
    assert {name for name, one in found.items() if one.get("why")} == {
        f"{prefix}q-0",
        f"{prefix}q-1",
    }
    assert {one["document_key"] for one in found.values()} == set(KEYS)


def test_a_source_moves_on_before_its_first_move_is_at_its_end_and_back(declared):
    first = move(declared, collection_name="docs2")
    declared.sync()
    second = declared.source.id
    move(declared, collection_name="docs")
    left = [one.id for one in declared.catalog.moves.left_by(declared.source.id)]
    assert left == [first.id, second]
    declared.sync()
    while finish(declared) is not None:
        pass
    assert everything(declared, first.with_changes(collection_name="docs2")) == set()
    assert owners(declared, declared.source) == {declared.source.id}
    assert len(declared.texts()) == 6


def test_an_edit_that_comes_after_the_move_does_not_give_the_source_of_before_its_name_back(
    declared,
):
    before = move(declared, collection_name="docs2")
    with pytest.raises(NotFound, match="docs"):
        declared.catalog.sources.update(before)


def test_the_address_of_another_source_is_refused_and_all_stays_as_it_was(declared):
    other = changed(declared.source, id="other", name="other", bucket_name="bucket-eu")
    declared.catalog.sources.add(other)
    declare(declared, bucket_name="bucket-eu")
    with pytest.raises(Conflict) as error:
        declared.catalog.moves.begin("docs")
    assert error.value.reason == "source_overlaps"
    assert declared.catalog.sources.find("docs") == declared.source
    assert declared.catalog.sources.refused(declared.source.id) is not None
    with pytest.raises(Conflict) as error:
        declared.catalog.moves.begin("other")
    assert error.value.reason == "nothing_to_move"


def test_a_batch_of_before_that_is_late_loses_nothing(declared):
    declared.bucket.put("a.md", "late")
    declared.listing()
    batch, before = hold(declared, "a.md"), declared.source
    move(declared, bucket_name="bucket-eu")
    new = declared.source
    declared.sync()
    assert finish(declared) is not None or declared.catalog.batches.live(source_id=before.id)
    declared.source = before
    work_on(declared, batch)
    declared.source = new
    declared.clock.seconds += 4000
    declared.sync()
    assert finish(declared) is None
    assert owners(declared, new) == {new.id}
    assert declared.texts()[f"{_id(declared, 'a.md')}-0"] == "late"


def _id(world, key):
    return next(
        row.document_id
        for row in world.catalog.documents.of_source(world.source.id)
        if row.object_key == key
    )


def test_who_deletes_a_moved_source_deletes_what_is_left_of_before(declared):
    before = move(declared, collection_name="docs2")
    declared.sync()
    declared.catalog.sources.mark_deleting(declared.source.id, keep_records=False)
    take_down(
        declared.source,
        catalog=declared.catalog,
        collections=lambda: declared.collections,
        clock=declared.clock,
        drop_partitions=lambda _until: True,
        log=lambda _: None,
    )
    assert everything(declared, before, declared.source) == set()
    assert declared.catalog.sources.ids() == set()


def slow(world):
    """Return collections each of which takes eleven seconds to open."""

    class Slow:
        def open(self, *arguments, **options):
            world.clock.seconds += 11
            return world.collections.open(*arguments, **options)

        def __getattr__(self, name):
            return getattr(world.collections, name)

    return Slow


def test_what_goes_by_a_person_s_word_goes_in_parts_within_the_budget(declared, monkeypatch):
    monkeypatch.setattr("s3sync_dagster.engine.deleting.DOCUMENTS_A_PAGE", 1)
    before = move(declared, collection_name="docs2")
    for left in (2, 1):
        said = finish(declared, now=True, collections=slow(declared), budget_seconds=5)
        assert said.endswith("its records are being deleted")
        assert len(declared.catalog.documents.of_source(before.id)) == left
    while finish(declared, collections=slow(declared), budget_seconds=5) is not None:
        pass
    assert everything(declared, before) == set()
    assert declared.catalog.sources.ids() == {declared.source.id}


def test_all_moves_of_a_source_have_one_budget(declared):
    def declared_in_code():
        with declared.catalog.database.write() as tx:
            tx.execute(sa.text("UPDATE sources SET origin = 'python' WHERE origin = 'catalog'"))

    for name in ("docs2", "docs3", "docs4"):
        move(declared, collection_name=name)
        declared.sync()
        declared_in_code()
    began, ticks = declared.clock.monotonic(), 1
    assert finish(declared, collections=slow(declared), budget_seconds=5) is not None
    assert declared.clock.monotonic() - began < 60
    while finish(declared, collections=slow(declared), budget_seconds=5) is not None:
        ticks += 1
    assert ticks >= 2
    assert declared.catalog.sources.ids() == {declared.source.id}


def leave_behind(world, source, *, key, place):
    """Let a record of a source stand that none of its documents tells of: a deletion not done."""
    port = world.collections.open(
        source.collection_name,
        tenant=source.tenant,
        database=source.database_name,
        embedder=world.embedder,
    )
    record = Record(
        id=f"{document_id(key, custom_id=None, id_prefix='')}-{place}",
        document="left",
        embedding_text="left",
        metadata={"s3sync_source": source.id, "document_key": key},
    )
    port.upsert([record], world.embedder.embed_documents(["left"]))


@pytest.mark.parametrize("key", ["a.md", "gone.md"])
def test_no_record_is_left_that_names_a_source_whose_id_is_forgotten(declared, key):
    before = move(declared, bucket_name="bucket-eu")
    declared.sync()
    leave_behind(declared, before, key=key, place=7)
    assert finish(declared).endswith(("are looked for again", "go now"))
    assert finish(declared) is None
    assert owners(declared, declared.source) == {declared.source.id}
    assert len(everything(declared, declared.source)) == 2 * len(KEYS)
    assert declared.catalog.sources.ids() == {declared.source.id}


def test_partitions_of_objects_that_only_the_place_before_had_are_taken_back(declared):
    names = [f"{key}" for key in KEYS]
    declared.catalog.partitions.place(declared.source.id, names)
    declared.catalog.partitions.added(declared.source.id, names, shard=1)
    move(declared, bucket_name="bucket-eu")
    declared.bucket.delete("a.md")
    declared.sync()
    assert finish(declared, now=True) is None
    assert declared.catalog.partitions.to_drop(declared.source.id) == {1: ["a.md"]}
