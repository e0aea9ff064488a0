"""The engine over fast fakes: what a key goes through, rule by rule."""

import pytest
import sqlalchemy as sa

from s3sync_dagster.core.state import ListingState
from s3sync_dagster.model.errors import Throttled
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.core.rules import event, sidecar

LONG = "\n\n".join(f"Paragraph {n} " + "word " * 60 for n in range(12))
SHORT = "\n\n".join(f"Paragraph {n} " + "word " * 60 for n in range(3))


def test_a_bucket_becomes_a_collection_and_nothing_is_done_twice(world):
    world.bucket.put("a.txt", LONG)
    world.bucket.put("b.txt", "hello")
    assert world.sync() == {"a.txt": "indexed", "b.txt": "indexed"}
    assert world.keys_indexed() == {"a.txt", "b.txt"}
    before = dict(world.store.requests())
    assert world.sync() == {}
    after = dict(world.store.requests())
    assert after.get("GET", 0) == before["GET"]
    assert after["LIST"] == before["LIST"] + 1
    counts = world.catalog.views.counts(world.source.id)
    assert (counts.objects, counts.indexed) == (2, 2)


def test_who_forces_a_key_has_it_read_and_every_record_written_again(world):
    world.bucket.put("a.txt", LONG)
    world.sync()
    whole, before = world.texts(), dict(world.store.requests())
    world.poison(next(iter(whole)))
    assert "poisoned" in world.texts().values()
    world.ask("a.txt", trigger=Trigger.UI)
    assert [report.state for report in world.run_batches()] == ["unchanged"]
    assert world.store.requests()["GET"] == before["GET"]
    world.ask("a.txt", trigger=Trigger.UI, force=True)
    assert [report.state for report in world.run_batches()] == ["updated"]
    assert world.store.requests()["GET"] == before["GET"] + 1
    assert world.texts() == whole


def test_an_update_writes_only_what_changed_and_cuts_the_tail(world):
    world.bucket.put("a.txt", LONG)
    world.sync()
    long_count = len(world.texts())
    inferred = world.embedder.inferred
    world.bucket.put("a.txt", LONG.replace("Paragraph 7", "Chapter 7"))
    assert world.sync() == {"a.txt": "updated"}
    assert len(world.texts()) == long_count
    assert world.embedder.inferred - inferred == 1
    world.bucket.put("a.txt", SHORT)
    world.sync()
    assert (long_count, len(world.texts())) == (12, 3)
    assert "Paragraph 11" not in "".join(world.texts().values())


def test_a_gone_object_takes_its_records_along(world):
    for n in range(10):
        world.bucket.put(f"{n}.txt", f"text {n}")
    world.sync()
    world.bucket.delete("3.txt")
    assert world.sync() == {"3.txt": "removed"}
    assert "3.txt" not in world.keys_indexed()
    assert world.catalog.views.counts(world.source.id).objects == 9
    world.bucket.put("3.txt", "text 3")
    assert world.sync() == {"3.txt": "indexed"}


def test_the_guard_stops_what_would_empty_the_collection(world):
    for n in range(3):
        world.bucket.put(f"{n}.txt", f"text {n}")
    world.sync()
    for n in range(3):
        world.bucket.delete(f"{n}.txt")
    assert world.listing().listing.state is ListingState.BLOCKED
    assert world.run_batches() == []
    assert len(world.keys_indexed()) == 3
    world.approve()
    assert {r.state for r in world.run_batches()} == {"removed"}
    assert world.texts() == {}


@pytest.mark.parametrize("mode", [DeleteMode.APPEND, DeleteMode.KEEP_DELETED])
def test_modes_that_keep_records(world, mode):
    world.configure(mode=mode)
    world.bucket.put("a.txt", "old words")
    world.bucket.put("b.txt", "others")
    world.sync()
    world.bucket.put("a.txt", "new words")
    world.bucket.delete("b.txt")
    states = world.sync()
    text = " ".join(world.texts().values())
    if mode is DeleteMode.APPEND:
        assert states == {"a.txt": "skipped"}
        assert "old words" in text
    else:
        assert states == {"a.txt": "updated"}
        assert "new words" in text
    assert "others" in text


def test_bytes_that_cannot_be_read_fail_alone_and_take_the_old_text_along(world):
    world.bucket.put("a.txt", "good")
    world.bucket.put("b.txt", "also good")
    world.sync()
    world.bucket.put("a.txt", "BAD bytes")
    assert world.sync() == {"a.txt": "failed"}
    assert world.keys_indexed() == {"b.txt"}
    assert world.catalog.views.counts(world.source.id).failed == {"damaged": 1}
    requests = dict(world.store.requests())
    assert world.sync() == {}  # known-bad bytes are not tried again
    assert world.store.requests()["GET"] == requests["GET"]
    world.bucket.put("a.txt", "mended")
    assert world.sync() == {"a.txt": "indexed"}


