"""Hosts: each process has a clock of its own, and who is of another host is not seen to die."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from s3sync_dagster.engine.clock import Clock
from s3sync_dagster_tests.simulation.worker import Worker, current

SKEWS = (0.0, 5.0, -5.0)
"""Seconds by which the clocks of processes that go by one clock may still differ."""
WRONG_DATE = 10_000_000
"""Seconds that a clock is wrong by which shows another date: more than any world waits."""


class ProcessClock(Clock):
    """What one process takes for the time."""

    def __init__(self, common: Any, skew: float) -> None:
        super().__init__(random=common.random)
        self._common, self._skew = common, skew

    def now(self) -> datetime:
        return datetime.fromtimestamp(self._common.now().timestamp() + self._skew, UTC)

    def monotonic(self) -> float:
        return self._common.monotonic()

    def sleep(self, seconds: float) -> None:
        self._common.sleep(seconds)

    def uuid(self) -> str:
        return self._common.uuid()


class Hosts:
    """Two hosts on one catalog."""

    def clock_of_process(self) -> ProcessClock:
        """Return a clock for the process that begins now."""
        return ProcessClock(self.clock, SKEWS[self.started % len(SKEWS)])

    def jump(self, seconds: float) -> None:
        """Let the clock that all go by show another time: it was wrong, or is put right."""
        self.note(f"the clock jumps by {seconds}")
        self.clock.skew += seconds

    def is_far(self, worker: Worker) -> bool:
        """Return whether a worker is of the other host, or of a home that was copied."""
        return int(worker.name[1:]) % 4 == 3

    def is_away(self) -> bool:
        """Return whether the running worker is such a one."""
        worker = current()
        return worker is not None and self.is_far(worker)


@dataclass
class Owners:
    """Who is alive, as the locks of owner files tell it on this host."""

    world: Any

    def me(self) -> str:
        return self.world._name()

    def is_dead(self, owner: str | None) -> bool | None:
        if owner in {"driver", "quiet"}:
            return False
        living = {worker.name: worker for worker in self.world.workers}
        if owner is not None and owner[1:].isdigit() and int(owner[1:]) % 4 == 3:
            return None
        return owner not in living
