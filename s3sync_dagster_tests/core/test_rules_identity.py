"""A collection has an identity: nothing that was written to another one of its name is trusted."""

import pytest
import sqlalchemy as sa

from s3sync_dagster.catalog import collections as collection_rows
from s3sync_dagster.catalog.kept_counts import KeptCounts
from s3sync_dagster.core.keys import document_id
from s3sync_dagster.core.state import ABSENT, DocumentPhase, KnownCollection
from s3sync_dagster.engine.listing_turns import ListingParts, list_when_due
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster_tests.core.rules import states
from s3sync_dagster_tests.engine_fixture import make_world
from s3sync_dagster_tests.sources import changed

SECOND = "00000000-0000-4000-8000-000000000002"
THREE = {f"{n}.md": f"one {n}\n\ntwo {n}" for n in range(3)}


class Me:
    """An owner beside whom nobody lives."""

    def me(self):
        return "me"

    def is_dead(self, owner):
        return True


def fill(world, texts=THREE):
    for key, text in texts.items():
        world.bucket.put(key, text)
    world.sync()


def drop(world, *, anew=False, name="docs"):
    """Delete the collection, as somebody else would, and make another one in its place."""
    place = {"tenant": world.source.tenant, "database": world.source.database_name}
    world.collections.delete_collection(name, **place)
    if anew:
        world.collections.open(name, **place, embedder=world.embedder)


def paragraphs(texts=THREE):
    return sorted(part for text in texts.values() for part in text.split("\n\n"))


def phases(world):
    return {row.phase for row in world.catalog.documents.of_source(world.source.id)}


def another_that_adopts(world):
    """Return a world of another source with the same keys in the same collection."""
    source = changed(
        world.source, id="00000000-0000-4000-8000-000000000002", name="other",
        bucket_name="bucket-b", adopt=True,
    )  # fmt: skip
    world.catalog.sources.add(source)
    return type(world)(
        source=source, bucket=world.bucket, catalog=world.catalog,
        collections=world.collections, clock=world.clock,
    )  # fmt: skip


def test_what_another_source_takes_over_is_not_indexed_any_more(world):
    fill(world)
    another_that_adopts(world).sync()
    counts = world.catalog.views.counts(world.source.id)
    assert (counts.documents, counts.indexed, counts.failed) == (0, 0, {"record_ids_taken": 3})
    assert KeptCounts(world.catalog.database).sound()
    [row, *_] = world.catalog.views.object_rows(world.source.id, limit=3)
    assert "The source 'other' has taken over the record ids of" in row.error
    assert set(world.sync().values()) == {"failed"}
    [row, *_] = world.catalog.views.object_rows(world.source.id, limit=3)
    assert "already has records with the ids" in row.error
    world.configure(id_prefix="mine-")
    world.catalog.invocations.retry_failed(world.source)
    assert {report.state for report in world.run_batches()} == {"indexed"}


def test_of_two_sources_that_both_take_over_the_one_that_has_the_records_keeps_them(world):
    world.configure(adopt=True)
    fill(world)
    theirs = another_that_adopts(world)
    assert set(theirs.sync().values()) == {"failed"}
    world.clock.seconds += 100_000
    assert world.sync() == {}
    assert set(states(world).values()) == {("indexed", None)}
    assert {one["s3sync_source"] for one in world.metadata().values()} == {world.source.id}


@pytest.mark.parametrize("anew", [False, True])
def test_a_listing_in_which_nothing_changed_heals_a_collection_that_was_replaced(world, anew):
    fill(world)
    drop(world, anew=anew)
    lines = []
    assert world.check_collections(log=lines.append) == 3
    (line,) = lines
    assert "3 documents of docs are written again" in line
    counts = world.catalog.views.counts(world.source.id)
    assert (counts.indexed, counts.pending, counts.chunks) == (0, 3, 0)
    assert world.sync() == dict.fromkeys(THREE, "updated")
    assert sorted(world.texts().values()) == paragraphs()
    counts = world.catalog.views.counts(world.source.id)
    assert (counts.indexed, counts.pending, counts.chunks) == (3, 0, 6)
    assert world.sync() == {}


