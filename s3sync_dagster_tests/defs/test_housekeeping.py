"""What the sensors do besides: old partitions, runs and reports go, checks and minutes are kept."""

import json
import time
import uuid
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import dagster as dg
import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog.tables import invocations
from s3sync_dagster.core.naming import job_name, partitions_name
from s3sync_dagster.core.reservation import MAX_LIVE
from s3sync_dagster.defs import dispatching, housekeeping
from s3sync_dagster.defs.check_reports import report_checks
from s3sync_dagster.defs.dagster_internals.pruning import prune_evaluations, prune_runs
from s3sync_dagster.defs.dispatching import Dispatcher
from s3sync_dagster.defs.housekeeping import (
    check_records,
    keep_minutes,
)
from s3sync_dagster.defs.loaded_sensors import LoadedSensors
from s3sync_dagster.defs.resources import Runtime
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster_tests.core.rules import Refusing, refuse_with
from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.sources import changed

NONE = LoadedSensors(location=None)
KEYS = [f"docs/{n}.md" for n in range(5)]


@pytest.fixture
def world(defs_world):
    defs_world.aws.put_all(defs_world.bucket, {key: f"# {key}" for key in KEYS})
    return defs_world


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


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Unavailable("Chroma does not delete"), "going: unavailable: Chroma does not delete"),
        (ValueError("a fault of ours"), "going: unexpected_error"),
    ],
    ids=["Chroma", "ours"],
)
def test_a_deletion_that_fails_is_the_trouble_of_its_source_alone(fault, said):
    going = make_world(name="going", id="00000000-0000-4000-8000-000000000009")
    going.bucket.put("a.txt", "text")
    going.sync()
    going.catalog.sources.mark_deleting(going.source.id, keep_records=False)
    other = changed(going.source, id="of another", name="other", bucket_name="other-bucket")
    going.catalog.sources.add(other)
    going.catalog.invocations.request(other, ["b.txt"], trigger=Trigger.API)
    parts = SimpleNamespace(
        catalog=going.catalog,
        clock=going.clock,
        collections=Refusing(going, delete=refuse_with(fault)),
        owners=SimpleNamespace(is_dead=lambda _owner: None),
        runs_of=lambda _tenant: None,
        has_left=lambda _owner: False,
        settings=SimpleNamespace(runs_per_source=MAX_LIVE),
    )
    with dg.DagsterInstance.ephemeral() as instance:
        chroma = SimpleNamespace(open=lambda: parts.collections)
        runtime = SimpleNamespace(parts=parts, chroma=chroma)
        dispatcher = Dispatcher(runtime, instance, ["going", "other"])
        [note] = dispatcher.keep_house(log=lambda _: None)
        [request] = dispatcher.requests()
    assert note.startswith(said)
    assert "other" in request.job_name
    assert len(going.texts()) == 1
    going.catalog.close()


@pytest.mark.parametrize(("each", "budgets"), [(25.0, [20.0]), (8.0, [20.0, 12.0, 4.0])])
def test_deletions_that_take_long_leave_a_tick_to_the_work_of_others(each, budgets, monkeypatch):
    world = make_world(name="plain", id="00000000-0000-4000-8000-000000000009")
    tenants = {f"greedy_{number}": "greedy" for number in range(6)} | {"patient": "patient"}
    for name, tenant in tenants.items():
        one = changed(world.source, id=name, name=name, tenant=tenant, collection_name=name)
        world.catalog.sources.add(one)
        world.catalog.sources.mark_deleting(name, keep_records=False)
    spent, taken = [0.0], []

    def slow(source, *, budget_seconds=20.0, **_how):
        taken.append((source.name, budget_seconds))
        spent[0] += each
        return f"{source.name}: its records are being deleted"

    monkeypatch.setattr(dispatching, "take_down", slow)
    clock = SimpleNamespace(now=world.clock.now, monotonic=lambda: spent[0])
    owners = SimpleNamespace(is_dead=lambda _owner: None)
    parts = SimpleNamespace(
        catalog=world.catalog, clock=clock, owners=owners, has_left=lambda _owner: False
    )
    runtime = SimpleNamespace(parts=parts, chroma=SimpleNamespace(open=lambda: None))
    patient = 0
    with dg.DagsterInstance.ephemeral() as instance:
        for _tick in range(40):
            dispatcher = Dispatcher(runtime, instance, ["plain", *tenants])
            notes = dispatcher.keep_house(log=lambda _: None)
            assert [seconds for _name, seconds in taken] == budgets
            assert notes[-1].startswith("time is up")
            patient += "patient" in dict(taken)
            taken.clear()
    assert patient > 5  # by chance 20 of 40, or 40 where several have their turn
    world.catalog.close()


