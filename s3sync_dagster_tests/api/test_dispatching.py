"""When what was asked for over HTTP is dispatched."""

import threading
from collections.abc import Collection, Iterator

import pytest

from s3sync_dagster.api.dispatching import Dispatching
from s3sync_dagster.model.errors import Unavailable

NEVER = 600.0
"""Seconds; a test that waits for it hangs."""


class Dispatched:
    """Notes the calls; each may be waited for."""

    def __init__(self) -> None:
        self.calls: list[set[str]] = []
        self._called = threading.Condition()

    def __call__(self, source_ids: Collection[str]) -> None:
        with self._called:
            self.calls.append(set(source_ids))
            self._called.notify_all()
        if "away" in source_ids:
            raise Unavailable("Dagster does not answer")

    def wait(self, number: int, seconds: float = 30.0) -> bool:
        with self._called:
            return self._called.wait_for(lambda: len(self.calls) >= number, timeout=seconds)


@pytest.fixture
def dispatched() -> Dispatched:
    return Dispatched()


@pytest.fixture
def slow(dispatched: Dispatched) -> Iterator[Dispatching]:
    """Gathers for ever, once it has dispatched."""
    dispatching = Dispatching(dispatched, gather_seconds=NEVER)
    dispatching.start()
    yield dispatching
    dispatching.stop()


def test_who_asks_after_a_quiet_time_waits_for_nobody(
    slow: Dispatching, dispatched: Dispatched
) -> None:
    slow.wake("docs")
    assert dispatched.wait(1)
    assert dispatched.calls == [{"docs"}]


def test_what_follows_is_gathered(slow: Dispatching, dispatched: Dispatched) -> None:
    slow.wake("docs")
    assert dispatched.wait(1)
    for name in ("docs", "more", "docs"):
        slow.wake(name)
    assert not dispatched.wait(2, seconds=0.5)


def test_what_is_gathered_is_dispatched_together(dispatched: Dispatched) -> None:
    dispatching = Dispatching(dispatched, gather_seconds=1.0)
    dispatching.start()
    try:
        dispatching.wake("docs")
        assert dispatched.wait(1)
        for name in ("docs", "more"):
            dispatching.wake(name)
        assert dispatched.wait(2)
        assert dispatched.calls == [{"docs"}, {"docs", "more"}]
    finally:
        dispatching.stop()


def test_a_dispatch_that_fails_is_counted_and_the_next_one_works(dispatched: Dispatched) -> None:
    dispatching = Dispatching(dispatched, gather_seconds=0.0)
    dispatching.start()
    try:
        dispatching.wake("away")
        assert dispatched.wait(1)
        dispatching.wake("docs")
        assert dispatched.wait(2)
        assert dispatched.calls[-1] == {"docs"}
        assert dispatching.failures == 1
    finally:
        dispatching.stop()


def test_a_stop_does_not_wait_for_what_is_gathered(
    slow: Dispatching, dispatched: Dispatched
) -> None:
    slow.wake("docs")
    assert dispatched.wait(1)
    slow.wake("more")
    slow.stop(timeout_seconds=30.0)
    assert dispatched.calls == [{"docs"}]
