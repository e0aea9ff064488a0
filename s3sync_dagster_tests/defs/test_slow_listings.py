"""Slow places share a part of the sensor's time, whoever's they are."""

from typing import Any, cast

from s3sync_dagster.defs.slow_listings import SHARE, SlowListings


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


def test_those_that_were_slow_wait_for_one_another() -> None:
    clock, names, slow = Clock(), ["slow1", "slow2", "fast"], SlowListings()

    def outlasts(name: str) -> None:
        began, clock.now = clock.now, clock.now + 25
        slow.outlasted(name, began=began, ended=clock.now)

    def ends(name: str) -> None:
        clock.now += 1
        slow.is_well(name, now=clock.now)

    def others() -> list[str]:
        return slow.others(names, cast("Any", clock))

    assert others() == names
    outlasts("slow1")
    assert others() == ["slow2", "fast"]
    outlasts("slow2")  # the first time
    ends("fast")
    assert others() == ["fast"]
    clock.now += SHARE * 25 - 2
    assert others() == ["fast"]
    clock.now += 1
    assert others() == names
    ends("slow1")  # well again, and waits no more
    outlasts("slow2")
    assert others() == ["slow1", "fast"]
