"""Slow places share a part of the sensor's time, whoever's they are."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from s3sync_dagster.defs.slow_listings import SHARE, SLOW_SECONDS, SlowListings
from s3sync_dagster.engine.listing_turns import ListingParts


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


def test_those_that_were_slow_wait_for_one_another(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, took = Clock(), {"slow1": 60.0, "slow2": 90.0, "fast": 1.0}

    def go_on(_self: object, source: Any, **_: object) -> None:
        clock.now += took[source.name]
        if source.name != "fast":
            raise TimeoutError

    monkeypatch.setattr(ListingParts, "go_on", go_on)
    any_part = cast("Any", None)
    parts = ListingParts(
        catalog=any_part, clock=cast("Any", clock), owners=any_part, store_for=any_part,
        collections=any_part,
    )  # fmt: skip
    slow = SlowListings()
    measured = slow.measured(parts)

    def turn(name: str) -> None:
        source: Any = SimpleNamespace(name=name)
        if name == "fast":
            measured.go_on(source)
            return
        with pytest.raises(TimeoutError):
            measured.go_on(source)

    def others() -> list[str]:
        return slow.others(took, cast("Any", clock))

    assert others() == [*took]
    turn("slow1")
    assert others() == ["slow2", "fast"]
    turn("slow2")  # the first time
    turn("fast")
    assert others() == ["fast"]
    clock.now += SHARE * 90 - 2
    assert others() == ["fast"]
    clock.now += 1
    assert others() == [*took]
    took["slow1"] = SLOW_SECONDS - 1
    turn("slow1")  # well again, and waits no more
    turn("slow2")
    assert others() == ["slow1", "fast"]
