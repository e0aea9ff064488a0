"""The GraphQL port against a real webserver, code server and daemon."""

import subprocess
import sys
import time

import pytest

from s3sync_dagster.local.loopback import free_port
from s3sync_dagster.model.errors import (
    Conflict,
    FixConfiguration,
    InvalidSetting,
    NotFound,
    Unavailable,
)
from s3sync_dagster.ports.dagster_runs import DagsterRuns
from s3sync_dagster_tests.dagster_partitions import partition_counts, partition_states
from s3sync_dagster_tests.waiting import wait_for

FINISHED = {"SUCCESS", "FAILURE", "CANCELED"}


@pytest.fixture
def dagster(tiny_stack):
    return tiny_stack.dagster


def add_partitions(stack, name, *keys):
    program = (
        "import sys, dagster as dg\n"
        "with dg.DagsterInstance.get() as instance:\n"
        "    instance.add_dynamic_partitions(sys.argv[1], sys.argv[2:])\n"
    )
    environment = stack.settings.child_environment()
    subprocess.run([sys.executable, "-c", program, name, *keys], env=environment, check=True)


def op_config(**values):
    return {"ops": {"s3__one": {"config": values}}}


def finished(dagster, run_id):
    return wait_for(lambda: run if (run := dagster.run(run_id)).status in FINISHED else None)


def test_a_launched_run_succeeds_and_keeps_its_tags(dagster, tiny_stack):
    add_partitions(tiny_stack, "s3_one", "a", "b, c", "bad")
    before = partition_counts(dagster, ["s3", "one"])
    assert (before.total >= 3, before.materialized) == (True, 0)  # others add to this stack, too
    run_id = dagster.launch(
        "index_one", run_config=op_config(keys=["a", "b, c"]), tags={"s3sync/token": "t1"}
    )
    run = finished(dagster, run_id)
    assert (run.status, run.job, run.tags["s3sync/token"]) == ("SUCCESS", "index_one", "t1")
    assert not run.can_terminate
    assert [r.id for r in dagster.runs(tags={"s3sync/token": "t1"})] == [run_id]
    assert partition_counts(dagster, ["s3", "one"]).materialized == 2
    states = partition_states(dagster, ["s3", "one"])
    mine = {"a": "materialized", "b, c": "materialized", "bad": "missing"}
    assert {key: states[key] for key in mine} == mine


def test_a_working_run_is_cancelled_once(dagster):
    run_id = dagster.launch("index_one", run_config=op_config(keys=["a"], seconds=60))
    wait_for(lambda: dagster.run(run_id).status == "STARTED")
    assert run_id in [r.id for r in dagster.runs(statuses=["STARTED"]) if r.can_terminate]
    dagster.cancel(run_id)
    assert finished(dagster, run_id).status == "CANCELED"
    with pytest.raises(Conflict) as caught:
        dagster.cancel(run_id)
    assert caught.value.reason == "run_not_cancellable"


def test_what_does_not_exist_is_named(dagster):
    with pytest.raises(NotFound, match="index_nine") as caught:
        dagster.launch("index_nine", run_config={})
    assert caught.value.reason == "job_not_found"
    for question in (dagster.run, dagster.cancel):
        with pytest.raises(NotFound, match="no-such-run"):
            question("no-such-run")
    assert dagster.tick_times("no_such_sensor") == []


def test_a_wrong_configuration_is_refused(dagster):
    with pytest.raises(InvalidSetting, match="index_one") as caught:
        dagster.launch("index_one", run_config={"ops": {"s3__one": {"config": {"no": 1}}}})
    assert caught.value.reason == "run_config"


def test_the_sensor_ticks(dagster):
    wait_for(lambda: dagster.tick_times("dispatch"))
    assert dagster.tick_times("dispatch", limit=1)[0] <= time.time()
    assert dagster.sensor_is_on("dispatch") is True
    assert dagster.sensor_is_on("no_such_sensor") is None


def test_nobody_there_is_one_sentence():
    with DagsterRuns(f"http://127.0.0.1:{free_port()}") as dagster:
        for question in (dagster.location, dagster.runs, dagster.reload):
            with pytest.raises(Unavailable, match="webserver at http://127.0.0.1") as caught:
                question()
            assert caught.value.reason == "dagster_unavailable"


def test_a_server_that_is_not_dagster_is_noticed(tiny_stack):
    with (
        DagsterRuns(tiny_stack.addresses.chroma) as dagster,
        pytest.raises((Unavailable, FixConfiguration)),
    ):
        dagster.runs()
