"""Run the tests that touch a mutant's line against a copy of the tree with the mutant in it."""

import importlib
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s3sync_dagster_tests.mutation.operators import Mutant
from s3sync_dagster_tests.mutation.recording import PLACE

PLUGIN = "s3sync_dagster_tests.mutation.recording"
QUICK = ("-q", "-p", "no:cacheprovider", "-m", "not long and not browser", "--timeout", "0")
COPIED = ("s3sync_dagster", "s3sync_dagster_tests", "docs", "pyproject.toml", "README.md")
OURS = ("s3sync_dagster", "s3sync_dagster_tests")
LEAST_SECONDS = 60.0
MEMORY_BYTES = 6 * 2**30
"""Of a mutant that counts without end."""


@dataclass(frozen=True, slots=True)
class Recording:
    """Which test runs which lines, from one run without a mutant."""

    tests: dict[str, dict[str, Any]]
    modules: list[str]

    def touching(self, mutant: Mutant, root: Path) -> list[str]:
        """Return the tests that may notice a mutant, the quickest first."""
        wanted = {mutant.path: set(range(mutant.lines[0], mutant.lines[1] + 1))}
        if mutant.names:
            wanted = _uses(mutant.names, self._files(), root)
        found = [
            (one["seconds"], name)
            for name, one in self.tests.items()
            if any(
                not lines.isdisjoint(one["lines"].get(path, ())) for path, lines in wanted.items()
            )
        ]
        return [name for _, name in sorted(found)]

    def _files(self) -> set[str]:
        return {path for one in self.tests.values() for path in one["lines"]}


def _uses(names: Sequence[str], files: Iterable[str], root: Path) -> dict[str, set[int]]:
    words = re.compile(r"\b(" + "|".join(map(re.escape, names)) + r")\b")
    return {
        path: {
            number
            for number, line in enumerate((root / path).read_text("utf-8").splitlines(), 1)
            if words.search(line)
        }
        for path in files
    }


def record(root: Path, tests: Sequence[str], file: Path, *, jobs: int) -> Recording:
    """Return the recording of these tests; made anew when the file has none.

    Args:
        root: of the tree.
        tests: files and folders.
        file: where it is kept.
        jobs: processes that share the tests' files.
    """
    if not file.exists():
        files = [one for name in tests for one in _test_files(root, name)]
        parts = [(files[lane::jobs], file.with_suffix(f".{lane}")) for lane in range(jobs)]
        lanes = [_record(root, files, part) for files, part in parts if files]
        codes = [lane.wait() for lane in lanes]
        if any(code > 1 for code in codes):  # 1: what failed is left out
            raise SystemExit(f"the recording ended with {max(codes)}")
        found = [json.loads(part.read_text("utf-8")) for files, part in parts if files]
        told = {
            "tests": {name: test for one in found for name, test in one["tests"].items()},
            "left_out": sorted(name for one in found for name in one["left_out"]),
            "modules": sorted({name for one in found for name in one["modules"]}),
        }
        file.write_text(json.dumps(told), "utf-8")
    found = json.loads(file.read_text("utf-8"))
    return Recording(found["tests"], found["modules"])


def _test_files(root: Path, name: str) -> list[str]:
    """Return the files of a folder, the largest first; what names a file or a test stands."""
    if not (root / name).is_dir():
        return [name]
    files = sorted((root / name).rglob("test_*.py"), key=lambda file: -file.stat().st_size)
    return [str(file.relative_to(root)) for file in files]


def _record(root: Path, files: Sequence[str], part: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", *QUICK, "-p", PLUGIN, *files],
        cwd=root, env={**os.environ, PLACE: str(part), "PYTHONPATH": str(root)},
    )  # fmt: skip


def run_lane(
    root: Path, mutants: Sequence[Mutant], recording: Recording, *, results: Path, seconds: float
) -> None:
    """Run mutants one after the other, each in a fork of this process, and append what came of it.

    Args:
        root: of the tree, which is not changed.
        mutants: what to run.
        recording: which tests touch what.
        results: JSON lines, one a mutant.
        seconds: of tests that a mutant is run against at most, the quickest first.
    """
    with tempfile.TemporaryDirectory(prefix="s3sync-mutants-") as folder:
        copy = Path(folder)
        for name in COPIED:
            if (root / name).is_dir():
                shutil.copytree(root / name, copy / name, ignore=shutil.ignore_patterns("golden"))
            elif (root / name).exists():
                shutil.copy2(root / name, copy / name)
        _move_into(copy, recording.modules)
        for mutant in mutants:
            chosen = _at_most(recording.touching(mutant, root), recording, seconds)
            began = time.monotonic()
            state = _outcome(copy, mutant, chosen, recording) if chosen else "survived"
            line = {
                "id": mutant.id, "state": state, "operator": mutant.operator,
                "place": f"{mutant.path}:{mutant.line}", "before": mutant.before,
                "after": mutant.after, "tests": len(chosen),
                "seconds": round(time.monotonic() - began, 1),
            }  # fmt: skip
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def _move_into(copy: Path, modules: Sequence[str]) -> None:
    """Import what is not ours once for all mutants; what is ours comes from the copy."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in modules:
            if not name.startswith(("_pytest", "pytest", "py.")):
                try:
                    importlib.import_module(name)
                except Exception:  # noqa: BLE001  (it only comes later, then)
                    continue
    for name in [name for name in sys.modules if name.split(".")[0] in OURS]:
        del sys.modules[name]
    os.chdir(copy)
    sys.path.insert(0, str(copy))
    os.environ["PYTHONPATH"] = str(copy)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    sys.dont_write_bytecode = True


def _at_most(tests: Sequence[str], recording: Recording, seconds: float) -> list[str]:
    chosen: list[str] = []
    for name in tests:
        seconds -= recording.tests[name]["seconds"]
        if seconds < 0 and chosen:
            break
        chosen.append(name)
    return chosen


def _outcome(copy: Path, mutant: Mutant, tests: Sequence[str], recording: Recording) -> str:
    file = copy / mutant.path
    source, stat = file.read_bytes(), file.stat()
    clean = sum(recording.tests[name]["seconds"] for name in tests)
    try:
        file.write_bytes(mutant.applied_to(source))
        return run_forked(tests, seconds=LEAST_SECONDS + 5 * clean)
    finally:
        file.write_bytes(source)
        os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # its bytecode stays good


def run_forked(tests: Sequence[str], *, seconds: float) -> str:
    """Return what tests say in a fork of this process: ``survived``, ``killed``, ``timeout``."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setsid()
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
            log = os.open(os.devnull, os.O_WRONLY)
            os.dup2(log, 1)
            os.dup2(log, 2)
            import pytest

            assertions = "ignore::pytest.PytestAssertRewriteWarning"
            code = int(pytest.main([*QUICK, "-x", "-W", assertions, *tests]))
        finally:
            os._exit(code)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return "survived" if os.waitstatus_to_exitcode(status) == 0 else "killed"
        time.sleep(0.02)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return "timeout"
