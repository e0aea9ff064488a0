"""What leaves of a source that was moved: each document on its own evidence, none too early."""

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog.copying import begin_anew
from s3sync_dagster.catalog.rights import rights_of
from s3sync_dagster.core.filters import matches
from s3sync_dagster.core.rights import Reader
from s3sync_dagster.core.state import ListingState
from s3sync_dagster.engine.moving import how_far
from s3sync_dagster.model.errors import AccessDenied, Unavailable
from s3sync_dagster.model.invocation import InvocationStatus
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster.ports.memory_s3 import MemoryBucket, MemoryObjectStore
from s3sync_dagster_tests.core.rules import (
    Died,
    Refusing,
    event,
    hold,
    refuse_with,
    states,
    work_on,
)
from s3sync_dagster_tests.core.test_rules_moved import everything, finish, move, owners
from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.simulation.people import dump_catalog, load_catalog

KEYS = ("0.md", "1.md", "2.md", "3.md")


@pytest.fixture
def declared(world):
    return _declared(world)


def _declared(world, keys=KEYS):
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    for key in keys:
        world.bucket.put(key, f"{key} one")
    world.sync()
    return world


def empty_bucket(world):
    world.bucket = MemoryBucket()
    world.store = MemoryObjectStore(world.bucket)


def test_each_document_leaves_when_its_own_successor_is_whole(declared):
    move(declared, id_prefix="p-")
    declared.bucket.put("0.md", "BAD")
    declared.sync()
    said = finish(declared)
    assert "1 documents of before (1 records) stay: 1 whose keys have failed" in said
    assert sorted(declared.texts().values()) == [f"{key} one" for key in KEYS]
    declared.bucket.put("1.md", "1.md corrected")
    declared.bucket.delete("2.md")
    declared.sync()
    finish(declared)
    assert sorted(declared.texts().values()) == ["0.md one", "1.md corrected", "3.md one"]
    declared.bucket.delete("0.md")
    declared.sync()
    assert finish(declared) is None
    assert sorted(declared.texts().values()) == ["1.md corrected", "3.md one"]


def test_what_only_the_place_before_has_waits_for_the_first_listing_and_then_goes(declared):
    move(declared, collection_name="docs2")
    before = declared.catalog.moves.left_by(declared.source.id)[0]
    declared.bucket.delete("2.md")
    declared.catalog.work.record_events(
        declared.source.id, upserts=[], sync=["0.md"], remove=[], sequencers={}
    )
    declared.run_batches()
    assert "3 until the first listing is complete" in finish(declared)
    assert everything(declared, before) == {"1.md one", "2.md one", "3.md one"}
    declared.sync()
    assert finish(declared) is None
    assert everything(declared, declared.source) == {"0.md one", "1.md one", "3.md one"}


def test_what_an_event_says_is_gone_leaves_while_the_guard_holds_the_others(declared):
    before = move(declared, bucket_name="bucket-eu")
    empty_bucket(declared)
    event(declared, "0.md", remove=True)
    declared.sync()
    assert "3 of 3 have no successor" in finish(declared)
    assert everything(declared, before) == {"1.md one", "2.md one", "3.md one"}
    assert "3 documents of before (3 records) stay" in how_far(
        declared.source, catalog=declared.catalog
    )


def test_what_leaves_by_and_by_counts_for_the_guard(declared):
    before = move(declared, collection_name="docs2")
    for key in ("0.md", "1.md", "2.md"):
        declared.bucket.put(key, "BAD")
    declared.sync()
    finish(declared)
    for key in ("0.md", "1.md"):
        declared.bucket.delete(key)
    declared.sync()
    finish(declared)
    assert everything(declared, before) == {"2.md one"}
    now = declared.catalog.moves.succession(declared.source, before)
    assert (now.had, now.went, now.total) == (4, 2, 4)


def test_keys_that_the_source_before_never_indexed_do_not_count_for_the_guard(world):
    for key in ("bad.md", "refused.md"):
        world.bucket.put(key, "BAD")
    world.bucket.put("skip.zip", "zip")
    declared = _declared(world)
    declared.bucket.put("half.md", "half")
    refusing = Refusing(
        declared, upsert=refuse_with(Died(), lambda records: records[0].document == "half")
    )
    declared.listing()
    with pytest.raises(Died):
        declared.run_batches(collections=refusing)
    before = move(declared, bucket_name="bucket-eu")
    empty_bucket(declared)
    for key in ("bad.md", "refused.md", "half.md", "more.md"):
        declared.bucket.put(key, f"{key} is well")
    declared.sync()
    for row in declared.catalog.batches.live():
        declared.catalog.batches.release(row.token, died=True)
    declared.clock.seconds += 4000
    declared.sync()
    assert "4 of 4 have no successor" in finish(declared)
    assert everything(declared, before) >= {f"{key} one" for key in KEYS}


def die_after_claim(world):
    """Let a worker claim the documents of its batch and die before its first write."""

    def at(step):
        if step == "claimed":
            raise Died

    world.at = at
    batch = hold(world, KEYS[0])
    with pytest.raises(Died):
        work_on(world, batch)
    world.at = None
    world.catalog.batches.release(batch.token, died=True)


