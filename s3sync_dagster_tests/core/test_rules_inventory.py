"""Listings that are made of inventory reports: old news changes nothing of what is known."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from s3sync_dagster.catalog.copying import begin_anew
from s3sync_dagster.catalog.quotas import ObjectQuota
from s3sync_dagster.catalog.recovered import store_recovered
from s3sync_dagster.catalog.tables import sources
from s3sync_dagster.core.state import ListingState
from s3sync_dagster.engine.listing_turns import ListingParts, list_when_due
from s3sync_dagster.engine.rebuilding import recover_documents
from s3sync_dagster.model.errors import (
    AccessDenied,
    FixConfiguration,
    InvalidSetting,
    NotPossible,
    Unavailable,
)
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster.ports import inventory_store
from s3sync_dagster.ports.inventory_store import InventoryStore
from s3sync_dagster.ports.memory_s3 import MemoryBucket, MemoryObjectStore
from s3sync_dagster_tests.columnar_reports import FORMATS, as_format, file_of
from s3sync_dagster_tests.core.rules import event, sidecar, states
from s3sync_dagster_tests.core.test_rules_moved import finish, move
from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.inventory_reports import PREFIX, VERSIONED, delivered, packed, row_of
from s3sync_dagster_tests.sources import changed

BEGAN = datetime(2026, 1, 2, tzinfo=UTC)


class Reports:
    """The world, whose listings are made of the reports that a test delivers."""

    def __init__(self, world, folder):
        self.world, self.folder, self.number = world, folder, 0
        self.kind = "CSV"
        self.there = MemoryBucket(name="reports")
        self.ours = MemoryObjectStore(self.there)
        world.source = changed(world.source, inventory=f"s3://reports/{PREFIX}")
        world.catalog.sources.update(world.source)
        self.reopen()

    def reopen(self):
        """Begin as another process would: it knows what lies in the buckets and the catalog."""
        world = self.world
        world.store = InventoryStore(
            world.source.place,
            bucket=MemoryObjectStore(world.bucket, fault=world._fault),
            reports=self.ours,
        )

    def look(self, prefix=""):
        """Return what a report that is made now would tell."""
        return list(self.world.bucket.page(prefix, after="", limit=10**6)[0])

    def deliver(self, refs, *, parts=1, manifest=None):
        """Deliver a report of these objects; returns its name."""
        rows = [row_of(ref) for ref in refs]
        random.Random(len(rows)).shuffle(rows)
        files = [file_of(self.kind, rows[part::parts]) for part in range(parts)]
        return self.lay(files, {**as_format(self.kind), **(manifest or {})})

    def lay(self, files, manifest=None):
        self.number += 1
        created = BEGAN + timedelta(days=self.number)
        name = created.strftime("%Y-%m-%dT%H-%MZ")
        for key, content in delivered(name, files, created=created, manifest=manifest).items():
            self.there.put(key, content)
        return name

    def list(self, **options):
        return self.world.listing(snapshots=self.folder, **options)

    def sync(self, **options):
        self.list(**options)
        return {report.key: report.state for report in self.world.run_batches()}

    def tick(self):
        """Let the sensor's turn come; returns what it says."""
        world = self.world
        world.clock.seconds += 400
        parts = ListingParts(
            catalog=world.catalog,
            clock=world.clock,
            owners=Alive(),
            store_for=lambda _: world.store,
            collections=lambda: world.collections,
            snapshots=self.folder,
        )
        return list_when_due(parts, world.source, log=lambda _: None)

    def asked(self, kind):
        """Return the requests to the source's bucket since the last call, or the begin."""
        number = self.world.store._bucket.requests()[kind]
        before, self._before = getattr(self, "_before", {}).get(kind, 0), {kind: number}
        return number - before


class Alive:
    """Owners of which only this process is alive."""

    def me(self):
        return "test"

    def is_dead(self, owner):
        return owner != "test"


@pytest.fixture
def reports(world, tmp_path):
    for n in range(10):
        world.bucket.put(f"k{n}.md", f"text {n}")
    return Reports(world, tmp_path / "listings")


