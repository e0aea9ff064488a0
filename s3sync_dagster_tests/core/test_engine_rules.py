"""Rules of the engine that a hole was once found in; each test names the rule."""

import json

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.core.lease import Lease
from s3sync_dagster.core.reconcile import continue_listing
from s3sync_dagster.core.state import DocumentPhase, ListingState
from s3sync_dagster.core.sync import sync_batch
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.engine_fixture import make_world, paragraph_chunker, text_extractor

LONG = "\n\n".join(f"part {n}" for n in range(12))


@pytest.fixture
def world():
    made = make_world()
    yield made
    made.catalog.close()


def sidecar(path, custom_id="x", **fields):
    return json.dumps({"version": "chroma-v1", "id": custom_id, "path": path, **fields})


def event(world, key, *, remove=False, sequencer=None, told=None):
    """Commit one event; ``told`` is the object as the event has it."""
    world.clock.seconds += 1
    world.catalog.work.record_events(
        world.source.id,
        upserts=[(told, None)] if told is not None else [],
        sync=[] if remove else [key],
        remove=[key] if remove else [],
        sequencers={key: sequencer} if sequencer else {},
    )


def states(world):
    return {
        row.object_key: (row.state, row.state_reason)
        for row in world.catalog.views.object_rows(world.source.id)
    }


def requests(world, kind):
    return world.store.requests().get(kind, 0)


class Died(BaseException):
    """The worker's process ended."""


# --- whose records ----------------------------------------------------------------------------


def test_records_of_others_survive_the_object_that_would_have_their_ids(world):
    from s3sync_dagster.core.keys import document_id

    name = document_id("a.txt", custom_id=None, id_prefix="")
    port = world.collections.open(
        "docs", tenant=world.source.tenant, database=world.source.database_name,
        embedder=world.embedder,
    )  # fmt: skip
    port.upsert(
        [Record(id=f"{name}-0", document="theirs", embedding_text="t", metadata={"n": 1})],
        world.embedder.embed_documents(["t"]),
    )
    world.bucket.put("a.txt", LONG)
    world.bucket.put("b.txt", "ours")
    assert world.sync() == {"a.txt": "failed", "b.txt": "indexed"}
    assert states(world)["a.txt"] == ("failed", "record_ids_taken")
    world.bucket.delete("a.txt")
    world.sync(approve_deletes=True)
    world.clock.seconds += 4000
    world.sync(approve_deletes=True)
    assert set(world.texts().values()) == {"theirs", "ours"}


def test_custom_ids_can_be_swapped_between_two_documents(world):
    world.bucket.put("a.txt", "text a")
    world.bucket.put("b.txt", "text b\n\nmore b")
    world.bucket.put("a.meta.json", sidecar("a.txt", "one"))
    world.bucket.put("b.meta.json", sidecar("b.txt", "two"))
    world.sync()
    world.bucket.put("a.meta.json", sidecar("a.txt", "two"))
    world.bucket.put("b.meta.json", sidecar("b.txt", "one"))
    for _ in range(3):
        world.sync()
        world.catalog.documents.enqueue_unclean(world.source.id)
        world.clock.seconds += 60
    assert world.texts() == {"two-0": "text a", "one-0": "text b", "one-1": "more b"}


def test_of_two_sidecars_the_smaller_key_has_the_claim_and_the_other_inherits_it(world):
    world.bucket.put("a.txt", "text")
    world.bucket.put("2.meta.json", sidecar("a.txt", "two"))
    world.sync()
    world.bucket.put("1.meta.json", sidecar("a.txt", "one", target_collection_name="docs"))
    world.sync()
    world.run_batches()
    assert list(world.texts()) == ["one-0"]
    assert states(world)["2.meta.json"] == ("failed", "already_claimed")
    world.bucket.delete("1.meta.json")
    world.sync()
    world.run_batches()
    assert list(world.texts()) == ["two-0"]
    assert states(world)["2.meta.json"] == ("skipped", "sidecar")


