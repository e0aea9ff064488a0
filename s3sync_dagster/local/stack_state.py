"""One stack per data folder: its lock, and where others find its addresses."""

import contextlib
import fcntl
import json
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import psutil

from s3sync_dagster.api.passes import PASS_FILE
from s3sync_dagster.local.guardian import GRACE_SECONDS
from s3sync_dagster.local.privacy import private_file
from s3sync_dagster.model.errors import Conflict
from s3sync_dagster.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where the parts of a running stack answer."""

    dagster: str
    chroma: str
    api: str | None = None
    """None while the package has no API server."""


def running_stack(settings: Settings) -> Addresses | None:
    """Return the addresses of the stack that runs in this home; None: none does, or it starts."""
    state = _read(settings.home)
    if "dagster" not in state:
        return None
    with (settings.home / ".stack.lock").open("a") as lock:
        if _try_lock(lock):
            return None
    return Addresses(dagster=state["dagster"], chroma=state["chroma"], api=state["api"])


def stack_starts(settings: Settings) -> bool:
    """Say whether a stack is on its way in this home: its parts do not answer yet."""
    state = _read(settings.home)
    if "pid" not in state or "dagster" in state:
        return False
    with (settings.home / ".stack.lock").open("a") as lock:
        return not _try_lock(lock)


@contextlib.contextmanager
def stack_lock(home: Path) -> Iterator[IO[str]]:
    """Hold the lock of the home's stack.

    Raises:
        Conflict: a stack runs there (``stack_running``).
    """
    # A dead supervisor's guardian holds the lock until it has ended what was left.
    deadline = time.monotonic() + GRACE_SECONDS + 15.0
    path = home / "stack.json"
    with (home / ".stack.lock").open("a") as lock:
        while not _try_lock(lock):
            state = _read(home)
            pid = state.get("pid")
            if (pid is not None and psutil.pid_exists(pid)) or time.monotonic() > deadline:
                where = f", its Dagster is {state['dagster']}" if "dagster" in state else ""
                raise Conflict(
                    f"A stack already runs in {str(home)!r} (pid {pid}{where}): use that one, "
                    "stop it, or name another folder in S3SYNC_HOME.",
                    reason="stack_running",
                )
            time.sleep(0.1)
        path.write_text(json.dumps({"pid": os.getpid()}), "utf-8")
        try:
            yield lock
        finally:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def door_pass(home: Path) -> Iterator[str]:
    """Write down by what our own processes are known at the doors, while the stack runs."""
    made, path = secrets.token_urlsafe(32), home / PASS_FILE
    path.unlink(missing_ok=True)
    with open(path, "x", encoding="ascii", opener=private_file) as file:
        file.write(made)
    try:
        yield made
    finally:
        path.unlink(missing_ok=True)


def publish(home: Path, addresses: Addresses) -> None:
    """Let other commands find the stack."""
    state = {"pid": os.getpid(), **asdict(addresses)}
    (home / "stack.json").write_text(json.dumps(state), "utf-8")


def _read(home: Path) -> dict[str, Any]:
    try:
        state = json.loads((home / "stack.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}  # none, or just being written
    return state if isinstance(state, dict) else {}


def _try_lock(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