def test_who_wrote_the_records_is_known_until_the_last_of_a_chain_has_written_them(declared):
    first = move(declared, bucket_name="bucket-eu")
    declared.listing()
    die_after_claim(declared)
    middle = move(declared, bucket_name="bucket-us")
    declared.listing()
    assert finish(declared) is not None
    assert declared.catalog.sources.ids() == {first.id, middle.id, declared.source.id}
    declared.clock.seconds += 4000
    declared.sync()
    assert set(states(declared).values()) == {("indexed", None)}
    assert finish(declared) is None
    assert owners(declared, declared.source) == {declared.source.id}
    assert declared.catalog.sources.ids() == {declared.source.id}


def test_a_request_that_waits_is_asked_of_the_new_source(declared):
    (waits,) = declared.ask("0.md", target_collection_name="asked", custom_id="q")
    before = move(declared, bucket_name="bucket-eu")
    declared.sync()
    assert finish(declared) is None
    assert declared.texts("asked") == {"q-0": "0.md one"}
    found = declared.catalog.invocations.find(waits)
    assert (found.source_id, found.status) == (declared.source.id, InvocationStatus.COMPLETE)
    assert before.id not in declared.catalog.sources.ids()


def test_a_request_that_a_late_worker_gives_back_is_asked_of_the_new_source(declared):
    declared.ask("0.md", target_collection_name="asked", custom_id="q")
    batch = hold(declared, "0.md")
    move(declared, collection_name="docs2")
    declared.sync()
    assert finish(declared) is not None
    declared.catalog.batches.release(batch.token, died=True)
    finish(declared)
    declared.clock.seconds += 4000
    declared.sync()
    assert finish(declared) is None
    assert declared.texts("asked") == {"q-0": "0.md one"}


RESTRICTED = [
    # keys and metadata before and after, what members of sales and hr read while records wait
    ((), {}, ("dept",), {"dept": ["hr"]}, (0, 0)),
    (("dept",), {"dept": ["hr"]}, (), {"dept": ["hr"]}, (0, 4)),
    (("dept",), {"dept": ["sales"]}, ("dept",), {"dept": ["sales"]}, (4, 0)),
    (("dept",), {"dept": ["sales"]}, ("dept",), {"dept": ["hr"]}, (0, 0)),
    (("dept",), {"dept": ["sales"]}, ("team",), {"dept": ["sales"], "team": ["hr"]}, (0, 0)),
    (("dept", "team"), {"dept": ["sales"], "team": ["hr"]},
     ("team",), {"dept": ["sales"], "team": ["hr"]}, (0, 4)),
]  # fmt: skip


@pytest.mark.parametrize(("keys", "says", "new_keys", "new_says", "read"), RESTRICTED)
def test_who_may_read_the_records_of_before_is_what_both_say(
    world, keys, says, new_keys, new_says, read
):
    world.configure(reader_keys=keys, metadata=says)
    declared = _declared(world)
    move(declared, id_prefix="p-", reader_keys=new_keys, metadata=new_says)
    for group, number in zip(("sales", "hr"), read, strict=True):
        rights = rights_of(
            declared.catalog, Reader(frozenset({group})), tenant=declared.source.tenant
        )
        records = list(declared.metadata().values())
        assert sum(rights.allow_record(one) for one in records) == number
        assert sum(matches(one, rights.narrowed(None) or {}) for one in records) == number


def test_records_of_before_are_nobody_s_where_their_paths_say_another_group_now(world):
    world.configure(reader_keys=("dept",), path_metadata="(?P<dept>[^/]+)/", path_prefix="hr/")
    declared = _declared(world, keys=[f"hr/sales/{n}.md" for n in range(3)])
    assert read_by(declared, "sales") == 3
    move(declared, path_prefix="")
    assert read_by(declared, "sales") == 0
    declared.sync()
    assert (read_by(declared, "sales"), read_by(declared, "hr")) == (0, 3)


def test_records_of_before_are_nobody_s_where_other_objects_name_their_readers_now(world):
    world.configure(
        reader_keys=("dept",),
        object_tags=("dept",),
        list_interval_seconds=60,
        metadata_interval_seconds=60,
    )
    declared = _declared(world, keys=[])
    for n in range(3):
        declared.bucket.put(f"{n}.md", f"text {n}", tags={"dept": "sales"})
    declared.sync()
    assert read_by(declared, "sales") == 3
    move(declared, bucket_name="bucket-eu")
    assert read_by(declared, "sales") == 0


def read_by(declared, group):
    rights = rights_of(declared.catalog, Reader(frozenset({group})), tenant="default_tenant")
    return sum(rights.allow_record(one) for one in declared.metadata().values())


def test_two_who_end_a_move_at_once_do_not_delete_the_same(declared):
    before = move(declared, bucket_name="bucket-eu", collection_name="docs2")
    declared.sync()
    moves = declared.catalog.moves
    claimed = moves.claim_leaving(declared.source, before)
    assert len(claimed) == 4
    for now in (False, True):
        assert "4 documents of before (4 records) go now" in finish(declared, now=now)
        assert declared.catalog.sources.there(before.id)
    declared.clock.seconds += 130  # the other one has died
    assert finish(declared) is None
    assert everything(declared, before, declared.source) == {f"{key} one" for key in KEYS}


