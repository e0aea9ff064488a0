"""Ticks: what they commit, what they ask for, what happens when they are repeated."""

import json
import os
import socket
import time
from datetime import timedelta

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.events import DagsterEvent

from s3sync_dagster import ChromaResource, HttpConfig
from s3sync_dagster.catalog.batches import Batches, Take
from s3sync_dagster.catalog.tables import objects
from s3sync_dagster.core.state import ListingState
from s3sync_dagster.defs import queue_reading, ticks
from s3sync_dagster.defs.building import build_definitions
from s3sync_dagster.defs.dispatching import InstanceRuns
from s3sync_dagster.defs.housekeeping import (
    report_orphans,
)
from s3sync_dagster.defs.queue_reading import wait_seconds
from s3sync_dagster.defs.resources import Runtime, S3Source
from s3sync_dagster.defs.tick_log import MOST_LINES, TickLog
from s3sync_dagster.engine import intake, listing_turns
from s3sync_dagster.engine.dispatching import tell_partitions
from s3sync_dagster.engine.listing_turns import RESPITE_SECONDS, list_in_turn, list_when_due
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.place import CredentialsConfig
from s3sync_dagster.ports.sqs import SqsQueue
from s3sync_dagster_tests.sources import changed

KEYS = [f"docs/{n}.md" for n in range(5)]


@pytest.fixture
def world(defs_world):
    defs_world.aws.put_all(defs_world.bucket, {key: f"# {key}" for key in KEYS})
    return defs_world


def test_the_three_sensors_take_a_source_from_bucket_to_records(world):
    assert "5 new" in world.tick("catalog_auto_sync").skip_message
    assert "none due" in world.tick("catalog_auto_sync").skip_message
    (request,) = world.tick("dispatch").run_requests
    assert request.tags["s3sync/source"] == world.source.name
    assert world.tick("dispatch").run_requests == []  # no second run for the same keys
    job = world.defs.resolve_job_def(request.job_name)
    assert job.execute_in_process(
        run_config=request.run_config, tags=dict(request.tags), instance=world.instance
    ).success
    assert world.indexed_keys() == set(KEYS)
    idle = world.tick("dispatch")
    assert "nothing due" in idle.skip_message or "reported" in idle.skip_message


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "No Chroma is named: set S3SYNC_CHROMA_URL"),
        ("http://127.0.0.1:9", "Chroma cannot be reached"),
    ],
)
def test_without_a_chroma_nothing_is_handed_out_and_no_attempt_is_lost(
    world, monkeypatch, url, words
):
    there = os.environ["S3SYNC_CHROMA_URL"]
    world.listing()
    monkeypatch.setenv("S3SYNC_CHROMA_URL", url)
    told = world.tick("dispatch")
    assert told.run_requests == []
    assert words in told.skip_message
    assert world.catalog.batches.live() == []
    monkeypatch.setenv("S3SYNC_CHROMA_URL", there)
    assert world.tick("dispatch").run_requests


def test_a_tick_counts_the_batches_of_its_own_sources(world):
    """Other calls of a location, and other locations, have theirs in the same catalog."""
    world.listing()
    other = world.aws.source(world.bucket, name="other", collection_name="c-other")
    world.catalog.sources.add(other)
    world.catalog.invocations.request_automatic(other.id, ["docs/x.md"], trigger=Trigger.LISTING)
    assert world.catalog.batches.reserve(
        other.id, take=Take(), owner=world.parts.owners.me(), run_id="of-another"
    )
    assert world.dispatcher().idle_reason() == "1 sources, nothing due, 0 batches at work"


def test_a_request_that_the_daemon_dropped_is_made_again_with_its_token(world):
    world.listing()
    (first,) = world.tick("dispatch").run_requests
    with world.catalog.database.write() as tx:
        tx.exec_driver_sql("UPDATE batches SET yielded_at = yielded_at - 31")
    (again,) = world.tick("dispatch").run_requests
    assert again.run_key == first.run_key
    assert again.run_config == first.run_config