def heads(reports):
    return reports.world.store._bucket.requests()["HEAD"]


def lists(reports):
    return reports.world.store._bucket.requests()["LIST"]


def latest(reports):
    return reports.world.catalog.listings.latest(reports.world.source.id)


def tell(world, key, **fields):
    """Write an object and let its event arrive."""
    ref = world.bucket.put(key, fields.pop("text", f"new text of {key}"))
    event(world, key, told=ref)


def refusal(reports):
    """Return the sentence with which a listing ends, which has removed and changed nothing."""
    world = reports.world
    before = states(world)
    with pytest.raises(FixConfiguration) as caught:
        reports.list()
    assert states(world) == before
    assert latest(reports).state is ListingState.FAILED
    assert latest(reports).error == caught.value.message
    return caught.value


# --- what a report tells ---------------------------------------------------------------------


@pytest.mark.parametrize("kind", FORMATS)
def test_a_report_is_listed_without_a_question_to_the_bucket(reports, kind):
    reports.kind = kind
    name = reports.deliver(reports.look(), parts=3)
    reports.list()
    assert (lists(reports), heads(reports)) == (0, 0)
    reports.world.run_batches()
    assert reports.world.keys_indexed() == set(reports.world.bucket.objects())
    assert latest(reports).report.name == name
    assert (latest(reports).listed, latest(reports).new) == (10, 10)


def test_what_changed_between_two_reports_costs_a_head_each(reports):
    world = reports.world
    reports.deliver(reports.look())
    reports.sync()
    world.bucket.put("k1.md", "changed")
    world.bucket.put("new.md", "new")
    world.bucket.delete("k2.md")
    reports.deliver(reports.look())
    before = heads(reports)
    assert reports.sync() == {"k1.md": "updated", "new.md": "indexed", "k2.md": "removed"}
    assert (heads(reports) - before, lists(reports)) == (2, 0)
    assert (latest(reports).new, latest(reports).changed, latest(reports).gone) == (1, 1, 1)


@pytest.mark.parametrize("kind", FORMATS)
def test_keys_are_those_of_the_objects_however_a_format_writes_them(reports, kind):
    world, reports.kind = reports.world, kind
    odd = {"a b.md", "a+b.md", "100%.md", "ü/ß.md", 'q"uote,.md', "new\nline.md"}
    for key in odd:
        world.bucket.put(key, f"text of {key}")
    reports.deliver(reports.look())
    reports.sync()
    assert world.keys_indexed() == set(world.bucket.objects())


@pytest.mark.parametrize("kind", FORMATS)
def test_only_the_newest_version_that_is_no_delete_marker_is_an_object(reports, kind):
    world = reports.world
    ref = reports.look()[0]
    old = ObjectRef(key=ref.key, etag="0" * 32, size=1)
    gone = ObjectRef(key="gone.md", etag="1" * 32, size=1)
    rows = [
        row_of(old, IsLatest="false"),
        *(row_of(one) for one in reports.look()),
        row_of(gone, IsLatest="false"),
        row_of(gone, IsDeleteMarker="true", Size="", ETag="", StorageClass=""),
        row_of(old, IsLatest="false"),
    ]
    reports.lay([file_of(kind, rows, VERSIONED)], as_format(kind, VERSIONED))
    reports.sync()
    assert world.keys_indexed() == set(world.bucket.objects())
    assert heads(reports) == 0


def test_keys_of_other_prefixes_are_none_of_the_source_s(reports):
    world = reports.world
    world.source = changed(world.source, path_prefix="docs/")
    world.catalog.sources.update(world.source)
    reports.reopen()
    world.bucket.put("docs/a.md", "text")
    reports.deliver(reports.look())
    assert reports.sync() == {"docs/a.md": "indexed"}
    assert latest(reports).listed == 1


# --- what is newer than a report -------------------------------------------------------------