def test_who_deletes_too_late_at_the_end_of_a_move_has_it_written_again(declared):
    move(declared, bucket_name="bucket-eu")
    declared.bucket.delete("1.md")
    declared.sync()

    def meanwhile(_ids):
        deleting.on = False
        declared.clock.seconds += 130
        finish(declared)
        declared.bucket.put("1.md", "1.md is back")
        declared.sync()
        assert "1.md is back" in declared.texts().values()

    deleting = Refusing(declared, delete=meanwhile)
    finish(declared, collections=lambda: deleting)
    assert "1.md is back" not in declared.texts().values(), "it came too late"
    while finish(declared) is not None:
        pass
    declared.catalog.documents.enqueue_unclean(declared.source.id)
    declared.run_batches()
    assert "1.md is back" in declared.texts().values()
    assert len(declared.texts()) == 4


def test_beside_a_key_that_is_worked_on_not_all_the_others_go(declared):
    before = move(declared, bucket_name="bucket-eu")
    empty_bucket(declared)
    declared.sync()
    declared.ask("0.md")
    assert "3 of 4 have no successor" in finish(declared)
    assert len(everything(declared, before)) == 4


def test_what_followed_in_the_middle_of_a_chain_is_none_that_stays_at_its_end(declared):
    first = move(declared, id_prefix="p-")
    for key in ("0.md", "1.md"):
        event(declared, key)
    declared.run_batches()
    finish(declared)
    assert everything(declared, first) == {f"{key} one" for key in KEYS}
    middle = move(declared, bucket_name="bucket-eu")
    empty_bucket(declared)
    declared.sync()
    assert finish(declared).count("2 of 2 have no successor") == 2
    left = [declared.catalog.moves.succession(declared.source, one) for one in (first, middle)]
    assert [one.left for one in left] == [2, 2]
    assert everything(declared, first) == {f"{key} one" for key in KEYS}


def test_what_a_blocked_listing_of_the_new_place_missed_keeps_its_document_of_before(declared):
    before = move(declared, id_prefix="p-")

    def refuse(kind, key):
        if kind == "GET" and key == "0.md":
            raise AccessDenied("forbidden")

    declared.fault = refuse
    declared.sync()
    finish(declared)
    empty_bucket(declared)
    assert declared.listing().listing.state is ListingState.BLOCKED
    declared.catalog.invocations.retry_failed(declared.source)
    declared.run_batches()
    assert states(declared)["0.md"] == ("skipped", "removal_blocked")
    finish(declared)
    assert "0.md one" in everything(declared, before)


@pytest.mark.parametrize("mode", [DeleteMode.APPEND, DeleteMode.KEEP_DELETED])
def test_what_a_restored_catalog_has_forgotten_is_no_end_of_a_move_where_the_mode_keeps_it(mode):
    world = _declared(make_world(mode=mode))
    copy = dump_catalog(world.catalog)
    for key in ("gone.md", "asked.md"):
        world.bucket.put(key, f"{key} one")
    world.sync()
    world.ask("asked.md", target_collection_name="asked", custom_id="q")
    world.run_batches()
    for key in ("gone.md", "asked.md"):
        world.bucket.delete(key)
    world.sync()
    load_catalog(world.catalog, copy)
    begin_anew(world.catalog.database)
    before = move(world, collection_name="docs2")
    for _ in range(4):
        world.sync()
        said = finish(world)
        world.clock.seconds += 100
    assert "3 documents of before (3 records) stay" in said
    assert "the source's mode keeps what is gone" in said
    assert sorted(world.texts("docs").values()) == ["asked.md one", "gone.md one"]
    assert list(world.texts("asked").values()) == ["asked.md one"]
    assert len(world.texts()) == len(KEYS)
    assert finish(world, now=True) is None  # a person's word
    assert world.texts("docs") == world.texts("asked") == {}
    assert before.id not in world.catalog.sources.ids()


def begin_only(world, key):
    """Let a key claim its document and not write it, and its object go."""
    world.bucket.put(key, f"{key} one")
    world.listing()
    away = refuse_with(Unavailable("away", reason="chroma_unavailable"))
    world.run_batches(collections=Refusing(world, upsert=away))
    world.bucket.delete(key)


def test_records_are_left_beside_a_document_of_before_that_was_only_begun(declared):
    begin_only(declared, "9.md")
    before = move(declared, collection_name="docs2")
    declared.bucket.delete("1.md")
    assert finish(declared, keep=True) is None
    assert everything(declared, before) == {f"{key} one" for key in KEYS}


def test_who_left_records_of_before_may_still_remove_them(declared):
    before = move(declared, collection_name="docs2")
    declared.catalog.sources.mark_deleting(before.id, keep_records=True)
    assert finish(declared, now=True) is None
    assert everything(declared, before) == set()