def test_runs_that_never_begin_are_asked_for_ever_more_rarely(world):
    """As with code that loads in the code server and not in a run worker."""
    world.listing()
    asked = 0

    def tick():
        told = world.tick("dispatch")
        for request in told.run_requests:
            world.instance.create_run_for_job(
                world.defs.resolve_job_def(request.job_name),
                tags=dict(request.tags),
                status=dg.DagsterRunStatus.FAILURE,
            )
        return told

    for _ in range(8):
        asked += len(tick().run_requests)
    assert asked == 3
    assert "its last 3 runs ended before they began" in tick().skip_message
    with world.catalog.database.write() as tx:
        tx.exec_driver_sql("UPDATE batches SET finished_at = finished_at - 21")
    assert len(tick().run_requests) == 1
    assert "its last 4 runs" in tick().skip_message
    with world.catalog.database.write() as tx:
        tx.exec_driver_sql("UPDATE batches SET finished_at = finished_at - 41")
    (request,) = world.tick("dispatch").run_requests
    assert world.catalog.batches.start(request.run_key, owner="me", run_id="begun")
    assert world.catalog.batches.finish(request.run_key)
    assert world.tick("dispatch").run_requests, "one that began makes all as before"


def test_what_was_reserved_before_an_error_is_asked_for(world, monkeypatch):
    world.listing()
    plain, answers = Batches.reserve, []

    def reserve(batches, *arguments, **named):
        if answers:
            raise Unavailable("the catalog is away", reason="catalog_unavailable")
        answers.append(plain(batches, *arguments, **named))
        return answers[0]

    monkeypatch.setattr(Batches, "reserve", reserve)
    (request,) = world.tick("dispatch").run_requests
    assert request.run_key == answers[0].token


def test_events_are_work_at_once_and_messages_go_only_afterwards(world):
    queue = world.aws.make_queue(bucket=world.bucket)
    world.source = changed(world.source, queue_url=queue)
    world.catalog.sources.update(world.source)
    world._defs.clear()
    world.aws.put(world.bucket, "docs/new.md", "# New")
    name = next(s.name for s in world.defs.get_repository_def().sensor_defs if "intake" in s.name)
    (request,) = world.tick(name).run_requests
    assert request.run_config["ops"][f"s3__{world.source.name}"]["ops"]["extract"]["config"][
        "keys"
    ] == ["docs/new.md"]
    assert "0 messages" in world.tick(name).skip_message


def test_a_source_that_a_waiting_tick_does_not_know_is_listed_for_its_events(world):
    """They are deleted as nobody's, and may be younger than the first listing."""
    queue = world.aws.make_queue(bucket=world.bucket)
    world.source = changed(world.source, queue_url=queue)
    world.catalog.sources.update(world.source)
    world._defs.clear()
    name = next(s.name for s in world.defs.get_repository_def().sensor_defs if "intake" in s.name)
    world.tick(name)  # takes what S3 says of a new queue
    place = {"path_prefix": "new/", "queue_url": queue}
    new = changed(world.source, id="id-new", name="new", collection_name="new", **place)
    world.catalog.sources.add(new)
    assert world.catalog.sources.due_for_listing("id-new", interval_seconds=300)
    world.tick(name)
    assert not world.catalog.sources.listing_asked("id-new")
    world.aws.put(world.bucket, "new/early.md", "# New")
    world.tick(name)
    assert world.catalog.sources.listing_asked("id-new")
    assert not world.catalog.sources.listing_asked(world.source.id)
    with world.catalog.database.write() as tx:
        tx.exec_driver_sql("UPDATE sources SET created_at = created_at - 900, list_due_at = 1")
    world.aws.put(world.bucket, "new/late.md", "# Late")
    world.tick(name)  # it is old by now, and got the queue by an edit
    assert world.catalog.sources.listing_asked("id-new")