def test_sidecars_that_did_not_change_are_not_read_again(world):
    world.bucket.put("a.txt", "text")
    world.bucket.put("a.meta.json", sidecar("a.txt"))
    world.sync()
    world.run_batches()
    before = requests(world, "GET")
    assert world.sync() == {}
    assert requests(world, "GET") == before


def test_a_target_that_is_refused_fails_the_key_and_the_others_are_written(world):
    world.bucket.put("a.txt", "text a")
    world.bucket.put("b.txt", "text b")
    world.bucket.put("a.meta.json", sidecar("a.txt", "same", target_collection_name="second"))
    world.sync()
    world.bucket.put("b.meta.json", sidecar("b.txt", "same", target_collection_name="second"))
    world.sync()
    world.run_batches()
    assert states(world)["b.txt"] == ("failed", "record_ids_taken")
    assert set(world.texts().values()) == {"text a", "text b"}
    assert set(world.texts("second").values()) == {"text a"}
    world.bucket.delete("a.meta.json")
    world.clock.seconds += 1000
    world.sync()
    world.clock.seconds += 1000
    world.sync()
    assert set(world.texts("second").values()) == {"text b"}
    assert states(world)["b.txt"] == ("indexed", None)


# --- what was told, and when ------------------------------------------------------------------


def hold(world, key):
    """Reserve the key's work as a batch that has not read it yet."""
    batch = world.catalog.batches.reserve(world.source.id, take=Take(), owner="w", run_id="r")
    assert key in batch.keys
    return batch


def work_on(world, batch, **changes):
    lease = Lease(batch.token, catalog=world.catalog, clock=world.clock)
    sync_batch(world.engine(**changes), lease)


def list_with(world, meanwhile):
    """List while something happens between the bucket's answer and its commit."""

    class Store:
        ordered = True

        def list_page(self, prefix, **options):
            page = world.store.list_page(prefix, **options)
            meanwhile()
            return page

    world.clock.seconds += 1
    continue_listing(
        world.source, catalog=world.catalog, store=Store(), clock=world.clock, owner="test"
    )


def test_an_object_that_goes_while_its_batch_runs_is_removed_by_the_listing_that_saw_it(world):
    for name in "abcdef":
        world.bucket.put(f"{name}.txt", f"text {name}")
    world.sync()
    world.bucket.put("a.txt", "new text")
    world.listing()
    batch = hold(world, "a.txt")

    def meanwhile(step):
        if step == "fetched":
            world.bucket.delete("a.txt")
            world.listing()

    work_on(world, batch, at=meanwhile)
    world.run_batches()
    assert "a.txt" not in world.keys_indexed()


def test_a_listing_asks_again_for_what_changed_under_a_batch_at_work(world):
    world.bucket.put("a.txt", "old")
    world.listing()
    batch = hold(world, "a.txt")

    def meanwhile(step):
        if step == "fetched":
            world.bucket.put("a.txt", "new")
            world.listing()

    work_on(world, batch, at=meanwhile)
    world.run_batches()
    assert set(world.texts().values()) == {"new"}


def test_two_tellers_that_contradict_each_other_make_the_reader_ask(world):
    old = world.bucket.put("a.txt", "old")
    world.sync()
    world.bucket.put("a.txt", "new")
    world.listing()  # knows the new etag
    late = ObjectRef(key="a.txt", etag=old.etag, size=old.size)
    event(world, "a.txt", told=late)  # an event of the old version arrives after it
    heads = requests(world, "HEAD")
    world.run_batches()
    assert requests(world, "HEAD") == heads + 1
    assert set(world.texts().values()) == {"new"}


def test_an_event_with_an_older_sequencer_changes_nothing_and_costs_a_head(world):
    old = world.bucket.put("a.txt", "old")
    new = world.bucket.put("a.txt", "new")
    event(world, "a.txt", told=ObjectRef(key="a.txt", etag=new.etag, size=3), sequencer="0B")
    world.run_batches()
    gets = requests(world, "GET")
    event(world, "a.txt", told=ObjectRef(key="a.txt", etag=old.etag, size=3), sequencer="0A")
    assert [report.state for report in world.run_batches()] == ["unchanged"]
    assert (requests(world, "GET"), requests(world, "HEAD")) == (gets, 1)


