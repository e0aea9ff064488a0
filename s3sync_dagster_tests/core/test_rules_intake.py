"""Nothing of a queue is acknowledged before it is committed, and no message harms others."""

import json
import tracemalloc

import pytest

from s3sync_dagster.catalog.quotas import ObjectQuota
from s3sync_dagster.core.events import Message
from s3sync_dagster.engine import intake
from s3sync_dagster.engine.intake import take_messages
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.ports.memory_sqs import MemoryQueue
from s3sync_dagster_tests.core.rules import Died
from s3sync_dagster_tests.sources import changed


@pytest.fixture
def queue(world):
    return MemoryQueue(now=world.clock.monotonic, visibility_seconds=40)


def created(key, *, size=4):
    record = {
        "eventSource": "aws:s3",
        "eventVersion": "2.1",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": "bucket"}, "object": {"key": key, "eTag": "e", "size": size}},
    }
    return json.dumps({"Records": [record]})


def take(world, queue, *, work=None, **options):
    return take_messages(
        queue,
        [world.source],
        work=work or world.catalog.work,
        clock=world.clock,
        log=options.pop("log", print),
        budget_seconds=20,
        **options,
    )


def waiting(world):
    return [row.object_key for row in world.catalog.invocations.rows(source_id=world.source.id)]


class Work:
    """The catalog's work, with a look at the queue at the moment of the commit."""

    def __init__(self, world, queue, *, dies=False):
        self._world, self._queue, self._dies = world, queue, dies
        self.seen = []

    def record_events(self, source_id, **events):
        self.seen.append(len(self._queue.bodies()))
        if self._dies:
            raise Unavailable("the database did not answer")
        self._world.catalog.work.record_events(source_id, **events)


def test_every_message_is_still_in_the_queue_when_its_work_is_committed(world, queue):
    for name in "abc":
        queue.send(created(f"{name}.txt"))
    work = Work(world, queue)
    found = take(world, queue, work=work)
    assert work.seen == [3]
    assert queue.bodies() == []
    assert found.touched == {world.source.id}
    assert sorted(waiting(world)) == ["a.txt", "b.txt", "c.txt"]


def test_what_could_not_be_committed_comes_again(world, queue):
    queue.send(created("a.txt"))
    with pytest.raises(Unavailable):
        take(world, queue, work=Work(world, queue, dies=True))
    assert waiting(world) == []
    world.clock.seconds += 121
    take(world, queue)
    assert waiting(world) == ["a.txt"]


@pytest.mark.parametrize("step", ["received", "recorded"])
def test_a_process_that_dies_before_the_deletion_loses_no_message(world, queue, step):
    queue.send(created("a.txt"))

    def die(now):
        if now == step:
            raise Died

    with pytest.raises(Died):
        take(world, queue, at=die)
    assert waiting(world) == (["a.txt"] if step == "recorded" else [])
    assert len(queue.bodies()) == 1
    world.clock.seconds += 121
    take(world, queue)
    assert waiting(world) == ["a.txt"]  # told twice, asked for once
    assert queue.bodies() == []


def test_an_event_with_a_size_that_no_object_has_fails_alone(world, queue):
    queue.send(created("a.txt"))
    queue.send(created("huge.txt", size=2**63))
    queue.send(created("b.txt"))
    logged = []
    found = take(world, queue, log=logged.append)
    assert sorted(waiting(world)) == ["a.txt", "b.txt"]
    assert (found.counts.events, found.counts.invalid) == (2, 1)
    assert len(queue.bodies()) == 1
    assert "bad_record" in logged[0]


def test_the_largest_size_that_the_catalog_keeps_is_taken(world, queue):
    queue.send(created("a.txt", size=2**63 - 1))
    assert take(world, queue).counts.invalid == 0
    assert world.catalog.work.object(world.source.id, "a.txt").size == 2**63 - 1


def test_what_is_not_understood_reaches_the_dead_letters_within_as_many_ticks_as_it_may(world):
    dead = MemoryQueue(now=world.clock.monotonic)
    queue = MemoryQueue(
        now=world.clock.monotonic, visibility_seconds=600, max_receive_count=3, dead_letters=dead
    )
    queue.send("no JSON")
    queue.send(created("a.txt"))
    logged = []
    for tick in range(3):
        assert take(world, queue, log=logged.append).counts.invalid == 1, tick
        world.clock.seconds += 1
    assert take(world, queue).counts.messages == 0
    assert dead.bodies() == ["no JSON"]
    assert len(logged) == 1
    assert waiting(world) == ["a.txt"]