def test_what_was_edited_while_a_tick_waits_counts_for_what_comes_then(world, monkeypatch):
    """The listing that an edit asks for may be over: of what came after it only events tell."""
    queue = world.aws.make_queue(bucket=world.bucket)
    world.source = changed(world.source, queue_url=queue, exclude_globs=("docs/late*",))
    world.catalog.sources.update(world.source)
    world._defs.clear()
    name = next(s.name for s in world.defs.get_repository_def().sensor_defs if "intake" in s.name)
    world.tick(name)  # takes what S3 says of a new queue
    plain, waited = SqsQueue.receive, []

    def receive(self, *, limit, wait_seconds):
        if not waited:
            waited.append(wait_seconds)
            world.catalog.sources.update(changed(world.source, exclude_globs=()))
            world.aws.put(world.bucket, "docs/late.md", "# Late")
        return plain(self, limit=limit, wait_seconds=wait_seconds)

    monkeypatch.setattr(SqsQueue, "receive", receive)
    world.tick(name)
    assert waited
    assert world.catalog.invocations.live_count(world.source.id) == 1


def test_ticks_that_say_nothing_leave_no_file_and_none_says_much(world):
    """They come each second, and a tenant writes as many messages as it likes into its queue."""
    queue = world.aws.make_queue(bucket=world.bucket)
    world.source = changed(world.source, queue_url=queue)
    world.catalog.sources.update(world.source)
    world._defs.clear()
    intake = next(s.name for s in world.defs.get_repository_def().sensor_defs if "intake" in s.name)
    for name in (intake, "dispatch", "catalog_auto_sync"):
        definition = world.defs.get_repository_def().get_sensor_def(name)
        with dg.build_sensor_context(
            instance=world.instance, repository_def=world.defs.get_repository_def(),
            resources=world.defs.resources,
        ) as context:  # fmt: skip
            definition.evaluate_tick(context)
            assert context._logger is None
            log, lines = TickLog(context), []
            context.log.addFilter(lambda record, lines=lines: lines.append(record.getMessage()))
            for number in range(300):
                log.warning(f"message {number}")
        assert len(lines) == MOST_LINES
        assert "left out" in lines[-1]


@pytest.mark.parametrize("first", [True, False])
def test_who_is_edited_to_a_queue_of_its_own_is_told_nothing_of_the_one_before(
    world, first, monkeypatch
):
    """Whether it may read is asked of the queue that it names; what is loaded is older."""
    monkeypatch.setenv("S3SYNC_API_TRUSTED_TENANTS", "nobody")
    monkeypatch.setenv("S3SYNC_AWS_PRIVATE_NETWORKS", "127.0.0.0/8")
    queue, other = world.aws.make_queue(bucket=world.bucket), world.aws.make_queue()
    key = CredentialsConfig(
        access_key_id_env="AWS_ACCESS_KEY_ID", secret_access_key_env="AWS_ACCESS_KEY_ID"
    )
    world.source = changed(world.source, queue_url=queue, credentials=key)
    world.catalog.sources.update(world.source)
    stranger = changed(world.source, id="id-a", name="a", tenant="stranger")
    world.catalog.sources.add(stranger)
    both = [stranger, world.source] if first else [world.source, stranger]
    world._defs.append(build_definitions(catalog_sources=both))
    name = next(s.name for s in world.defs.get_repository_def().sensor_defs if "intake" in s.name)
    world.tick(name)  # takes what S3 says of a new queue
    world.catalog.sources.update(changed(stranger, queue_url=other))
    event = {
        "eventSource": "aws:s3",
        "eventVersion": "2.1",
        "eventName": "ObjectCreated:Put",
        "s3": {"bucket": {"name": world.bucket}, "object": {"key": "docs/forged.md", "size": 1}},
    }
    world.aws.sqs.send_message(QueueUrl=other, MessageBody=json.dumps({"Records": [event]}))
    world.aws.put(world.bucket, "docs/secret-plan.md", "# New")
    world.tick(name)
    with world.catalog.database.read() as tx:
        heard = tx.execute(sa.select(objects.c.source_id, objects.c.object_key)).all()
    assert heard == [(world.source.id, "docs/secret-plan.md")]


def test_a_source_that_is_gone_keeps_no_other_from_their_queue(world):
    queue = world.aws.make_queue(bucket=world.bucket)
    world.source = changed(world.source, queue_url=queue)
    world.catalog.sources.update(world.source)
    gone = changed(world.source, id="id-gone", name="gone", collection_name="gone")
    world._defs.append(build_definitions(catalog_sources=[gone, world.source]))
    world.aws.put(world.bucket, "docs/new.md", "# New")
    name = next(s.name for s in world.defs.get_repository_def().sensor_defs if "intake" in s.name)
    world.tick(name)
    assert world.catalog.invocations.live_count(world.source.id) == 1