def test_what_passes_by_itself_goes_back_and_is_tried_again(world):
    world.bucket.put("a.txt", "text")
    failures = iter([True, True])

    def fault(kind, _key):
        if kind == "GET" and next(failures, False):
            raise Throttled("slow down", retry_after_seconds=7)

    world.fault = fault
    assert world.sync() == {"a.txt": "pending"}
    assert world.run_batches() == []  # not before its time
    for _ in range(2):
        world.clock.seconds += 300
        reports = world.run_batches()
    assert [r.state for r in reports] == ["indexed"]


def test_selection_is_counted_and_deselecting_passes_the_guard(world):
    for n in range(10):
        world.bucket.put(f"{n}.txt", f"text {n}")
    world.bucket.put("folder/", "")
    world.bucket.put("empty.txt", "")
    world.sync()
    counts = world.catalog.views.counts(world.source.id)
    assert counts.skipped == {"folder_marker": 1, "empty_object": 1}
    assert counts.objects == counts.indexed + 2
    world.configure(exclude_globs=("3.txt",))
    assert world.sync() == {"3.txt": "removed"}
    assert world.catalog.views.counts(world.source.id).skipped["excluded"] == 1
    world.configure(exclude_globs=())
    assert world.sync() == {"3.txt": "indexed"}


def test_the_document_limit_takes_the_first_in_key_order(world):
    world.configure(document_limit=2)
    for name in "abcd":
        world.bucket.put(f"{name}.txt", name)
    world.sync()
    assert world.keys_indexed() == {"a.txt", "b.txt"}
    world.bucket.delete("a.txt")
    world.sync()
    assert world.keys_indexed() == {"b.txt", "c.txt"}


def test_requests_may_name_id_metadata_and_target(world):
    world.bucket.put("a.txt", "text")
    world.sync()
    world.ask("a.txt", custom_id="my-id", metadata={"team": "red"})
    assert [r.state for r in world.run_batches()] == ["indexed"]
    assert list(world.texts()) == ["my-id-0"]
    assert world.metadata()["my-id-0"]["team"] == "red"
    inferred = world.embedder.inferred
    world.ask("a.txt", custom_id="my-id", metadata={"owner": "b"})
    world.run_batches()
    stored = world.metadata()["my-id-0"]
    assert (stored.get("team"), stored["owner"]) == (None, "b")
    assert world.embedder.inferred == inferred
    world.ask("a.txt", target_collection_name="second")
    world.run_batches()
    assert world.keys_indexed("second") == {"a.txt"}
    assert list(world.texts()) == ["my-id-0"]
    world.bucket.put("a.txt", "other text")
    world.sync()
    assert set(world.texts().values()) == set(world.texts("second").values()) == {"other text"}
    world.bucket.delete("a.txt")
    world.sync(approve_deletes=True)
    assert world.texts() == world.texts("second") == {}


def test_a_sidecar_names_its_document_and_its_removal_takes_it_back(world):
    world.bucket.put("a.txt", "text")
    world.bucket.put("a.txt.meta.json", sidecar("a.txt", metadata={"team": "red"}))
    states = world.sync()
    assert states["a.txt.meta.json"] == "skipped"
    assert list(world.texts()) == ["x-0"]
    inferred = world.embedder.inferred
    world.bucket.put("a.txt.meta.json", sidecar("a.txt", metadata={"team": "blue"}))
    world.sync()
    assert world.metadata()["x-0"]["team"] == "blue"
    assert world.embedder.inferred == inferred
    world.bucket.delete("a.txt.meta.json")
    world.sync()
    assert world.keys_indexed() == {"a.txt"}
    assert "x-0" not in world.texts()


def test_in_metadata_mode_only_sidecars_select(world):
    world.configure(auto_sync=AutoSync.METADATA)
    world.bucket.put("a.txt", "text a")
    world.bucket.put("b.txt", "text b")
    assert world.sync() == {"a.txt": "skipped", "b.txt": "skipped"}
    world.bucket.put("z.meta.json", sidecar("b.txt"))
    world.sync()
    assert list(world.texts()) == ["x-0"]
    world.bucket.delete("z.meta.json")
    world.sync(approve_deletes=True)
    assert world.texts() == {}
    assert world.catalog.views.counts(world.source.id).skipped["no_sidecar"] == 2


def test_a_sidecar_that_cannot_be_followed_fails_alone(world):
    world.bucket.put("a.txt", "text")
    world.bucket.put("a.meta.json", "{not json")
    states = world.sync()
    assert states == {"a.txt": "indexed", "a.meta.json": "failed"}
    world.bucket.put("b.meta.json", sidecar("a.txt", "one"))
    world.bucket.put("c.meta.json", sidecar("a.txt", "two"))
    states = world.sync()
    assert states["c.meta.json"] == "failed"
    assert list(world.texts()) == ["one-0"]


