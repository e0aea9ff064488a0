"""Removes what workers leave, beside the process that watches them.

A worker that was taken over leaves as many names as its disk has room for; whoever removed them
could not look at the others meanwhile.
"""

import os
import signal
from dataclasses import dataclass, field

from s3sync_dagster.workers import folders

_LEAST_TURNS = 19
_SWEEP_SECONDS = 600


@dataclass(slots=True)
class Remover:
    """Folders that go, by one child at a time."""

    pid: int | None = None
    waiting: list[str] = field(default_factory=list)
    sweeps: bool = False
    """Look for what forkers have left that are gone, once."""

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
        if self.pid is None and (self.waiting or self.sweeps):
            taken, self.waiting = self.waiting, []
            sweeps, self.sweeps = self.sweeps, False
            self.pid = os.fork()
            if self.pid == 0:
                _remove(taken, sweeps=sweeps)
        return self.pid is not None

    def end(self) -> None:
        """Wait until all is removed."""
        if self.pid is not None:
            os.waitpid(self.pid, 0)
            self.pid = None
        for folder in self.waiting:
            folders.remove(folder)


def sweep_apart() -> None:
    """Have what forkers have left that are gone removed by a process that outlives this one.

    Nobody waits for it, and it ends after a while: whoever starts next begins where it was.
    """
    if os.fork() == 0:
        os.setsid()
        signal.alarm(_SWEEP_SECONDS)
        null = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):  # whoever reads what this one says waits for no other
            os.dup2(null, standard)
        _remove([], sweeps=True)


def _remove(taken: list[str], *, sweeps: bool) -> None:
    """Remove folders in a process of its own, and end it."""
    try:
        # An end of a call's socket that stays open here would hide that it was closed.
        os.closerange(3, os.sysconf("SC_OPEN_MAX"))
        os.nice(_LEAST_TURNS)
        for folder in taken:
            folders.remove(folder)
        if sweeps:
            folders.sweep()
    finally:
        os._exit(0)
