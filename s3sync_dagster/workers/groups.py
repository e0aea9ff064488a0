"""Control groups: the kernel itself bounds a worker's memory and processes, where it may.

What it keeps for a process (tables of pages, buffers, watches, names) nobody can count from outside
(``processes``); in a group of its own it counts (cgroup v2, ``memory.max``). Groups are made in a
folder that the operator gives, in or below which this process has to run; what is in it is moved
below, since no group has limits beside processes (``Documentation/admin-guide/cgroup-v2.rst``,
"Delegation" and "No Internal Process Constraint").
"""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from s3sync_dagster.workers.environment import groups_folder

MOST_TASKS = 4000
"""Processes and threads of a worker, each of which takes of its memory (``processes``)."""
_PREFIX = "s3sync-worker-"
_ASIDE = "s3sync-stack"
_ROUNDS = 5
"""In which processes are moved that others may start meanwhile."""


@dataclass(frozen=True, slots=True)
class Group:
    """The group of one worker."""

    path: Path

    def bound(self, memory_bytes: int) -> None:
        """Let it have so much memory."""
        with suppress(OSError):  # watched it is in any case
            (self.path / "memory.max").write_text(str(memory_bytes))

    def enter(self) -> None:
        """Move this process there, for good: a worker may not write in these folders."""
        with suppress(OSError):  # ``held`` tells whoever asks
            (self.path / "cgroup.procs").write_text("0")

    def kill(self) -> None:
        """End all that is in it, wherever it has hidden (Linux 5.14)."""
        with suppress(OSError):
            (self.path / "cgroup.kill").write_text("1")

    def ran_out(self) -> bool:
        """Return whether the kernel has ended it for its memory."""
        try:
            told = (self.path / "memory.events").read_text().split()
        except OSError:
            return False
        return told[told.index("oom_kill") + 1] != "0" if "oom_kill" in told else False

    def remove(self) -> bool:
        """Return whether it is gone: it stays until the last that was in it has ended."""
        try:
            self.path.rmdir()
        except FileNotFoundError:
            return True
        except OSError:
            return False
        return True


def prepare() -> None:
    """Let groups of the given folder have limits, and remove those that dead forkers have left."""
    folder = groups_folder()
    if folder is None:
        return
    _move_aside(folder)
    with suppress(OSError):  # ``make`` finds no limits then
        (folder / "cgroup.subtree_control").write_text("+memory +pids")
    for left in folder.glob(f"{_PREFIX}*"):
        forker = left.name.removeprefix(_PREFIX).partition("-")[0]
        if not Path(f"/proc/{forker}").exists():
            Group(left).remove()


def _move_aside(folder: Path) -> None:
    """Move the processes that are in a folder itself into a group below it."""
    aside = folder / _ASIDE
    with suppress(OSError):
        for _ in range(_ROUNDS):
            found = (folder / "cgroup.procs").read_text().split()
            if (
                not found or not (folder / "cgroup.type").exists()
            ):  # the first of a machine has none
                return
            aside.mkdir(exist_ok=True)
            for pid in found:
                with suppress(ProcessLookupError):  # it has ended
                    (aside / "cgroup.procs").write_text(pid)


def make(number: int) -> Group | None:
    """Return a new group for a child of this process; None where there are none.

    Swap counts as memory does, and all of a group end together.
    """
    folder = groups_folder()
    if folder is None:
        return None
    group = Group(folder / f"{_PREFIX}{os.getpid()}-{number}")
    try:
        group.path.mkdir()
        (group.path / "pids.max").write_text(str(MOST_TASKS))
        (group.path / "memory.oom.group").write_text("1")
        with suppress(FileNotFoundError):  # a kernel without swap
            (group.path / "memory.swap.max").write_text("0")
    except OSError:
        group.remove()
        return None
    return group


def is_inside() -> bool:
    """Return whether this process is in a group of a worker, with its limits."""
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return False
    return any(line.startswith("0::") and f"/{_PREFIX}" in line for line in lines)
