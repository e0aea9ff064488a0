"""One Chroma per data folder, with real servers, real processes and SIGKILL."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from s3sync_dagster.local import chroma_server
from s3sync_dagster.local.chroma_server import (
    answers,
    revive_chroma,
    running_chroma,
    use_chroma,
)
from s3sync_dagster.local.loopback import free_port, require_free
from s3sync_dagster.model.errors import Conflict, Unavailable
from s3sync_dagster.settings import load_settings
from s3sync_dagster_tests.opened import stock_client
from s3sync_dagster_tests.waiting import wait_for

USER = """
import sys
from s3sync_dagster.settings import load_settings
from s3sync_dagster.local.chroma_server import use_chroma
with use_chroma(load_settings()) as server:
    print(server.url, server.pid, server.started, flush=True)
    sys.stdin.read()
"""


def settings_of(home, **more):
    environ = {k: v for k, v in os.environ.items() if k != "S3SYNC_CHROMA_URL"}
    return load_settings({**environ, "S3SYNC_HOME": str(home), **more})


@contextmanager
def user(home):
    """Another process that uses the server until its input ends."""
    environ = {k: v for k, v in os.environ.items() if k != "S3SYNC_CHROMA_URL"}
    process = subprocess.Popen(
        [sys.executable, "-c", USER],
        env={**environ, "S3SYNC_HOME": str(home)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def told(process):
    url, pid, started = process.stdout.readline().split()
    return url, int(pid), started == "True"


def test_the_first_starts_the_second_shares_the_last_stops(tmp_path):
    settings = settings_of(tmp_path)
    with use_chroma(settings) as first:
        assert first.started
        assert answers(first.url)
        with user(tmp_path) as process:
            url, pid, started = told(process)
            assert (url, pid, started) == (first.url, first.pid, False)
            process.communicate("")
        assert answers(first.url), "a user that leaves must not stop what others use"
        assert running_chroma(settings) is not None
    assert not answers(first.url)
    assert running_chroma(settings) is None
    assert not psutil.pid_exists(first.pid)


def test_a_server_loads_nothing_of_the_python_client(tmp_path):
    with use_chroma(settings_of(tmp_path)) as server:
        mapped = {Path(one.path).name for one in psutil.Process(server.pid).memory_maps()}
    assert "chromadb_rust_bindings.abi3.so" in mapped
    assert not [name for name in mapped if name.startswith(("_pydantic_core", "_multiarray"))]


def test_a_process_that_has_stopped_its_server_ends_without_a_word_of_it(tmp_path):
    program = USER.replace("    sys.stdin.read()\n", "")
    done = subprocess.run(
        [sys.executable, "-W", "always::ResourceWarning", "-c", program],
        env=settings_of(tmp_path).child_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""


def test_who_started_it_may_leave_first(tmp_path):
    with user(tmp_path) as process:
        url, pid, started = told(process)
        assert started
        with use_chroma(settings_of(tmp_path)) as mine:
            assert (mine.url, mine.started) == (url, False)
            process.communicate("")
            assert answers(url)
        wait_for(lambda: not psutil.pid_exists(pid))


def test_a_killed_starter_leaves_a_server_that_the_next_one_uses_and_stops(tmp_path):
    with user(tmp_path) as process:
        url, pid, _ = told(process)
        process.kill()
        process.wait()
        assert answers(url)
        with use_chroma(settings_of(tmp_path)) as mine:
            assert (mine.url, mine.pid, mine.started) == (url, pid, False)
        wait_for(lambda: not psutil.pid_exists(pid))


def test_many_that_start_at_once_share_one_server(tmp_path):
    with user(tmp_path) as a, user(tmp_path) as b, user(tmp_path) as c:
        answers_of = [told(process) for process in (a, b, c)]
    assert len({(url, pid) for url, pid, _ in answers_of}) == 1
    assert sum(started for *_, started in answers_of) == 1
    with use_chroma(settings_of(tmp_path)):
        pass  # the three were killed: stop what they left


def test_a_killed_server_is_started_again(tmp_path):
    settings = settings_of(tmp_path)
    with use_chroma(settings) as first:
        assert revive_chroma(settings, first) is None, "it lives"
        os.kill(first.pid, signal.SIGKILL)
        os.waitpid(first.pid, 0)
        again = revive_chroma(settings, first)
        assert again is not None
        assert again.url == first.url
        assert again.pid != first.pid
        assert answers(first.url)
    assert not answers(first.url)


def test_data_survives_the_last_user(tmp_path):

    settings = settings_of(tmp_path)
    for expected in (0, 1):
        with use_chroma(settings) as server:
            host, port = server.url.removeprefix("http://").split(":")
            client = stock_client(host=host, port=int(port))
            collection = client.get_or_create_collection("kept", embedding_function=None)
            assert collection.count() == expected
            collection.upsert(ids=["a"], embeddings=[[1.0, 2.0]], documents=["text"])


def test_a_stale_address_is_not_believed(tmp_path, chroma_server):
    """After a crash the port may be another home's server: pid and port have to fit together."""
    folder = tmp_path / "chroma"
    folder.mkdir()
    (folder / "server.json").write_text(json.dumps({"pid": os.getpid(), "url": chroma_server}))
    assert running_chroma(settings_of(tmp_path)) is None
    with use_chroma(settings_of(tmp_path)) as mine:
        assert mine.url != chroma_server
    assert answers(chroma_server)


