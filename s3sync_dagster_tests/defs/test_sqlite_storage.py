"""The batched event log in a real instance and a real run."""

import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import dagster as dg
import psutil
import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from dagster._core.events import (
    DagsterEvent,
    DagsterEventBatchMetadata,
    generate_event_batch_id,
)
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, InstigatorType
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage

from s3sync_dagster.defs.dagster_internals import sqlite_storage
from s3sync_dagster.defs.dagster_internals.sqlite_storage import ENGINES_KEPT, BatchingEventLog
from s3sync_dagster.local.home import shipped

KEY = dg.AssetKey(["s3", "demo"])
PARTITIONS = dg.DynamicPartitionsDefinition(name="s3_demo")
KEYS = [f"folder/{number}.md" for number in range(250)]


@dg.asset(key=KEY, partitions_def=PARTITIONS, output_required=False)
def batched(context: dg.AssetExecutionContext):
    write_batches(context, KEYS)
    return
    yield


@pytest.fixture
def instance(tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "100")
    (tmp_path / "dagster.yaml").write_text(shipped("dagster.yaml"))
    with dg.DagsterInstance.get() as instance:
        instance.add_dynamic_partitions("s3_demo", KEYS)
        yield instance


def test_the_shipped_configuration_names_it(instance):
    assert isinstance(instance.event_log_storage, BatchingEventLog)


def test_a_run_in_batches_loses_and_doubles_nothing(instance, monkeypatch):
    batches = []
    plain = BatchingEventLog.index_transaction
    monkeypatch.setattr(
        BatchingEventLog, "index_transaction", lambda self: batches.append(1) or plain(self)
    )
    began = time.process_time()
    job = dg.define_asset_job("index_demo", [batched])
    defs = dg.Definitions(assets=[batched], jobs=[job])
    result = defs.resolve_job_def("index_demo").execute_in_process(
        instance=instance, partition_key=KEYS[0]
    )
    assert result.success
    assert len(batches) <= 2 + len(KEYS) // 100 + 1, f"{time.process_time() - began:.1f} CPU-s"
    assert instance.get_materialized_partitions(KEY) == set(KEYS)
    records = instance.get_records_for_run(result.run_id, limit=10_000).records
    written = [
        record.event_log_entry.dagster_event.partition
        for record in records
        if record.event_log_entry.dagster_event_type == dg.DagsterEventType.ASSET_MATERIALIZATION
    ]
    assert sorted(written) == sorted(KEYS)
    latest = instance.fetch_materializations(
        dg.AssetRecordsFilter(KEY, asset_partitions=[KEYS[7]]), limit=5
    )
    assert [r.asset_materialization.metadata["chunks"].value for r in latest.records] == [7]


def test_the_files_are_those_of_dagsters_own_storage(instance, tmp_path):
    assert (tmp_path / "history" / "runs.db").exists()
    assert (tmp_path / "history" / "runs" / "index.db").exists()
    assert (tmp_path / "schedules" / "schedules.db").exists()


WRITER = """
import sys
import dagster as dg
from s3sync_dagster_tests.defs.test_sqlite_storage import KEY, PARTITIONS, write_batches

@dg.asset(key=KEY, partitions_def=PARTITIONS, output_required=False)
def writer(context: dg.AssetExecutionContext):
    write_batches(context, [f"{sys.argv[1]}/{number}" for number in range(400)])
    return
    yield

defs = dg.Definitions(assets=[writer], jobs=[dg.define_asset_job("index_demo", [writer])])
with dg.DagsterInstance.get() as instance:
    job = defs.resolve_job_def("index_demo")
    assert job.execute_in_process(instance=instance, partition_key=f"{sys.argv[1]}/0").success
"""


def write_batches(context, keys):
    step = context.op_execution_context.get_step_execution_context()
    for start in range(0, len(keys), 100):
        part, batch_id = keys[start : start + 100], generate_event_batch_id()
        for number, key in enumerate(part):
            event = dg.AssetMaterialization(KEY, partition=key, metadata={"chunks": number})
            metadata = DagsterEventBatchMetadata(batch_id, number == len(part) - 1)
            DagsterEvent.asset_materialization(step, event, metadata)


