"""The catalog's transactions, on SQLite and Postgres alike."""

import pytest

from s3sync_dagster.catalog import Catalog, open_catalog
from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.catalog.tables import metadata
from s3sync_dagster.core.catalog_port import PageCommit
from s3sync_dagster.core.keys import document_id
from s3sync_dagster.core.state import DocumentPhase, ListingState, Target
from s3sync_dagster.core.work import Claim, DocumentCommit, Intent, KeyOutcome, Refusal
from s3sync_dagster.model.errors import Conflict, LeaseLost, NotFound
from s3sync_dagster.model.invocation import InvocationStatus, Result, Trigger
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.source import Source


def source(name="docs", **changes):
    values = {"id": f"id-{name}", "bucket_name": "b", "collection_name": "c", **changes}
    return Source(name=name, **values)


def ref(key, etag="e1", size=10):
    return ObjectRef(key=key, etag=etag, size=size)


def list_all(catalog, src, refs, *, owner="me", removes=True, approved=False):
    catalog.database.clock.seconds += 1
    listing = catalog.listings.begin(src.id, owner=owner)
    window = catalog.listings.window(src.id, after=None, until=None)
    keys = {r.key for r in refs}
    changed = [
        r for r in refs if r.key not in window.objects or window.objects[r.key].etag != r.etag
    ]
    assert catalog.listings.commit_page(
        listing,
        PageCommit(
            asked_at=catalog.database.clock.seconds,
            cursor=max(keys) if keys else None,
            listed=len(refs),
            missing=sorted(set(window.objects) - keys),
            upserts=[(r, None) for r in changed],
            invoke=[r.key for r in changed if r.key not in window.live],
        ),
        owner=owner,
    )
    return catalog.listings.finish(
        listing, owner=owner, guard_share=0.2, guard_minimum=50, removes=removes, approved=approved
    )


def index(catalog: Catalog, src: Source, token: str, key: str, count=2, custom_id=None):
    did = document_id(key, custom_id=custom_id, id_prefix=src.id_prefix)
    [claim] = catalog.documents.claim(
        token,
        src,
        [
            Intent(
                key=key,
                target=Target(collection_name=src.collection_name, custom_id=custom_id),
                document_id=did,
                count=count,
                metadata_keys=("a",),
            )
        ],
    )
    assert isinstance(claim, Claim)
    return claim, DocumentCommit(
        id=claim.before.id,
        etag="e1",
        fingerprint="f",
        count=count,
        digests=b"x" * 16 * count,
        metadata_keys=("a",),
        text_bytes=5,
        pages=0,
    )


def done(key, **changes):
    values = {
        "status": "complete",
        "result": Result.INDEXED,
        "outcome": "indexed",
        "etag": "e1",
        "fingerprint": "f",
    }
    return KeyOutcome(key=key, **{**values, **changes})


def test_the_migrations_build_the_schema_of_the_tables(catalog):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    with catalog.database.engine.connect() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, metadata) == []


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
    assert (row.kind, row.trigger, row.priority) == ("remove", "event", 1)
    ids = catalog.invocations.request(src, ["a", "a"], trigger=Trigger.API)
    assert len(set(ids)) == 2
    batch = catalog.batches.reserve(src.id, take=Take())
    assert batch is not None
    assert batch.keys == ("a",)
    assert len(catalog.invocations.rows(source_id=src.id, status=InvocationStatus.PROCESSING)) == 3


def test_one_key_is_held_by_one_batch(catalog):
    src = catalog.sources.add(source())
    catalog.invocations.request_automatic(src.id, ["a", "b"], trigger=Trigger.LISTING)
    first = catalog.batches.reserve(src.id, take=Take(max_keys=1))
    assert first.keys == ("a",)
    catalog.invocations.request_automatic(src.id, ["a"], trigger=Trigger.EVENT)
    second = catalog.batches.reserve(src.id, take=Take())
    assert second.keys == ("b",)
    assert catalog.batches.reserve(src.id, take=Take()) is None
    _, held = catalog.batches.lease_keys(src.id, ["a"], owner="me", run_id="r")
    assert held == {"a": ""}


def test_the_third_batch_is_for_people_and_events(catalog):
    src = catalog.sources.add(source())
    catalog.invocations.request_automatic(src.id, ["a", "b", "c"], trigger=Trigger.LISTING)
    assert catalog.batches.reserve(src.id, take=Take(max_keys=1))
    assert catalog.batches.reserve(src.id, take=Take(max_keys=1))
    assert catalog.batches.reserve(src.id, take=Take(max_keys=1)) is None
    catalog.invocations.request_automatic(src.id, ["d"], trigger=Trigger.EVENT)
    third = catalog.batches.reserve(src.id, take=Take(max_keys=1))
    assert third.keys == ("d",)
    catalog.invocations.request(src, ["e"], trigger=Trigger.API)
    assert catalog.batches.reserve(src.id, take=Take(max_keys=1)) is None