def test_an_old_report_reverts_removes_and_revives_nothing(reports):
    world = reports.world
    reports.deliver(reports.look())
    reports.sync()
    old = reports.look()
    tell(world, "k1.md", text="newer than the report")
    tell(world, "k11.md", text="younger than the report")
    world.bucket.delete("k2.md")
    event(world, "k2.md", remove=True)
    world.run_batches()
    reports.deliver(old)
    before = states(world)
    reports.list()
    assert states(world) == before
    assert (latest(reports).changed, latest(reports).gone) == (0, 0)
    assert world.run_batches() == []
    assert world.keys_indexed() == set(world.bucket.objects())
    assert "newer than the report" in world.texts().values()


def test_what_a_report_lacks_is_gone_only_where_the_bucket_says_so(reports):
    world = reports.world
    reports.deliver(reports.look())
    reports.sync()
    world.bucket.delete("k3.md")
    reports.deliver([ref for ref in reports.look() if ref.key != "k4.md"])
    assert reports.sync() == {"k3.md": "removed"}
    assert "k4.md" in world.keys_indexed()
    assert latest(reports).listed == 9


def test_keys_of_which_the_bucket_does_not_tell_stay_as_they_are_and_a_list_follows(reports):
    world = reports.world
    reports.deliver(reports.look())
    reports.sync()
    refused = {
        "k5.md": AccessDenied("not yours"),
        "k6.md": AccessDenied("HTTP 400", reason="bad_request"),
        "k7.md": InvalidSetting("no such key"),
        "k8.md": NotPossible("its key is the customer's"),
    }

    def refuse(kind, key):
        if kind == "HEAD" and key in refused:
            raise refused[key]

    world.fault = refuse
    world.bucket.delete("k5.md")
    for key in ("k6.md", "k7.md", "k8.md", "k9.md"):
        world.bucket.put(key, "changed")
    reports.deliver(reports.look())
    assert "4 as they were: HEADs were refused" in reports.tick()
    assert latest(reports).error.startswith("HEADs of 4 keys")
    assert {report.key for report in world.run_batches()} == {"k9.md"}
    assert refused.keys() <= world.keys_indexed()
    assert "3 changed, 1 gone" in reports.tick()
    assert lists(reports) == 1
    world.run_batches()
    assert sorted(world.texts().values()) == sorted(
        text.decode() for text in world.bucket.objects().values()
    )
    assert reports.tick().startswith("no inventory report")


def test_an_archived_object_of_which_the_bucket_does_not_tell_stays_archived(reports):
    world = reports.world
    world.bucket.put("old.md", "archived", storage_class="GLACIER")
    reports.deliver(reports.look())
    reports.sync()
    world.bucket.put("old.md", "archived, changed", storage_class="GLACIER")

    def refuse(kind, key):
        if (kind, key) == ("HEAD", "old.md"):
            raise AccessDenied("not yours")

    world.fault = refuse
    reports.deliver(reports.look())
    assert reports.sync() == {}
    assert latest(reports).error.startswith("HEADs of 1 keys")
    assert states(world)["old.md"] == ("skipped", "archived")


def blocked(reports):
    """Have a report's listing hold back the removal of 80 objects of 90; returns what they were."""
    world = reports.world
    for n in range(100, 180):
        world.bucket.put(f"k{n}.md", f"text {n}")
    reports.deliver(reports.look())
    reports.sync()
    gone = dict(list(world.bucket.objects().items())[:80])
    for key in gone:
        world.bucket.delete(key)
    reports.deliver(reports.look())
    assert reports.list().listing.state is ListingState.BLOCKED
    return gone


def test_the_guard_holds_what_a_report_lacks_until_a_list_has_seen_it_gone_or_back(reports):
    world = reports.world
    full, gone = reports.look(), blocked(reports)
    reports.deliver(full)  # made before they went: it revives nothing and approves nothing
    assert reports.list().listing.state is ListingState.BLOCKED
    world.run_batches()
    assert len(world.keys_indexed()) == 90
    for key, text in list(gone.items())[1:]:
        world.bucket.put(key, text)  # no event tells
    assert "1 gone" in reports.tick()
    assert latest(reports).state is ListingState.COMPLETE
    assert world.approve() is None
    world.run_batches()
    assert world.keys_indexed() == set(world.bucket.objects())