def test_the_sensor_that_lists_notices_it(world):
    fill(world)
    drop(world)
    lines = []
    parts = ListingParts(
        catalog=world.catalog,
        clock=world.clock,
        owners=Me(),
        store_for=lambda _: world.store,
        collections=lambda: world.collections,
    )
    world.clock.seconds += 4000
    list_when_due(parts, world.source, log=lines.append)
    assert "written again" in lines[0]
    assert {one.state for one in world.run_batches()} == {"updated"}
    assert sorted(world.texts().values()) == paragraphs()


def test_who_asks_for_a_key_is_not_told_that_it_is_unchanged(world):
    fill(world)
    drop(world, anew=True)
    world.ask("1.md")
    world.run_batches()  # without any listing
    assert sorted(world.texts().values()) == paragraphs()
    assert phases(world) == {DocumentPhase.CLEAN}


def test_a_small_change_after_the_loss_writes_the_document_whole(world):
    fill(world)
    drop(world)
    world.bucket.put("0.md", "one 0\n\nTWO 0")
    world.sync()
    assert sorted(world.texts().values()) == paragraphs(THREE | {"0.md": "one 0\n\nTWO 0"})


def test_a_collection_that_is_replaced_during_a_write_is_written_again(world):
    fill(world, {"a.md": "text"})
    world.bucket.put("a.md", "other text")

    def at(step):
        if step == "before_commit":
            world.at = None
            drop(world, anew=True)
            world.check_collections()

    world.at = at
    world.sync()
    assert list(world.texts().values()) == ["other text"]
    assert phases(world) == {DocumentPhase.CLEAN}


def test_each_source_of_a_collection_heals_what_is_its_own(world):
    fill(world)
    other = make_world(clock=world.clock, path_prefix="x/", id_prefix="x-")
    other.catalog.close()
    other.catalog, other.collections = world.catalog, world.collections
    other.source = other.source.with_changes(id=SECOND, name="second")
    other.catalog.sources.add(other.source)
    fill(other, {"x/a.md": "theirs"})
    drop(world, anew=True)
    world.sync()
    assert sorted(world.texts().values()) == paragraphs()
    assert other.sync() == {"x/a.md": "updated"}
    assert sorted(world.texts().values()) == sorted([*paragraphs(), "theirs"])
    assert world.sync() == other.sync() == {}


def without_ids(world):
    """Leave the catalog as one that was upgraded from before ids were kept."""
    with world.catalog.database.write() as tx:
        tx.execute(sa.text("UPDATE documents SET collection_id = NULL"))
        tx.execute(sa.text("UPDATE collections SET collection_id = NULL"))


def test_an_upgraded_catalog_takes_the_collection_for_the_one_it_wrote_to(world):
    fill(world)
    without_ids(world)
    lines = []
    assert world.check_collections(log=lines.append) == 0
    assert lines == []
    assert world.sync() == {}
    assert {one.collection_id for one in world.catalog.documents.of_source(world.source.id)} == {
        world.collections.open(
            "docs", tenant=world.source.tenant, database=world.source.database_name, embedder=None
        ).id
    }
    drop(world, anew=True)
    world.sync()
    assert sorted(world.texts().values()) == paragraphs()


@pytest.mark.parametrize("anew", [False, True])
def test_an_upgraded_catalog_does_not_believe_in_an_empty_collection(world, anew):
    fill(world)
    without_ids(world)
    drop(world, anew=anew)
    assert world.sync() == dict.fromkeys(THREE, "updated")
    assert sorted(world.texts().values()) == paragraphs()


def plant(world, key, text="theirs", owner="somebody"):
    """Put a record of somebody else where that of a key would go."""
    name = document_id(key, custom_id=None, id_prefix="")
    port = world.collections.open(
        "docs", tenant=world.source.tenant, database=world.source.database_name,
        embedder=world.embedder,
    )  # fmt: skip
    record = Record(
        id=f"{name}-0", document=text, embedding_text=text, metadata={"s3sync_source": owner}
    )
    port.upsert([record], world.embedder.embed_documents([text]))


