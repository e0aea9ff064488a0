"""Ticks: what they commit, what they ask for, what happens when they are repeated."""

import json
import os
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.events import DagsterEvent

from s3sync_dagster.catalog.batches import Batches
from s3sync_dagster.core.state import ListingState
from s3sync_dagster.defs.building import build_definitions
from s3sync_dagster.defs.dagster_internals.pruning import prune_evaluations, prune_runs
from s3sync_dagster.defs.dispatching import InstanceRuns
from s3sync_dagster.defs.housekeeping import (
    check_records,
    keep_minutes,
    report_checks,
    report_orphans,
)
from s3sync_dagster.defs.resources import Runtime, S3Source
from s3sync_dagster.engine.dispatching import tell_partitions
from s3sync_dagster.engine.listing_turns import RESPITE_SECONDS, list_in_turn, list_when_due
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.model.invocation import Trigger
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


def test_a_request_that_the_daemon_dropped_is_made_again_with_its_token(world):
    world.listing()
    (first,) = world.tick("dispatch").run_requests
    with world.catalog.database.write() as tx:
        tx.exec_driver_sql("UPDATE batches SET yielded_at = yielded_at - 31")
    (again,) = world.tick("dispatch").run_requests
    assert again.run_key == first.run_key
    assert again.run_config == first.run_config


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
    assert last == "z_whole"
    assert "bucket_not_found" in warnings[0]
    with world.catalog.database.write() as tx:
        tx.exec_driver_sql("UPDATE sources SET list_due_at = 0")
    text, last = list_in_turn(
        world.parts.listing, names, after="a_broken", log=warnings.append, budget_seconds=0.0
    )
    assert text.startswith("time is up")
    assert last == "a_broken"


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


def test_partitions_go_after_the_removal_but_not_during_a_backfill(world):
    from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

    world.sync()
    world.aws.delete(world.bucket, KEYS[0])
    world.sync()
    assert world.indexed_keys() == set(KEYS[1:])
    backfill = PartitionBackfill(
        backfill_id="one", status=BulkActionStatus.REQUESTED, from_failure=False, tags={},
        backfill_timestamp=0.0, asset_selection=[world.asset],
    )  # fmt: skip
    world.instance.add_backfill(backfill)
    world.tick("dispatch")
    assert KEYS[0] in world.instance.get_dynamic_partitions(world.partitions.name)
    world.instance.update_backfill(backfill.with_status(BulkActionStatus.COMPLETED_SUCCESS))
    assert "taken back" in world.tick("dispatch").skip_message
    assert set(world.instance.get_dynamic_partitions(world.partitions.name)) == set(KEYS[1:])
    # Back again, it is a partition again.
    world.aws.put(world.bucket, KEYS[0], "# Back")
    world.sync()
    assert set(world.instance.get_dynamic_partitions(world.partitions.name)) == set(KEYS)


def test_a_deleted_source_takes_its_records_and_partitions_along(world):
    world.sync()
    world.catalog.sources.mark_deleting(world.source.id, keep_records=False)
    assert "is deleted" in world.tick("dispatch").skip_message
    assert world.indexed_keys() == set()
    assert world.instance.get_dynamic_partitions(world.partitions.name) == []
    assert world.catalog.sources.rows() == []


def test_the_dispatcher_ends_a_move_when_the_new_place_is_whole(world):
    world.sync()
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    world.catalog.sources.register(changed(world.source, collection_name="elsewhere"))
    before, world.source = world.source, world.catalog.moves.begin(world.source.name)
    world._defs.clear()
    assert "stay until the first listing is complete" in world.tick("dispatch").skip_message
    world.aws.delete(world.bucket, KEYS[0])
    world.sync()
    world.tick("dispatch")
    assert world.catalog.sources.ids() == {world.source.id}
    assert world.indexed_keys() == set(KEYS[1:])
    assert world.catalog.documents.of_source(before.id) == []
    world.tick("dispatch")
    assert set(world.instance.get_dynamic_partitions(world.partitions.name)) == set(KEYS[1:])