def test_an_event_for_the_version_that_is_indexed_costs_no_request(world):
    ref = world.bucket.put("a.txt", "text")
    world.sync()
    before = dict(world.store.requests())
    event(world, "a.txt", told=ObjectRef(key="a.txt", etag=ref.etag, size=ref.size))
    assert [report.state for report in world.run_batches()] == ["unchanged"]
    assert world.store.requests() == before


def test_an_event_that_is_waiting_makes_a_listing_s_removal_ask_the_bucket(world):
    for name in "abcdef":
        world.bucket.put(f"{name}.txt", f"text {name}")
    world.sync()
    world.bucket.delete("a.txt")

    def back_again():
        world.bucket.put("a.txt", "here again")
        event(world, "a.txt")  # an event that tells neither etag nor size

    list_with(world, back_again)
    heads = requests(world, "HEAD")
    world.run_batches()
    assert requests(world, "HEAD") == heads + 1
    assert "here again" in world.texts().values()


def test_an_approval_spares_what_the_next_listing_has_seen_already(world):
    for name in "abc":
        world.bucket.put(f"{name}.txt", f"text {name}")
    world.sync()
    for name in "abc":
        world.bucket.delete(f"{name}.txt")
    assert world.listing().listing.state is ListingState.BLOCKED
    world.bucket.put("a.txt", "text a")
    world.bucket.put("z.txt", "text z")
    world.listing(budget_seconds=0, page_keys=1)  # the next one has seen a.txt and goes on
    world.catalog.listings.approve(world.source.id)
    world.run_batches()
    assert world.keys_indexed() == {"a.txt"}


def test_a_listing_does_not_undo_what_was_told_after_it_asked(world):
    world.bucket.put("a.txt", "old")
    world.sync()
    world.bucket.put("b.txt", "text b")

    def overwritten():
        new = world.bucket.put("a.txt", "new")
        event(world, "a.txt", told=ObjectRef(key="a.txt", etag=new.etag, size=new.size))

    list_with(world, overwritten)
    world.clock.seconds += 1
    world.run_batches()
    assert set(world.texts().values()) == {"new", "text b"}


def test_the_document_limit_holds_for_events_too(world):
    world.configure(document_limit=2)
    for name in "bcd":
        ref = world.bucket.put(f"{name}.txt", name)
        event(world, f"{name}.txt", told=ObjectRef(key=ref.key, etag=ref.etag, size=ref.size))
    world.run_batches()
    assert world.keys_indexed() == {"b.txt", "c.txt"}
    assert states(world)["d.txt"] == ("skipped", "document_limit")


def test_an_object_overwritten_by_nothing_loses_its_text_at_the_event(world):
    for name in "ab":
        world.bucket.put(f"{name}.txt", f"text {name}")
    world.sync()
    ref = world.bucket.put("a.txt", "")
    heads = requests(world, "HEAD")
    event(world, "a.txt", told=ObjectRef(key="a.txt", etag=ref.etag, size=0))
    world.run_batches()
    assert set(world.texts().values()) == {"text b"}
    assert requests(world, "HEAD") == heads + 1  # records go on evidence
    assert states(world)["a.txt"] == ("skipped", "empty_object")


def test_versions_that_only_events_tell_make_no_work_for_listings(world):
    ref = world.bucket.put("a.txt", "text")
    told = ObjectRef(key="a.txt", etag=ref.etag, size=ref.size, version_id="v1")
    event(world, "a.txt", told=told)
    world.run_batches()
    world.listing()
    assert world.catalog.invocations.live_count(world.source.id) == 0
    assert world.catalog.work.object(world.source.id, "a.txt").version_id == "v1"


# --- what is left out -------------------------------------------------------------------------


def test_what_a_batch_left_out_comes_back_when_it_is_selected_again(world):
    world.bucket.put("a.txt", "text")
    world.listing()
    world.configure(exclude_globs=("a.txt",))
    world.run_batches()  # no listing saw the new selection
    assert states(world)["a.txt"][0] == "skipped"
    world.configure(exclude_globs=())
    assert world.sync() == {"a.txt": "indexed"}


