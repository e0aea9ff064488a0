"""A store that answers from a copy of its place compares it before it is believed."""

from copy import deepcopy

from s3sync_dagster.ports.memory_s3 import MemoryBucket, MemoryObjectStore
from s3sync_dagster_tests.core.rules import hold, sidecar, work_on


class Copied(MemoryObjectStore):
    """Knows of the place what was there when it was renewed."""

    def __init__(self, place):
        super().__init__(MemoryBucket())
        self._place = place

    def renew(self):
        self._bucket = deepcopy(self._place)


def test_what_is_read_of_an_object_is_no_older_than_its_batch(world):
    world.store = Copied(world.bucket)
    world.bucket.put("a.md", "old")
    world.ask("a.md")
    batch = hold(world, "a.md")
    world.bucket.put("a.md", "new")
    work_on(world, batch)
    assert list(world.texts().values()) == ["new"]


def test_what_is_read_of_an_object_is_no_older_than_the_sidecars_of_its_batch(world):
    world.store = Copied(world.bucket)
    world.bucket.put("a.md", "old")
    world.bucket.put("a.md.meta.json", sidecar("a.md", "x"))
    world.ask("a.md", "a.md.meta.json")

    def changed(at):
        if at == "sidecars":
            world.bucket.put("a.md", "new")

    work_on(world, hold(world, "a.md"), at=changed)
    assert world.texts() == {"x-0": "new"}