def test_what_is_back_when_its_removal_is_approved_stays(reports):
    world = reports.world
    gone = blocked(reports)
    for key, text in list(gone.items())[:9]:
        world.bucket.put(key, text)
    world.approve()
    world.run_batches()
    assert world.keys_indexed() == set(world.bucket.objects())  # each was asked for once more
    reports.tick()
    world.run_batches()
    assert world.keys_indexed() == set(world.bucket.objects())
    assert reports.tick().startswith("no inventory report")


def test_an_archived_object_that_was_restored_since_stays_restored(reports):
    world = reports.world
    reports.deliver(reports.look())
    reports.sync()
    world.bucket.put("old.md", "archived", storage_class="GLACIER")
    reports.deliver(reports.look())
    reports.sync()
    assert states(world)["old.md"] == ("skipped", "archived")
    old = reports.look()
    world.bucket.restore("old.md")
    event(world, "old.md", told=world.store.head("old.md"))
    world.run_batches()
    assert states(world)["old.md"][0] == "indexed"
    reports.deliver(old)
    reports.sync()
    assert states(world)["old.md"][0] == "indexed"
    assert world.catalog.work.object(world.source.id, "old.md").skip_reason is None


def test_an_archived_object_that_was_restored_without_an_event_is_found_by_the_next_report(reports):
    world = reports.world
    world.bucket.put("old.md", "archived", storage_class="GLACIER")
    reports.deliver(reports.look())
    reports.sync()
    assert states(world)["old.md"] == ("skipped", "archived")
    world.bucket.restore("old.md")
    reports.deliver(reports.look())
    before = heads(reports)
    assert reports.sync() == {"old.md": "indexed"}
    assert heads(reports) - before == 1


@pytest.mark.parametrize("most", [3, 9])
def test_what_a_quota_left_out_is_listed_until_there_is_room(reports, most):
    world = reports.world
    world.catalog.database.quota = ObjectQuota(most=most)
    reports.deliver(reports.look())
    reports.sync()
    assert len(world.keys_indexed()) == most
    world.catalog.database.quota = None
    assert f"{10 - most} new" in reports.tick()
    world.run_batches()
    assert world.keys_indexed() == set(world.bucket.objects())


@pytest.mark.parametrize("seed", range(2))
def test_any_reports_and_events_end_where_the_bucket_is(reports, seed, monkeypatch):
    """Reports of any moment, events late, lost and between ticks, processes that begin anew."""
    monkeypatch.setattr(inventory_store, "PAGE_ROWS", 4)
    chance, world = random.Random(seed), reports.world
    moments, late = [reports.look()], []
    for _ in range(40):
        key, had = f"k{chance.randrange(16)}.md", world.keys_indexed()
        match chance.randrange(8):
            case 0 | 1:
                ref = world.bucket.put(key, f"text {chance.random()}")
                late.append((key, ref))
            case 2 if key in world.bucket.objects():
                world.bucket.delete(key)
                late.append((key, None))
            case 3 if late:
                told, ref = late.pop(chance.randrange(len(late)))
                event(world, told, told=ref, remove=ref is None)
            case 4:
                moments.append(reports.look())
            case 5:
                reports.deliver(chance.choice(moments), parts=chance.randrange(1, 4))
            case 6 if reports.number:
                reports.list(budget_seconds=0, page_keys=chance.randrange(1, 9))
            case 7:
                world.run_batches()
                reports.reopen()
        assert had & set(world.bucket.objects()) <= world.keys_indexed()
    while (begun := latest(reports)) is not None and begun.state is ListingState.RUNNING:
        reports.list()
    reports.deliver(reports.look(), parts=2)
    reports.sync(approve_deletes=True)
    assert world.keys_indexed() == set(world.bucket.objects())
    assert sorted(world.texts().values()) == sorted(
        text.decode() for text in world.bucket.objects().values()
    )


# --- ticks and turns -------------------------------------------------------------------------