@pytest.mark.parametrize(("most", "begun"), [(None, 1), (2, 2)])
def test_tenants_that_are_not_trusted_have_few_runs_before_those_of_others(world, most, begun):
    names = [f"{tenant}_{number}" for tenant in ("one", "two") for number in range(30)]
    names += ["patient_0", world.source.name]
    if most is not None:
        world.parts.settings = replace(world.parts.settings, runs_per_tenant=most)
    for name in names[:-1]:
        fields = {"name": name, "tenant": name.partition("_")[0], "collection_name": name}
        other = world.catalog.sources.add(changed(world.source, id=name, **fields))
        world.catalog.invocations.request_automatic(other.id, ["a"], trigger=Trigger.LISTING)
    own = [f"{number}.txt" for number in range(600)]
    world.catalog.invocations.request_automatic(world.source.id, own, trigger=Trigger.LISTING)
    asked = Counter[str]()
    for _tick in range(5):
        dispatcher = Dispatcher(Runtime(world.parts), world.instance, names)
        for request in dispatcher.requests():
            asked[request.job_name.removeprefix("index_").partition("_")[0]] += 1
    ours = world.source.name.partition("_")[0]
    assert asked == {"one": begun, "two": begun, "patient": 1, ours: 2}


def test_a_source_that_dagster_takes_no_run_of_is_its_own_trouble_alone(monkeypatch):
    one = make_world(name="broken", id="00000000-0000-4000-8000-000000000005")
    names = ["before", "broken", "behind"]
    for number, name in enumerate(names):
        if name != "broken":
            own_id = f"00000000-0000-4000-8000-00000000000{number * 4}"
            other = changed(one.source, id=own_id, name=name, bucket_name=name)
            one.catalog.sources.add(other)
            one.catalog.invocations.request(other, ["b.txt"], trigger=Trigger.API)
    one.bucket.put("b.txt", "text")
    one.listing()
    parts = SimpleNamespace(
        catalog=one.catalog,
        clock=one.clock,
        runs_of=lambda _: None,
        settings=SimpleNamespace(runs_per_source=MAX_LIVE),
    )
    with dg.DagsterInstance.ephemeral() as instance:
        plain = instance.add_dynamic_partitions

        def add(definition, keys):
            if definition == partitions_name(one.source):
                raise KeyError("as Dagster has it")
            plain(definition, keys)

        monkeypatch.setattr(instance, "add_dynamic_partitions", add)
        dispatcher = Dispatcher(SimpleNamespace(parts=parts), instance, names)
        asked = {request.job_name for request in dispatcher.requests()}
    assert asked == {job_name("before"), job_name("behind")}
    assert dispatcher.refused["broken"].startswith("broken: unexpected_error: ")
    live = {row.source_id for row in one.catalog.batches.live()}
    assert len(live) == 2
    assert one.source.id not in live
    [waiting] = one.catalog.invocations.rows(source_id=one.source.id)
    assert (waiting.status, waiting.reason) == ("pending", "unexpected_error")
    assert "as Dagster has it" not in waiting.error
    one.catalog.close()


