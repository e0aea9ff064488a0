"""Run workers that are forked from a warm process: one run each, seen when they die."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import Any

import pytest
from dagster import (
    DagsterError,
    DagsterInstance,
    DagsterRunStatus,
    in_process_executor,
    job,
    op,
    reconstructable,
)
from dagster._core.code_pointer import FileCodePointer
from dagster._core.launcher import DefaultRunLauncher, LaunchRunContext
from dagster._core.origin import RepositoryPythonOrigin
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._core.storage.tags import GRPC_INFO_TAG
from dagster._core.test_utils import poll_for_finished_run

from s3sync_dagster.defs.dagster_internals.launcher import WarmRunLauncher
from s3sync_dagster.defs.dagster_internals.run_forker import preload
from s3sync_dagster.local.home import prepare_home
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.ports.run_forker import ask_forker
from s3sync_dagster.settings import load_settings


@op
def wait_or_die(context):
    """Does what the run's tag says."""
    wish = context.run.tags["wish"]
    if wish == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if wish == "wait":
        context.log.info("waiting")
        time.sleep(60)
    if wish == "fail":
        raise ValueError("as it was wished")


@job(executor_def=in_process_executor)
def wishes():
    wait_or_die()


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A data folder with a forker, whose variables this process has too, as a daemon has."""
    settings = load_settings({**os.environ, "S3SYNC_HOME": str(tmp_path_factory.mktemp("run"))})
    prepare_home(settings)
    environment = settings.child_environment()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("S3SYNC_HOME", "DAGSTER_HOME"):
            patch.setenv(name, environment[name])
        forker = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "s3sync_dagster.defs.dagster_internals.run_forker",
                str(settings.runs_socket),
            ],
            env=environment,
        )
        end = time.monotonic() + 60
        while ask_forker(load_settings().runs_socket, {"run_id": "none"}) is None:
            assert time.monotonic() < end
            assert forker.poll() is None
            time.sleep(0.1)
        yield settings
        forker.terminate()
        assert forker.wait(30) == 0
        assert not settings.runs_socket.exists()


@pytest.fixture
def instance(home):
    with DagsterInstance.get() as opened:
        yield opened


class Workspace:
    """Has one code location, the repository of this module."""

    def __init__(self):
        self.away = False
        self.asked = []

    def get_code_location(self, name):
        self.asked.append(name)
        if self.away:
            raise DagsterError("is loaded again")
        return self

    def get_repository(self, _name):
        return self

    def get_python_origin(self):
        return reconstructable(wishes).get_python_origin().repository_origin


ORIGIN = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "__repository__")


def launch(instance, wish, code_origin=None, workspace: Any = None):
    """Launch a run as the daemon does; the default way would be an error, for want of a server."""
    run = instance.create_run_for_job(
        wishes,
        tags={"wish": wish},
        job_code_origin=code_origin or reconstructable(wishes).get_python_origin(),
        remote_job_origin=ORIGIN.get_job_origin("wishes"),
        status=DagsterRunStatus.STARTING,
    )
    context = LaunchRunContext(dagster_run=run, workspace=workspace or Workspace())
    instance.run_launcher.launch_run(context)
    return run.run_id


def worker_of(run_id):
    return (ask_forker(load_settings().runs_socket, {"run_id": run_id}) or {})["pid"]


def until_started(instance, run_id):
    end = time.monotonic() + 30
    while instance.get_run_by_id(run_id).status is not DagsterRunStatus.STARTED:
        assert time.monotonic() < end
        time.sleep(0.05)


def test_the_shipped_instance_launches_that_way(instance):
    assert type(instance.run_launcher) is WarmRunLauncher


@pytest.mark.parametrize(
    ("wish", "status"), [("work", DagsterRunStatus.SUCCESS), ("fail", DagsterRunStatus.FAILURE)]
)
def test_a_run_ends_as_its_op_does(instance, wish, status):
    run_id = launch(instance, wish)
    assert poll_for_finished_run(instance, run_id, timeout=60).status is status


def test_no_program_is_run_that_only_the_row_of_a_run_names(instance, monkeypatch, tmp_path):
    ran, program = tmp_path / "ran", tmp_path / "of_a_stranger.py"
    program.write_text(f"open({str(ran)!r}, 'w')")
    stranger = RepositoryPythonOrigin(
        executable_path=sys.executable,
        code_pointer=FileCodePointer(python_file=str(program), fn_name="defs"),
    )
    as_dagster_does = []
    monkeypatch.setattr(
        DefaultRunLauncher, "launch_run", lambda _, context: as_dagster_does.append(context)
    )
    run_id = launch(instance, "work", code_origin=stranger.get_job_origin("wishes"))
    run = instance.get_run_by_id(run_id)
    if not as_dagster_does:
        run = poll_for_finished_run(instance, run_id, timeout=60)
    assert not ran.exists()
    assert [context.dagster_run.run_id for context in as_dagster_does] == [run_id]
    instance.report_run_failed(run)


def test_a_location_that_is_loaded_again_keeps_no_run_from_starting(instance):
    workspace = Workspace()
    launch(instance, "work", workspace=workspace)
    workspace.away = True
    run_id = launch(instance, "work", workspace=workspace)
    assert poll_for_finished_run(instance, run_id, timeout=60).status is DagsterRunStatus.SUCCESS
    assert workspace.asked == ["here", "here"]


def test_a_worker_that_dies_is_reported_within_seconds(instance):
    run_id = launch(instance, "die")
    assert poll_for_finished_run(instance, run_id, timeout=15).status is DagsterRunStatus.FAILURE
    messages = [log.message for log in instance.all_logs(run_id)]
    assert any("ended unexpectedly: signal SIGKILL" in message for message in messages), messages


def test_two_runs_at_once_and_one_is_cancelled(instance):
    waiting, working = launch(instance, "wait"), launch(instance, "work")
    assert poll_for_finished_run(instance, working, timeout=60).status is DagsterRunStatus.SUCCESS
    until_started(instance, waiting)
    assert worker_of(waiting)
    assert instance.run_launcher.terminate(waiting)
    assert poll_for_finished_run(instance, waiting, timeout=30).status is DagsterRunStatus.CANCELED
    assert not instance.run_launcher.terminate(waiting)


def started(instance, told):
    """Make a run as a row of a history that somebody else wrote: it names a code server."""
    return instance.create_run_for_job(
        wishes, tags={GRPC_INFO_TAG: told}, status=DagsterRunStatus.STARTED
    ).run_id


STRANGERS = (
    '{{"host": "0.0.0.0", "port": {0}}}',
    '{{"host": "0.0.0.0", "port": {0}, "socket": "own"}}',
    '{{"host": "0.0.0.0", "port": "{0}"}}',
    '{{"socket": "/another"}}',
    "[{0}]",
    "{{",
    "5",
    '"x"',
)


@pytest.mark.parametrize("form", STRANGERS)
def test_nobody_is_called_whom_only_the_row_of_a_run_names(instance, monkeypatch, form):
    monkeypatch.setenv("S3SYNC_CODE_SERVER_SOCKET", "own")
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        stranger.settimeout(0.01)
        port = stranger.getsockname()[1]
        assert not instance.run_launcher.terminate(started(instance, form.format(port)))
        with pytest.raises(TimeoutError):
            stranger.accept()


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1", "code", "other"])
def test_code_servers_of_this_machine_and_those_that_are_named_are_called(
    instance, monkeypatch, host
):
    monkeypatch.setenv("S3SYNC_CODE_SERVER_HOST", "code, other")
    run_id = started(instance, json.dumps({"host": host, "port": 1}))
    client = instance.run_launcher._get_grpc_client_for_termination(run_id)
    assert (client.host, client.port) == (host, 1)
    instance.report_run_failed(instance.get_run_by_id(run_id))


def test_a_request_that_is_none_harms_nothing(home):
    for text in (b"no json\n", b"\n", b"[1]\n", b"{}\n"):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
            link.connect(str(home.runs_socket))
            link.sendall(text)
            assert link.recv(100) == b""
    assert ask_forker(load_settings().runs_socket, {"run_id": "none"}) == {"pid": None}


def test_without_a_forker_runs_start_as_dagster_starts_them(instance, monkeypatch, tmp_path):
    started = []
    monkeypatch.setenv("S3SYNC_HOME", str(tmp_path))
    monkeypatch.setattr(
        DefaultRunLauncher, "launch_run", lambda _, context: started.append(context.dagster_run)
    )
    run_id = launch(instance, "work")
    assert [run.run_id for run in started] == [run_id]
    instance.report_run_failed(started[0])


DIES_ON_A_FORK = """
import os, signal
from s3sync_dagster.defs.dagster_internals import run_forker

