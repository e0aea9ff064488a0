"""Which asset of a source shows a key: shards of so many partitions as Dagster bears in one asset.

A shard is a place for partitions and nothing else: batches, runs, listings and the guard know the
source alone. A key gets its shard when Dagster is told of it first and keeps it as long as its
partition stands, so a source that grows touches nothing that is indexed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

FIRST_SHARD = 1
"""The one that every source has, and in which all stands from before there were others."""
PARTITIONS_PER_ASSET = 100_000
"""What Dagster recommends at most."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where keys are shown."""

    shards: Mapping[str, int] = field(default_factory=dict[str, int])
    """By object key, of those that have a partition or are to have one."""
    untold: Mapping[int, Sequence[str]] = field(default_factory=dict[int, list[str]])
    """Partition keys that Dagster was not told of yet, by shard."""


def spread(
    keys: Sequence[str], partitions: Mapping[int, int], *, most: int
) -> dict[int, list[str]]:
    """Give keys shards: the lowest ones that have room, then new ones.

    Room that was given back is used again: keys that come and go open no shard after the other.

    Args:
        keys: those that have none.
        partitions: how many each shard has.
        most: how many one may have; one that has more already keeps them.
    """
    given: dict[int, list[str]] = {}
    left, shard = list(keys), FIRST_SHARD
    while left:
        room = max(most - partitions.get(shard, 0), 0)
        if room:
            given[shard], left = left[:room], left[room:]
        shard += 1
    return given