def test_where_there_are_no_dead_letters_what_is_not_understood_stays_away_for_its_time(world):
    queue = MemoryQueue(now=world.clock.monotonic, visibility_seconds=600)
    queue.send("no JSON")
    assert take(world, queue).counts.invalid == 1
    world.clock.seconds += 1
    assert take(world, queue).counts.messages == 0
    world.clock.seconds += 600
    assert take(world, queue).counts.invalid == 1


@pytest.mark.parametrize(("own", "kept"), [(30, 120), (600, 600)])
def test_a_queue_s_own_visibility_time_is_kept_unless_a_tick_needs_longer(world, own, kept):
    queue = MemoryQueue(now=world.clock.monotonic, visibility_seconds=own)
    queue.send(created("a.txt"))

    def die(step):
        if step == "recorded":
            raise Died

    with pytest.raises(Died):
        take(world, queue, at=die)
    world.clock.seconds += kept - 1
    assert queue.receive() == []
    world.clock.seconds += 2
    assert len(queue.receive()) == 1


def test_a_tick_says_what_it_met(world, queue):
    queue.send(created("a.txt"))
    queue.send(created("b.txt").replace('"bucket"}', '"another"}'))
    queue.send("no JSON")
    text = take(world, queue).counts.describe()
    assert text == (
        "3 messages, 2 events, 1 of no source, 1 not understood and left to the dead-letter queue"
    )


def test_a_tenant_without_room_keeps_its_messages_alone_in_a_shared_queue(world):
    world.catalog.database.quota = ObjectQuota(most=2, exempt=frozenset({"free"}))
    for key in "ab":
        world.bucket.put(f"docs/{key}", "t")
    world.configure(path_prefix="docs/")
    world.sync()
    other = changed(
        world.source, id="00000000-0000-4000-8000-000000000002", name="other",
        path_prefix="other/", tenant="free",
    )  # fmt: skip
    world.catalog.sources.add(other)
    dead = MemoryQueue(now=world.clock.monotonic)
    queue = MemoryQueue(
        now=world.clock.monotonic, visibility_seconds=30, max_receive_count=3, dead_letters=dead
    )
    for key in ("docs/new", "docs/a", *(f"other/{n}" for n in range(60))):
        queue.send(created(key))
    lines = []
    found = take_messages(
        queue, [world.source, other], work=world.catalog.work, clock=world.clock,
        log=lines.append, budget_seconds=20,
    )  # fmt: skip
    assert found.touched == {world.source.id, other.id}
    assert "62 messages, 62 events, 1 of new objects for which there is no room" in (
        found.counts.describe()
    )
    assert "S3SYNC_OBJECTS_PER_TENANT" in " ".join(lines)
    assert "docs/new" not in waiting(world)
    live = world.catalog.invocations.live_count
    assert (live(world.source.id), live(other.id)) == (1, 60)
    [left] = queue.bodies()
    assert "docs/new" in left
    world.bucket.delete("docs/b")
    world.sync(approve_deletes=True)
    world.clock.seconds += 200
    take(world, queue)  # there is room now
    assert (queue.bodies(), dead.bodies()) == ([], [])
    assert "docs/new" in waiting(world)


def test_only_the_first_message_is_waited_for(world, queue, monkeypatch):
    """What was taken is handed to runs when the call returns: nobody waits for more first."""
    waits, plain = [], MemoryQueue.receive

    def receive(self, *, limit, wait_seconds):
        waits.append(wait_seconds)
        return plain(self, limit=limit, wait_seconds=wait_seconds)

    monkeypatch.setattr(MemoryQueue, "receive", receive)
    assert take(world, queue, wait_seconds=4).touched == set()
    assert waits == [4]
    queue.send(created("a.txt"))
    assert take(world, queue, wait_seconds=4).touched == {world.source.id}
    assert waits[1] == 4
    assert set(waits[2:]) == {0}


def of_many(keys):
    records = [json.loads(created(key))["Records"][0] for key in keys]
    for record in records[70:]:
        record["eventName"] = "ObjectRemoved:Delete"
    return json.dumps({"Records": records})


