"""Buckets that list without order: the same rules, by a snapshot that is sorted on the disk."""

import os
import random
import resource
import stat

import pytest

from s3sync_dagster.core.state import ListingState
from s3sync_dagster.engine.dry_run import dry_run
from s3sync_dagster.engine.pages import first_object, open_pages
from s3sync_dagster.engine.snapshot import LEFTOVER_SECONDS
from s3sync_dagster.engine.store_ports import ListPage, UnorderedPage
from s3sync_dagster.model.errors import FixConfiguration, NotPossible, Unavailable
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.ports.memory_s3 import MemoryObjectStore
from s3sync_dagster_tests.core.rules import Died, event, states
from s3sync_dagster_tests.core.test_rules_restored import back_up, restore

KEYS = [f"{n:03}.txt" for n in range(60)]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "home" / "listings"


@pytest.fixture
def shuffled(world):
    """The world, whose bucket gives its keys without order, seven a page."""
    for key in KEYS:
        world.bucket.put(key, f"text of {key}")
    world.store = MemoryObjectStore(world.bucket, fault=world._fault, ordered=False, page_keys=7)
    return world


def files(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_bucket_without_order_is_indexed_changed_and_removed_like_any_other(shuffled, folder):
    shuffled.listing(snapshots=folder)
    assert shuffled.store.requests()["LIST"] == 9  # one for seven keys, each key once
    shuffled.run_batches()
    assert shuffled.keys_indexed() == set(KEYS)
    shuffled.bucket.put(KEYS[5], "another text")
    shuffled.bucket.delete(KEYS[7])
    progress = shuffled.listing(snapshots=folder)
    assert (progress.listing.listed, progress.listing.changed, progress.listing.gone) == (59, 1, 1)
    states_now = {report.key: report.state for report in shuffled.run_batches()}
    assert states_now == {KEYS[5]: "updated", KEYS[7]: "removed"}
    assert shuffled.listing(snapshots=folder).listing.changed == 0
    assert shuffled.catalog.invocations.live_count(shuffled.source.id) == 0


def test_the_guard_holds_for_a_bucket_without_order_too(shuffled, folder):
    shuffled.sync(snapshots=folder)
    for key in KEYS:
        shuffled.bucket.delete(key)
    assert shuffled.listing(snapshots=folder).listing.state is ListingState.BLOCKED


def test_a_listing_without_order_goes_on_over_ticks_and_asks_for_each_page_once(shuffled, folder):
    ticks = 1
    while not (progress := shuffled.listing(snapshots=folder, budget_seconds=0, page_keys=20)).done:
        assert [path.name for path in folder.glob("*.db")] != []
        ticks += 1
    assert ticks == 9 + 3  # nine pages are gathered, three are compared
    assert shuffled.store.requests()["LIST"] == 9
    assert progress.listing.listed == 60
    assert files(folder) == []


def test_what_a_dead_process_has_gathered_is_not_asked_for_again(shuffled, folder):
    left = [4]

    def die(kind, _key):
        left[0] -= 1
        if left[0] < 0:
            raise Died

    shuffled.fault = die
    with pytest.raises(Died):
        shuffled.listing(snapshots=folder)
    shuffled.fault = None
    shuffled.clock.seconds += 100  # the lease of the dead one ends
    assert shuffled.listing(snapshots=folder).listing.listed == 60
    assert shuffled.store.requests()["LIST"] == 9 + 1  # the one of which it died


def test_a_snapshot_that_was_lost_is_gathered_anew_and_the_listing_goes_on(shuffled, folder):
    while not shuffled.listing(snapshots=folder, budget_seconds=0, page_keys=20).listing.listed:
        pass
    for path in folder.iterdir():
        path.unlink()
    shuffled.bucket.put("000-new.txt", "before the cursor: for the next listing")
    shuffled.bucket.put("zzz.txt", "behind the cursor")
    progress = shuffled.listing(snapshots=folder)
    assert progress.done
    assert progress.listing.listed == 61
    assert "zzz.txt" in states(shuffled)
    assert "000-new.txt" not in states(shuffled)


def test_without_a_folder_a_listing_ends_in_one_call_and_leaves_no_file(shuffled, folder):
    assert shuffled.listing().listing.listed == 60
    assert files(folder) == []


def test_what_was_told_after_the_first_question_is_newer_than_the_snapshot(shuffled, folder):
    shuffled.sync(snapshots=folder)
    changed, gone, back = KEYS[10], KEYS[20], "back.txt"
    shuffled.bucket.put(changed, "an old version")
    shuffled.listing(snapshots=folder, budget_seconds=0)  # has asked for the first page only
    new = shuffled.bucket.put(changed, "the newest version")
    event(shuffled, changed, told=ObjectRef(key=changed, etag=new.etag, size=new.size))
    there = shuffled.bucket.put(back, "here")
    event(shuffled, back, told=ObjectRef(key=back, etag=there.etag, size=there.size))
    shuffled.bucket.delete(gone)
    event(shuffled, gone, remove=True)
    while not shuffled.listing(snapshots=folder, budget_seconds=0).done:
        pass
    shuffled.run_batches()
    texts = set(shuffled.texts().values())
    assert {"the newest version", "here"} <= texts
    assert "an old version" not in texts
    assert gone not in shuffled.keys_indexed()


def test_what_is_told_while_pages_are_compared_outlives_the_snapshot(shuffled, folder):
    shuffled.sync(snapshots=folder)
    key = KEYS[50]
    old = shuffled.bucket.put(key, "old")
    for _ in range(10):  # nine pages are gathered, one is compared
        shuffled.listing(snapshots=folder, budget_seconds=0, page_keys=20)
    new = shuffled.bucket.put(key, "new")
    event(shuffled, key, told=ObjectRef(key=key, etag=new.etag, size=new.size))
    while not shuffled.listing(snapshots=folder, budget_seconds=0, page_keys=20).done:
        pass
    assert shuffled.catalog.work.object(shuffled.source.id, key).etag == new.etag != old.etag


def test_a_snapshot_from_before_a_restore_serves_no_listing_after_it(shuffled, folder):
    shuffled.sync(snapshots=folder)
    backup = back_up(shuffled)
    while not shuffled.listing(snapshots=folder, budget_seconds=0, page_keys=20).listing.listed:
        pass
    assert files(folder)
    restore(shuffled, backup)  # on a machine whose data folder is still that of before
    shuffled.clock.seconds += 3600
    told = shuffled.bucket.put("new.txt", "text")
    event(shuffled, "new.txt", told=told)
    shuffled.run_batches()
    shuffled.sync(snapshots=folder)
    assert shuffled.keys_indexed() == {*KEYS, "new.txt"}


def test_a_listing_that_fails_leaves_no_file_and_the_next_begins_anew(shuffled, folder):
    asked = [3]

    def fail(kind, _key):
        asked[0] -= 1
        if asked[0] == 0:
            raise Unavailable("the bucket did not answer")

    shuffled.fault = fail
    with pytest.raises(Unavailable):
        shuffled.listing(snapshots=folder)
    assert shuffled.catalog.listings.latest(shuffled.source.id).state is ListingState.FAILED
    assert files(folder) == []
    assert shuffled.listing(snapshots=folder).listing.listed == 60


def test_the_snapshot_is_for_this_user_alone(shuffled, folder):
    shuffled.listing(snapshots=folder, budget_seconds=0)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {0o600}


def test_files_that_no_listing_comes_back_to_are_removed(shuffled, folder):
    shuffled.listing(snapshots=folder, budget_seconds=0)
    (mine,) = folder.glob("*.db")
    other, old = folder / "another-1.db", folder / "deleted-1.db"
    other.touch()
    old.touch()
    os.utime(old, (0, old.stat().st_mtime - LEFTOVER_SECONDS - 1))
    shuffled.listing(snapshots=folder, budget_seconds=0, fresh=True)
    assert not mine.exists()
    assert not old.exists()
    assert other.exists()


def test_a_folder_that_cannot_be_used_fails_the_listing_with_a_reason(shuffled, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(FixConfiguration) as caught:
        shuffled.listing(snapshots=tmp_path / "taken")
    assert caught.value.reason == "listing_snapshot_unusable"
    assert shuffled.catalog.listings.latest(shuffled.source.id).state is ListingState.FAILED


def test_a_damaged_snapshot_fails_one_listing_and_is_removed(shuffled, folder):
    shuffled.listing(snapshots=folder, budget_seconds=0)
    (file,) = folder.glob("*.db")
    file.write_bytes(b"x" * 100_000)
    with pytest.raises(FixConfiguration):
        shuffled.listing(snapshots=folder)
    assert shuffled.catalog.listings.latest(shuffled.source.id).state is ListingState.FAILED
    assert shuffled.listing(snapshots=folder).listing.listed == 60
    assert files(folder) == []


def test_a_dry_run_tells_of_a_bucket_without_order(shuffled):
    found = dry_run(shuffled.source, catalog=shuffled.catalog, store=shuffled.store)
    assert (found.listed, found.indexed) == (60, 60)
    shuffled.sync()
    shuffled.bucket.delete(KEYS[0])
    found = dry_run(shuffled.source, catalog=shuffled.catalog, store=shuffled.store)
    assert (found.listed, found.unchanged, found.removed) == (59, 59, 1)


def test_one_request_shows_whether_a_bucket_may_be_listed(shuffled):
    assert first_object(shuffled.store, "").key in KEYS
    assert first_object(shuffled.store, "none/") is None
    assert shuffled.store.requests()["LIST"] == 2


def test_an_endpoint_that_repeats_its_page_for_ever_is_found_out(shuffled, folder):
    class Stuck(MemoryObjectStore):
        def list_unordered(self, prefix, *, token):
            page = super().list_unordered(prefix, token=None)
            return UnorderedPage(objects=page.objects, token="again")

    shuffled.store = Stuck(shuffled.bucket, ordered=False, page_keys=7)
    with pytest.raises(Unavailable) as caught:
        shuffled.listing(snapshots=folder)
    assert caught.value.reason == "listing_stuck"


class Endless:
    """So many keys in no order, made up as they are asked for."""

    ordered = False
    PAGE = 1000

    def __init__(self, number):
        self._places = list(range(0, number, self.PAGE))
        random.Random(1).shuffle(self._places)
        self._number = number

    def list_unordered(self, prefix, *, token):
        turn = int(token or 0)
        first = self._places[turn]
        refs = tuple(
            ObjectRef(key=f"{(n * 7919) % self._number:08}/{'x' * 60}.txt", etag="e" * 32, size=n)
            for n in range(first, min(first + self.PAGE, self._number))
        )
        last = turn + 1 == len(self._places)
        return UnorderedPage(objects=refs, token=None if last else str(turn + 1))


@pytest.mark.long
def test_300_000_keys_are_sorted_in_bounded_memory(folder):
    number = 300_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pages = open_pages(Endless(number), "", snapshot=folder / "one-1.db")
    seen, after = 0, None
    while True:
        asked = pages.next(after, limit=1000)
        if asked is None:
            continue
        keys = [ref.key for ref in asked.page.objects]
        assert keys == sorted(keys)
        assert after is None or keys[0] > after
        seen, after = seen + len(keys), keys[-1]
        if asked.page.last:
            break
    pages.discard()
    assert seen == number
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 64, f"{grown:.0f} MiB"


def test_a_place_that_promises_order_and_breaks_it_has_nothing_removed(world):
    """Another package's store, say, whose database sorts without regard to case."""
    for key in ("B.md", "C.md", "a.md"):
        world.bucket.put(key, f"text of {key}")
    world.sync()
    there = {ref.key: ref for ref in world.store.list_page("", start_after=None).objects}

    class Cased(MemoryObjectStore):
        def list_page(self, prefix, *, start_after, limit=1000):
            after = (start_after or "").lower()
            keys = sorted((key for key in there if key.lower() > after), key=str.lower)
            page = tuple(there[key] for key in keys[:2])
            return ListPage(objects=page, last=len(keys) <= 2)

    world.store = Cased(world.bucket)
    with pytest.raises(NotPossible) as caught:
        world.listing()
    assert caught.value.reason == "unordered_listing"
    world.run_batches()
    assert world.keys_indexed() == set(there)


def test_a_place_that_does_not_go_on_behind_a_key_is_found_out(world):
    world.bucket.put("a.md", "text")
    [ref] = world.store.list_page("", start_after=None).objects

    class Again(MemoryObjectStore):
        def list_page(self, prefix, *, start_after, limit=1000):
            return ListPage(objects=(ref,), last=False)

    world.store = Again(world.bucket)
    with pytest.raises(NotPossible) as caught:
        world.listing()
    assert caught.value.reason == "unordered_listing"
