"""``up`` beside other people's Dagster, in an instance on Postgres that both use."""

import subprocess
import sys

import psutil
import pytest
import sqlalchemy as sa

from s3sync_dagster.local.stack import Stack
from s3sync_dagster.model.errors import Conflict
from s3sync_dagster_tests.conftest_catalog import fresh_postgres_database
from s3sync_dagster_tests.conftest_stack import TINY, stack_settings
from s3sync_dagster_tests.waiting import wait_for

THEIRS = """
import dagster as dg
@dg.op
def work(): pass
@dg.job
def theirs(): work()
with dg.DagsterInstance.get() as instance:
    run = instance.create_run_for_job(
        theirs,
        status=dg.DagsterRunStatus.STARTED,
        tags={".dagster/grpc_info": '{"host": "other.example.org", "port": 4000}'},
    )
    print(run.run_id)
"""
STATUS = """
import sys, dagster as dg
with dg.DagsterInstance.get() as instance:
    print(instance.get_run_by_id(sys.argv[1]).status.value)
"""


@pytest.fixture
def shared(tmp_path, postgres_url):
    """Settings of a home whose ``dagster.yaml`` names a Postgres, as a team's does."""
    url = sa.make_url(fresh_postgres_database(postgres_url))
    settings = stack_settings(tmp_path / "home", "one")
    settings.dagster_home.mkdir()
    where = url.set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)
    (settings.dagster_home / "dagster.yaml").write_text(
        "telemetry: {enabled: false}\n"
        f"storage: {{postgres: {{postgres_url: '{where}'}}}}\n"
        "run_launcher:\n"
        "  module: s3sync_dagster.defs.dagster_internals.launcher\n"
        "  class: WarmRunLauncher\n"
    )
    return settings


@pytest.mark.long
@pytest.mark.timeout(900)  # a whole stack on Postgres, and a second that is refused
def test_a_stack_refuses_to_be_the_second_daemon_and_ends_its_own_runs_only(shared):
    config = {"ops": {"s3__one": {"config": {"keys": ["a"], "seconds": 300}}}}
    with Stack(shared, module=TINY) as stack:
        own = stack.dagster.launch("index_one", run_config=config)
        other = second_home(shared)
        with pytest.raises(Conflict, match="already works") as refused:
            Stack(other, module=TINY).start()
        assert refused.value.reason == "daemon_running"
        assert not any(in_home(process, other.home) for process in psutil.process_iter())
        wait_for(lambda: stack.dagster.run(own).status == "STARTED")
        theirs = started_elsewhere(shared)
        assert stack.dagster.run(theirs).can_terminate
    assert [status(shared, one) for one in (own, theirs)] == ["CANCELED", "STARTED"]


def second_home(settings):
    """Return settings of another home whose Dagster is the same."""
    other = stack_settings(settings.home.with_name("other"), "one")
    other.dagster_home.mkdir()
    yaml = (settings.dagster_home / "dagster.yaml").read_text()
    (other.dagster_home / "dagster.yaml").write_text(yaml)
    return other


def started_elsewhere(settings):
    """Have a run that the code server of another host works on."""
    told = subprocess.check_output(
        [sys.executable, "-c", THEIRS], env=settings.child_environment(), text=True
    )
    return told.strip()


def status(settings, run_id):
    told = subprocess.check_output(
        [sys.executable, "-c", STATUS, run_id], env=settings.child_environment(), text=True
    )
    return told.strip()


def in_home(process, home):
    try:
        environ = process.environ()
        return environ.get("S3SYNC_HOME") == str(home) and process.status() != "zombie"
    except psutil.Error:
        return False