def test_a_report_is_read_over_ticks_and_by_another_process(reports, monkeypatch):
    monkeypatch.setattr(inventory_store, "PAGE_ROWS", 3)
    reports.deliver(reports.look(), parts=2)
    ticks = 1
    while not reports.list(budget_seconds=0, page_keys=4).done:
        ticks += 1
        if ticks % 2:
            reports.reopen()
    assert ticks == 4 + 3  # two files of five rows, three a page; ten keys, four a page
    reports.world.run_batches()
    assert reports.world.keys_indexed() == set(reports.world.bucket.objects())


def test_a_tick_without_a_new_report_asks_once_and_does_nothing(reports):
    reports.deliver(reports.look())
    reports.tick()
    reports.world.run_batches()
    listed, asked = latest(reports).id, dict(reports.ours.requests())
    assert reports.tick().startswith("no inventory report after that of 2026-01-03T00-00Z")
    assert latest(reports).id == listed
    assert {kind: n - asked[kind] for kind, n in reports.ours.requests().items()} == {
        "LIST": 1,
        "GET": 0,
        "HEAD": 0,
    }
    assert (lists(reports), heads(reports)) == (0, 0)
    reports.world.bucket.put("new.md", "new")
    reports.deliver(reports.look())
    assert "1 new" in reports.tick()


def test_a_person_has_the_same_report_read_again(reports):
    name = reports.deliver(reports.look())
    reports.tick()
    assert reports.tick().startswith("no inventory report")
    reports.world.catalog.sources.ask_for_listing(reports.world.source.id)
    assert reports.tick().endswith(f"0 new, 0 changed, 0 gone, by the inventory report {name}")
    assert lists(reports) == 0


def edited(world, **changes):
    world.configure(**changes)


def declared(world, **changes):
    world.source = world.catalog.sources.register(changed(world.source, **changes))


@pytest.mark.parametrize("change", [edited, declared])
def test_what_went_by_under_other_settings_is_found_by_a_list_although_they_are_as_before(
    reports, change
):
    world = reports.world
    if change is declared:
        with world.catalog.database.write() as tx:
            tx.execute(sources.update().values(origin="python"))
    reports.deliver(reports.look())
    reports.tick()
    world.run_batches()
    change(world, exclude_globs=("k1*",))
    ref = world.bucket.put("k1.md", "written while it was left out")
    event(world, "k1.md", told=ref, skip="excluded")
    world.run_batches()
    change(world, exclude_globs=())

    def silent(kind, _key):
        if kind == "LIST":
            raise Unavailable("no answer")

    world.fault = silent
    assert "could not list" in reports.tick()
    world.fault = None
    assert reports.tick() == "listed 10 objects: 0 new, 0 changed, 0 gone"
    world.run_batches()
    assert "written while it was left out" in world.texts().values()
    assert reports.tick().startswith("no inventory report")


def test_settings_that_were_others_while_a_report_was_listed_have_the_bucket_listed(reports):
    world = reports.world
    world.configure(on_config_change="reindex")
    reports.deliver(reports.look())
    reports.sync()
    reports.deliver(reports.look())
    while latest(reports).cursor != "k3.md":
        reports.list(budget_seconds=0, page_keys=4)
    world.configure(metadata={"team": "another"})
    tell(world, "k1.md")
    world.run_batches()
    world.configure(metadata={})
    assert reports.sync() == {}
    assert (lists(reports), teams(world)) == (0, {"another"})
    assert reports.tick().startswith("listed 10 objects")
    world.run_batches()
    assert (lists(reports), teams(world)) == (1, set())


def teams(world):
    return {one["team"] for one in world.metadata().values() if "team" in one}


def test_a_restored_catalog_has_the_bucket_listed(reports):
    reports.deliver(reports.look())
    reports.tick()
    reports.world.run_batches()
    begin_anew(reports.world.catalog.database)
    assert reports.tick() == "listed 10 objects: 0 new, 0 changed, 0 gone"


