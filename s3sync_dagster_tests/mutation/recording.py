"""A pytest plugin that learns which lines each test runs, and how long it takes.

Loaded with ``-p s3sync_dagster_tests.mutation.recording``. Python before 3.12 has no cheaper way to
ask than a trace function; it is installed for the files of the package alone.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Generator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

PLACE = "S3SYNC_MUTATION_RECORDING"
"""Names the file to write; the folder whose lines count is the working directory's package."""
_SERVERS = {"aws_endpoint", "chroma_server", "postgres_url", "second_endpoint", "tiny_stack",
            "postgres", "server", "moto", "rclone"}  # fmt: skip
"""Fixtures, and parameters of tests, that stand for a server of their own."""
_PREFIX = str(Path.cwd() / "s3sync_dagster") + os.sep

_tests: dict[str, dict[str, Any]] = {}
_left_out: set[str] = set()
_lines: set[tuple[str, int]] = set()


def _of_call(frame: FrameType, _event: str, _argument: object) -> Any:
    return _of_line if frame.f_code.co_filename.startswith(_PREFIX) else None


def _of_line(frame: FrameType, event: str, _argument: object) -> Any:
    if event == "line":
        _lines.add((frame.f_code.co_filename, frame.f_lineno))
    return _of_line


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
    """Trace one test with its fixtures, in all threads that it starts."""
    _lines.clear()
    threading.settrace(_of_call)
    sys.settrace(_of_call)
    began = time.perf_counter()
    try:
        return (yield)
    finally:
        sys.settrace(None)
        threading.settrace(None)  # pyright: ignore[reportArgumentType]  (None takes it back)
        lines: dict[str, list[int]] = {}
        for path, line in sorted(_lines):
            lines.setdefault(os.path.relpath(path), []).append(line)
        _tests[item.nodeid] = {"seconds": time.perf_counter() - began, "lines": lines}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember what did not pass: it can tell nothing of a mutant."""
    if report.outcome != "passed":
        _left_out.add(report.nodeid)


def pytest_sessionfinish() -> None:
    """Write what was learnt."""
    ours = ("s3sync_dagster", "conftest", "__main__")
    found = {
        "tests": {name: one for name, one in _tests.items() if name not in _left_out},
        "left_out": sorted(_left_out),
        "modules": sorted(name for name in sys.modules if not name.startswith(ours)),
    }
    Path(os.environ[PLACE]).write_text(json.dumps(found), "utf-8")