def test_a_document_is_trusted_only_after_the_commit(catalog):
    src = catalog.sources.add(source())
    list_all(catalog, src, [ref("a")])
    batch = catalog.batches.reserve(src.id, take=Take(), owner="me", run_id="r")
    claim, commit = index(catalog, src, batch.token, "a", count=3)
    assert claim.before.phase is DocumentPhase.WRITING
    [held] = catalog.documents.of_key(src.id, "a")
    assert (held.phase, held.high_water, held.count) == (DocumentPhase.WRITING, 3, 0)
    assert (
        catalog.documents.commit(batch.token, src, written=[commit], outcomes=[done("a")]) == set()
    )
    [held] = catalog.documents.of_key(src.id, "a")
    assert (held.phase, held.high_water, held.count) == (DocumentPhase.CLEAN, 3, 3)
    assert catalog.batches.finish(batch.token)
    assert catalog.views.counts(src.id).indexed == 1


def test_the_high_water_survives_attempts_that_died(catalog):
    src = catalog.sources.add(source())
    list_all(catalog, src, [ref("a")])
    for count in (5, 20, 3):
        batch = catalog.batches.reserve(src.id, take=Take(), owner="me", run_id="r")
        index(catalog, src, batch.token, "a", count=count)
        catalog.batches.release(batch.token, died=True)
    [held] = catalog.documents.of_key(src.id, "a")
    assert (held.phase, held.high_water) == (DocumentPhase.WRITING, 20)


def test_a_worker_thought_dead_loses_and_its_document_is_distrusted(catalog):
    src = catalog.sources.add(source())
    list_all(catalog, src, [ref("a")])
    late = catalog.batches.reserve(src.id, take=Take(), owner="late", run_id="r1")
    _, late_commit = index(catalog, src, late.token, "a")
    catalog.batches.release(late.token, died=True)
    quick = catalog.batches.reserve(src.id, take=Take(), owner="quick", run_id="r2")
    _, quick_commit = index(catalog, src, quick.token, "a")
    catalog.documents.commit(quick.token, src, written=[quick_commit], outcomes=[done("a")])
    catalog.batches.finish(quick.token)
    with pytest.raises(LeaseLost):
        catalog.documents.commit(late.token, src, written=[late_commit], outcomes=[done("a")])
    [held] = catalog.documents.of_key(src.id, "a")
    assert held.phase is DocumentPhase.WRITING
    assert catalog.views.counts(src.id).pending == 1


def test_a_changed_custom_id_turns_the_old_document_removing(catalog):
    src = catalog.sources.add(source())
    list_all(catalog, src, [ref("a")])
    batch = catalog.batches.reserve(src.id, take=Take(), owner="me", run_id="r")
    _, commit = index(catalog, src, batch.token, "a")
    catalog.documents.commit(batch.token, src, written=[commit])
    claim, _ = index(catalog, src, batch.token, "a", custom_id="x")
    assert claim.replaced is not None
    assert claim.replaced.id == commit.id
    phases = {d.custom_id: d.phase for d in catalog.documents.of_key(src.id, "a")}
    assert phases == {None: DocumentPhase.REMOVING, "x": DocumentPhase.WRITING}


def test_record_ids_have_one_owner_in_a_collection(catalog):
    one = catalog.sources.add(source("one", path_prefix="a/"))
    two = catalog.sources.add(source("two", path_prefix="b/"))
    for src, key in ((one, "a/x"), (two, "b/x")):
        catalog.invocations.request(src, [key], trigger=Trigger.API)
    first = catalog.batches.reserve(one.id, take=Take(), owner="me", run_id="r")
    index(catalog, one, first.token, "a/x", custom_id="same")
    second = catalog.batches.reserve(two.id, take=Take(), owner="me", run_id="r")
    [answer] = catalog.documents.claim(
        second.token,
        two,
        [
            Intent(
                key="b/x",
                target=Target(collection_name="c", custom_id="same"),
                document_id="same",
                count=1,
                metadata_keys=(),
            )
        ],
    )
    assert isinstance(answer, Refusal)
    assert "'one'" in answer.message


def test_gone_objects_ask_for_removal_and_the_guard_stops_a_mass_delete(catalog):
    src = catalog.sources.add(source())
    keys = [f"k{n:03}" for n in range(100)]
    list_all(catalog, src, [ref(key) for key in keys])
    batch = catalog.batches.reserve(src.id, take=Take(), owner="me", run_id="r")
    commits = [index(catalog, src, batch.token, key)[1] for key in keys]
    catalog.documents.commit(
        batch.token, src, written=commits, outcomes=[done(key) for key in keys]
    )
    catalog.batches.finish(batch.token)
    row = list_all(catalog, src, [ref(key) for key in keys[:40]])
    assert (row.state, row.gone) == (ListingState.BLOCKED, 60)
    assert catalog.views.counts(src.id).indexed == 100
    assert catalog.listings.approve(src.id).state is ListingState.APPROVED
    assert catalog.listings.approve(src.id) is None
    assert catalog.invocations.live_count(src.id) == 60
    counts = catalog.views.counts(src.id)
    assert (counts.objects, counts.indexed) == (40, 40)