def test_records_that_others_put_into_the_new_collection_are_left_alone(world):
    fill(world)
    drop(world, anew=True)
    plant(world, "0.md")
    world.sync()
    assert states(world)["0.md"] == ("failed", "record_ids_taken")
    world.bucket.delete("0.md")
    for _ in range(3):
        world.clock.seconds += 4000
        world.sync(approve_deletes=True)
    assert sorted(world.texts().values()) == sorted(
        [*paragraphs({k: v for k, v in THREE.items() if k != "0.md"}), "theirs"]
    )


def test_an_object_that_went_with_its_collection_takes_no_records_of_others_along(world):
    fill(world)
    drop(world, anew=True)
    plant(world, "0.md")
    plant(world, "1.md", "ours from a copy", owner=world.source.id)
    for key in THREE:
        world.bucket.delete(key)
    for _ in range(3):
        world.clock.seconds += 4000
        world.sync(approve_deletes=True)
    assert list(world.texts().values()) == ["theirs"]
    assert world.catalog.documents.of_source(world.source.id) == []


def test_a_copy_that_was_put_in_the_place_is_written_over_whole(world):
    fill(world, {"a.md": "one\n\ntwo\n\nthree"})
    drop(world, anew=True)
    plant(world, "a.md", "old", owner=world.source.id)
    world.bucket.put("a.md", "one")
    world.sync()
    assert list(world.texts().values()) == ["one"]


def test_the_loss_of_trust_goes_on_where_it_was_cut_off(world, monkeypatch):
    monkeypatch.setattr(collection_rows, "DOCUMENTS_AT_ONCE", 2)
    fill(world, {f"{n}.md": "text" for n in range(5)})
    met = KnownCollection(
        tenant=world.source.tenant,
        database_name=world.source.database_name,
        collection_name="docs",
        collection_id=ABSENT,
    )
    meet = world.catalog.collections.meet
    assert meet(world.source.id, met, seconds=0) is None
    assert world.catalog.views.counts(world.source.id).indexed == 3
    assert meet(world.source.id, met) == 3
    assert world.catalog.views.counts(world.source.id).indexed == 0


def test_a_chroma_that_does_not_answer_says_nothing_of_its_collections(world):
    class Away:
        def open(self, name, **options):
            raise Unavailable("Chroma did not answer")

    fill(world)
    world.ask("1.md")
    (outcome,) = world.run_batches(collections=Away())
    assert outcome.state == "unchanged"
    assert phases(world) == {DocumentPhase.CLEAN}


def test_a_rebuild_after_a_drop_writes_all_of_it(world):
    fill(world)
    world.catalog.documents.distrust_all(world.source.id)
    drop(world)
    world.sync()
    assert sorted(world.texts().values()) == paragraphs()
    assert world.sync() == {}


def test_a_target_of_a_request_is_looked_at_as_well(world):
    fill(world, {"a.md": "text"})
    world.ask("a.md", target_collection_name="second")
    world.run_batches()
    drop(world, name="second")
    world.sync()
    assert list(world.texts("second").values()) == ["text"]


def test_a_collection_in_which_nothing_is_left_is_not_asked_for(world):
    fill(world, {"a.md": "text"})
    world.ask("a.md", target_collection_name="second")
    world.run_batches()
    drop(world, name="second")
    world.bucket.delete("a.md")
    world.listing(approve_deletes=True)
    world.run_batches()
    drop(world)
    world.check_collections()
    assert world.catalog.collections.of_source(world.source.id) == []


def test_automatic_work_of_what_lost_its_trust_waits_for_nobody(world):
    fill(world)
    drop(world)
    world.check_collections()
    rows = world.catalog.invocations.rows(source_id=world.source.id)
    pending = [row for row in rows if row.status == "pending"]
    assert {row.trigger for row in pending} == {Trigger.RETRY}
    assert len(pending) == 3