def fork(fork=os.fork):
    pid = fork()
    if pid:
        os.kill(os.getpid(), signal.SIGKILL)
    return pid

run_forker.os.fork = fork
run_forker.main()
"""


def test_a_forker_that_dies_between_fork_and_answer_leaves_one_worker(
    instance, home, monkeypatch, tmp_path
):
    another = tmp_path / "s"
    (another / "dagster").mkdir(parents=True)
    monkeypatch.setenv("S3SYNC_HOME", str(another))
    path = load_settings().runs_socket
    forker = subprocess.Popen([sys.executable, "-c", DIES_ON_A_FORK, str(path)])
    end = time.monotonic() + 60
    while ask_forker(load_settings().runs_socket, {"run_id": "none"}) is None:
        assert time.monotonic() < end
        time.sleep(0.1)
    with pytest.raises(Unavailable, match="did not answer"):
        launch(instance, "work")  # Dagster's own way would fail at the missing server
    assert forker.wait(30) == -signal.SIGKILL
    (record, *_) = instance.get_run_records(limit=1)
    run = poll_for_finished_run(instance, record.dagster_run.run_id, timeout=60)
    assert run.status is DagsterRunStatus.SUCCESS
    started = [log for log in instance.all_logs(run.run_id) if "Started process" in log.message]
    assert len(started) == 1


def test_a_module_that_is_missing_is_named_and_ends_nothing(tmp_path, caplog):
    (tmp_path / "dagster.yaml").write_text(
        "compute_logs: {module: no_such_module_here, class: Nothing}\n"
    )
    preload(tmp_path)
    assert "no_such_module_here cannot be imported" in caplog.text