@pytest.mark.parametrize(
    ("sensors", "queues", "seconds"),
    [
        ("sensors: {use_threads: true, num_workers: 6}", 3, 4),
        ("sensors: {use_threads: true, num_workers: 6}", 4, 1),
        ("sensors: {use_threads: false, num_workers: 6}", 1, 1),
        ("", 1, 1),
    ],
)
def test_a_tick_waits_for_long_where_the_daemon_has_threads_to_spare(
    tmp_path, monkeypatch, sensors, queues, seconds
):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "dagster.yaml").write_text(sensors)
    with dg.DagsterInstance.get() as instance:
        assert wait_seconds(instance, queues=queues) == seconds


def test_a_queue_that_cannot_be_read_is_told_until_it_is_read_again(world):
    queue = world.aws.make_queue(bucket=world.bucket)
    world.source = changed(world.source, queue_url=f"{queue}-wrong")
    world.catalog.sources.update(world.source)
    other = changed(
        world.source, id="id-other", name="other", collection_name="others", queue_url=queue
    )
    world.catalog.sources.add(other)
    troubles = world.catalog.queue_troubles

    def tick():
        world._defs.clear()
        names = [s.name for s in world.defs.get_repository_def().sensor_defs if "intake" in s.name]
        return [world.tick(name).skip_message for name in names]

    assert troubles.of([world.source]) == {}
    assert any("could not take messages" in (text or "") for text in tick())
    found = troubles.of([world.source, other])
    assert list(found) == [world.source.id]
    assert found[world.source.id].reason == "queue_not_found"
    assert f"queue '{queue}-wrong'" in found[world.source.id].message
    before = world.catalog.sources.version()
    tick()
    assert troubles.of([world.source]) == found  # since when, too
    assert world.catalog.sources.version() == before
    right = changed(world.source, queue_url=f"{queue}")
    assert troubles.of([right]) == {}
    world.source = right
    world.catalog.sources.update(right)
    tick()
    world.catalog.sources.update(changed(right, queue_url=f"{queue}-wrong"))
    assert troubles.of([changed(right, queue_url=f"{queue}-wrong")]) == {}


def test_a_stranger_who_names_a_queue_keeps_its_owner_from_no_event(world, monkeypatch):
    queue = world.aws.make_queue(bucket=world.bucket)
    world.source = changed(world.source, queue_url=queue)
    world.catalog.sources.update(world.source)
    nothing = CredentialsConfig(access_key_id_env="NO_KEY", secret_access_key_env="NO_SECRET")
    stranger = changed(world.source, id="id-a", name="a", tenant="stranger", credentials=nothing)
    world.catalog.sources.add(stranger)
    world._defs.append(build_definitions(catalog_sources=[stranger, world.source]))
    world.aws.put(world.bucket, "docs/new.md", "# New")
    name = next(s.name for s in world.defs.get_repository_def().sensor_defs if "intake" in s.name)
    received, receive = [], intake._receive

    def noted(queue, **options):
        received.append(options["sources"])
        return receive(queue, **options)

    monkeypatch.setattr(intake, "_receive", noted)
    world.tick(name)
    assert received[0] == 2  # whoever reads it, so many may have to be told of what it receives
    assert world.catalog.invocations.live_count(world.source.id) == 1
    assert set(world.catalog.queue_troubles.of([stranger, world.source])) == {stranger.id}


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize(
    ("trusted", "key", "told"),
    [
        ("default_tenant", "NO_KEY", False),
        ("default_tenant", "AWS_ACCESS_KEY_ID", True),
        ("default_tenant stranger", "NO_KEY", True),
    ],
)
def test_a_tenant_is_told_of_events_of_a_queue_that_it_may_read_itself(
    world, trusted, key, told, first, monkeypatch
):
    """Events name objects, sizes and etags of a bucket that a stranger cannot read."""
    monkeypatch.setenv("S3SYNC_API_TRUSTED_TENANTS", trusted)
    queue = world.aws.make_queue(bucket=world.bucket)
    world.source = changed(world.source, queue_url=queue)
    world.catalog.sources.update(world.source)
    own = CredentialsConfig(access_key_id_env=key, secret_access_key_env=key)
    stranger = changed(world.source, id="id-a", name="a", tenant="stranger", credentials=own)
    world.catalog.sources.add(stranger)
    both = [stranger, world.source] if first else [world.source, stranger]
    world._defs.append(build_definitions(catalog_sources=both))
    world.aws.put(world.bucket, "docs/secret-plan.md", "# New")
    name = next(s.name for s in world.defs.get_repository_def().sensor_defs if "intake" in s.name)
    world.tick(name)
    assert world.catalog.invocations.live_count(world.source.id) == 1
    with world.catalog.database.read() as tx:
        heard = tx.execute(sa.select(objects).where(objects.c.source_id == stranger.id)).all()
    assert len(heard) == told
    troubles = world.catalog.queue_troubles.of(both)
    assert {of: one.reason for of, one in troubles.items()} == (
        {} if told else {stranger.id: "no_credentials"}
    )


