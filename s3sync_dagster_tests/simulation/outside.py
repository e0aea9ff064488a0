"""What lies outside of the workers: time, a bucket, the queue that tells of it, the reaper."""

import json
import random
from collections import Counter
from typing import Any

from s3sync_dagster.catalog import Catalog
from s3sync_dagster.ports.memory_sqs import MemoryQueue
from s3sync_dagster_tests.conftest_catalog import HandClock


class TickingClock(HandClock):
    """A hand-moved clock on which no two events have the same time."""

    def now(self):
        self.seconds += 1e-5
        return super().now()


class Outside:
    """A bucket whose changes are told by a queue that loses, repeats and shuffles them."""

    catalog: Catalog
    source: Any

    def __init__(self, seed: int) -> None:
        self.clock = TickingClock(seed)
        self.lone_deaths: Counter[str] = Counter()
        """How often a worker died, or was thought dead, while it had one key alone."""
        self.trace: list[str] = []
        """What has happened, to be read after a failure."""
        self.history: dict[str, list[str]] = {}
        """Every content that a key ever had."""
        self.place: Any = self._settle_somewhere()
        self.queue = MemoryQueue(now=lambda: self.clock.seconds, visibility_seconds=40)
        self.sequence = 1000

    @property
    def bucket(self) -> Any:
        """What people put objects into and delete them from."""
        return self.place.home

    @property
    def store(self) -> Any:
        """What the source reads where the running worker is."""
        return self.store_of(self.source)

    def store_of(self, source: Any) -> Any:
        """Return what a source reads where the running worker is."""
        return self.place.store_of(source, far=self.is_away())

    def note(self, line: str) -> None:
        self.trace.append(line)

    def release_dead(self, token: str) -> bool:
        keys = self.catalog.batches.keys(token)
        released = self.catalog.batches.release(token, died=True)
        self.lone_deaths.update(keys if len(keys) == 1 else ())
        return released

    def put(self, key: str, content: str) -> None:
        self.note(f"put {key} {content!r}")
        self.history.setdefault(key, []).append(content)
        self.bucket.put(key, content)

    def delete(self, key: str) -> None:
        self.note(f"delete {key}")
        self.bucket.delete(key)

    def _changed(self, name: str, ref: Any, key: str) -> None:
        self.sequence += 1
        described: dict[str, Any] = {"key": key.replace(" ", "+")}
        described["sequencer"] = f"{self.sequence:016X}"
        if ref is not None and self.sequence % 5:
            described |= {"size": ref.size, "eTag": ref.etag}
        body = json.dumps(
            {
                "Records": [
                    {
                        "eventSource": "aws:s3",
                        "eventVersion": "2.1",
                        "eventName": name,
                        "s3": {"bucket": {"name": self.bucket.name}, "object": described},
                    }
                ]
            }
        )
        self.queue.send(body)

    def lose_event(self, place: int) -> None:
        kept = self.queue._kept or self.place.told
        if kept:
            self.note("lose an event")
            del kept[place % len(kept)]

    def repeat_event(self, place: int, delay: float) -> None:
        kept = self.queue._kept
        if kept:
            self.note("repeat an event later")
            self.queue.send(kept[place % len(kept)].body, delay_seconds=delay)

    def shuffle_events(self, seed: int) -> None:
        random.Random(seed).shuffle(self.queue._kept)
