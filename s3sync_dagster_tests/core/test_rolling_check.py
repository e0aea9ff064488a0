"""The check that goes round: what others deleted or changed is found and mended by itself."""

from dataclasses import replace

import pytest

from s3sync_dagster.catalog.recovered import store_recovered
from s3sync_dagster.core.keys import document_id
from s3sync_dagster.core.state import DocumentPhase
from s3sync_dagster.engine.identity import check_collections
from s3sync_dagster.engine.rebuilding import RecoveredDocument
from s3sync_dagster.engine.rolling_check import DAY_SECONDS, check_some, pace_of
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.errors import AccessDenied, NotFound, Unavailable
from s3sync_dagster.model.source import ChunkingConfig, DeleteMode
from s3sync_dagster_tests.core.test_rules_restored import back_up, restore
from s3sync_dagster_tests.engine_fixture import make_world

PER_DAY = 40
"""So few that a look takes all of a day's, and the next one is due a day later."""


def fill(world, documents=4, chunks=5):
    for n in range(documents):
        world.bucket.put(f"{n}.md", "\n\n".join(f"part {k} of {n}" for k in range(chunks)))
    world.sync()


def port_of(world):
    return world.collections.open(
        "docs",
        tenant=world.source.tenant,
        database=world.source.database_name,
        embedder=world.embedder,
    )


def name_of(key, index):
    return f"{document_id(key, custom_id=None, id_prefix='')}-{index}"


def look(world, *, per_day=PER_DAY, log=None, collections=None):
    return check_some(
        world.source,
        catalog=world.catalog,
        collections=lambda: collections or world.collections,
        clock=world.clock,
        records_per_day=per_day,
        log=log or (lambda _: None),
    )


def a_day(world):
    world.clock.seconds += DAY_SECONDS


def test_a_document_that_was_read_back_and_has_no_records_is_trusted_by_nobody(world):
    """Its object is archived, so that no work on it ends what a lost catalog has left."""
    fill(world, documents=1)
    world.bucket.put("archived.md", "text", storage_class="GLACIER")
    world.ask("archived.md")
    assert world.sync()["archived.md"] == "skipped"
    lost = RecoveredDocument(
        document_id=name_of("archived.md", 0)[:-2], object_key="archived.md", custom_id=None,
        etag="e", high_water=1,
    )  # fmt: skip
    here = {"collection_name": "docs", "collection_id": port_of(world).id}
    assert store_recovered(world.catalog.database, world.source, [lost], **here) == 1
    a_day(world)
    assert look(world) == 0
    (row,) = world.catalog.documents.of_key(world.source.id, "archived.md")
    assert row.phase is DocumentPhase.WRITING


class Without:
    """Collections of which none is there while ``on``."""

    def __init__(self, collections):
        self._collections, self.on = collections, True

    def open(self, name, **options):
        if self.on:
            raise NotFound("there is no such collection", reason="collection_not_found")
        return self._collections.open(name, **options)


def phases(world):
    return {
        one.object_key: one.phase.value
        for one in world.catalog.documents.of_source(world.source.id)
    }


def absent_for_one_look(world):
    """Let the source's collection be away while a listing looks, and come back."""
    away = Without(world.collections)
    check_collections(
        world.source, catalog=world.catalog, collections=lambda: away, log=lambda _: None
    )
    world.run_batches()


def test_what_only_a_look_can_mend_is_trusted_again_once_its_collection_is_back(world):
    world.configure(mode=DeleteMode.KEEP_DELETED)
    fill(world)
    world.bucket.delete("1.md")
    world.bucket.delete("3.md")
    world.listing(approve_deletes=True)
    world.run_batches()
    port_of(world).delete([name_of("3.md", 2)])  # what is kept of it is not what was written
    absent_for_one_look(world)
    assert phases(world) == {"0.md": "clean", "1.md": "writing", "2.md": "clean", "3.md": "writing"}
    lines = []
    assert look(world, log=lines.append) == 0
    assert lines == ["1 documents of docs are in 'docs' as written"]
    assert phases(world) == {"0.md": "clean", "1.md": "clean", "2.md": "clean", "3.md": "writing"}
    assert world.catalog.views.counts(world.source.id).documents == 3
    a_day(world)
    assert look(world, log=lines.append) == 0
    assert len(lines) == 1


