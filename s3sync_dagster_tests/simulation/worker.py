"""A function that runs in turns: it stops at each call to the outside and may never go on.

Only one runs at a time, and who is next is the caller's decision: the same decisions give the same
run. Each has a stack of its own in the one thread there is (a greenlet), since to hand a thread on
costs more than most of what is done between two stops.
"""

from collections.abc import Callable

from greenlet import getcurrent, greenlet


class Killed(BaseException):
    """The process of this worker was ended by SIGKILL: no handler of the engine may see it."""


class Worker:
    """One function on its way."""

    def __init__(self, name: str, function: Callable[[], None]) -> None:
        self.name = name
        self.place = "start"
        """Where it waits."""
        self.killed = False
        self.pinned = False
        """True after a write that came too late: to die now is the one case nobody can mend."""
        self._function = function
        self._stack = _Stack(self)

    @property
    def ended(self) -> bool:
        """Whether it has come to its end, whichever."""
        return self._stack.dead

    def step(self) -> bool:
        """Let it run to its next stop; returns whether there is more to come."""
        if self.ended:
            return False
        self._stack.parent = getcurrent()
        self._stack.switch()
        return not self.ended

    def finish(self) -> None:
        """Let it run to its end."""
        while self.step():
            pass

    def kill(self) -> None:
        """End it where it waits."""
        self.killed = self.killed or not self.ended
        self.finish()

    def pause(self, place: str) -> None:
        """Stop here until the next step (called by the function itself)."""
        if self.killed:
            raise Killed  # code that runs while the stack unwinds does nothing outside
        self.place = place
        self._stack.parent.switch()
        if self.killed:
            raise Killed

    def run(self) -> None:
        """Do what it is for (called on its own stack)."""
        try:
            if not self.killed:
                self._function()
        except Killed:
            self.killed = True


class _Stack(greenlet):
    """Where a worker's calls are; what escapes from it is raised by whoever let it run."""

    def __init__(self, worker: Worker) -> None:
        super().__init__(worker.run)
        self.worker = worker


def current() -> Worker | None:
    """Return the worker that is running, None in the driver itself."""
    return getattr(getcurrent(), "worker", None)


def pause(place: str) -> None:
    """Stop the running worker; the driver itself does not stop."""
    worker = current()
    if worker is not None:
        worker.pause(place)
