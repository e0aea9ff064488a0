"""Dagster's private modules: in one folder, each used here with the Dagster that is installed."""

import inspect
import json
import pkgutil
import re
import socket
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import create_autospec

import dagster as dg
import pytest
from dagster._cli.code_server import get_default_grpc_proxy_heartbeat_ttl
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.remote_representation.external import RemoteRepository
from dagster._core.scheduler.instigation import (
    InstigatorState,
    InstigatorStatus,
    SensorInstigatorData,
    TickData,
    TickStatus,
)
from dagster._core.storage.compute_log_manager import ComputeIOType
from dagster._core.workspace.context import BaseWorkspaceRequestContext
from dagster._daemon import cli, controller
from dagster._grpc import client, server_watcher

import s3sync_dagster
from s3sync_dagster.core.naming import SOURCE_TAG
from s3sync_dagster.defs import dagster_internals
from s3sync_dagster.defs.dagster_internals import (
    backfills,
    event_batches,
    failures,
    followers,
    instances,
    launcher,
    polling,
    pooling,
    pruning,
    run_forker,
    sqlite_storage,
)
from s3sync_dagster.defs.dagster_internals.tick_pruning import prune_ticks
from s3sync_dagster.defs.loaded_sensors import LoadedSensors
from s3sync_dagster.local.home import shipped

PACKAGE = Path(s3sync_dagster.__file__).parent
FOLDER = Path(dagster_internals.__file__).parent
MODULES = [module.name for module in pkgutil.iter_modules([str(FOLDER)])]
KEY = dg.AssetKey(["s3", "docs"])
PARTITIONS = dg.DynamicPartitionsDefinition(name="s3_docs")


def test_no_file_outside_the_folder_imports_a_private_module_of_dagster():
    private = re.compile(r"^\s*(from|import)\s+dagster(\w*)\._", re.MULTILINE)
    outside = [path for path in PACKAGE.rglob("*.py") if FOLDER not in path.parents]
    assert len(outside) > 100
    assert [str(path) for path in outside if private.search(path.read_text())] == []
    assert any(private.search(path.read_text()) for path in FOLDER.glob("*.py"))


def test_the_instances_that_are_shipped_name_modules_that_exist():
    root = PACKAGE.parent
    files = [PACKAGE / "local/dagster.yaml", *root.glob("deploy/*.yaml")]
    named = [
        (module, name)
        for path in files
        for module, name in re.findall(
            r"module: (s3sync_dagster\S+)\s+class: (\w+)", path.read_text()
        )
    ]
    assert len(named) == 3
    for module, name in named:
        assert hasattr(pkgutil.resolve_name(module), name), module


@pytest.fixture
def instance(tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "100")
    (tmp_path / "dagster.yaml").write_text(shipped("dagster.yaml"))
    with dg.DagsterInstance.get() as opened:
        opened.add_dynamic_partitions("s3_docs", ["good", "bad"])
        yield opened


@dg.asset(key=KEY, partitions_def=PARTITIONS, output_required=False)
def docs(context: dg.AssetExecutionContext):
    """What the last op of a run tells: one key is indexed, another one failed."""
    op = context.op_execution_context
    event_batches.log_together(op, [dg.AssetMaterialization(KEY, partition="good")])
    event_batches.plan_partitions(op, [(KEY, "bad")])
    event_batches.log_together(op, [dg.AssetObservation(KEY, partition="bad")])
    raise dg.Failure("one failed", allow_retries=False)
    yield


JOB = dg.define_asset_job("index_docs", [docs])


def whole_job():
    return dg.Definitions(assets=[docs], jobs=[JOB]).resolve_job_def("index_docs")


def execute(instance):
    return whole_job().execute_in_process(
        instance=instance,
        partition_key="good",
        raise_on_error=False,
        tags={SOURCE_TAG: "docs"},
    )