def test_two_processes_at_once_lose_and_double_nothing(instance):
    names = ["left", "right"]
    keys = [f"{name}/{number}" for name in names for number in range(400)]
    instance.add_dynamic_partitions("s3_demo", keys)
    processes = [subprocess.Popen([sys.executable, "-c", WRITER, name]) for name in names]
    assert [process.wait(240) for process in processes] == [0, 0]
    assert instance.get_materialized_partitions(KEY) == set(keys)
    records = instance.fetch_materializations(KEY, limit=2000).records
    assert sorted(record.partition_key for record in records) == sorted(keys)
    in_shards = [
        record
        for run in instance.get_runs()
        for record in instance.get_records_for_run(
            run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION, limit=2000
        ).records
    ]
    assert len(in_shards) == len(keys)
    # The asset's row shows the newest of all.
    newest = max(records, key=lambda record: record.storage_id)
    assert instance.get_latest_materialization_event(KEY).dagster_event.partition == (
        newest.partition_key
    )


def test_batching_costs_a_fraction_of_single_events(instance, monkeypatch):
    """Ratios of CPU time in one process: 5 to 6 quiet; 3 leaves room for a busy machine."""

    def cost(batched):
        monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "100" if batched else "0")
        keys = [f"cost-{batched}/{number}" for number in range(200)]
        spent = []

        @dg.asset(key=KEY, partitions_def=PARTITIONS, output_required=False)
        def measured(context: dg.AssetExecutionContext):
            began = time.process_time()
            write_batches(context, keys)
            spent.append(time.process_time() - began)
            return
            yield

        job = dg.define_asset_job("index_demo", [measured])
        defs = dg.Definitions(assets=[measured], jobs=[job])
        result = defs.resolve_job_def("index_demo").execute_in_process(
            instance=instance, partition_key=KEYS[0]
        )
        assert result.success
        return spent[0]

    cost(batched=True)
    together, singly = cost(batched=True), cost(batched=False)
    print(f"{together * 5:.2f} against {singly * 5:.2f} CPU-ms a key")
    assert singly > 3 * together


def test_a_connection_serves_many_events_and_leaves_nothing_behind(tmp_path, monkeypatch):
    opened = []
    plain = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: opened.append(a[0]) or plain(*a, **k))
    log = BatchingEventLog(str(tmp_path))
    runs = [f"run-{number}" for number in range(ENGINES_KEPT + 3)]
    for run_id in runs:
        for place in range(5):
            log.store_event(an_event(run_id, place))
    by_run = Counter(Path(path).stem for path in opened)
    assert all(by_run[run_id] <= 2 for run_id in runs), by_run  # the first creates the tables
    files = [one.path for one in psutil.Process().open_files()]
    held = [path for path in files if path.startswith(str(tmp_path))]
    assert runs[-1] in str(held)
    assert len(held) <= 3 * ENGINES_KEPT  # a file, its log, its index
    other = SqliteEventLogStorage(str(tmp_path))
    assert all(len(other.get_records_for_run(run_id).records) == 5 for run_id in runs)
    log.dispose()
    assert list(tmp_path.glob("*-wal")) == []
    log.store_event(an_event(runs[0], 5))
    assert len(other.get_records_for_run(runs[0]).records) == 6


def an_event(run_id, place):
    return dg.EventLogEntry(
        error_info=None,
        level=20,
        user_message=f"line {place}",
        run_id=run_id,
        timestamp=time.time(),
        job_name="index_demo",
    )


def test_an_instance_that_follows_another_reads_no_migrations_of_dagster(instance, monkeypatch):
    """Each tick of a sensor opens one: reading them was half of what an idle stack used."""
    instance.get_latest_materialization_event(KEY)  # the file of all runs is opened when needed
    read = []
    plain = ScriptDirectory.as_revision_number
    monkeypatch.setattr(
        ScriptDirectory, "as_revision_number", lambda *a: read.append(a) or plain(*a)
    )
    with dg.DagsterInstance.get() as other:
        assert other.get_run_records(limit=1) == []
        assert other.all_instigator_state() == []
        assert other.get_latest_materialization_event(KEY) is None
        assert other.get_dynamic_partitions("s3_demo") == KEYS
    assert read == []


def test_a_new_process_reads_no_migrations_where_dagster_has_made_its_tables(instance, monkeypatch):
    """Each run worker is one: reading them was a sixth of what a short run took."""
    instance.get_latest_materialization_event(KEY)
    monkeypatch.setattr(sqlite_storage, "_HAVE_TABLES", set())
    read = []
    monkeypatch.setattr(ScriptDirectory, "as_revision_number", lambda *a: read.append(a))
    with dg.DagsterInstance.get() as other:
        assert other.get_run_records(limit=1) == []
        assert other.all_instigator_state() == []
        assert other.get_dynamic_partitions("s3_demo") == KEYS
    assert read == []


def made_of(path):
    with closing(sqlite3.connect(path)) as file:
        made = file.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY rowid")
        version = file.execute("SELECT * FROM alembic_version").fetchall()
        return made.fetchall(), version, file.execute("PRAGMA journal_mode").fetchall()


