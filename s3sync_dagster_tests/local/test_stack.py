"""The supervisor with real processes: order, revival, reloads, SIGTERM, SIGKILL, no orphans."""

import os
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import httpx
import psutil
import pytest

from s3sync_dagster.api.passes import PASS_FILE
from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.local.child import RESTARTS
from s3sync_dagster.local.chroma_server import answers, running_chroma, use_chroma
from s3sync_dagster.local.home import prepare_home
from s3sync_dagster.local.stack import Stack
from s3sync_dagster.local.stack_state import running_stack, stack_lock
from s3sync_dagster.model.errors import Conflict, FixConfiguration, Unavailable
from s3sync_dagster.ports.dagster_runs import TIMEOUT_SECONDS, DagsterRuns
from s3sync_dagster_tests.conftest_stack import (
    TINY,
    sources_version,
    stack_settings,
)
from s3sync_dagster_tests.dagster_partitions import partition_counts
from s3sync_dagster_tests.waiting import wait_for

UP = f"""
from s3sync_dagster.settings import load_settings
from s3sync_dagster.local.signals import stop_on_signals
from s3sync_dagster.local.stack import Stack
with stop_on_signals():
    try:
        with Stack(load_settings(), module={TINY!r}) as stack:
            print(stack.addresses.dagster, stack.addresses.chroma, flush=True)
            stack.watch()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""


def processes_of(home):
    """Processes that live in this home: they all have it in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if process.environ().get("S3SYNC_HOME") == str(home):
                found.append(process)
        except psutil.Error:  # it ended meanwhile, or is another user's
            continue
    return found


@contextmanager
def supervisor(home, *, sigint_ignored=False, cwd=None):
    """A stack in a process of its own, which a test that fails leaves to nobody."""
    settings = stack_settings(home, "one")
    command = [sys.executable, "-P", "-c", UP]
    if sigint_ignored:  # as a shell starts its background commands
        command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command]
    environment = settings.child_environment()
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True, cwd=cwd
    ) as process:
        try:
            yield process
        except BaseException:
            for log in sorted((home / "logs").glob("*.log")):
                print(f"--- {log.name}\n{log.read_text()[-3000:]}")
            raise
        finally:
            process.kill()  # the guardian ends its parts


def launch_sleeper(dagster):
    config = {"ops": {"s3__one": {"config": {"keys": ["a"], "seconds": 300}}}}
    run_id = dagster.launch("index_one", run_config=config)
    wait_for(lambda: dagster.run(run_id).status == "STARTED")
    return run_id


def test_all_parts_answer_and_others_find_them(tiny_stack):
    addresses = tiny_stack.addresses
    assert httpx.get(addresses.dagster).status_code == 200
    assert answers(addresses.chroma)
    assert httpx.get(f"{addresses.api}/health").status_code == 200
    home = tiny_stack.settings.home
    assert running_stack(stack_settings(home, "one", "two")) == addresses
    assert {p.name for p in (home / "logs").iterdir()} >= {
        "code-server.log",
        "webserver.log",
        "daemon.log",
        "supervisor.log",
        "chroma.log",
    }
    launches = {
        name
        for name, child in tiny_stack._children.items()
        if psutil.Process(child.pid).environ().get("S3SYNC_DAGSTER_URL") == addresses.dagster
    }
    assert launches == {"API"}, "what Dagster itself runs has the instance, and no address"


@pytest.mark.long
def test_files_of_the_current_folder_are_not_run(tmp_path):
    folder, ran = tmp_path / "mine", tmp_path / "ran"
    folder.mkdir()
    for name in ("gql", "yaml", "grpc", "queue", "chromadb", "psutil", "fastapi", "secrets"):
        code = f"open({str(ran)!r}, 'a').write('{name} ')\nraise SystemExit(9)\n"
        (folder / f"{name}.py").write_text(code, "utf-8")
    with supervisor(tmp_path / "home", cwd=folder) as process:
        assert process.stdout.readline().startswith("http://")
        process.send_signal(signal.SIGTERM)
        process.wait()
    assert not ran.exists(), ran.read_text()


def test_a_second_stack_in_the_same_home_is_refused_by_name(tiny_stack):
    settings = stack_settings(tiny_stack.settings.home, "one", "two")
    with pytest.raises(Conflict, match=tiny_stack.addresses.dagster) as caught:
        Stack(settings, module=TINY).start()
    assert caught.value.reason == "stack_running"
    assert running_stack(settings) == tiny_stack.addresses