def test_a_document_of_a_mode_that_keeps_it_is_not_trusted_beside_records_that_are_too_many(world):
    world.configure(mode=DeleteMode.KEEP_DELETED)
    fill(world)
    world.bucket.delete("1.md")
    world.sync()
    (state,) = world.catalog.documents.of_key(world.source.id, "1.md")
    world.catalog.documents.distrust([replace(state, high_water=6)])  # a late worker's sixth
    port = port_of(world)
    record = Record(
        id=name_of("1.md", 5), document="late", embedding_text="late", metadata={"a": 1}
    )
    port.upsert([record], world.embedder.embed_documents(["late"]))
    look(world)
    assert phases(world)["1.md"] == "writing"
    port.delete([record.id])
    a_day(world)
    look(world)
    assert phases(world)["1.md"] == "clean"


@pytest.mark.parametrize("mode", [DeleteMode.KEEP_DELETED, DeleteMode.APPEND])
def test_a_kept_text_that_others_changed_is_not_trusted_again_under_other_settings(mode):
    world = make_world(mode=mode)
    fill(world)
    world.bucket.delete("1.md")
    world.sync()
    change_text(world)
    a_day(world)
    look(world)
    world.configure(chunking=ChunkingConfig(max_size_bytes=900))
    for _ in range(2):
        world.sync()
        a_day(world)
        look(world)
    assert phases(world)["1.md"] == "writing"


def test_looks_pass_documents_of_more_records_than_they_take(world):
    world.configure(mode=DeleteMode.KEEP_DELETED)
    fill(world)
    for n in (1, 3):
        world.bucket.delete(f"{n}.md")
    world.sync()
    absent_for_one_look(world)
    for _ in range(8):
        look(world, per_day=3)
        a_day(world)
    assert set(phases(world).values()) == {"clean"}


def delete(world):
    port_of(world).delete([name_of("1.md", 3)])


def change_metadata(world):
    port_of(world).update_metadata([name_of("1.md", 3)], [{"team": "others"}])


def change_text(world):
    world.poison(name_of("1.md", 3))


@pytest.mark.parametrize("damage", [delete, change_metadata, change_text])
def test_what_others_did_is_found_and_mended(world, damage):
    fill(world)
    whole, metadata = world.texts(), world.metadata()
    damage(world)
    assert (world.texts(), world.metadata()) != (whole, metadata)
    lines = []
    assert look(world, log=lines.append) == 1
    (line,) = lines
    assert line.startswith("1 documents of docs have lost or changed records in the collection")
    assert world.catalog.views.counts(world.source.id).pending == 1
    assert [one.key for one in world.run_batches()] == ["1.md"]
    assert world.texts() == whole
    assert world.metadata() == metadata
    port_of(world).calls.clear()
    assert look(world, log=lines.append) == 0
    assert port_of(world).calls == [("get", 20)]  # at once: the look before had found something


def test_a_sound_collection_costs_two_requests_and_no_write(world):
    fill(world)
    port = port_of(world)
    port.calls.clear()
    opened = []

    class Counted:
        def open(self, name, **options):
            opened.append(name)
            return world.collections.open(name, **options)

    assert look(world, collections=Counted()) == 0
    assert opened == ["docs"]
    assert port.calls == [("get", 20)]
    assert look(world, collections=Counted()) == 0  # not due
    assert opened == ["docs"]
    a_day(world)
    look(world, collections=Counted())
    assert port.calls == [("get", 20)] * 2


def test_looks_go_round_and_divide_large_documents(world):
    fill(world, documents=3, chunks=7)  # 21 records, 4 a look
    port = port_of(world)
    asked = []
    get = port.get

    def noted(ids, **options):
        asked.append(list(ids))
        return get(ids, **options)

    port.get = noted
    for _ in range(6):
        assert look(world, per_day=4) == 0
        a_day(world)
    assert [len(ids) for ids in asked] == [4, 4, 4, 4, 4, 1]
    round_of = [name for ids in asked for name in ids]
    assert len(set(round_of)) == 21
    look(world, per_day=4)
    assert asked[-1] == asked[0]