def test_checks_run_on_demand_and_are_reported_when_they_change(world):
    world.aws.put(world.bucket, "docs/bad.pdf", b"%PDF-1.7 broken")
    world.sync()
    runtime = Runtime(world.parts)
    time.sleep(1.1)  # Dagster keeps the time of an evaluation in whole seconds
    assert report_checks(runtime, world.instance, [world.source]) == 2
    assert report_checks(runtime, world.instance, [world.source]) == 0
    verdicts = _verdicts(world)
    assert verdicts == {"no_failed_keys": False, "not_gone_quiet": True}
    numbers = _evaluations(world)["no_failed_keys"].metadata
    assert {name: numbers[name].value for name in ("objects", "indexed", "failed", "chunks")} == {
        "objects": 6, "indexed": 5, "failed": 1, "chunks": 5,
    }  # fmt: skip
    assert numbers["lag_seconds"].value == 0.0
    # A later materialisation makes Dagster show both as "not evaluated", so they are told anew.
    assert world.execute(partition_key=KEYS[0]).success
    time.sleep(1.1)
    assert report_checks(runtime, world.instance, [world.source]) == 2
    assert report_checks(runtime, world.instance, [world.source]) == 0
    collection = world.collection()
    some_id = next(iter(collection.scan()))[0].id
    keys = [dg.AssetCheckKey(world.asset, "records_match_catalog")]
    selection = dg.AssetSelection.checks(*keys)
    definitions = dg.Definitions.merge(
        world.defs, dg.Definitions(jobs=[dg.define_asset_job("look", selection=selection)])
    )
    job = definitions.resolve_job_def("look")
    assert job.execute_in_process(instance=world.instance).success
    assert _verdicts(world)["records_match_catalog"] is True
    collection.delete([some_id])
    result = job.execute_in_process(instance=world.instance, raise_on_error=False)
    (evaluation,) = result.get_asset_check_evaluations()
    assert not evaluation.passed
    assert evaluation.metadata["expected_records"].value == 5
    assert evaluation.metadata["found_records"].value == 4
    # A catalog that was restored from an older copy does not know what was indexed since.
    runtime.parts.catalog.documents.forget(
        [one.id for one in runtime.parts.catalog.documents.of_source(world.source.id)]
    )
    result = job.execute_in_process(instance=world.instance, raise_on_error=False)
    (evaluation,) = result.get_asset_check_evaluations()
    assert not evaluation.passed
    assert evaluation.metadata["stray_records"].value == 4


def test_a_run_that_indexes_does_not_pay_for_checks_of_the_source(world):
    world.sync()
    job = world.defs.resolve_implicit_global_asset_job_def()  # what the UI and backfills run
    result = job.execute_in_process(
        instance=world.instance, partition_key=KEYS[0], asset_selection=[world.asset]
    )
    assert result.success
    assert result.get_asset_check_evaluations() == []
    index = world.defs.resolve_job_def(f"index_{world.source.name}")
    assert [node.name for node in index.nodes] == [f"s3__{world.source.name}"]


def test_old_runs_go_and_what_their_keys_show_stays(world):
    results = world.sync()
    for number in range(3):
        world.aws.put(world.bucket, KEYS[0], f"# Version {number}")
        results += world.sync()
    storage = world.instance.event_log_storage
    later = datetime.now(UTC) + timedelta(hours=2)
    assert prune_runs(world.instance, [world.source.name], keep_runs=1, now=later) == 3
    assert world.instance.get_runs_count() == 1
    assert set(world.statuses(*KEYS).values()) == {"MATERIALIZED"}
    for result in results[:-1]:
        from pathlib import Path

        assert not Path(storage.path_for_shard(result.run_id)).exists()
    records = world.instance.fetch_materializations(
        dg.AssetRecordsFilter(world.asset, asset_partitions=[KEYS[0]]), limit=10
    ).records
    assert len(records) == 1
    assert prune_runs(world.instance, [world.source.name], keep_runs=1, now=later) == 0


def test_as_many_runs_as_are_kept_stay_whatever_their_age_and_failed_ones_go_last(world):
    world.sync()
    world.aws.put(world.bucket, "docs/bad.pdf", b"%PDF-1.7 broken")
    world.sync()
    world.aws.put(world.bucket, KEYS[0], "# Changed")
    world.sync()
    names, later = [world.source.name], datetime.now(UTC) + timedelta(days=100)
    assert prune_runs(world.instance, names, keep_runs=3, now=later) == 0
    assert prune_runs(world.instance, names, keep_runs=1, now=later) == 2
    (left,) = world.instance.get_runs()
    assert left.status is dg.DagsterRunStatus.FAILURE