def test_a_custom_id_taken_by_another_key_is_refused_by_name(world):
    world.bucket.put("a.txt", "text a")
    world.bucket.put("b.txt", "text b")
    world.ask("a.txt", custom_id="same")
    world.run_batches()
    world.ask("b.txt", custom_id="same")
    [report] = world.run_batches()
    assert report.state == "failed"
    assert "'a.txt'" in report.error
    assert set(world.texts().values()) == {"text a"}


def test_foreign_records_are_not_overwritten_without_adopt(world):
    world.bucket.put("a.txt", "text")
    world.sync()
    world.catalog.sources.mark_deleting(world.source.id, keep_records=True)
    world.catalog.documents.drop_source(world.source.id)
    world.source = world.source.with_changes(id="00000000-0000-4000-8000-000000000002")
    world.catalog.sources.add(world.source)
    assert world.sync() == {"a.txt": "failed"}
    world.configure(adopt=True)
    world.clock.seconds += 4000
    assert world.sync() == {"a.txt": "indexed"}


def test_a_lost_catalog_row_does_not_leave_a_tail(world):
    world.bucket.put("a.txt", LONG)
    world.sync()
    source = world.source
    world.catalog.documents.drop_source(source.id)
    world.catalog.sources.add(source)
    world.bucket.put("a.txt", "short")
    world.sync()
    assert set(world.texts().values()) == {"short"}


def test_explicit_requests_cost_a_head_when_nothing_changed(world):
    world.bucket.put("a.txt", "text")
    world.sync()
    before = dict(world.store.requests())
    [invocation] = world.ask("a.txt")
    [report] = world.run_batches()
    assert report.state == "unchanged"
    after = dict(world.store.requests())
    assert (after["GET"], after.get("HEAD", 0)) == (before["GET"], before.get("HEAD", 0) + 1)
    assert world.catalog.invocations.find(invocation).status == "complete"


def test_an_unknown_or_missing_key_asked_for_is_told(world):
    world.ask("nowhere.txt")
    [report] = world.run_batches()
    assert (report.state, report.reason) == ("removed", "object_gone")
    assert not report.vanished


def test_what_ended_between_its_listing_and_its_reading_has_vanished(world):
    for key in ("a.txt", "b.txt"):
        world.bucket.put(key, "text")
    world.sync()
    world.bucket.delete("a.txt")
    world.listing()
    world.bucket.put("c.txt", "text")
    world.listing()
    world.bucket.delete("c.txt")
    assert {one.key: one.vanished for one in world.run_batches()} == {"a.txt": False, "c.txt": True}


def test_what_a_blocked_listing_missed_had_ended_before_it(world):
    for n in range(20):
        world.bucket.put(f"{n}.txt", "text")
    world.sync()
    for n in range(20):
        world.bucket.delete(f"{n}.txt")
    assert world.listing().listing.state is ListingState.BLOCKED
    event(world, "0.txt", remove=True)
    assert [(one.key, one.state, one.vanished) for one in world.run_batches()] == [
        ("0.txt", "removed", False)
    ]


@pytest.mark.parametrize(
    "step",
    ["begun", "fetched", "chunked", "claimed", "before_embed", "after_embed", "upserted",
     "before_delete", "deleted", "before_commit", "after_commit"],
)  # fmt: skip
def test_a_death_at_any_step_is_repaired_by_doing_it_again(world, step):
    class Died(BaseException):
        pass

    def die(at):
        if at == step:
            raise Died

    world.bucket.put("a.txt", LONG)
    world.bucket.put("b.txt", "stays")
    world.sync()
    world.bucket.put("a.txt", SHORT)
    world.bucket.put("c.txt", "new")
    world.listing()
    world.at = die
    with pytest.raises(Died):
        world.run_batches()
    world.at = None
    for row in world.catalog.batches.live():
        world.catalog.batches.release(row.token, died=True)
    world.catalog.documents.enqueue_unclean(world.source.id)
    world.sync()
    assert world.keys_indexed() == {"a.txt", "b.txt", "c.txt"}
    text = "".join(world.texts().values())
    assert "Paragraph 2" in text
    assert "Paragraph 3" not in text
    assert {row.phase for row in world.catalog.documents.of_source(world.source.id)} == {"clean"}


def test_a_batch_of_a_hundred_costs_a_handful_of_statements(world):
    world.bucket.put("first.txt", "the first batch notes which collection it is")
    world.sync()
    for n in range(100):
        world.bucket.put(f"{n:03}.txt", f"text {n}")
    world.listing()
    counted = []

    def count(conn, cursor, statement, *rest):
        counted.append(statement.split("\n")[0][:60])

    watched = (world.catalog.database.engine, "before_cursor_execute", count)
    sa.event.listen(*watched)
    world.run_batches()
    sa.event.remove(*watched)
    assert len(world.texts()) == 101
    assert len(counted) < 70, "\n".join(counted)