def uses_backfills(instance, _):
    assert not backfills.is_backfilled(instance, [KEY])
    from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

    one = PartitionBackfill(
        backfill_id="one", status=BulkActionStatus.REQUESTED, from_failure=False, tags={},
        backfill_timestamp=0.0, asset_selection=[KEY],
    )  # fmt: skip
    instance.add_backfill(one)
    assert backfills.is_backfilled(instance, [KEY])
    assert not backfills.is_backfilled(instance, [dg.AssetKey(["s3", "another"])])
    instance.update_backfill(one.with_status(BulkActionStatus.COMPLETED_SUCCESS))
    assert not backfills.is_backfilled(instance, [KEY])


def uses_event_batches(instance, _):
    result = execute(instance)
    assert not result.success
    found = instance.get_status_by_partition(KEY, ["good", "bad"], PARTITIONS)
    assert {key: status.value for key, status in found.items()} == {
        "good": "MATERIALIZED",
        "bad": "FAILED",
    }


def uses_sqlite_storage(instance, _):
    storage = instance.event_log_storage
    assert isinstance(storage, sqlite_storage.BatchingEventLog)
    result = execute(instance)
    told = storage.get_records_for_run(result.run_id, of_type=dg.DagsterEventType.ASSET_OBSERVATION)
    assert len(told.records) == 1
    assert instance.get_latest_materialization_event(KEY).dagster_event.partition == "good"


def uses_failures(instance, _):
    """The sentence alone is stored; raised in any other way the stack is, too."""

    @dg.op
    def fail():
        raise failures.DataFailure("one failed", metadata={"failed": 1})

    @dg.job
    def failing():
        fail()

    result = failing.execute_in_process(instance=instance, raise_on_error=False)
    (event,) = [one for one in result.all_events if one.is_step_failure]
    assert (event.step_failure_data.error.message, event.step_failure_data.error.stack) == (
        "one failed", [],
    )  # fmt: skip
    assert event.step_failure_data.user_failure_data.metadata["failed"].value == 1


def uses_instances(_, home):
    """`cli.test_terminal` has it on a terminal; here the part that is put in its place."""
    with instances.open_uncaptured_instance(home) as opened:
        assert opened.root_directory == str(home)
        assert type(opened.compute_log_manager).__name__ == "NoOpComputeLogManager"
        assert isinstance(opened.event_log_storage, sqlite_storage.BatchingEventLog)


def uses_followers(instance, _):
    """What follows a graph asset begins on its output, which is no materialisation of Dagster's."""
    seen = {}

    @dg.op(out=dg.Out(dg.Nothing, is_required=False))
    def told(context):
        seen["followed"] = followers.has_followers(context, but="nobody")
        seen["but"] = followers.has_followers(context, but="after")
        yield followers.go_on()

    @dg.graph_asset
    def before():
        return told()

    @dg.asset(deps=[before])
    def after():
        seen["after"] = True

    @dg.asset_check(asset=before)
    def checked(context: dg.AssetCheckExecutionContext):
        seen["follows"] = followers.follows(context)
        return dg.AssetCheckResult(passed=True)

    assert dg.materialize([before, after], instance=instance).success
    assert seen == {"followed": True, "but": False, "after": True}
    assert instance.get_latest_materialization_event(before.key) is None
    for follows in (True, False):
        alone = None if follows else dg.AssetSelection.checks(checked)
        assert dg.materialize([before, checked], instance=instance, selection=alone).success
        assert seen["follows"] == follows


def uses_pruning(instance, _):
    execute(instance)
    later = datetime.now(UTC) + timedelta(days=40)
    assert pruning.prune_runs(instance, ["docs"], keep_runs=0, now=later) == 1
    assert instance.get_runs_count() == 0
    assert instance.get_materialized_partitions(KEY) == {"good"}
    for passed in (False, True):
        instance.report_runless_asset_event(
            dg.AssetCheckEvaluation(asset_key=KEY, check_name="whole", passed=passed)
        )
    assert pruning.prune_evaluations(instance, [KEY], now=later) == 1


