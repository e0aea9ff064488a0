"""Stores of many sources: so many are open, and none is closed under who works with it."""

import gc
import threading
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.model.source import Source
from s3sync_dagster.places.folder import FolderPlace
from s3sync_dagster.places.git import GitPlace
from s3sync_dagster.places.web import WebPlace
from s3sync_dagster.places.web_store import SiteStore
from s3sync_dagster.ports.memory_s3 import MemoryBucket, MemoryObjectStore
from s3sync_dagster.ports.open_stores import MOST_OPEN, MOST_REPOSITORIES, OpenStores
from s3sync_dagster.settings import load_settings
from s3sync_dagster.wiring import open_parts


class Counted(MemoryObjectStore):
    """Tells when it is closed."""

    def __init__(self, closed: list[str], name: str) -> None:
        super().__init__(MemoryBucket())
        self.name, self._closed_names = name, closed

    def close(self) -> None:
        self._closed_names.append(self.name)
        super().close()


@pytest.fixture
def closed():
    return []


@pytest.fixture
def stores():
    made = OpenStores()
    yield made
    made.close()


@pytest.fixture
def named(stores, closed):
    """Return the store of a source, by its name."""

    def store_for(name: str, place=None, **more):
        source = source_of(name, place or FolderPlace(folder=f"/{name}"), **more)
        return stores.store_for(source, lambda: Counted(closed, name))

    return store_for


def source_of(name: str, place, **more):
    return Source(id=name, name=name, place=place, collection_name="docs", **more)


def test_so_many_stores_are_open_and_those_asked_for_last_stay(named, closed):
    for n in range(MOST_OPEN):
        named(f"s{n}")
    first = named("s0").name
    named("more")
    gc.collect()
    assert (first, closed) == ("s0", ["s1"])
    for n in range(100):
        named(f"bucket{n}", S3Place(bucket_name=f"b{n}"))
    gc.collect()
    assert closed == ["s1"]
    for n in range(MOST_REPOSITORIES + 1):
        named(f"git{n}", GitPlace(repository=f"https://git.example/{n}.git"))
    gc.collect()
    assert closed == ["s1", "git0"]


def test_a_store_is_not_closed_while_somebody_has_it_or_waits_for_it(named, closed):
    held = named("held")
    began, ends = threading.Event(), threading.Event()

    def slow(key, **_):
        began.set()
        ends.wait(10)
        return list(closed)

    vars(named("slow")._store)["head"] = slow
    found = []
    reads = threading.Thread(target=lambda: found.append(named("slow").head("a")))
    reads.start()
    began.wait(10)
    for n in range(2 * MOST_OPEN):
        named(f"s{n}")
    gc.collect()
    assert {"held", "slow"}.isdisjoint(closed)
    ends.set()
    reads.join()
    assert "slow" not in found[0]
    del held
    gc.collect()
    assert {"held", "slow"} <= set(closed)


def test_a_place_that_changed_has_another_store_and_requests_are_counted_on(stores, named, closed):
    named("a").list_page("", start_after=None)
    before = stores.requests()["LIST"]
    assert named("a", FolderPlace(folder="/elsewhere")).name == "a"
    gc.collect()
    assert (closed, stores.requests()["LIST"]) == (["a"], before)
    elsewhere = FolderPlace(folder="/elsewhere")
    assert stores.store_for(source_of("a", elsewhere), pytest.fail).name == "a"
    named("a", elsewhere, max_size_bytes=1)  # which the store of a site was opened with
    gc.collect()
    assert closed == ["a", "a"]


def test_a_place_that_keeps_waiting_keeps_no_other_waiting(stores, named):
    waits, ends = threading.Event(), threading.Event()

    def opened():
        waits.set()
        ends.wait(10)
        return MemoryObjectStore(MemoryBucket())

    hangs = source_of("hangs", FolderPlace(folder="/hangs"))
    thread = threading.Thread(target=lambda: stores.store_for(hangs, opened))
    thread.start()
    waits.wait(10)
    assert named("other").name == "other"
    ends.set()
    thread.join()


def test_a_process_keeps_no_files_open_for_each_site_that_it_has_met(tmp_path):
    """As the API lists whatever a tenant makes, and deletes again."""
    with closing(open_parts(load_settings({"S3SYNC_HOME": str(tmp_path)}))) as parts:

        def meet(n):
            place = WebPlace(starting_url=f"https://site{n}.example.org/")
            source = source_of(f"s{n}", place)
            assert not cast("SiteStore", parts.store_for(source)).tells_missing()

        for n in range(MOST_OPEN):
            meet(n)
        before = len(list(Path("/proc/self/fd").iterdir()))
        for n in range(MOST_OPEN, 3 * MOST_OPEN):
            meet(n)
        gc.collect()
        assert len(list(Path("/proc/self/fd").iterdir())) <= before + 3


def test_who_goes_on_when_all_is_closed_keeps_what_it_uses_and_no_more(tmp_path, closed):
    """Of repositories of 500,000 files each has 210 MB as long as it is open."""
    parts = open_parts(load_settings({"S3SYNC_HOME": str(tmp_path)}))
    one, other = (
        parts._stores.store_for(
            source_of(name, FolderPlace(folder=f"/{name}")), lambda name=name: Counted(closed, name)
        )
        for name in ("one", "other")
    )
    catalog = parts.catalog
    with parts.in_use(), parts.in_use():
        del other
        parts.close()
        gc.collect()
        assert closed == ["other"]
        assert parts.catalog is catalog
    assert parts._catalog is None
    assert one.requests() is not None
    del one
    gc.collect()
    assert closed == ["other", "one"]
    with parts.in_use():
        assert parts.catalog is not None
    assert parts._catalog is not None, "nobody has asked to close it since"
    parts.close()
