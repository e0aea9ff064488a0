"""What was told, by whom and when: listings, events and requests that disagree."""

import json

import pytest

from s3sync_dagster.core.state import ListingState
from s3sync_dagster.engine.intake import take_messages
from s3sync_dagster.engine.listing import continue_listing
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.source import AutoSync
from s3sync_dagster.ports.memory_sqs import MemoryQueue
from s3sync_dagster_tests.core.rules import event, hold, requests, sidecar, states, work_on


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


@pytest.mark.parametrize("fails", [False, True])
def test_so_is_one_that_was_gone_before_and_is_read_in_between(world, fails):
    for name in "abcdef":
        world.bucket.put(f"{name}.txt", f"text {name}")
    world.sync()
    world.bucket.delete("a.txt")
    world.sync()
    if fails:  # another document of it, whose record ids somebody else has
        place = {"tenant": "default_tenant", "database": "default_database"}
        other = world.collections.open("other", **place, embedder=world.embedder)
        taken = Record(id="x-0", document="theirs", embedding_text="it", metadata={"by": 1})
        other.upsert([taken], world.embedder.embed_documents(["theirs"]))
        world.bucket.put("z.meta.json", sidecar("a.txt", target_collection_name="other"))
        world.sync()
    event(world, "a.txt", remove=True)
    world.bucket.put("a.txt", "here again")
    batch = hold(world, "a.txt")

    def meanwhile(step):
        if step == "fetched":
            world.bucket.delete("a.txt")
            world.listing()

    work_on(world, batch, at=meanwhile)
    [told] = [one for one in world.reports if one.key == "a.txt"][-1:]
    assert told.reason == ("record_ids_taken" if fails else None)
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


def test_a_heads_answer_does_not_replace_what_was_told_after_it(world):
    world.bucket.put("a.txt", "one")
    world.sync()
    # An event without a version leaves it to the reader to ask, before and after.
    event(world, "a.txt", told=ObjectRef(key="a.txt", etag="", size=-1))
    plain = world.store.head

    def head(key, **options):
        answer, world.store.head = plain(key, **options), plain
        event(world, "a.txt", told=world.bucket.put("a.txt", "two"))
        return answer

    world.store.head = head
    world.run_batches()
    assert list(world.texts().values()) == ["two"]


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


def test_a_removal_that_is_handed_back_is_not_forgotten_for_a_sidecar_s_sake(world):
    for name in "abc":
        world.bucket.put(f"{name}.txt", f"text {name}")
    world.sync()
    world.bucket.delete("a.txt")
    event(world, "a.txt", remove=True)
    batch = hold(world, "a.txt")
    for path in ("a.txt", "b.txt"):  # a sidecar names the key, and another one after that
        world.bucket.put("x.meta.json", sidecar(path))
        event(world, "x.meta.json")
        world.run_batches()
    world.catalog.batches.release(batch.token, died=False)
    world.run_batches()
    assert "a.txt" not in world.keys_indexed()
    assert "a.txt" not in states(world)


def test_a_sidecar_that_turns_away_while_its_document_is_read_leaves_nothing_indexed(world):
    world.configure(auto_sync=AutoSync.METADATA)
    for name in "ab":
        world.bucket.put(f"{name}.txt", f"text {name}")
    world.sync()

    def point_to(path):
        world.bucket.put("z.meta.json", sidecar(path, path[0]))
        event(world, "z.meta.json")
        work_on(world, hold(world, "z.meta.json"))

    point_to("a.txt")
    batch = hold(world, "a.txt")

    def meanwhile(step):
        if step == "fetched":
            point_to("b.txt")

    work_on(world, batch, at=meanwhile)
    world.run_batches()
    assert world.keys_indexed() == {"b.txt"}
    assert states(world)["a.txt"] == ("skipped", "no_sidecar")


def test_what_came_back_while_its_removal_was_at_work_is_shown(world):
    world.bucket.put("a.meta.json", sidecar("b.txt"))
    world.sync()
    world.bucket.delete("a.meta.json")
    event(world, "a.meta.json", remove=True)
    batch = hold(world, "a.meta.json")

    def meanwhile(step):
        if step == "fetched":
            ref = world.bucket.put("a.meta.json", sidecar("b.txt", "y"))
            event(world, "a.meta.json", told=ref)

    work_on(world, batch, at=meanwhile)
    world.run_batches()
    assert states(world) == {"a.meta.json": ("skipped", "sidecar")}


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
    world.approve()
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


def test_an_event_that_tells_no_version_makes_the_reader_ask(world):
    world.bucket.put("a.txt", "old")
    world.sync()
    world.bucket.put("a.txt", "new")
    take(world, created("a.txt"))
    assert [report.state for report in world.run_batches()] == ["updated"]
    assert set(world.texts().values()) == {"new"}


@pytest.mark.parametrize("turned", [False, True])
def test_an_old_event_beside_the_new_one_hides_nothing(world, turned):
    old = world.bucket.put("a.txt", "old")
    world.sync()
    new = world.bucket.put("a.txt", "new")
    sent = [created("a.txt", eTag=ref.etag, size=3) for ref in (old, new)]
    take(world, *(sent[::-1] if turned else sent))
    world.run_batches()
    assert set(world.texts().values()) == {"new"}


@pytest.mark.parametrize("turned", [False, True])
def test_an_old_event_beside_a_removal_hides_nothing(world, turned):
    old = world.bucket.put("a.txt", "old")
    world.sync()
    world.bucket.delete("a.txt")
    sent = [created("a.txt", eTag=old.etag, size=3), removed("a.txt")]
    take(world, *(sent[::-1] if turned else sent))
    world.run_batches()
    assert world.texts() == {}


def created(key, **told):
    return _record("ObjectCreated:Put", {"key": key, **told})


def removed(key):
    return _record("ObjectRemoved:Delete", {"key": key})


def _record(name, described):
    return {
        "eventSource": "aws:s3",
        "eventVersion": "2.1",
        "eventName": name,
        "s3": {"bucket": {"name": "bucket"}, "object": described},
    }


def take(world, *records):
    """Let one tick of the intake take these events; none of them has a sequencer."""
    queue = MemoryQueue(now=world.clock.monotonic)
    for record in records:
        queue.send(json.dumps({"Records": [record]}))
    world.clock.seconds += 1
    take_messages(
        queue,
        [world.source],
        work=world.catalog.work,
        clock=world.clock,
        log=print,
        budget_seconds=1,
    )
    assert queue.bodies() == []