def test_a_moved_source_is_listed_first_as_no_report_tells_what_came_after_it(reports):
    world = reports.world
    reports.deliver(reports.look())
    reports.sync()
    tell(world, "late.md")
    world.run_batches()
    with world.catalog.database.write() as tx:
        tx.execute(sources.update().values(origin="python"))
    move(world, collection_name="docs2")
    reports.reopen()
    reports.sync()
    assert finish(world) is None
    assert sorted(world.texts("docs2").values()) == sorted(
        text.decode() for text in world.bucket.objects().values()
    )
    assert lists(reports) == 1


@pytest.mark.parametrize("listed", [False, True])
def test_documents_that_are_read_back_have_the_bucket_listed_first(world, tmp_path, listed):
    world.bucket.put("a.md", "text")
    world.bucket.put("late.md", "")
    old = list(world.bucket.page("", after="", limit=10)[0])
    world.bucket.put("late.md", "the text that came later")
    world.sync()
    anew = make_world()  # the catalog is lost
    anew.bucket, anew.collections = world.bucket, world.collections
    reports = Reports(anew, tmp_path / "listings")
    if listed:
        reports.deliver(old[:1])
        reports.sync()
    port = anew.collections.open(
        "docs",
        tenant=anew.source.tenant,
        database=anew.source.database_name,
        embedder=anew.embedder,
    )
    found = recover_documents(anew.source, port, known_sources=anew.catalog.sources.ids())
    store_recovered(
        anew.catalog.database,
        anew.source,
        found.documents,
        collection_name="docs",
        collection_id=port.id,
    )
    reports.deliver(old)
    reports.sync()
    assert set(anew.texts().values()) == {"text", "the text that came later"}
    assert lists(reports) == 1


def test_a_listing_goes_on_as_a_list_where_reports_are_delivered_elsewhere_now(reports):
    world = reports.world
    reports.deliver(reports.look())
    assert not reports.list(budget_seconds=0).done
    world.bucket.put("new.md", "in no report")
    world.source = changed(world.source, inventory="s3://reports/elsewhere/")
    world.catalog.sources.update(world.source)
    reports.reopen()
    assert reports.sync()["new.md"] == "indexed"
    assert world.keys_indexed() == set(world.bucket.objects())


def test_a_process_that_lost_its_listing_notes_no_report_at_it(reports):
    world = reports.world
    listings, noted = world.catalog.listings, world.catalog.reports.note
    name = reports.deliver(reports.look())
    slow = listings.begin(world.source.id, owner="slow")
    old = world.store.newest_report(None, again=True)
    world.clock.seconds += 1000
    assert listings.begin(world.source.id, owner="quick").id == slow.id
    newer = replace(old, name="2026-01-04T00-00Z")
    assert noted(slow, newer, owner="quick") is not None
    assert noted(slow, old, owner="slow") is None
    world.catalog.reports.amend(slow, owner="slow", refused=True)
    assert (name, latest(reports).report) == (old.name, newer)


@pytest.mark.parametrize("key", ["k1.md", "k2.md.meta.json"])
def test_between_two_reports_what_failed_is_tried_again_when_its_time_has_come(reports, key):
    world = reports.world
    world.bucket.put("k2.md.meta.json", sidecar("k2.md"))

    def refuse(kind, asked):
        if kind == "GET" and asked == key:
            raise Unavailable("not now")

    world.fault = refuse
    reports.deliver(reports.look())
    reports.tick()
    for _ in range(8):
        world.run_batches()
        world.clock.seconds += 7200
    assert states(world)[key][0] == "failed"
    world.fault = None
    assert reports.tick().endswith("; 1 keys that failed are tried again")
    world.run_batches()
    assert states(world)[key] in [("indexed", None), ("skipped", "sidecar")]
    assert reports.tick() == "no inventory report after that of 2026-01-03T00-00Z"


def test_a_mode_that_keeps_documents_keeps_those_of_what_a_report_lacks(reports):
    world = reports.world
    world.configure(mode=DeleteMode.KEEP_DELETED)
    reports.deliver(reports.look())
    reports.sync()
    world.bucket.delete("k3.md")
    reports.deliver(reports.look())
    reports.sync()
    assert "k3.md" in world.keys_indexed()


