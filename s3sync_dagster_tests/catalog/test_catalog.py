"""The catalog's transactions, on SQLite and Postgres alike."""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from s3sync_dagster.catalog import open_catalog, sqlite_engines
from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.catalog.cipher import Cipher
from s3sync_dagster.catalog.credentials import AwsKeys
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.kept_counts import kept as counts
from s3sync_dagster.catalog.tables import invocations, metadata, sources
from s3sync_dagster.core.page import PageCommit
from s3sync_dagster.core.state import ListingState, SourceRow
from s3sync_dagster.engine.listing import finish_listing
from s3sync_dagster.model.errors import Conflict, InvalidSetting, NotFound, Throttled, Unavailable
from s3sync_dagster.model.invocation import InvocationStatus, Trigger
from s3sync_dagster_tests.catalog.scenes import done, index_all, list_all, ref, source


def test_the_migrations_build_the_schema_of_the_tables(catalog):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with catalog.database.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, [metadata, counts]) == []


def test_where_all_connections_wait_the_catalog_does_not_answer(catalog, monkeypatch):
    def none_is_free():
        raise sa.exc.TimeoutError("QueuePool limit reached")

    monkeypatch.setattr(catalog.database.engine, "connect", none_is_free)
    for asked in (catalog.database.read, catalog.database.write):
        with pytest.raises(Unavailable) as refused, asked():
            pass
        assert refused.value.reason == "catalog_unavailable"


def test_opening_twice_keeps_what_is_there(catalog_url):
    first = open_catalog(catalog_url)
    first.sources.add(source())
    again = open_catalog(catalog_url)
    assert again.sources.find("docs") == source()
    assert again.sources.find("id-docs").name == "docs"
    with pytest.raises(NotFound, match="nope"):
        again.sources.find("nope")
    first.close()
    again.close()


def test_sources_that_are_added_at_once_never_pass_the_most_of_their_tenant(catalog_url):
    doors = [open_catalog(catalog_url) for _ in range(4)]
    start = threading.Barrier(4)

    def add(number):
        made = source(name=f"s{number}", id=f"id-{number}", collection_name=f"coll-{number}")
        start.wait(10)
        try:
            doors[number].sources.add(made, most=2)
        except Throttled as error:
            return error.reason
        return "added"

    with ThreadPoolExecutor(4) as pool:
        said = sorted(pool.map(add, range(4)))
    there = doors[0].sources.rows()
    for door in doors:
        door.close()
    assert (said, len(there)) == (["added"] * 2 + ["too_many_sources"] * 2, 2)


def test_sources_that_are_added_at_once_never_overlap(catalog_url):
    doors = [open_catalog(catalog_url) for _ in range(4)]
    start = threading.Barrier(4)

    def add(number):
        made = source(name=f"s{number}", id=f"id-{number}", path_prefix="a/" * number)
        start.wait(10)
        try:
            doors[number].sources.add(made)
        except Conflict as error:
            return error.reason
        return "added"

    with ThreadPoolExecutor(4) as pool:
        said = sorted(pool.map(add, range(4)))
    for door in doors:
        door.close()
    assert said == ["added"] + ["source_overlaps"] * 3


def test_a_source_that_cannot_be_read_is_its_own_trouble(catalog, caplog):
    for name in ("whole", "torn"):
        catalog.sources.add(source(name, collection_name=name))
    with catalog.database.write() as tx:
        tx.execute(sources.update().where(sources.c.name == "torn").values(config={"mode": "x"}))
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            assert [row.source.name for row in catalog.sources.rows()] == ["whole"]
    assert [one.name for one in catalog.sources.all()] == ["whole"]
    [told] = caplog.messages  # once, though a sensor asks every second
    assert "'torn'" in told
    for ask in (lambda: catalog.sources.find("torn"), lambda: catalog.sources.row("id-torn")):
        with pytest.raises(InvalidSetting, match="'torn'"):
            ask()


def test_a_row_of_a_source_tells_what_people_did_to_it(catalog, clock):
    src = catalog.sources.add(source(), origin="catalog")
    assert catalog.sources.row(src.id) == SourceRow(
        source=src, origin="catalog", created_at=clock.seconds, updated_at=clock.seconds
    )
    catalog.sources.set_paused(src.id, paused=True)
    assert catalog.sources.due_for_listing(src.id, interval_seconds=60)
    catalog.sources.mark_deleting(src.id, keep_records=True)
    [row] = catalog.sources.rows()
    assert (row.paused, row.deleting, row.list_due_at) == (True, "keep", clock.seconds + 60)
    assert catalog.sources.row(src.id, tenant="another") is None
    assert catalog.sources.row("nobody") is None


def test_sources_that_overlap_are_refused_by_name(catalog):
    catalog.sources.add(source(path_prefix="a/"))
    with pytest.raises(Conflict, match="docs"):
        catalog.sources.add(source("other", path_prefix="a/b/"))
    with pytest.raises(Conflict, match="docs"):
        catalog.sources.add(source())
    catalog.sources.add(source("third", path_prefix="a/b/", id_prefix="x-"))
    catalog.sources.add(source("fourth", path_prefix="b/"))