def test_a_round_whose_end_meets_the_size_of_a_look_begins_again(world):
    fill(world, documents=2, chunks=2)
    for _ in range(4):
        assert look(world, per_day=2) == 0
        a_day(world)
    port_of(world).delete([name_of("0.md", 0)])
    found = 0
    for _ in range(3):
        found += look(world, per_day=2)
        a_day(world)
    assert found == 1


def test_an_emptied_collection_is_written_whole_at_once(world):
    fill(world)
    whole = world.texts()
    port_of(world).delete(list(whole))
    lines = []
    assert look(world, per_day=2, log=lines.append) == 4
    assert "is empty" in lines[0]
    world.run_batches()
    assert world.texts() == whole


def test_a_collection_that_was_replaced_is_noticed_without_a_listing(world):
    fill(world)
    whole = world.texts()
    world.collections.delete_collection(
        "docs", tenant=world.source.tenant, database=world.source.database_name
    )
    assert look(world) == 4
    world.run_batches()
    assert world.texts() == whole


def test_work_that_went_on_meanwhile_is_no_damage(world):
    fill(world)
    port = port_of(world)
    get = port.get

    def meanwhile(ids, **options):
        port.get = get
        stored = get(ids, **options)
        world.bucket.put("1.md", "other words")
        world.sync()
        return {name: one for name, one in stored.items() if name != name_of("1.md", 0)}

    port.get = meanwhile
    assert look(world) == 0
    rows = world.catalog.documents.of_source(world.source.id)
    assert {row.phase for row in rows} == {DocumentPhase.CLEAN}


def test_texts_that_are_stored_without_their_context_are_not_compared(world):
    world.configure(chunking=ChunkingConfig(context=True))
    fill(world)
    change_text(world)
    assert look(world) == 0
    a_day(world)
    delete(world)
    assert look(world) == 1


def test_a_chroma_that_does_not_answer_leaves_the_look_due(world):
    class Away:
        def open(self, name, **options):
            raise Unavailable("Chroma did not answer")

    fill(world)
    delete(world)
    with pytest.raises(Unavailable):
        look(world, collections=Away())
    assert look(world) == 1


class NoNames:
    """Collections whose names nobody may ask for."""

    def __init__(self, world):
        self._world = world

    def list_collections(self, **_):
        raise AccessDenied("It may not list collections.")

    def __getattr__(self, name):
        return getattr(self._world.collections, name)


def test_the_check_goes_on_where_names_of_collections_may_not_be_asked_for(world):
    fill(world)
    whole = world.texts()
    restore(world, back_up(world))
    world.listing()
    world.run_batches(collections=NoNames(world))
    change_text(world)
    lines = []
    assert look(world, collections=NoNames(world), log=lines.append) == 1
    assert any("could not be looked through: It may not list" in line for line in lines)
    world.run_batches(collections=NoNames(world))
    assert world.texts() == whole


def test_records_of_other_sources_are_not_looked_at():
    world = make_world()
    fill(world, documents=1)
    plant = port_of(world)
    plant.update_metadata([name_of("0.md", 0)], [{"s3sync_source": "somebody"}])
    assert look(world) == 1  # they took it over: ours is changed
    world.catalog.close()


@pytest.mark.parametrize(
    ("per_day", "records", "seconds"),
    [(5000, 500, 8640), (1, 1, 86_400), (499, 499, 86_400), (1_000_000, 694, 59.96)],
)
def test_a_pace_takes_as_many_records_a_day_as_it_is_told(per_day, records, seconds):
    pace = pace_of(per_day)
    assert pace.records == records
    assert pace.seconds == pytest.approx(seconds, rel=0.001)
    assert pace.records * 86_400 / pace.seconds == pytest.approx(per_day)