def test_documents_kept_by_a_mode_go_when_the_mode_mirrors_again(world):
    world.configure(mode=DeleteMode.KEEP_DELETED)
    for name in "abcdef":
        world.bucket.put(f"{name}.txt", f"text {name}")
    world.sync()
    world.bucket.delete("a.txt")
    world.sync()
    assert len(world.texts()) == 6
    world.configure(mode=DeleteMode.MIRROR)
    world.sync()
    assert len(world.texts()) == 5
    assert world.sync() == {}


def test_append_mode_adds_a_sidecar_s_target_and_leaves_the_rest(world):
    world.configure(mode=DeleteMode.APPEND)
    world.bucket.put("a.txt", "old")
    world.sync()
    world.bucket.put("a.txt", "new")
    world.bucket.put("a.meta.json", sidecar("a.txt", target_collection_name="second"))
    world.sync()
    world.run_batches()
    assert set(world.texts().values()) == {"old"}
    assert world.texts("second") == {"x-0": "new"}


def test_a_half_written_document_of_a_kept_object_that_is_gone_rests(world):
    world.configure(mode=DeleteMode.KEEP_DELETED)
    world.bucket.put("a.txt", LONG)
    world.sync()
    world.bucket.put("a.txt", "short")
    world.listing()

    def die(step):
        if step == "upserted":
            raise Died

    world.at = die
    with pytest.raises(Died):
        world.run_batches()
    world.at = None
    for row in world.catalog.batches.live():
        world.catalog.batches.release(row.token, died=True)
    world.bucket.delete("a.txt")
    world.sync()
    assert world.catalog.documents.enqueue_unclean(world.source.id) == 0
    assert len(world.texts()) == 12


def test_a_document_that_is_only_looked_at_stays_outdated(world):
    world.bucket.put("a.txt", "text")
    world.sync()
    world.configure(metadata={"team": "red"})
    event(world, "a.txt")
    assert [report.state for report in world.run_batches()] == ["unchanged"]
    world.configure(on_config_change="reindex")
    assert world.sync() == {"a.txt": "updated"}
    assert world.metadata().popitem()[1]["team"] == "red"


def test_a_source_that_is_being_deleted_gives_out_no_work(world):
    world.bucket.put("a.txt", "text")
    world.listing()
    world.catalog.sources.mark_deleting(world.source.id, keep_records=False)
    assert world.run_batches() == []
    assert world.listing() is None
    leased, held = world.catalog.batches.lease_keys(
        world.source.id, ["a.txt"], owner="me", run_id="r"
    )
    assert (leased, held) == (None, {})


# --- faults and deaths ------------------------------------------------------------------------


def test_a_fault_of_the_program_fails_one_key_and_keeps_its_records(world, caplog):
    for name in "abc":
        world.bucket.put(f"{name}.txt", f"text {name}")
    world.sync()
    for name in "abc":
        world.bucket.put(f"{name}.txt", f"new {name}")

    def faulty(content, **options):
        if b"new b" in content:
            raise KeyError("secret of the document")
        return text_extractor(content, **options)

    world.listing()
    ended = {r.key: r.state for r in world.run_batches(extractor=faulty)}
    assert ended == {"a.txt": "updated", "b.txt": "failed", "c.txt": "updated"}
    assert set(world.texts().values()) == {"new a", "text b", "new c"}
    assert states(world)["b.txt"] == ("failed", "unexpected_error")
    assert "KeyError" in caplog.text
    [row] = world.catalog.views.object_rows(world.source.id, key="b.txt")
    assert "secret" not in caplog.text + row.error