def test_a_listing_commits_objects_and_invocations_together(catalog):
    src = catalog.sources.add(source())
    row = list_all(catalog, src, [ref("a"), ref("b")])
    assert (row.state, row.listed) == (ListingState.COMPLETE, 2)
    counts = catalog.views.counts(src.id)
    assert (counts.objects, counts.pending) == (2, 2)
    # Again: nothing changed, and what waits is not asked for twice.
    list_all(catalog, src, [ref("a"), ref("b")])
    assert len(catalog.invocations.rows(source_id=src.id)) == 2


def test_automatic_invocations_coalesce_and_requests_do_not(catalog):
    src = catalog.sources.add(source())
    catalog.invocations.request_automatic(src.id, ["a"], trigger=Trigger.LISTING)
    catalog.invocations.request_automatic(src.id, ["a"], trigger=Trigger.EVENT, kind="remove")
    [row] = catalog.invocations.rows(source_id=src.id)
    assert (row.kind, row.trigger) == ("remove", "event")
    with catalog.database.read() as tx:
        assert tx.execute(sa.select(invocations.c.priority)).scalars().all() == [1]
    ids = catalog.invocations.request(src, ["a", "a"], trigger=Trigger.API)
    assert len(set(ids)) == 2
    batch = catalog.batches.reserve(src.id, take=Take())
    assert batch is not None
    assert batch.keys == ("a",)
    assert len(catalog.invocations.rows(source_id=src.id, status=InvocationStatus.PROCESSING)) == 3


def test_gone_objects_ask_for_removal_and_the_guard_stops_a_mass_delete(catalog):
    src = catalog.sources.add(source())
    keys = [f"k{n:03}" for n in range(100)]
    index_all(catalog, src, keys)
    row = list_all(catalog, src, [ref(key) for key in keys[:40]])
    assert (row.state, row.gone) == (ListingState.BLOCKED, 60)
    assert catalog.views.counts(src.id).indexed == 100
    assert catalog.listings.approve("another", row.id) is None
    assert catalog.listings.approve(src.id, row.id).state is ListingState.APPROVED
    assert catalog.listings.approve(src.id, row.id) is None
    assert catalog.invocations.live_count(src.id) == 60
    counts = catalog.views.counts(src.id)
    assert (counts.objects, counts.indexed) == (40, 40)


def test_a_listing_that_would_empty_the_source_is_always_stopped(catalog):
    src = catalog.sources.add(source())
    index_all(catalog, src, ["a"])
    blocked = list_all(catalog, src, [])
    assert blocked.state is ListingState.BLOCKED
    assert list_all(catalog, src, [ref("a")]).state is ListingState.COMPLETE
    assert (
        catalog.listings.approve(src.id, blocked.id) is None
    )  # the approval ended with its listing
    assert list_all(catalog, src, [], approved=True).state is ListingState.COMPLETE
    assert catalog.invocations.live_count(src.id) == 1


def test_what_was_touched_after_the_listing_began_is_not_gone(catalog, clock):
    src = catalog.sources.add(source())
    list_all(catalog, src, [ref("a"), ref("b")])
    clock.seconds += 10
    listing = catalog.listings.begin(src.id, owner="me")
    clock.seconds += 1
    catalog.work.record_objects(src.id, [(ref("late"), None)])
    catalog.listings.commit_page(
        listing,
        PageCommit(asked=listing.number, cursor=None, listed=1, missing=["b", "late"]),
        owner="me",
    )
    finish_listing(listing, listings=catalog.listings, owner="me", removes=True)
    rows = {row.object_key for row in catalog.views.object_rows(src.id)}
    assert rows == {"a", "late"}


def test_a_listing_goes_on_where_it_was_and_a_lost_one_commits_nothing(catalog, clock):
    src = catalog.sources.add(source())
    listing = catalog.listings.begin(src.id, owner="one")
    assert catalog.listings.begin(src.id, owner="two") is None
    page = PageCommit(asked=listing.number, cursor="a", listed=1, upserts=[(ref("a"), None)])
    assert catalog.listings.commit_page(listing, page, owner="one")
    clock.seconds += 3600
    taken = catalog.listings.begin(src.id, owner="two")
    assert (taken.id, taken.cursor) == (listing.id, "a")
    assert not catalog.listings.commit_page(listing, page, owner="one")
    fresh = catalog.listings.begin(src.id, owner="two", fresh=True)
    assert fresh.id != listing.id


def test_only_pending_invocations_can_be_cancelled(catalog):
    src = catalog.sources.add(source())
    [first, second] = catalog.invocations.request(src, ["a", "b"], trigger=Trigger.API)
    catalog.invocations.cancel(first)
    with pytest.raises(Conflict, match="pending"):
        catalog.invocations.cancel(first)
    with pytest.raises(NotFound):
        catalog.invocations.cancel(second, tenant="another")
    latest = catalog.invocations.latest_by_keys(src.id, ["a", "b", "zzz"])
    assert {key: row.status for key, row in latest.items()} == {
        "a": "cancelled",
        "b": "pending",
    }


