"""Logs of a stack that runs on and on are no longer than they may be."""

import os
import stat
import sys
import time
from contextlib import contextmanager

from s3sync_dagster.local import logs
from s3sync_dagster.local.child import Child
from s3sync_dagster.local.stack import Stack
from s3sync_dagster_tests.conftest_stack import TINY, sources_version, stack_settings
from s3sync_dagster_tests.waiting import wait_for

TALKS = "import time\nfor n in range(10**9): print(n, 'x' * 1000, flush=True); time.sleep(0.0005)"


@contextmanager
def talking(log):
    child = Child("talker", [sys.executable, "-c", TALKS], environment=os.environ, log=log)
    child.start()
    try:
        yield
    finally:
        child.ask_to_end()
        child.end(5)


def test_a_log_begins_anew_while_its_process_runs_and_nobody_else_reads_it(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "LOG_BYTES", 100_000)
    home = tmp_path / "home"
    stack = Stack(stack_settings(home), module=TINY, sources_version=sources_version(home))
    (home / "logs").mkdir()
    log = home / "logs" / "talker.log"
    with talking(log):
        for _ in range(3):
            wait_for(lambda: log.stat().st_size, lambda size: size > 100_000)
            stack.tend()
            assert log.stat().st_size < 100_000
            time.sleep(0.05)  # it goes on, from the begin
        assert b"\0" not in log.read_bytes()
    kept = log.with_suffix(".log.1")
    assert kept.stat().st_size > 100_000
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_a_log_that_cannot_be_kept_begins_anew_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "LOG_BYTES", 10)
    log = tmp_path / "one.log"
    log.write_text("x" * 100)
    log.with_suffix(".log.1").mkdir()  # where no copy goes
    logs.keep_short(log)
    assert log.stat().st_size == 0