def test_old_reports_of_checks_go_but_the_latest(world):
    world.sync()
    runtime, assets = Runtime(world.parts), [world.asset]
    for number in range(3):
        world.aws.put(world.bucket, f"docs/more-{number}.md", f"# More {number}")
        world.sync()
        assert report_checks(runtime, world.instance, [world.source]) == 2
    assert prune_evaluations(world.instance, assets) == 0
    later = datetime.now(UTC) + timedelta(days=4)
    assert prune_evaluations(world.instance, [dg.AssetKey("another")], now=later) == 0
    assert prune_evaluations(world.instance, assets, now=later) == 4
    assert _verdicts(world) == {"no_failed_keys": True, "not_gone_quiet": True}
    assert _evaluations(world)["no_failed_keys"].metadata["objects"].value == len(KEYS) + 3
    key = dg.AssetCheckKey(world.asset, "no_failed_keys")
    history = world.instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
    assert len(history) == 1
    assert prune_evaluations(world.instance, assets, now=later) == 0


def test_minutes_are_kept_once_a_minute(world):
    runtime = Runtime(world.parts)
    _, cursor = keep_minutes(runtime, world.instance, [world.source], cursor=None)
    assert set(json.loads(cursor)) == {"checked", "pruned"}
    notes, same = keep_minutes(runtime, world.instance, [world.source], cursor=cursor)
    assert notes == []
    assert same == cursor


def test_records_that_others_deleted_are_found_by_the_minutes(world):
    world.sync()
    runtime, source = Runtime(world.parts), world.source
    port = world.parts.collections.open(
        source.collection_name,
        tenant=source.tenant,
        database=source.database_name,
        embedder=None,
    )
    whole = port.count()
    first, *_ = (record.id for page in port.scan() for record in page)
    port.delete([first])
    world.parts.settings = replace(world.parts.settings, checked_records_per_day=0)
    assert check_records(runtime, [source]) == []
    world.parts.settings = replace(world.parts.settings, checked_records_per_day=100)
    world.parts.catalog.sources.set_paused(source.id, paused=True)
    assert check_records(runtime, [source]) == []
    world.parts.catalog.sources.set_paused(source.id, paused=False)
    notes, _ = keep_minutes(runtime, world.instance, [source], cursor=None)
    assert any("have lost or changed records" in note for note in notes)
    world.sync()
    assert port.count() == whole


def _keys(world, request):
    ops = request.run_config["ops"][f"s3__{world.source.name}"]["ops"]
    return ops["extract"]["config"]["keys"]


def _verdicts(world):
    return {name: evaluation.passed for name, evaluation in _evaluations(world).items()}


def _evaluations(world):
    storage = world.instance.event_log_storage
    names = ["no_failed_keys", "not_gone_quiet", "records_match_catalog"]
    keys = [dg.AssetCheckKey(world.asset, name) for name in names]
    found = storage.get_latest_asset_check_execution_by_key(keys)
    return {key.name: record.evaluation for key, record in found.items()}


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_disk_use_is_flat_over_many_runs(world):
    """A run is 335 KB on SQLite: what is kept is bounded, so the folder stops growing."""

    def size():
        files = [path for path in world.settings.dagster_home.rglob("*") if path.is_file()]
        return sum(path.stat().st_size for path in files), len(files)

    sizes = []
    for number in range(90):
        world.aws.put(world.bucket, KEYS[number % 5], f"# Version {number}")
        world.sync()
        later = datetime.now(UTC) + timedelta(hours=2)
        prune_runs(world.instance, [world.source.name], keep_runs=20, now=later)
        sizes.append(size())
    print(sizes[::10])
    assert world.instance.get_runs_count() <= 21
    assert sizes[-1][0] < 1.1 * sizes[45][0]
    assert sizes[-1][1] <= sizes[45][1] + 10
    assert set(world.statuses(*KEYS).values()) == {"MATERIALIZED"}


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
    assert "s3sync source delete declared" in said
    assert world.catalog.sources.find("declared").collection_name == "the-first"
    assert len(world.tick("dispatch").run_requests) == 1  # it goes on as it was
    declare("the-first")
    assert "another one" not in world.tick("declared_auto_sync").skip_message
