"""Trying again what passes by itself, within a deadline."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TypeVar

from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.model.errors import Unavailable

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 15.0

T = TypeVar("T")


def call_with_retries(
    work: Callable[[float], T],
    *,
    clock: Clock,
    timeout_seconds: float,
    tries: int,
    tries_by_reason: Mapping[str, int] | None = None,
) -> T:
    """Return what ``work`` returns; call it again after each ``Unavailable``, with growing pauses.

    Args:
        work: takes the seconds that are left, which it must keep.
        clock: time and chance: pauses vary, so that many clients do not come back at once.
        timeout_seconds: for all calls and pauses together.
        tries: calls at most.
        tries_by_reason: fewer calls for what seldom passes.

    Raises:
        Unavailable: the last one.
    """
    deadline = clock.monotonic() + timeout_seconds
    met: Counter[str] = Counter()
    while True:
        try:
            return work(deadline - clock.monotonic())
        except Unavailable as error:
            met[error.reason] += 1
            attempt = met.total()
            seldom = (tries_by_reason or {}).get(error.reason, tries)
            pause = _pause_seconds(attempt, error.retry_after_seconds, clock)
            out_of_time = clock.monotonic() + pause >= deadline
            if attempt >= tries or met[error.reason] >= seldom or out_of_time:
                raise
        clock.sleep(pause)


def _pause_seconds(attempt: int, asked_seconds: float, clock: Clock) -> float:
    pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (attempt - 1))
    return max(asked_seconds, pause * (0.5 + clock.random.random() / 2))
