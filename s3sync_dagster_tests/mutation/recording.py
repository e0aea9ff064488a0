"""A pytest plugin that learns which lines each test runs, and how long it takes.

Loaded with ``-p s3sync_dagster_tests.mutation.recording``. Lines are noted by coverage's tracer: a
trace function in Python made the tests take five times as long.
"""

import json
import os
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from coverage import Coverage

PLACE = "S3SYNC_MUTATION_RECORDING"
"""Names the file to write; the folder whose lines count is the working directory's package."""
_SERVERS = {"aws_endpoint", "chroma_server", "postgres_url", "second_endpoint", "tiny_stack",
            "postgres", "server", "moto", "rclone"}  # fmt: skip
"""Fixtures, and parameters of tests, that stand for a server of their own."""

_coverage = Coverage(
    data_file=None, config_file=False, source=[str(Path.cwd() / "s3sync_dagster")],
    concurrency=["thread", "greenlet"],
)  # fmt: skip
_seconds: dict[str, float] = {}
_left_out: set[str] = set()


def pytest_sessionstart() -> None:
    """Begin before the tests are imported."""
    _coverage.start()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what starts a server, and whole simulated worlds: minutes for each mutant."""
    slow = [item for item in items if _is_slow(item)]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if item not in slow]


def _is_slow(item: pytest.Item) -> bool:
    parameters = getattr(getattr(item, "callspec", None), "id", "").split("-")
    needs = {*getattr(item, "fixturenames", ()), *parameters}
    return bool(_SERVERS & needs) or "simulation" in item.path.name


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Note the lines of one test with its fixtures, in all threads that it starts."""
    _coverage.switch_context(item.nodeid)
    began = time.perf_counter()
    try:
        return (yield)
    finally:
        _seconds[item.nodeid] = time.perf_counter() - began
        _coverage.switch_context("")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember what did not pass: it can tell nothing of a mutant."""
    if report.outcome != "passed":
        _left_out.add(report.nodeid)


def pytest_sessionfinish() -> None:
    """Write what was learnt."""
    _coverage.stop()
    lines = _lines_by_test()
    ours = ("s3sync_dagster", "conftest", "__main__")
    found = {
        "tests": {
            name: {"seconds": seconds, "lines": lines.get(name, {})}
            for name, seconds in _seconds.items()
            if name not in _left_out
        },
        "left_out": sorted(_left_out),
        "modules": sorted(name for name in sys.modules if not name.startswith(ours)),
    }
    Path(os.environ[PLACE]).write_text(json.dumps(found), "utf-8")


def _lines_by_test() -> dict[str, dict[str, list[int]]]:
    found: dict[str, dict[str, list[int]]] = {}
    data = _coverage.get_data()
    for path in data.measured_files():
        name = os.path.relpath(path)
        for line, tests in sorted(data.contexts_by_lineno(path).items()):
            for test in tests:
                found.setdefault(test, {}).setdefault(name, []).append(line)
    return found