def test_each_run_after_the_first_reads_no_migrations_and_its_file_is_as_dagsters(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(sqlite_storage, "_LAYOUT", [])
    plain = SqliteEventLogStorage(str(tmp_path / "plain"))
    plain.store_event(an_event("run", 0))
    log = BatchingEventLog(str(tmp_path))
    log.store_event(an_event("first", 0))
    read = []
    monkeypatch.setattr(ScriptDirectory, "as_revision_number", lambda *a: read.append(a))
    log.store_event(an_event("second", 0))
    assert read == []
    assert [len(log.get_records_for_run(one).records) for one in ("first", "second")] == [1, 1]
    log.dispose()
    first, second = (made_of(tmp_path / f"{name}.db") for name in ("first", "second"))
    assert first == second == made_of(tmp_path / "plain" / "run.db")


def test_a_file_that_another_process_has_begun_meanwhile_is_left_to_dagster(tmp_path, monkeypatch):
    log, other = BatchingEventLog(str(tmp_path)), SqliteEventLogStorage(str(tmp_path))
    looks = sqlite_storage._is_made

    def look_and_be_late(engine, *tables):
        found = looks(engine, *tables)
        monkeypatch.undo()
        other.store_event(an_event("run", 0))
        return found

    monkeypatch.setattr(sqlite_storage, "_is_made", look_and_be_late)
    log.store_event(an_event("run", 1))
    assert len(other.get_records_for_run("run").records) == 2
    log.dispose()


@pytest.mark.parametrize("first", ["run", "index"])
def test_a_file_whose_maker_was_killed_before_its_last_table_is_finished(
    tmp_path, monkeypatch, first
):
    class Killed(BaseException):
        pass

    def killed(*_arguments, **_named):
        raise Killed

    monkeypatch.setattr(sqlite_storage, "_LAYOUT", [])
    monkeypatch.setattr(sqlite_storage, "_HAVE_TABLES", set())
    if first == "run":
        BatchingEventLog(str(tmp_path)).dispose()
        sqlite_storage._LAYOUT.clear()
    with monkeypatch.context() as stamped:
        stamped.setattr(sqlite_event_log, "stamp_alembic_rev", killed)
        with pytest.raises(Killed):
            BatchingEventLog(str(tmp_path)).store_event(an_event("run", 0))
    log = BatchingEventLog(str(tmp_path))
    log.store_event(an_event("run", 1))
    assert len(log.get_records_for_run("run").records) == 1
    log.dispose()


def test_a_file_that_another_process_is_at_is_waited_for(tmp_path):
    log = BatchingEventLog(str(tmp_path))
    with closing(sqlite3.connect(tmp_path / "run.db", check_same_thread=False)) as other:
        other.execute("BEGIN EXCLUSIVE")
        later = threading.Timer(0.5, other.rollback)
        later.start()
        log.store_event(an_event("run", 0))
        later.join()
    assert len(log.get_records_for_run("run").records) == 1
    log.dispose()


def test_files_that_are_put_in_the_place_of_others_get_their_tables(instance, tmp_path):
    instance.dispose()
    (tmp_path / "aside").mkdir()
    for name in ("history", "schedules"):
        (tmp_path / name).rename(tmp_path / "aside" / name)
    with dg.DagsterInstance.get() as other:
        assert other.get_run_records(limit=1) == []
        assert other.all_instigator_state() == []
        assert other.get_dynamic_partitions("s3_demo") == []


def test_a_look_at_a_sensor_asks_dagsters_schema_nothing_that_is_known(instance):
    """As shipped each lists all tables and asks for migrations: four connections for one row."""
    location = RegisteredCodeLocationOrigin("s3sync")
    origin = RemoteRepositoryOrigin(location, "__repository__").get_instigator_origin("dispatch")
    state = InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.RUNNING)
    instance.add_instigator_state(state)
    told: list[str] = []
    engine = sqlite_storage._engine(instance.schedule_storage._conn_string)
    sa.event.listen(engine, "before_cursor_execute", lambda *given: told.append(given[2]))
    before = []
    for _ in range(2):
        before.append(len(told))
        assert instance.get_instigator_state(origin.get_id(), state.selector_id) == state
        instance.update_instigator_state(state)
    second = told[before[1] :]
    assert [one for one in second if "sqlite_master" in one or "secondary_indexes" in one] == []
    assert len(second) <= 5, second


def test_an_index_that_was_not_built_is_asked_for_again(instance):
    storage = instance.schedule_storage
    assert not storage.has_built_index("made_later")
    storage.mark_index_built("made_later")
    assert storage.has_built_index("made_later")