def said(instance, sensor):
    """Have a tick say something; returns the folder of what the sensor's ticks said."""
    key = ["__repository__", sensor, "5"]
    with instance.compute_log_manager.open_log_stream(key, ComputeIOType.STDERR) as stream:
        stream.write("said")
    return Path(instance.compute_log_manager.get_captured_local_path(key, "err")).parent


def uses_tick_pruning(instance, _):
    folder = said(instance, "dispatch")
    (folder / "sub").mkdir()
    later = datetime.now(UTC).timestamp() + 2 * 86_400
    loaded, others = LoadedSensors("here", {"dispatch"}), LoadedSensors("here", {"of_others"})
    assert prune_ticks(instance, loaded) == 0
    assert prune_ticks(instance, others, now=later) == 0
    assert [prune_ticks(instance, loaded, now=later) for _ in range(2)] == [1, 0]


def test_a_day_after_its_last_tick_all_of_a_sensor_that_is_gone_goes(instance):
    now = datetime.now(UTC).timestamp()
    states = {
        (location, name): add_sensor(instance, location, name, ticked=now)
        for location, name in [("here", "dispatch"), ("here", "q_intake"), ("else", "x_intake")]
    }
    off = add_sensor(instance, "here", "off_intake", ticked=now, status=InstigatorStatus.STOPPED)
    for name in ("dispatch", "q_intake", "x_intake", "off_intake"):
        said(instance, name)
    loaded = LoadedSensors("here", {"dispatch"})
    assert prune_ticks(instance, loaded, now=now + 3_600) == 0
    assert left(instance, states["here", "q_intake"]) == (True, 1)
    assert prune_ticks(instance, LoadedSensors(None, {"dispatch"}), now=now + 2 * 86_400) == 1
    assert left(instance, states["here", "q_intake"]) == (True, 1)
    assert prune_ticks(instance, loaded, now=now + 2 * 86_400) == 2
    assert left(instance, states["here", "q_intake"]) == (False, 0)
    assert left(instance, off) == (True, 0)
    assert left(instance, states["here", "dispatch"]) == (True, 1)
    assert left(instance, states["else", "x_intake"]) == (True, 1)


def add_sensor(instance, location, name, *, ticked, status=InstigatorStatus.DECLARED_IN_CODE):
    """Have the storage know a sensor of a code location, with a tick."""
    code = RegisteredCodeLocationOrigin(location)
    origin = RemoteRepositoryOrigin(code, "__repository__").get_instigator_origin(name)
    data = SensorInstigatorData(last_tick_timestamp=ticked)
    state = InstigatorState(origin, InstigatorType.SENSOR, status, data)
    instance.add_instigator_state(state)
    instance.create_tick(
        TickData(
            instigator_origin_id=state.instigator_origin_id,
            instigator_name=name,
            instigator_type=InstigatorType.SENSOR,
            status=TickStatus.SKIPPED,
            timestamp=ticked,
            selector_id=state.selector_id,
        )
    )
    return state


def left(instance, state):
    """Return whether the storage has the state of a sensor, and how many ticks."""
    ids = (state.instigator_origin_id, state.selector_id)
    return instance.get_instigator_state(*ids) is not None, len(instance.get_ticks(*ids))


def uses_launcher(instance, home):
    """The request that a forker gets is one that Dagster's own command would take."""
    assert isinstance(instance.run_launcher, launcher.WarmRunLauncher)
    asked = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(home / "runs.sock"))
        listener.listen(1)

        def answer():
            link, _ = listener.accept()
            with link, link.makefile("r") as lines:
                asked.append(json.loads(lines.readline())["execute"])
                link.sendall(b'{"pid": 1}\n')

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        origin = dg.reconstructable(whole_job).get_python_origin()
        here = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "__repository__")
        loaded = create_autospec(RemoteRepository, instance=True)
        loaded.get_python_origin.return_value = origin.repository_origin
        workspace = create_autospec(BaseWorkspaceRequestContext, instance=True)
        workspace.get_code_location.return_value.get_repository.return_value = loaded
        run = instance.create_run_for_job(
            whole_job(),
            job_code_origin=origin,
            remote_job_origin=here.get_job_origin(origin.job_name),
        )
        instance.launch_run(run.run_id, workspace=workspace)
        thread.join(10)
    (text,) = asked
    assert run_forker._arguments(text).run_id == run.run_id


