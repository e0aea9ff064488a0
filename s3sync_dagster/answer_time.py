"""How long answers of other servers are waited for, where who waits has a bound of its own.

Drivers that have a loop of their own know of it, too: what is called there takes the context along.
"""

import math
import time
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

_ends: ContextVar[float] = ContextVar("s3sync_answers_end", default=math.inf)
_most: ContextVar[float] = ContextVar("s3sync_answers_take", default=math.inf)


@contextmanager
def answers_end_in(seconds: float) -> Generator[None]:
    """Let all that is asked for inside take so long; of two bounds the first one counts."""
    before = _ends.set(min(time.monotonic() + seconds, _ends.get()))
    try:
        yield
    finally:
        _ends.reset(before)


@contextmanager
def answers_take(seconds: float) -> Generator[None]:
    """Let each answer that is asked for inside take so long at most."""
    before = _most.set(min(seconds, _most.get()))
    try:
        yield
    finally:
        _most.reset(before)


def seconds_left(most: float) -> float:
    """Return how long an answer that is asked for now may take, which is so many at most."""
    return max(0.0, min(most, _most.get(), _ends.get() - time.monotonic()))
