"""A server that keeps a fetch alive for ever: what of it outlives who asked, and who waits."""

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.places import git_repository
from s3sync_dagster_tests.places.hanging_git import hanging_git
from s3sync_dagster_tests.places.test_git import opened


def at_work_in(home: Path) -> list[str]:
    """Return the programs whose git folder lies in a home."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"GIT_DIR={home}".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def until(met, seconds=30.0):
    ends = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < ends
        time.sleep(0.05)


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="the program setpriv is not here")
@pytest.mark.parametrize("protocol", [0, 2])
def test_a_fetch_that_never_ends_ends_with_its_process(tmp_path, protocol):
    """It would hold the copy's lock, and there would be two more with each code server."""
    home = tmp_path / "home"
    with hanging_git(protocol=protocol) as server:
        url = f"{server.url}/0.git"
        code = (
            "from pathlib import Path\n"
            "from s3sync_dagster_tests.contracts.object_worlds import all_refs\n"
            "from s3sync_dagster_tests.places.test_git import opened\n"
            f"with opened(None, Path({str(home)!r}), repository={url!r}) as one:\n"
            "    all_refs(one)\n"
        )
        there = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        child = subprocess.Popen([sys.executable, "-c", code], env=there)
        try:
            until(lambda: server.fetches)
            assert at_work_in(home)
        finally:
            child.kill()
            child.wait()
        until(lambda: not at_work_in(home))


def test_who_only_asks_waits_a_minute_for_a_fetch_and_no_quarter_of_an_hour(tmp_path, monkeypatch):
    monkeypatch.setattr(git_repository, "ASK_SECONDS", 0.5)
    monkeypatch.setattr(git_repository, "FETCH_SECONDS", 20.0)
    home = tmp_path / "home"
    with hanging_git() as server:
        at = {"repository": f"{server.url}/0.git"}
        with opened(None, home, **at) as one, opened(None, home, **at) as two:
            refused = []

            def pin():
                try:
                    one.pin()
                except Unavailable as error:
                    refused.append(error.reason)

            fetching = threading.Thread(target=pin)
            fetching.start()
            until(lambda: server.fetches)
            began = time.monotonic()
            for asks in (two.named, two.look):
                with pytest.raises(Unavailable, match="Another process fetches"):
                    asks()
            assert time.monotonic() - began < 15
            server.over.set()
            fetching.join()
            assert refused == ["git_failed"]