def test_many_queues_are_read_for_a_shorter_time_each(world, monkeypatch):
    seconds = []
    monkeypatch.setattr(
        queue_reading,
        "take_messages",
        lambda *_, budget_seconds, **__: seconds.append(budget_seconds),
    )
    sources = [
        changed(
            world.source,
            id=f"id-{n}",
            name=f"s{n}",
            collection_name=f"texts-{n}",
            queue_url=f"https://sqs.eu-central-1.amazonaws.com/1/queue-{n}",
        )
        for n in range(80)
    ]
    for count in (1, 80):
        world._defs.clear()
        world._defs.append(build_definitions(catalog_sources=sources[:count]))
        world.catalog.sources.add(sources[count - 1])
        with pytest.raises(AttributeError):
            world.tick(f"queue_{count - 1}_intake")
    assert seconds == [20.0, 2.0]


def test_a_listing_goes_on_over_ticks_and_over_the_death_of_its_process(world):
    seen = []
    for _ in range(3):
        line = list_when_due(
            world.parts.listing, world.source, log=seen.append, budget_seconds=0.0, page_keys=2
        )
        seen.append(line)
        world.parts.owners.close()  # the next tick is another process to the catalog
    assert [line.split(";")[0].split(":")[0] for line in seen] == [
        "listed 2 objects",
        "listed 4 objects",
        "listed 5 objects",
    ]
    assert world.catalog.listings.latest(world.source.id).state is ListingState.COMPLETE
    assert world.catalog.invocations.live_count(world.source.id) == 5


def test_sources_take_turns_and_a_broken_one_stops_no_other(world):
    names = [world.source.name]
    for name, bucket in (("a_broken", "no-such-bucket-at-all"), ("z_whole", world.bucket)):
        other = changed(
            world.source,
            id=f"id-{name}",
            name=name,
            bucket_name=bucket,
            collection_name=f"texts-{name}",
        )
        world.catalog.sources.add(other)
        names.append(name)
    warnings = []
    text, last = list_in_turn(world.parts.listing, names, after=None, log=warnings.append)
    assert "a_broken: could not list" in text
    assert "z_whole: listed 5 objects" in text
    assert json.loads(last) == {world.source.tenant: "z_whole"}
    assert "bucket_not_found" in warnings[0]
    with world.catalog.database.write() as tx:
        tx.exec_driver_sql("UPDATE sources SET list_due_at = 0")
    text, last = list_in_turn(
        world.parts.listing, names, after=last, log=warnings.append, budget_seconds=0.0
    )
    assert text.startswith("time is up")
    assert json.loads(last) == {world.source.tenant: "z_whole"}