def test_a_key_that_kills_its_worker_in_any_step_is_found_and_the_others_are_done(world):
    names = [f"{n:02}.txt" for n in range(40)]
    for name in names:
        world.bucket.put(name, f"text of {name}")

    def deadly(document, *, object_key, **options):
        if object_key == "07.txt":
            raise Died
        return paragraph_chunker(document, object_key=object_key, **options)

    world.listing()
    for _ in range(60):
        try:
            world.run_batches(chunker=deadly)
            break
        except Died:
            for row in world.catalog.batches.live():
                world.catalog.batches.release(row.token, died=True)
    assert states(world)["07.txt"] == ("failed", "worker_died")
    assert world.keys_indexed() == {*names} - {"07.txt"}


def test_events_of_a_deadly_key_do_not_clear_it_of_suspicion(world):
    for n in range(20):
        world.bucket.put(f"{n:02}.txt", "text")
    world.listing()
    deaths = []

    def deadly(content, *, name, **options):
        if name == "07.txt":
            event(world, "07.txt")  # another one each time, while it is processed
            deaths.append(name)
            raise Died
        return text_extractor(content, name=name, **options)

    for _ in range(40):
        try:
            world.run_batches(extractor=deadly)
            break
        except Died:
            for row in world.catalog.batches.live():
                world.catalog.batches.release(row.token, died=True)
    assert len(deaths) < 12
    assert states(world)["07.txt"] == ("failed", "worker_died")


def test_records_of_the_last_good_version_go_when_the_new_one_kills_its_worker(world):
    world.bucket.put("a.txt", "good")
    world.bucket.put("b.txt", "other")
    world.sync()
    world.bucket.put("a.txt", "deadly")

    def deadly(content, **options):
        if content == b"deadly":
            raise Died
        return text_extractor(content, **options)

    world.listing()
    for _ in range(20):
        try:
            world.run_batches(extractor=deadly)
            break
        except Died:
            for row in world.catalog.batches.live():
                world.catalog.batches.release(row.token, died=True)
    assert set(world.texts().values()) == {"other"}


def test_a_late_write_of_a_document_that_is_gone_is_cleaned_up(world):
    world.bucket.put("a.txt", LONG)
    world.bucket.put("b.txt", "stays")
    world.sync()
    world.bucket.put("a.txt", LONG + "\n\npart 12")
    world.listing()
    late = hold(world, "a.txt")

    class Late:
        """A collection port whose first write comes after all the others'."""

        def __init__(self, port):
            self.port, self.name, self.write_limits = port, port.name, port.write_limits

        def __getattr__(self, name):
            return getattr(self.port, name)

        def upsert(self, records, vectors):
            world.catalog.batches.release(late.token, died=True)
            world.bucket.delete("a.txt")
            world.sync(approve_deletes=True)
            assert world.keys_indexed() == {"b.txt"}
            self.port.upsert(records, vectors)

    class LateCollections:
        def open(self, name, **options):
            return Late(world.collections.open(name, **options))

    with pytest.raises(Unavailable):
        work_on(world, late, collections=LateCollections())
    assert world.keys_indexed() == {"a.txt", "b.txt"}  # the harm is done, and known
    world.run_batches()
    assert world.keys_indexed() == {"b.txt"}
    assert {row.phase for row in world.catalog.documents.of_source(world.source.id)} == {
        DocumentPhase.CLEAN
    }


def test_a_batch_of_a_hundred_costs_a_handful_of_statements(world):
    for n in range(100):
        world.bucket.put(f"{n:03}.txt", f"text {n}")
    world.listing()
    counted = []
    sa.event.listen(
        world.catalog.database.engine,
        "before_cursor_execute",
        lambda conn, cursor, statement, *rest: counted.append(statement.split("\n")[0][:60]),
    )
    world.run_batches()
    assert len(world.texts()) == 100
    assert len(counted) < 60, "\n".join(counted)


def test_an_explicit_request_tries_known_bad_bytes_again_and_an_event_does_not(world):
    world.bucket.put("a.txt", "BAD")
    world.sync()
    gets = requests(world, "GET")
    event(world, "a.txt")
    world.run_batches()
    assert requests(world, "GET") == gets
    assert states(world)["a.txt"] == ("failed", "damaged")
    world.ask("a.txt", trigger=Trigger.CLI)
    world.run_batches()
    assert requests(world, "GET") == gets + 1