def test_the_dispatcher_ends_a_move_when_the_new_place_is_whole(world):
    world.sync()
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE sources SET origin = 'python'"))
    world.catalog.sources.register(changed(world.source, collection_name="elsewhere"))
    before, world.source = world.source, world.catalog.moves.begin(world.source.name)
    world._defs.clear()
    assert "until the first listing is complete" in world.tick("dispatch").skip_message
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
    # What the catalog has forgotten of objects that are there is told, and no stray.
    runtime.parts.catalog.documents.forget(
        [one.id for one in runtime.parts.catalog.documents.of_source(world.source.id)]
    )
    result = job.execute_in_process(instance=world.instance, raise_on_error=False)
    (evaluation,) = result.get_asset_check_evaluations()
    assert not evaluation.passed
    assert evaluation.metadata["stray_records"].value == 0
    assert len(evaluation.metadata["held_back_keys"].value) == 4


def test_dagster_is_asked_once_for_the_checks_of_all_sources(world, monkeypatch):
    world.sync()
    others = [
        changed(
            world.source,
            id=str(uuid.uuid4()),
            name=f"other_{number}",
            collection_name=f"other-{number}",
        )
        for number in range(3)
    ]
    for other in others:
        world.catalog.sources.add(other)
    storage, asked = world.instance.event_log_storage, []
    for name in ("get_latest_asset_check_execution_by_key", "get_latest_materialization_events"):
        question = getattr(storage, name)

        def counted(*args, _name=name, _question=question, **kwargs):
            asked.append(_name)
            return _question(*args, **kwargs)

        monkeypatch.setattr(storage, name, counted)
    runtime, sources = Runtime(world.parts), [world.source, *others]
    time.sleep(1.1)  # Dagster keeps the time of an evaluation in whole seconds
    assert report_checks(runtime, world.instance, sources) == 2 * len(sources)
    assert report_checks(runtime, world.instance, sources) == 0
    assert sorted(asked) == [
        "get_latest_asset_check_execution_by_key",
        "get_latest_asset_check_execution_by_key",
        "get_latest_materialization_events",
        "get_latest_materialization_events",
    ]


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
    _, cursor = keep_minutes(runtime, world.instance, [world.source], cursor=None, sensors=NONE)
    assert set(json.loads(cursor)) == {"checked", "noted", "pruned"}
    notes, same = keep_minutes(runtime, world.instance, [world.source], cursor=cursor, sensors=NONE)
    assert notes == []
    assert same == cursor


def test_requests_that_have_ended_are_forgotten_where_there_are_too_many(world, monkeypatch):
    monkeypatch.setattr(housekeeping, "MOST_REQUESTS", 1)
    catalog, keys = world.parts.catalog, ["a", "b", "c"]
    for at, key in enumerate(keys):
        (one,) = catalog.invocations.request(world.source, [key], trigger=Trigger.API)
        catalog.invocations.cancel(one)
        with catalog.database.write() as tx:
            row = invocations.c.id == one
            tx.execute(invocations.update().where(row).values(created_at=at, finished_at=at))
    keep_minutes(Runtime(world.parts), world.instance, [world.source], cursor=None, sensors=NONE)
    assert list(catalog.invocations.latest_by_keys(world.source.id, keys)) == ["c"]


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
    notes, _ = keep_minutes(runtime, world.instance, [source], cursor=None, sensors=NONE)
    assert any("have lost or changed records" in note for note in notes)
    hours = world.catalog.hours.of_source(source.id, since=0)
    states = {"indexed": len(KEYS) - 1, "pending": 1, "processing": 0, "skipped": 0}
    assert hours[-1].states == states
    assert sum(one.complete_invocations for one in hours) == len(KEYS)
    assert sum(one.texts for one in hours) == whole, "each was new to the model"
    world.sync()
    assert port.count() == whole


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
