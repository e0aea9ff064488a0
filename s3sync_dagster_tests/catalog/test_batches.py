"""Batches and their documents: who holds a key, and what counts when a worker is late or dead."""

import pytest

from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.core.facts import SidecarChange, SidecarState
from s3sync_dagster.core.intent import Intent, Refusal
from s3sync_dagster.core.state import DocumentPhase, Target
from s3sync_dagster.model.errors import LeaseLost
from s3sync_dagster.model.invocation import Result, Trigger
from s3sync_dagster_tests.catalog.scenes import done, index, index_all, list_all, ref, source


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
                target=Target(collection_name="ccc", custom_id="same"),
                document_id="same",
                count=1,
                metadata_keys=(),
            )
        ],
    )
    assert isinstance(answer, Refusal)
    assert "'one'" in answer.message


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
    assert (rows["a"].attempts, rows["a"].status) == (0, "processing")
    assert (rows["b"].attempts, rows["b"].status) == (0, "pending")
    catalog.documents.commit(batch.token, src, outcomes=[done("a")])
    rows = {row.object_key: row for row in catalog.invocations.rows(source_id=src.id)}
    assert (rows["a"].attempts, rows["b"].attempts) == (1, 0)


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


def test_unclean_documents_are_enqueued_once(catalog):
    src = catalog.sources.add(source())
    index_all(catalog, src, ["a"])
    assert catalog.documents.enqueue_unclean(src.id) == 0
    assert catalog.work.untidy_sources() == set()
    assert catalog.documents.distrust_all(src.id) == 1
    assert catalog.work.untidy_sources() == {src.id}
    assert catalog.documents.enqueue_unclean(src.id) == 1
    assert catalog.documents.enqueue_unclean(src.id) == 0


def test_a_tenant_has_so_many_live_batches_of_all_its_sources(catalog):
    names = {"one": "acme", "two": "acme", "theirs": "other"}
    ids = {}
    for name, tenant in names.items():
        own = source(id=name, name=name, tenant=tenant, collection_name=name + "-texts")
        ids[name] = catalog.sources.add(own).id
        catalog.invocations.request_automatic(ids[name], ["a", "b"], trigger=Trigger.LISTING)
    take = Take(max_keys=1, max_of_tenant=2)
    first = catalog.batches.reserve(ids["one"], take=take)
    assert catalog.batches.pending_sources()[-1] == ids["one"]
    assert catalog.batches.reserve(ids["two"], take=take)
    assert catalog.batches.reserve(ids["two"], take=take) is None
    assert catalog.batches.reserve(ids["one"], take=take) is None
    assert catalog.batches.reserve(ids["theirs"], take=take)
    catalog.batches.release(first.token, died=False)
    assert catalog.batches.reserve(ids["two"], take=take)


@pytest.mark.parametrize("refused_first", [True, False])
@pytest.mark.parametrize("freed", [True, False])
def test_a_key_that_was_refused_the_id_which_its_batch_frees_is_asked_for_again(
    catalog, freed, refused_first
):
    src = catalog.sources.add(source())
    list_all(catalog, src, [ref("a"), ref("b")])
    first = catalog.batches.reserve(src.id, take=Take(max_keys=1), owner="me", run_id="r")
    claim, commit = index(catalog, src, first.token, "a", custom_id="x")
    named = SidecarState(
        sidecar_key="s.meta.json",
        path="b",
        custom_id="x",
        target_collection_name=None,
        metadata={},
        etag="e",
    )
    change = SidecarChange(sidecar_key=named.sidecar_key, before=None, now=named)
    catalog.work.apply_sidecars(first.token, src.id, [change])
    catalog.documents.commit(first.token, src, written=[commit], outcomes=[done("a")])
    catalog.batches.finish(first.token)
    catalog.invocations.request_automatic(src.id, ["a"], trigger=Trigger.EVENT)
    batch = catalog.batches.reserve(src.id, take=Take(), owner="me", run_id="r")
    held = catalog.documents.of_key(src.id, "a")
    assert catalog.documents.claim_removal(batch.token, src.id, held)
    refused = done(
        "b",
        result=Result.FAILED,
        outcome="failed",
        reason="record_ids_taken",
        refused_ids=frozenset({(src.collection_name, "x")}),
    )
    steps = [
        lambda: catalog.documents.commit(
            batch.token, src, removed=[claim.before.id] if freed else [], outcomes=[done("a")]
        ),
        lambda: catalog.documents.commit(batch.token, src, outcomes=[refused]),
    ]
    for step in reversed(steps) if refused_first else steps:
        step()
    catalog.batches.finish(batch.token)
    again = catalog.batches.reserve(src.id, take=Take())
    assert (again.keys if again else ()) == (("b",) if freed else ())