def test_a_held_lock_without_a_healthy_address_names_the_pid(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(chroma_server, "FIND_SECONDS", 0.5)
    monkeypatch.setattr(chroma_server, "SILENT_SECONDS", 0.2)
    folder = tmp_path / "chroma"
    folder.mkdir()
    (folder / "server.json").write_text(json.dumps({"pid": 4242, "url": "http://127.0.0.1:9"}))
    with (folder / ".lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Conflict, match="4242") as caught, use_chroma(settings_of(tmp_path)):
            pass
    assert caught.value.reason == "chroma_locked"
    assert capsys.readouterr().err.count("Waiting for Chroma (pid 4242)") == 1, "told once"


def test_a_pid_that_now_belongs_to_another_program_is_not_signalled(tmp_path):
    settings = settings_of(tmp_path)
    with subprocess.Popen(["sleep", "60"]) as bystander:
        with use_chroma(settings) as server:
            state = {"pid": bystander.pid, "url": server.url}
            (tmp_path / "chroma" / "server.json").write_text(json.dumps(state))
        assert bystander.poll() is None
        bystander.kill()
    os.kill(server.pid, signal.SIGTERM)
    os.waitpid(server.pid, 0)


def test_a_named_server_is_used_and_left_alone(tmp_path, chroma_server):
    named = settings_of(tmp_path / "empty", S3SYNC_CHROMA_URL=chroma_server)
    with use_chroma(named) as server:
        assert (server.url, server.pid, server.started) == (chroma_server, None, False)
    assert answers(chroma_server)
    assert not (tmp_path / "empty").exists()


def test_a_named_server_that_does_not_answer_is_one_sentence_without_its_password(tmp_path):
    url = f"http://me:hunter2@127.0.0.1:{free_port()}"
    settings = settings_of(tmp_path, S3SYNC_CHROMA_URL=url)
    with pytest.raises(Unavailable, match="S3SYNC_CHROMA_URL") as caught, use_chroma(settings):
        pass
    assert caught.value.reason == "chroma_unavailable"
    assert "hunter2" not in caught.value.message


def test_a_port_in_use_is_named():
    with socket.socket() as server:
        port = free_port()
        server.bind(("127.0.0.1", port))
        server.listen()
        with pytest.raises(Conflict, match=str(port)) as caught:
            require_free(port, what="the Dagster UI")
    assert caught.value.reason == "port_in_use"
    assert require_free(port, what="the Dagster UI") == port