def test_finished_automatic_rows_are_pruned_but_the_latest(catalog, clock):
    src = catalog.sources.add(source())
    for _ in range(3):
        catalog.invocations.request_automatic(src.id, ["a"], trigger=Trigger.LISTING)
        batch = catalog.batches.reserve(src.id, take=Take(), owner="me", run_id="r")
        catalog.documents.commit(batch.token, src, outcomes=[done("a")])
        catalog.batches.finish(batch.token)
        clock.seconds += 10
    clock.seconds += 100
    assert catalog.invocations.prune(older_than_seconds=50) == 2
    assert len(catalog.invocations.rows(source_id=src.id)) == 1


def test_the_catalog_takes_no_source_that_cannot_work(catalog):
    good = source()
    broken = good.with_changes(list_interval_seconds=-5)
    with pytest.raises(InvalidSetting, match="list_interval_seconds"):
        catalog.sources.add(broken)
    with pytest.raises(InvalidSetting, match="list_interval_seconds"):
        catalog.sources.register(broken)
    assert catalog.sources.all() == []
    catalog.sources.register(good)
    with pytest.raises(InvalidSetting, match="list_interval_seconds"):
        catalog.sources.register(broken)
    with pytest.raises(InvalidSetting, match="list_interval_seconds"):
        catalog.sources.update(broken)
    assert catalog.sources.all() == [good]


CIPHER = Cipher([Fernet.generate_key().decode()])


def test_keys_that_come_with_a_source_are_stored_with_it_or_not_at_all(catalog):
    def with_keys(found, tx):
        keys = AwsKeys(access_key_id="AKIA", secret_access_key="one")
        catalog.credentials.add(keys, tenant="default_tenant", cipher=CIPHER, within=tx)
        return found

    seen = catalog.sources.register(source(), origin="catalog")
    catalog.sources.update(seen.with_changes(reader_keys=("team",)))
    with pytest.raises(Conflict):
        catalog.sources.update(seen, seen=seen, completed=with_keys)
    with pytest.raises(Conflict):
        catalog.sources.add(source(), completed=with_keys)
    assert catalog.credentials.rows() == []
    catalog.sources.update(seen, completed=with_keys)
    assert len(catalog.credentials.rows()) == 1


def test_a_change_made_of_what_is_no_more_undoes_nothing(catalog):
    seen = catalog.sources.register(source(), origin="catalog")
    catalog.sources.update(seen.with_changes(reader_keys=("team",)), seen=seen)
    with pytest.raises(Conflict, match="changed in the meantime"):
        catalog.sources.update(seen.with_changes(list_interval_seconds=600), seen=seen)
    now = catalog.sources.find(seen.name)
    assert now.reader_keys == ("team",)
    catalog.sources.update(now.with_changes(list_interval_seconds=600), seen=now)
    assert catalog.sources.find(seen.name).reader_keys == ("team",)


def test_marks_are_each_nth_known_key_that_another_one_follows(catalog):
    src = source()
    catalog.sources.add(src)
    keys = [f"k{n:02}" for n in range(10)]
    list_all(catalog, src, [ref(key) for key in keys])
    marks = partial(catalog.listings.marks, src.id)
    assert marks(None, every=3, limit=9) == ["k02", "k05", "k08"]
    assert marks(None, every=5, limit=9) == ["k04"]  # none follows k09
    assert marks("k04", every=2, limit=2) == ["k06", "k08"]
    assert marks("k04", every=2, limit=1) == ["k06"]
    assert marks("k03x", every=1, limit=3) == ["k04", "k05", "k06"]
    assert marks("k08", every=1, limit=3) == []
    assert marks(None, every=10, limit=3) == []
    list_all(catalog, src, [ref(key) for key in keys[5:]], approved=True)
    assert marks(None, every=2, limit=9) == ["k06", "k08"]  # what is gone does not count


def test_who_opens_a_file_again_finds_its_statements_compiled(tmp_path):
    """Each tick of a sensor opens the catalog, and would put each statement together anew."""
    url = f"sqlite:///{tmp_path}/catalog.db"
    first = Database(url)
    beside = Database(url)
    assert beside.engine is not first.engine
    engine = first.engine
    first.close()
    first.close()  # twice gives nothing away twice
    again, third = Database(url), Database(url)
    assert again.engine is engine
    assert third.engine is not engine
    assert Database(f"sqlite:///{tmp_path}/other.db").engine is not engine
    for one in (beside, again, third):
        one.close()


def test_engines_without_a_user_are_few_and_hold_no_connection(tmp_path):
    databases = [Database(f"sqlite:///{tmp_path}/{number}.db") for number in range(9)]
    for database in databases:
        assert database.current_revision() is None
        database.close()
    idle = [engine for _, engine in sqlite_engines._idle]
    assert len(idle) == sqlite_engines.ENGINES_KEPT
    assert [engine.pool.checkedin() for engine in idle] == [0] * len(idle)
