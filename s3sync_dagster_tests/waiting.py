"""Waiting for what other threads and processes do."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(
    ask: Callable[[], T], is_done: Callable[[T], object] = bool, *, seconds: float = 120
) -> T:
    """Ask until it is done, and return the last answer.

    Args:
        ask: what is looked at.
        is_done: whether its answer is the one waited for.
        seconds: after which the test fails and shows the last answer. Long: a loaded machine is
            no fault.
    """
    deadline = time.monotonic() + seconds
    while not is_done(found := ask()):
        assert time.monotonic() < deadline, f"not in {seconds} s; last: {found!r}"
        time.sleep(0.05)
    return found