def test_a_listing_that_would_empty_the_source_is_always_stopped(catalog):
    src = catalog.sources.add(source())
    list_all(catalog, src, [ref("a")])
    batch = catalog.batches.reserve(src.id, take=Take(), owner="me", run_id="r")
    _, commit = index(catalog, src, batch.token, "a")
    catalog.documents.commit(batch.token, src, written=[commit], outcomes=[done("a")])
    catalog.batches.finish(batch.token)
    assert list_all(catalog, src, []).state is ListingState.BLOCKED
    assert list_all(catalog, src, [ref("a")]).state is ListingState.COMPLETE
    assert catalog.listings.approve(src.id) is None  # the approval ended with its listing
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
        PageCommit(asked_at=clock.seconds, cursor=None, listed=1, missing=["b"]),
        owner="me",
    )
    catalog.listings.finish(listing, owner="me", guard_share=0.2, guard_minimum=50, removes=True)
    rows = {row.object_key for row in catalog.views.object_rows(src.id)}
    assert rows == {"a", "late"}


def test_a_listing_goes_on_where_it_was_and_a_lost_one_commits_nothing(catalog, clock):
    src = catalog.sources.add(source())
    listing = catalog.listings.begin(src.id, owner="one")
    assert catalog.listings.begin(src.id, owner="two") is None
    page = PageCommit(asked_at=clock.seconds, cursor="a", listed=1, upserts=[(ref("a"), None)])
    assert catalog.listings.commit_page(listing, page, owner="one")
    clock.seconds += 3600
    taken = catalog.listings.begin(src.id, owner="two")
    assert (taken.id, taken.cursor) == (listing.id, "a")
    assert not catalog.listings.commit_page(listing, page, owner="one")
    fresh = catalog.listings.begin(src.id, owner="two", fresh=True)
    assert fresh.id != listing.id


def test_a_key_that_kills_its_worker_is_isolated_and_then_failed(catalog):
    src = catalog.sources.add(source())
    list_all(catalog, src, [ref(f"k{n:03}") for n in range(40)])
    sizes = []
    for _ in range(40):
        batch = catalog.batches.reserve(src.id, take=Take(), owner="me", run_id="r")
        if batch is None:
            break
        sizes.append(len(batch.keys))
        if "k007" in batch.keys:
            begun = batch.keys[:16]
            catalog.batches.begin(batch.token, begun)
            catalog.batches.release(batch.token, died=True)
        else:
            catalog.documents.commit(batch.token, src, outcomes=[done(key) for key in batch.keys])
            catalog.batches.finish(batch.token)
    counts = catalog.views.counts(src.id)
    assert counts.failed == {"worker_died": 1}
    assert counts.indexed == 39
    assert sizes.count(1) >= 3
    assert catalog.invocations.retry_failed(src) == 1


def test_keys_not_begun_go_back_without_an_attempt(catalog):
    src = catalog.sources.add(source())
    list_all(catalog, src, [ref("a"), ref("b")])
    batch = catalog.batches.reserve(src.id, take=Take(), owner="me", run_id="r")
    catalog.batches.begin(batch.token, ["a"])
    catalog.batches.give_back(batch.token, ["b"])
    rows = {row.object_key: row for row in catalog.invocations.rows(source_id=src.id)}
    assert (rows["a"].attempts, rows["a"].status) == (1, "processing")
    assert (rows["b"].attempts, rows["b"].status) == (0, "pending")


def test_released_twins_wait_only_once(catalog):
    src = catalog.sources.add(source())
    list_all(catalog, src, [ref("a")])
    batch = catalog.batches.reserve(src.id, take=Take(), owner="me", run_id="r")
    catalog.invocations.request_automatic(src.id, ["a"], trigger=Trigger.EVENT)
    catalog.batches.release(batch.token, died=True)
    statuses = sorted(row.status for row in catalog.invocations.rows(source_id=src.id))
    assert statuses == ["cancelled", "pending"]


def test_the_lease_is_compared_and_set(catalog):
    src = catalog.sources.add(source())
    catalog.invocations.request_automatic(src.id, ["a"], trigger=Trigger.LISTING)
    batch = catalog.batches.reserve(src.id, take=Take())
    assert not catalog.batches.renew(batch.token)
    assert catalog.batches.start(batch.token, owner="me", run_id="r")
    assert not catalog.batches.start(batch.token, owner="other", run_id="r2")
    assert catalog.batches.renew(batch.token)
    assert catalog.batches.finish(batch.token)
    assert not catalog.batches.renew(batch.token)
    assert not catalog.batches.finish(batch.token)


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


def test_unclean_documents_are_enqueued_once(catalog):
    src = catalog.sources.add(source())
    list_all(catalog, src, [ref("a")])
    batch = catalog.batches.reserve(src.id, take=Take(), owner="me", run_id="r")
    _, commit = index(catalog, src, batch.token, "a")
    catalog.documents.commit(batch.token, src, written=[commit], outcomes=[done("a")])
    catalog.batches.finish(batch.token)
    assert catalog.documents.enqueue_unclean(src.id) == 0
    assert catalog.documents.distrust_all(src.id) == 1
    assert catalog.documents.enqueue_unclean(src.id) == 1
    assert catalog.documents.enqueue_unclean(src.id) == 0


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
