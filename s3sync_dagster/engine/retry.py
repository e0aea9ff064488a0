"""Trying again what passes by itself, within a deadline."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import TypeVar

from s3sync_dagster.core.patience import Patience
from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.model.errors import Unavailable

FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 15.0
PATIENCE_SECONDS = 120.0
"""For all calls of one question to a bucket and the pauses between them; what has to wait for
longer is left to the invocation's back-off."""

T = TypeVar("T")


def call_with_retries(
    work: Callable[[float], T],
    *,
    clock: Clock,
    timeout_seconds: float,
    tries: int,
    tries_by_reason: Mapping[str, int] | None = None,
    first_pause_seconds: float = FIRST_PAUSE_SECONDS,
) -> T:
    """Return what ``work`` returns; call it again after each ``Unavailable``, with growing pauses.

    Args:
        work: takes the seconds that are left, which it must keep.
        clock: time and chance: pauses vary, so that many clients do not come back at once.
        timeout_seconds: for all calls and pauses together.
        tries: calls at most.
        tries_by_reason: fewer calls for what seldom passes.
        first_pause_seconds: before the second call; doubled each time, with jitter.

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
            pause = _pause_seconds(
                attempt, error.retry_after_seconds, clock, first_seconds=first_pause_seconds
            )
            out_of_time = clock.monotonic() + pause >= deadline
            if attempt >= tries or met[error.reason] >= seldom or out_of_time:
                raise
        clock.sleep(pause)


def call_patiently(work: Callable[[], T], patience: Patience, clock: Clock) -> T:
    """Return what ``work`` returns, called again as a batch's patience has it.

    Raises:
        Unavailable: the last one.
    """
    return call_with_retries(
        lambda _left: work(),
        clock=clock,
        timeout_seconds=PATIENCE_SECONDS,
        tries=patience.tries,
        first_pause_seconds=patience.first_wait_seconds,
    )


def _pause_seconds(
    attempt: int, asked_seconds: float, clock: Clock, *, first_seconds: float
) -> float:
    pause = min(LONGEST_PAUSE_SECONDS, first_seconds * 2 ** (attempt - 1))
    return max(asked_seconds, pause * (0.5 + clock.random.random() / 2))
