"""Functions that run step by step: each stops where it calls ``pause`` until it is told to go on.

A worker has a thread of its own, but only one thread runs at a time, and who is next is the
caller's decision: the same decisions give the same run.
"""

import threading
from collections.abc import Callable


class Killed(BaseException):
    """The process of this worker was ended by SIGKILL: no handler of the engine may see it."""


class Worker:
    """One function on its way."""

    def __init__(self, name: str, function: Callable[[], None]) -> None:
        self.name = name
        self.place = "start"
        """Where it waits."""
        self.ended = False
        self.killed = False
        self.pinned = False
        """True after a write that came too late: to die now is the one case nobody can mend."""
        self.error: BaseException | None = None
        self._go = threading.Semaphore(0)
        self._stopped = threading.Semaphore(0)
        self._die = False
        self._thread = threading.Thread(target=self._run, args=(function,), daemon=True)
        self._thread.worker = self  # type: ignore[attr-defined]
        self._thread.start()

    def step(self) -> bool:
        """Let it run to its next stop; returns whether there is more to come."""
        if self.ended:
            return False
        self._go.release()
        self._stopped.acquire()
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        return not self.ended

    def finish(self) -> None:
        """Let it run to its end."""
        while self.step():
            pass

    def kill(self) -> None:
        """End it where it waits."""
        self._die = True
        self.finish()

    def pause(self, place: str) -> None:
        """Stop here until the next step (called by the function itself)."""
        if self.killed:
            raise Killed  # code that runs while the stack unwinds does nothing outside
        self.place = place
        self._stopped.release()
        self._go.acquire()
        if self._die:
            self.killed = True
            raise Killed

    def _run(self, function: Callable[[], None]) -> None:
        self._go.acquire()
        try:
            if not self._die:
                function()
        except Killed:
            self.killed = True
        except BaseException as error:  # noqa: BLE001  (handed to the driver)
            self.error = error
        self.killed = self.killed or self._die
        self.ended = True
        self._stopped.release()


def current() -> Worker | None:
    """Return the worker that is running, None in the driver itself."""
    return getattr(threading.current_thread(), "worker", None)


def pause(place: str) -> None:
    """Stop the running worker; the driver itself does not stop."""
    worker = current()
    if worker is not None:
        worker.pause(place)
