"""What a store kept of an object when it listed it passes for no other version of it."""

import pytest

from s3sync_dagster.ports.memory_s3 import MemoryObjectStore
from s3sync_dagster_tests.core.rules import requests, sidecar


class Keeping(MemoryObjectStore):
    """Gives of a key what it has kept, until another version of it is expected."""

    def __init__(self, bucket):
        super().__init__(bucket)
        self._kept = {}

    def keep(self, key):
        self._kept[key] = super().read(key, max_size_bytes=1000)

    def expect(self, key, etag):
        if key in self._kept and self._kept[key].ref.etag != etag:
            del self._kept[key]

    def read(self, key, **options):
        return self._kept.pop(key, None) or super().read(key, **options)


@pytest.fixture
def keeping(world):
    world.store = Keeping(world.bucket)
    return world


def test_what_was_kept_is_not_asked_for_again(keeping):
    keeping.bucket.put("a.md", "text")
    keeping.store.keep("a.md")
    keeping.sync()
    assert (list(keeping.texts().values()), requests(keeping, "GET")) == (["text"], 1)


def test_an_older_version_that_was_kept_is_not_indexed(keeping):
    keeping.bucket.put("a.md", "old")
    keeping.store.keep("a.md")
    keeping.bucket.put("a.md", "new")
    keeping.sync()
    assert list(keeping.texts().values()) == ["new"]


def test_an_older_version_of_a_sidecar_that_was_kept_is_not_followed(keeping):
    keeping.bucket.put("a.md", "text")
    keeping.bucket.put("a.md.meta.json", sidecar("a.md", "old"))
    keeping.store.keep("a.md.meta.json")
    keeping.bucket.put("a.md.meta.json", sidecar("a.md", "new"))
    keeping.sync()
    assert keeping.texts() == {"new-0": "text"}