def test_messages_of_many_events_are_taken_in_parts_that_keep_nobody_waiting(
    world, queue, monkeypatch
):
    """Whoever owns a queue writes a hundred events into each message of it."""
    monkeypatch.setattr(intake, "KEYS_A_TRANSACTION", 60)
    monkeypatch.setattr(intake, "ROWS_A_COMMIT", 100)
    keys = [f"{number:04}.md" for number in range(100)]
    for _ in range(24):
        queue.send(of_many(keys))
    parts, left = [], []

    class Parts(Work):
        def record_events(self, source_id, **events):
            upserts = {ref.key for ref, _ in events["upserts"]}
            assert {*events["sync"]} == upserts
            parts.append({*upserts, *events["remove"]})
            left.append(len(queue.bodies()))
            super().record_events(source_id, **events)

    found = take(world, queue, work=Parts(world, queue))
    assert [len(part) for part in parts[:3]] == [60, 10, 30]
    assert set.union(*parts[:3]) == set(keys)
    assert left[::3] == [*range(24, 0, -1)]  # each message is deleted before the next is stored
    assert found.counts.messages == 24
    assert world.catalog.invocations.live_count(world.source.id) == 100
    assert queue.bodies() == []


def test_what_a_ticks_time_is_too_short_for_comes_again_at_once(world, queue, monkeypatch):
    """An owner has two hundred sources at one queue, and a queue for each."""
    monkeypatch.setattr(intake, "ROWS_A_COMMIT", 100)
    for number in range(6):
        queue.send(of_many([f"{number}/{n}.md" for n in range(100)]))

    class Slow(Work):
        def record_events(self, source_id, **events):
            world.clock.seconds += 12
            super().record_events(source_id, **events)

    assert take(world, queue, work=Slow(world, queue)).counts.messages == 3
    assert len(queue.bodies()) == 3
    assert take(world, queue).counts.messages == 3
    assert queue.bodies() == []


def test_events_that_a_tick_has_no_time_for_stay_unread_in_the_queue(world, monkeypatch):
    """Each receive counts against the queue's redrive policy, whatever came of it."""
    monkeypatch.setattr(intake, "ROWS_A_COMMIT", 50)
    dead = MemoryQueue(now=world.clock.monotonic)
    queue = MemoryQueue(now=world.clock.monotonic, max_receive_count=1, dead_letters=dead)
    for number in range(200):
        queue.send(created(f"{number:03}.txt"))

    class Slow(Work):
        def record_events(self, source_id, **events):
            world.clock.seconds += 7
            super().record_events(source_id, **events)

    taken = [take(world, queue, work=Slow(world, queue)).counts.messages for _ in range(5)]
    assert sum(taken) == 200
    assert min(taken[:2]) >= 40
    assert dead.bodies() == []
    assert world.catalog.invocations.live_count(world.source.id) == 200


def test_what_is_not_understood_is_not_kept_in_memory_till_it_goes_back(world):
    """An owner fills a queue of its own with messages of a mebibyte that are no events."""
    given_back = []

    class Garbage(MemoryQueue):
        sent = 0

        def receive(self, *, limit, wait_seconds):
            numbers = range(self.sent, min(self.sent + limit, 100))
            self.sent += len(numbers)
            return [
                Message(message_id=str(n), receipt_handle=str(n), body=f"{n}" * 2**19)
                for n in numbers
            ]

        def extend(self, messages, *, seconds):
            if seconds == 0:
                given_back.extend(one.receipt_handle for one in messages)

    dead = MemoryQueue(now=world.clock.monotonic)
    queue = Garbage(now=world.clock.monotonic, max_receive_count=5, dead_letters=dead)
    tracemalloc.start()
    try:
        found = take(world, queue, log=lambda _: None)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found.counts.invalid == 100
    assert given_back == [str(n) for n in range(100)]
    assert most < 40 * 2**20


def test_events_that_are_told_to_many_sources_are_stored_in_smaller_parts():
    messages = [Message(message_id=str(n), receipt_handle="r", body="x" * 500) for n in range(500)]
    assert [len(group) for group in intake._groups(messages, sources=1)] == [500]
    sizes = [len(group) for group in intake._groups(messages, sources=200)]
    assert (max(sizes), sum(sizes)) == (8, 500)
