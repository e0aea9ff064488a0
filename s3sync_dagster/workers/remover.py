"""Removes what workers leave, beside the process that watches them.

A worker that was taken over leaves as many names as its disk has room for; whoever removed them
could not look at the others meanwhile.
"""

import os
from dataclasses import dataclass, field

from s3sync_dagster.workers import folders

_LEAST_TURNS = 19


@dataclass(slots=True)
class Remover:
    """Folders that go, by one child at a time."""

    pid: int | None = None
    waiting: list[str] = field(default_factory=list)

    def take(self, folder: str) -> None:
        """Have a folder removed; at once where it is empty, as most are."""
        try:
            os.rmdir(folder)  # noqa: PTH106 (of each worker)
        except FileNotFoundError:
            return
        except OSError:
            self.waiting.append(folder)

    def go_on(self) -> bool:
        """Begin what waits; returns whether something is at work."""
        if self.pid is not None and os.waitpid(self.pid, os.WNOHANG)[0]:
            self.pid = None
        if self.pid is None and self.waiting:
            taken, self.waiting = self.waiting, []
            self.pid = os.fork()
            if self.pid == 0:
                _remove(taken)
        return self.pid is not None

    def end(self) -> None:
        """Wait until all is removed."""
        if self.pid is not None:
            os.waitpid(self.pid, 0)
            self.pid = None
        for folder in self.waiting:
            folders.remove(folder)


def _remove(taken: list[str]) -> None:
    """Remove folders in a process of its own, and end it."""
    try:
        # An end of a call's socket that stays open here would hide that it was closed.
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        os.nice(_LEAST_TURNS)
        for folder in taken:
            folders.remove(folder)
    finally:
        os._exit(0)