def test_many_sources_of_one_tenant_keep_no_other_tenant_waiting(world, monkeypatch):
    tenants = {f"greedy_{n}": "greedy" for n in range(6)} | {"patient": "patient", "zeal": "zeal"}
    for name, tenant in tenants.items():
        one = changed(world.source, id=f"id-{name}", name=name, tenant=tenant, collection_name=name)
        world.catalog.sources.add(one)
    listed = []

    def slow(_parts, source, **_how):
        listed.append(source.name)
        return "listed; it goes on at the next tick"

    monkeypatch.setattr(listing_turns, "list_when_due", slow)
    now = iter(range(1000))
    monkeypatch.setattr(world.parts.clock, "monotonic", lambda: 10.0 * next(now))
    monkeypatch.setattr(world.parts.clock, "sleep", lambda _seconds: None)
    cursor = "an_older_version_kept_one_name"
    for _tick in range(9):
        _, cursor = list_in_turn(
            world.parts.listing, tenants, after=cursor, log=print, budget_seconds=15.0
        )
    assert listed == [
        *("greedy_0", "patient", "zeal"),
        *("greedy_1", "patient", "zeal"),
        *("greedy_2", "patient", "zeal"),
    ]


def test_a_round_of_listings_leaves_its_process_free_for_others(world, monkeypatch):
    other = world.source.with_changes(id="id-two", name="two", collection_name="texts-two")
    world.catalog.sources.add(other)
    rests = []
    monkeypatch.setattr(world.parts.clock, "sleep", rests.append)
    names, warnings = [world.source.name, "two"], []
    text, _ = list_in_turn(world.parts.listing, names, after=None, log=warnings.append)
    assert text.count("listed 5 objects") == 2
    assert len(rests) == 2
    assert all(0 < seconds <= RESPITE_SECONDS for seconds in rests)
    text, _ = list_in_turn(world.parts.listing, names, after=None, log=warnings.append)
    assert text == "2 sources, none due"
    assert len(rests) == 2
    assert warnings == []


def test_a_paused_source_starts_no_run_and_goes_on_when_resumed(world):
    world.listing()
    world.catalog.sources.set_paused(world.source.id, paused=True)
    assert world.tick("dispatch").run_requests == []
    assert "none due" in world.tick("catalog_auto_sync").skip_message
    world.catalog.sources.set_paused(world.source.id, paused=False)
    assert len(world.tick("dispatch").run_requests) == 1


def test_twenty_thousand_keys_are_added_in_a_tick_and_back_pressure_holds(world):
    keys = [f"many/{n:05d}.md" for n in range(20_000)]
    from s3sync_dagster.model.object import ObjectRef

    refs = [ObjectRef(key=key, etag="e", size=1) for key in keys]
    for start in range(0, len(refs), 5000):
        world.catalog.work.record_objects(
            world.source.id, [(ref, None) for ref in refs[start : start + 5000]]
        )
    tell_partitions(world.catalog, InstanceRuns(world.instance), world.source, keys)
    assert len(world.instance.get_dynamic_partitions(world.partitions.name)) == 20_000
    world.catalog.invocations.request_automatic(world.source.id, keys, trigger=Trigger.LISTING)
    requests = world.tick("dispatch").run_requests
    assert [len(_keys(world, request)) for request in requests] == [500, 500]
    assert world.tick("dispatch").run_requests == []


def test_a_dead_runs_keys_come_back_and_the_run_is_reported_failed(world):
    world.listing()
    (request,) = world.tick("dispatch").run_requests
    run = world.instance.create_run_for_job(
        world.defs.resolve_job_def(request.job_name),
        run_config=request.run_config,
        tags=dict(request.tags),
        status=dg.DagsterRunStatus.STARTED,
    )
    home = world.parts.owners.me().split(":")[0]
    world.catalog.batches.start(request.run_key, owner=f"{home}:1-gone", run_id=run.run_id)
    result = world.tick("dispatch")
    assert [_keys(world, one) for one in result.run_requests] == [KEYS]
    assert result.run_requests[0].run_key != request.run_key
    assert world.instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.FAILURE


def test_a_run_that_started_and_never_began_gives_its_batch_back(world):
    world.listing()
    (request,) = world.tick("dispatch").run_requests
    run = started_run(world, dict(request.tags), request.run_config)
    assert world.tick("dispatch").run_requests == []  # it may still be importing
    with world.catalog.database.write() as tx:
        tx.exec_driver_sql("UPDATE batches SET yielded_at = yielded_at - 100")
    assert world.tick("dispatch").run_requests == []
    age_run(world, run, 91)
    (again,) = world.tick("dispatch").run_requests
    assert _keys(world, again) == KEYS
    assert world.instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.FAILURE