def test_a_taken_port_is_refused_before_anything_starts(tiny_stack, tmp_path):
    port = httpx.URL(tiny_stack.addresses.dagster).port
    with pytest.raises(Conflict, match=f"{port} for the Dagster UI"):
        Stack(stack_settings(tmp_path / "home"), module=TINY, dagster_port=port).start()
    assert not (tmp_path / "home" / "chroma").exists()


def test_a_killed_part_comes_back(tiny_stack):
    home = tiny_stack.settings.home
    for name in ("code server", "daemon"):
        child = tiny_stack._children[name]
        before = child.pid
        os.kill(before, signal.SIGKILL)
        wait_for(lambda child=child: child.exit_code() is not None)
        tiny_stack.tend()
        assert child.pid != before
        assert child.exit_code() is None
    chroma = running_chroma(stack_settings(home, "one", "two"))
    os.kill(chroma.pid, signal.SIGKILL)
    wait_for(lambda: not answers(chroma.url))
    tiny_stack.tend()
    assert answers(chroma.url)
    wait_for(lambda: tiny_stack.dagster.location().state == "loaded")
    log = (home / "logs" / "supervisor.log").read_text()
    assert "code server ended (signal SIGKILL): started again" in log
    assert "chroma ended: started again" in log


def listens(port):
    """Return whether another program gets to listen at a port; it lets go of it at once."""
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            thief.bind(("127.0.0.1", port))
            thief.listen()
        except OSError:
            return False
    return True


def test_no_port_of_a_part_is_ever_anybody_elses(tmp_path):
    """Who listened there while a part starts would be sent the pass, tokens and cookies."""
    stack, ended, stolen = (
        Stack(stack_settings(tmp_path, "one"), module=TINY),
        threading.Event(),
        [],
    )

    def steal():
        while not ended.wait(0.02):
            for part in list(stack._children.values()):
                told = [re.fullmatch(r"(?:--port=)?([23]\d{4})", one) for one in part._command]
                stolen.extend((part.name, one[1]) for one in told if one and listens(int(one[1])))

    thief = threading.Thread(target=steal)
    thief.start()
    try:
        addresses = stack.start()
        assert stolen == []
        parts = {
            "webserver": addresses.dagster,
            "API": f"{addresses.api}/health",
            "chroma door": f"{addresses.chroma}/api/v2/heartbeat",
        }
        for name in parts:
            os.kill(stack._children[name].pid, signal.SIGKILL)
        for name, url in parts.items():
            wait_for(lambda name=name: stack._children[name].exit_code() is not None)
            assert not listens(httpx.URL(url).port)
        stack.tend()
        for url in parts.values():  # who asked meanwhile is answered
            assert httpx.get(url, timeout=180).status_code == 200
        assert stolen == []
        os.kill(stack._children["webserver"].pid, signal.SIGKILL)
    finally:
        ended.set()
        thief.join()
        begun = time.monotonic()
        stack.stop()
    assert time.monotonic() - begun < TIMEOUT_SECONDS  # nobody answers at its port, which is ours
    assert all(listens(httpx.URL(url).port) for url in parts.values())


def test_with_tokens_all_doors_are_closed_and_the_parts_know_each_other(tmp_path, monkeypatch):
    monkeypatch.setenv("S3SYNC_DAGSTER_PUBLIC_URL", "https://dagster.example.org")
    settings = stack_settings(tmp_path, "one")
    prepare_home(settings, dagster=False)
    catalog = open_catalog(settings.database_url)
    token = catalog.tokens.create(tenant="default_tenant", role="owner")[1]
    catalog.close()
    with Stack(settings, module=TINY) as stack:
        addresses = stack.addresses
        for url in (f"{addresses.dagster}/server_info", f"{addresses.chroma}/api/v2/heartbeat"):
            assert httpx.get(url).status_code == 401
            assert httpx.get(url, headers={"x-chroma-token": token}).status_code == 200
        guess = {
            "host": "dagster.example.org",
            "x-forwarded-for": "203.0.113.7",  # of anybody: no proxy with our secret sent it
            "x-chroma-token": "s3s_guessed",
        }
        assert httpx.get(f"{addresses.dagster}/runs", headers=guess).status_code == 401
        catalog = open_catalog(settings.database_url)
        [(_, guessed)] = wait_for(lambda: catalog.audit.rows(who="unknown token"))
        assert (guessed.door, guessed.address) == ("dagster", "127.0.0.1")
        assert httpx.get(f"{addresses.api}/api/v1/sources").status_code == 401
        assert stack.dagster.location().state == "loaded"
        assert httpx.get(f"{addresses.api}/health").json()["parts"]["dagster"] == "ok"
        assert stat.S_IMODE((tmp_path / PASS_FILE).stat().st_mode) == 0o600
        owner = {"x-chroma-token": token}
        asked = {"query": "mutation{setNuxSeen}"}
        assert httpx.post(f"{addresses.chroma}/api/v2/reset", headers=owner, json={}).is_error
        done = httpx.post(f"{addresses.dagster}/graphql", headers=owner, json=asked, timeout=60)
        assert done.json() == {"data": {"setNuxSeen": True}}
    rows = [one for _, one in catalog.audit.rows(who="token 1")]  # written before the doors ended
    catalog.close()
    assert {(one.door, one.subject) for one in rows} == {("chroma", ""), ("dagster", "setNuxSeen")}
    assert not (tmp_path / PASS_FILE).exists()