def uses_run_forker(_, home, caplog):
    run_forker.preload(home)
    assert caplog.messages == []
    assert "execute_run" in run_forker.api_cli.commands


def uses_pooling(instance, _):
    """`test_postgres` has it with a server; here the arguments and what leaves SQLite alone."""
    pooling.pool_connections(instance)
    asked = {"statement_timeout": 60_000, "pool_recycle": 3600, "max_overflow": 5}
    inspect.signature(type(instance).optimize_for_webserver).bind(instance, **asked)


def uses_polling(_, __, monkeypatch):
    """The parts of a stack ask one another less often, and often enough."""
    shipped_watch, shipped_heartbeat = 1, 1
    monkeypatch.setattr(server_watcher, "WATCH_INTERVAL", server_watcher.WATCH_INTERVAL)
    monkeypatch.setattr(client, "CLIENT_HEARTBEAT_INTERVAL", client.CLIENT_HEARTBEAT_INTERVAL)
    monkeypatch.setattr(controller, "RELOAD_WORKSPACE_INTERVAL", 60)
    assert server_watcher.WATCH_INTERVAL == shipped_watch
    assert client.CLIENT_HEARTBEAT_INTERVAL == shipped_heartbeat
    ran = create_autospec(cli.main)
    monkeypatch.setattr(cli, "main", ran)
    monkeypatch.setattr("sys.argv", ["polling.py", "dagster-daemon", "run"])
    polling.main()
    ran.assert_called_once_with()
    assert sys.argv == ["dagster-daemon", "run"]
    waited = []

    def look(*_args, **_named):
        raise LookupError("the look that is due")  # the watch goes on after any

    shut = create_autospec(threading.Event(), instance=True)
    shut.is_set.side_effect = lambda: bool(waited)
    shut.wait.side_effect = waited.append
    asked = create_autospec(client.DagsterGrpcClient, instance=True)
    asked.get_server_id.side_effect = look
    nothing = {name: look for name in ("get_location_entry", "refresh_code_location")}
    nothing |= {f"on_{name}": look for name in ("disconnect", "reconnected", "updated", "error")}
    server_watcher.watch_grpc_server_thread("s3sync", asked, shut, **nothing)
    assert waited == [polling.WATCH_SECONDS * server_watcher.MAX_RECONNECT_ATTEMPTS]
    assert shipped_watch < polling.WATCH_SECONDS
    # who hears nothing for so long ends itself
    assert 3 * client.CLIENT_HEARTBEAT_INTERVAL < get_default_grpc_proxy_heartbeat_ttl()
    assert shipped_heartbeat < client.CLIENT_HEARTBEAT_INTERVAL == polling.HEARTBEAT_SECONDS
    # one that failed is done again before the daemon ends
    tolerance = controller.DEFAULT_WORKSPACE_FRESHNESS_TOLERANCE
    assert 2 * controller.RELOAD_WORKSPACE_INTERVAL <= tolerance
    assert polling.RELOAD_SECONDS == controller.RELOAD_WORKSPACE_INTERVAL


@pytest.mark.parametrize("name", MODULES)
def test_it_works_with_the_dagster_that_is_installed(name, instance, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("S3SYNC_HOME", str(tmp_path))
    use = globals()[f"uses_{name}"]
    more = {"run_forker": [caplog], "polling": [monkeypatch]}.get(name, [])
    use(instance, tmp_path, *more)
