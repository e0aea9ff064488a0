"""Looking at processes from outside."""

import time
from collections.abc import Iterable
from pathlib import Path


def is_alive(pid: int) -> bool:
    """Return whether a process exists and is no zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def wait_until_gone(pids: Iterable[int], *, seconds: float = 10) -> None:
    """Wait for processes to end; fails with those that stay."""
    ends_at = time.monotonic() + seconds
    waiting = list(pids)
    while waiting := [pid for pid in waiting if is_alive(pid)]:
        assert time.monotonic() < ends_at, f"still alive: {waiting}"
        time.sleep(0.02)


def children_of(pid: int) -> list[int]:
    """Return the children of all of a process's threads; none where it has gone."""
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found.extend(map(int, thread.read_text().split()))
        except OSError:
            continue
    return found


def descendants_of(pid: int) -> list[int]:
    """Return a process's children and theirs."""
    found: list[int] = []
    waiting = children_of(pid)
    while waiting:
        current = waiting.pop()
        found.append(current)
        waiting.extend(children_of(current))
    return found


def read_when_written(path: Path, *, seconds: float = 20) -> str:
    """Return a file's text once it is there."""
    ends_at = time.monotonic() + seconds
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < ends_at, f"{path} was not written"
        time.sleep(0.02)
    return path.read_text()