# --- what is not believed --------------------------------------------------------------------


def test_before_the_first_report_a_listing_says_what_it_waits_for(reports):
    assert refusal(reports).reason == "no_inventory_report"
    assert "48 hours" in latest(reports).error


def test_a_folder_of_too_many_keys_is_not_listed_to_its_end(reports):
    for number in range(10_001):
        reports.there.put(f"{PREFIX}2{number:05d}", "x")
    asked = reports.ours.requests()["LIST"]
    assert refusal(reports).reason == "no_inventory_report"
    assert "one configuration" in latest(reports).error
    assert reports.ours.requests()["LIST"] - asked <= 10


def test_a_delivery_that_has_not_ended_is_none(reports):
    reports.deliver(reports.look())
    reports.sync()
    used = latest(reports)
    name = reports.deliver([])
    checksum = f"{PREFIX}{name}/manifest.checksum"
    reports.there.delete(checksum)
    assert reports.tick().startswith(f"no inventory report after that of {used.report.name}")
    assert latest(reports).id == used.id


def test_the_first_delivery_that_has_not_ended_is_told(reports):
    name = reports.deliver(reports.look())
    reports.there.delete(f"{PREFIX}{name}/manifest.checksum")
    error = refusal(reports)
    assert error.reason == "no_inventory_report"
    assert "has not ended" in error.message


def wrong_checksum(reports, name):
    reports.there.put(f"{PREFIX}{name}/manifest.checksum", "0" * 32)


def truncated(reports, name):
    key = f"{PREFIX}data/{name}-1.csv.gz"
    reports.there.put(key, reports.there.objects()[key][:-9])


def other_bytes(reports, name):
    key = f"{PREFIX}data/{name}-1.csv.gz"
    content = bytearray(reports.there.objects()[key])
    content[-1] ^= 1
    reports.there.put(key, bytes(content))


def another_file(reports, name):
    """Lay a whole file there, which tells of fewer objects."""
    reports.there.put(f"{PREFIX}data/{name}-1.csv.gz", packed([row_of(reports.look()[0])]))


def lost_file(reports, name):
    reports.there.delete(f"{PREFIX}data/{name}-0.csv.gz")


def test_a_damaged_report_is_refused_and_not_read_at_every_tick(reports):
    reports.deliver(reports.look(), parts=2)
    reports.sync()
    for spoil in (wrong_checksum, truncated, other_bytes, another_file, lost_file):
        name = reports.deliver(reports.look()[:5], parts=2)
        spoil(reports, name)
        assert refusal(reports).reason == "inventory_report_refused", spoil
        reports.tick()
        asked = reports.ours.requests()["GET"]
        reports.tick()
        most = 0 if spoil is not wrong_checksum else 4  # the manifest alone, twice
        assert reports.ours.requests()["GET"] - asked <= most, spoil
        assert reports.world.run_batches() == []
        reports.deliver(reports.look())
        assert "listed 10 objects" in reports.tick(), spoil


def test_a_report_that_is_another_one_is_refused(reports):
    reports.deliver(reports.look())
    reports.sync()
    for manifest, says in (
        ({"sourceBucket": "another"}, "it is of bucket 'another' and not of 'bucket'"),
        ({"fileFormat": "XML"}, "its format is 'XML'; known are CSV, ORC, Parquet"),
        ({"fileFormat": "ORC"}, "it lacks Bucket, Key"),
        (as_format("ORC"), "is no such file: it cannot be read as ORC"),
        (as_format("Parquet"), "is no such file: it cannot be read as Parquet"),
        ({"fileSchema": "Bucket, Key, Size"}, "it lacks LastModifiedDate, ETag, StorageClass"),
        ({"fileSchema": f"{VERSIONED}".replace("IsLatest, ", "")}, "it lacks IsLatest"),
        ({"files": [{"key": "x"}]}, "none of an inventory report"),
        ({"files": [{"key": "x", "size": -5, "MD5checksum": ""}]}, "none of an inventory report"),
        ({"files": [{"key": "x", "size": 10**12, "MD5checksum": ""}]}, "'x' has more than 2147"),
        ({"creationTimestamp": "9" * 400}, "none of an inventory report"),
        ({"version": 10**400}, "none of an inventory report"),
        ({"fileSchema": VERSIONED}, "is not of the form that its manifest tells"),
        ({"creationTimestamp": "0"}, "it is older than 2026-"),
    ):
        reports.deliver(reports.look()[:5], manifest=manifest)
        error = refusal(reports)
        assert error.reason == "inventory_report_refused"
        assert says in error.message


