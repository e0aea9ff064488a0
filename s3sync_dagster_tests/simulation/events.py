"""A world that is told of everything by its queue and never lists."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.simulation.driver import ACTIONS, SOURCE, act, replayable
from s3sync_dagster_tests.simulation.oracle import check
from s3sync_dagster_tests.simulation.ports import LIE, Weather
from s3sync_dagster_tests.simulation.world import World

UNTOLD = {
    "lose", "list", "approve", "configure", "person", "stranger", "front", "another bucket",
    "elsewhere", "coincide",
}  # fmt: skip
"""What only a listing makes good, or belongs to one."""


class Permitted(Weather):
    """No request is denied: whoever was, is only asked for again by listings and people.

    So are keys whose attempts have come to an end, for which the world below has many.
    """

    def forecast(self, kind: str, fault: str, *, after: int = 0) -> None:
        told = "error" if fault in ("denied", LIE) else fault
        super().forecast(kind, told, after=after)


@dataclass
class EventWorld(World):
    """Where the other world looks at the bucket, this one reads what its queue holds."""

    lists: ClassVar[bool] = False
    attempts: ClassVar[int] = 100
    kinds: ClassVar[Sequence[str]] = tuple(name for name in ACTIONS if name not in UNTOLD)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.weather = Permitted()

    def ask(self, key: str, *, custom_id: str | None, words: dict[str, Any], force: bool) -> None:
        """Without a custom id: who found one taken also waits for a listing or a person."""
        super().ask(key, custom_id=None, words=words, force=force)

    def put(self, key: str, content: str) -> None:
        """Each sidecar has custom ids of its own, for the same reason."""
        super().put(key, content.replace('"id": "', f'"id": "{key[0]}'))

    def _quiet_listing(self) -> bool:
        while self.queue.bodies():
            self.wait(60)
            self._intake()
        return self.catalog.invocations.live_count(self.source.id) > 0


def run_on_events(seed: int, steps: int) -> EventWorld:
    """Run a world in which events are repeated, late and shuffled, but none is lost."""
    chance = random.Random(seed)
    auto_sync = chance.choices([AutoSync.DIRECT, AutoSync.METADATA], (4, 1))[0]
    world = EventWorld(SOURCE.with_changes(mode=DeleteMode.MIRROR, auto_sync=auto_sync), seed)
    with replayable(world, f"run_on_events({seed}, {steps}), auto_sync {auto_sync}"):
        for _ in range(steps):
            act(world, chance, only=world.kinds)
        world.settle(events=True)
        check(world)
    return world