def test_a_chroma_that_keeps_ending_ends_the_stack(tmp_path):
    stack = Stack(stack_settings(tmp_path, "one"), module=TINY)
    with use_chroma(stack.settings) as chroma:
        stack._chroma = chroma
        assert all(stack._chroma_restarts.one_more(time.monotonic()) for _ in range(RESTARTS))
        os.kill(chroma.pid, signal.SIGKILL)
        wait_for(lambda: not answers(chroma.url))
        with pytest.raises(FixConfiguration, match="Chroma keeps ending") as caught:
            stack.tend()
    assert caught.value.reason == "part_died"


def test_changed_sources_are_loaded_and_broken_ones_are_told(tiny_stack):
    home = tiny_stack.settings.home

    def tended_until(condition):
        wait_for(lambda: tiny_stack.tend() or condition())

    def has_job(name):
        try:
            return partition_counts(tiny_stack.dagster, ["s3", name]).total >= 0
        except (LookupError, Unavailable):
            return False

    stack_settings(home, "one", "two", "three")
    tended_until(lambda: has_job("three"))
    stack_settings(home, "broken")
    log = home / "logs" / "supervisor.log"
    tended_until(lambda: "cannot load the definitions" in log.read_text())
    assert tiny_stack.dagster.location().state == "broken"
    stack_settings(home, "one", "two")
    tended_until(lambda: tiny_stack.dagster.location().state == "loaded" and has_job("two"))
    assert not has_job("three")


@pytest.mark.long
def test_definitions_that_cannot_be_loaded_end_the_start(tmp_path):
    settings = stack_settings(tmp_path, "broken")
    with pytest.raises(FixConfiguration, match=r"code-server\.log") as caught:
        Stack(settings, module=TINY).start()
    assert caught.value.reason in ("definitions_broken", "part_died")
    assert "broken on purpose" in (tmp_path / "logs" / "code-server.log").read_text()
    assert processes_of(tmp_path) == []


@pytest.mark.long
def test_sigterm_ends_all_in_time_and_cancels_what_works(tmp_path):
    home = tmp_path / "home"
    with supervisor(home, sigint_ignored=True) as process:
        dagster_url, chroma_url = process.stdout.readline().split()
        with DagsterRuns(dagster_url) as dagster:
            run_id = launch_sleeper(dagster)
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=60)[0] == "interrupted\n"
        assert process.returncode == 0
    assert processes_of(home) == []
    assert not answers(chroma_url)
    program = (
        "import sys, dagster as dg\n"
        "with dg.DagsterInstance.get() as instance:\n"
        "    print(instance.get_run_by_id(sys.argv[1]).status.value)\n"
    )
    environment = stack_settings(home, "one").child_environment()
    status = subprocess.check_output([sys.executable, "-c", program, run_id], env=environment)
    assert status.decode().strip() == "CANCELED"


@pytest.mark.long
def test_a_killed_supervisor_leaves_nothing_and_the_next_one_waits_for_that(tmp_path):
    home = tmp_path / "home"
    with supervisor(home) as process:
        dagster_url, chroma_url = process.stdout.readline().split()
        with DagsterRuns(dagster_url) as dagster:
            launch_sleeper(dagster)
        process.kill()
    assert processes_of(home) != []
    with stack_lock(home):  # what the next one takes first; the guardian holds it until the end
        assert processes_of(home) == []
        assert not answers(chroma_url)
    assert running_stack(stack_settings(home, "one")) is None


def test_ctrl_c_during_the_start_leaves_nothing(tmp_path):
    home = tmp_path / "home"
    with supervisor(home) as process:
        wait_for(lambda: (home / "logs" / "code-server.log").exists())
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60)[0] == "interrupted\n"
    assert processes_of(home) == []
    assert sources_version(home)() == "one"