def test_a_started_run_without_batch_and_events_is_reported_failed(world):
    run = started_run(world, {"s3sync/source": world.source.name}, None)
    runtime = Runtime(world.parts)
    assert report_orphans(runtime, world.instance, [world.source]) == 0
    clock, now = world.parts.clock, world.parts.clock.now()
    try:
        clock.now = lambda: now + timedelta(seconds=301)
        assert report_orphans(runtime, world.instance, [world.source]) == 1
    finally:
        del clock.now
    assert world.instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.FAILURE


def started_run(world, tags, run_config):
    run = world.instance.create_run_for_job(
        world.defs.resolve_job_def(f"index_{world.source.name}"), run_config=run_config, tags=tags
    )
    for kind in (dg.DagsterEventType.RUN_STARTING, dg.DagsterEventType.RUN_START):
        event = DagsterEvent(event_type_value=kind.value, job_name=run.job_name)
        world.instance.report_dagster_event(event, run.run_id)
    return world.instance.get_run_by_id(run.run_id)


def age_run(world, run, seconds):
    with world.instance.run_storage.connect() as connection:
        connection.execute(
            sa.text("UPDATE runs SET start_time = start_time - :s WHERE run_id = :run"),
            {"s": seconds, "run": run.run_id},
        )


def test_the_sensor_of_a_declared_source_says_that_its_change_is_refused(world):
    def declare(collection):
        place = world.source.place
        source = S3Source(
            name="declared",
            bucket_name=place.bucket_name,
            path_prefix=place.path_prefix,
            endpoint_url=place.endpoint_url,
            collection_name=collection,
            embedding={"kind": "hash"},
        )
        world._defs[:] = [build_definitions([source])]

    declare("the-first")
    assert "5 new" in world.tick("declared_auto_sync").skip_message
    declare("the-second")
    said = world.tick("declared_auto_sync").skip_message
    assert "collection_name 'the-first' -> 'the-second'" in said
    assert "s3sync source move declared" in said
    assert world.catalog.sources.find("declared").collection_name == "the-first"
    assert len(world.tick("dispatch").run_requests) == 1  # it goes on as it was
    declare("the-first")
    assert "another one" not in world.tick("declared_auto_sync").skip_message


def _keys(world, request):
    ops = request.run_config["ops"][f"s3__{world.source.name}"]["ops"]
    return ops["extract"]["config"]["keys"]


@pytest.fixture
def silent_port():
    """What takes a connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_tick_does_not_wait_for_a_chroma_that_is_away_and_lists(world, monkeypatch, silent_port):
    """The daemon evaluates sensors one after another: those of a team would wait, too."""
    world.sync()
    for number, port in enumerate((9, silent_port, silent_port)):
        world.aws.put(world.bucket, f"docs/new{number}.md", "# New")
        world.catalog.sources.ask_for_listing(world.source.id)
        monkeypatch.setenv("S3SYNC_CHROMA_URL", f"http://127.0.0.1:{port}")
        began = time.monotonic()
        told = world.tick("catalog_auto_sync").skip_message
        dispatched = world.tick("dispatch")
        took = time.monotonic() - began
        assert "1 new" in told
        assert "Chroma" in told
        assert "nothing is handed out: Chroma" in dispatched.skip_message
        assert dispatched.run_requests == []
        assert took < 12, "patience takes 20 s and more, for each tick"
    assert list(ticks._silent) == [f"http://localhost:{silent_port}"], "not asked again at once"
    assert world.indexed_keys() == set(KEYS), "nothing was believed of it"


def test_a_chroma_that_code_names_is_asked_before_work_is_handed_out(world):
    """Its keys have failed a first time, and would fail again and again."""
    world.listing()
    named = ChromaResource(connection_config=HttpConfig(host="127.0.0.1", port=9))
    world._defs.append(build_definitions(catalog_sources=[world.source], chroma=named))
    told = world.tick("dispatch")
    assert told.run_requests == []
    assert "nothing is handed out: Chroma cannot be reached" in told.skip_message
    assert world.catalog.batches.live() == []