def test_a_folder_of_another_configuration_hides_no_later_report(reports):
    reports.deliver(reports.look())
    reports.tick()
    foreign = delivered("2999-01-01T00-00Z", [b""], created=BEGAN, manifest={"sourceBucket": "x"})
    for key, content in foreign.items():
        reports.there.put(key, content)
    assert "it is of bucket 'x'" in reports.tick()
    reports.world.bucket.put("new.md", "new")
    reports.deliver(reports.look())
    assert "1 new" in reports.tick()
    assert "it is of bucket 'x'" in reports.tick()


def test_a_row_of_another_form_refuses_its_report(reports):
    rows = [row_of(ref) for ref in reports.look()]
    for row in (
        {"Bucket": "another"},
        {"Key": ""},
        {"Key": "%FF"},
        {"Key": "x" * 70_000},
        {"Key": "x" * 1025},
        {"Key": "%C3%A9" * 513},
        {"ETag": "e" * 1025},
        {"ETag": "e\x00"},
        {"StorageClass": "S\x00"},
        {"Size": ""},
        {"Size": "9" * 20},
        {"Size": "-5"},
        {"Size": "1_0"},
        {"ETag": ""},
        {"LastModifiedDate": "yesterday"},
        {"LastModifiedDate": "2026-01-01T00:00:00"},
        {"LastModifiedDate": "0001-01-01T00:00:00.000+14:00"},
        {"LastModifiedDate": "9999-12-31T23:59:59.000-14:00"},
        {"StorageClass": ""},
    ):
        reports.lay([packed([*rows, {**rows[0], **row}])])
        assert refusal(reports).reason == "inventory_report_refused", row


def test_a_report_that_leaves_out_a_part_of_the_prefix_is_refused(reports):
    world = reports.world
    for n in range(100, 130):
        world.bucket.put(f"k{n}.md", f"text {n}")
    reports.deliver(reports.look())
    reports.sync()
    reports.number = 3  # days after all of them were written
    reports.deliver([ref for ref in reports.look() if not ref.key.startswith("k1")])
    assert "leaves out a part" in refusal(reports).message
    assert len(world.keys_indexed()) == 40


def test_a_report_without_a_key_of_the_prefix_is_refused_where_the_bucket_has_some(reports):
    reports.number = 3  # days after all of them were written
    reports.deliver([])
    assert "names no object" in refusal(reports).message
    for key in list(reports.world.bucket.objects()):
        reports.world.bucket.delete(key)
    reports.deliver([])
    assert reports.list().listing.state is ListingState.COMPLETE


def test_when_the_listed_report_is_deleted_an_older_one_is_not_taken(reports):
    first = reports.deliver(reports.look()[:3])
    second = reports.deliver(reports.look())
    reports.sync()
    for key in list(reports.there.objects()):
        if second in key:
            reports.there.delete(key)
    assert reports.tick().startswith("no inventory report after")
    assert refusal(reports).reason == "no_inventory_report"
    assert first in {key.split("/")[3] for key in reports.there.objects()}


def test_a_bucket_that_does_not_answer_fails_the_listing_and_the_next_reads_the_report(reports):
    world = reports.world
    reports.deliver(reports.look())
    reports.sync()
    world.bucket.put("k1.md", "changed")
    reports.deliver(reports.look())

    def silent(kind, _key):
        if kind == "HEAD":
            raise Unavailable("no answer")

    world.fault = silent
    assert "could not list" in reports.tick()
    world.fault = None
    assert "1 changed" in reports.tick()
