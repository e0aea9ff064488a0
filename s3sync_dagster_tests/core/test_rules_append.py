"""Mode ``append``: what was indexed once stays, also after a loss, a restore or a rebuild."""

from dataclasses import replace

import pytest

from s3sync_dagster.catalog.tables import objects
from s3sync_dagster.engine.rebuilding import recover_catalog
from s3sync_dagster.engine.rolling_check import DAY_SECONDS
from s3sync_dagster.engine.verifying import verify_collection
from s3sync_dagster.model.errors import AccessDenied, RecordRejected, Unavailable
from s3sync_dagster.model.source import ChunkingConfig, DeleteMode
from s3sync_dagster.ports.memory_chroma import MemoryCollection
from s3sync_dagster_tests.core.rules import (
    LONG,
    Died,
    Refusing,
    die_while_writing,
    refuse_with,
    sidecar,
    states,
    work_and_die,
)
from s3sync_dagster_tests.core.test_rolling_check import look
from s3sync_dagster_tests.core.test_rules_into import Silent
from s3sync_dagster_tests.core.test_rules_restored import back_up, open_collection, restore
from s3sync_dagster_tests.engine_fixture import make_world, paragraph_chunker

KEPT = ["old text"]
SKIPPED = {"a.txt": ("skipped", "changed_in_append_mode")}


def filled():
    world = make_world(mode=DeleteMode.APPEND)
    world.bucket.put("a.txt", "old text")
    world.sync()
    return world


def texts(world):
    return sorted(world.texts().values())


def rebuild(world):
    """Do as ``rebuild`` does."""
    world.listing(fresh=True)
    world.catalog.documents.distrust_all(world.source.id)
    settle(world)


def settle(world):
    for _ in range(2):
        world.catalog.documents.enqueue_unclean(world.source.id)
        world.run_batches()
        world.sync()


@pytest.mark.parametrize("listed", [True, False])
def test_a_rebuild_leaves_a_text_whose_object_has_another_one(listed):
    world = filled()
    world.bucket.put("a.txt", "new text")
    if listed:
        world.sync()
    rebuild(world)
    assert (texts(world), states(world)) == (KEPT, SKIPPED)
    world.bucket.put("a.txt", "a third text")
    world.sync()
    assert texts(world) == KEPT


def test_a_rebuild_leaves_a_text_whose_object_has_another_one_before_its_turn_has_come():
    world = filled()
    world.listing(fresh=True)
    world.catalog.documents.distrust_all(world.source.id)
    world.bucket.put("a.txt", "new text")
    settle(world)
    assert (texts(world), states(world)) == (KEPT, SKIPPED)


def test_what_a_rebuild_has_half_written_of_the_same_bytes_is_a_text_still():
    world = make_world(mode=DeleteMode.APPEND)
    world.bucket.put("a.txt", LONG)
    world.sync()
    for name in world.texts():
        world.poison(name)
    world.catalog.documents.distrust_all(world.source.id)
    world.catalog.documents.enqueue_unclean(world.source.id)
    die_while_writing(world, "docs")
    world.bucket.put("a.txt", "new text")
    settle(world)
    assert len(texts(world)) == len(LONG.split("\n\n"))
    assert states(world)["a.txt"] == ("skipped", "changed_in_append_mode")


def test_a_rebuild_writes_what_the_object_still_has():
    world = filled()
    (name,) = world.texts()
    world.poison(name)
    rebuild(world)
    assert texts(world) == KEPT


def test_what_is_gone_stays_trusted_by_a_rebuild():
    world = filled()
    world.bucket.delete("a.txt")
    rebuild(world)
    (one,) = world.catalog.documents.of_source(world.source.id)
    assert (texts(world), one.phase.value) == (KEPT, "clean")


def lose_catalog(lost, **settings):
    """Return a world with the collection of another one, from which its catalog was read back."""
    world = make_world(mode=DeleteMode.APPEND, **settings)
    world.bucket, world.collections = lost.bucket, lost.collections
    world.__post_init__()
    recover_catalog(
        world.source,
        catalog=world.catalog,
        collections=world.collections,
        embedder=world.embedder,
    )
    return world


def test_a_lost_catalog_costs_no_text_of_before():
    lost = filled()
    lost.bucket.put("a.txt", "new text")
    lost.sync()
    world = lose_catalog(lost)
    settle(world)
    assert (texts(world), states(world)) == (KEPT, SKIPPED)


def test_what_verify_reads_back_is_kept_like_all_else():
    world = make_world(mode=DeleteMode.APPEND)
    backup = back_up(world)
    world.bucket.put("a.txt", "old text")
    world.sync()
    world.bucket.put("a.txt", "new text")
    world.sync()
    restore(world, backup)
    verify_collection(
        world.source,
        collection=open_collection(world),
        documents=world.catalog.documents,
        fix=True,
    )
    settle(world)
    assert (texts(world), states(world)) == (KEPT, SKIPPED)


def test_a_restored_catalog_keeps_what_older_settings_have_written():
    world = filled()
    world.configure(chunking=ChunkingConfig(max_size_bytes=900))
    world.sync()
    backup = back_up(world)
    world.bucket.put("a.txt", "new text")
    world.sync()
    restore(world, backup)
    settle(world)
    assert (texts(world), states(world)) == (KEPT, SKIPPED)


def restored(world):
    """Return a world whose catalog was put back once its object had another text."""
    backup = back_up(world)
    world.bucket.put("a.txt", "new text")
    world.sync()
    restore(world, backup)
    return world


def test_a_restored_catalog_whose_records_could_not_be_looked_at_costs_no_text(monkeypatch):
    world = restored(filled())

    def away(*_args, **_options):
        raise Unavailable("away", reason="chroma_timeout")

    with monkeypatch.context() as patch:
        patch.setattr(MemoryCollection, "get", away)
        world.sync()
    world.clock.seconds += 7200
    world.sync()
    settle(world)
    assert (texts(world), states(world)) == (KEPT, SKIPPED)


def test_a_restored_catalog_keeps_a_text_that_was_embedded_with_its_context(monkeypatch):
    def with_context(*args, **options):
        return [replace(one, context="of: ") for one in paragraph_chunker(*args, **options)]

    monkeypatch.setattr("s3sync_dagster_tests.engine_fixture.paragraph_chunker", with_context)
    world = make_world(mode=DeleteMode.APPEND, chunking=ChunkingConfig(context=True))
    world.bucket.put("a.txt", "old text")
    world.sync()
    settle(restored(world))
    assert (texts(world), states(world)) == (KEPT, SKIPPED)
    (one,) = world.catalog.documents.of_source(world.source.id)
    assert one.phase.value == "clean"


def test_a_restored_catalog_costs_no_more_of_a_text_than_others_spoilt():
    world = make_world(mode=DeleteMode.APPEND)
    world.bucket.put("a.txt", "old text\n\nolder text")
    world.sync()
    restored(world)
    world.poison(min(name for name, text in world.texts().items() if text == "old text"))
    settle(world)
    assert (texts(world), states(world)) == (["older text", "poisoned"], SKIPPED)


def test_a_text_of_which_nothing_is_left_is_kept_by_no_restored_catalog():
    world = restored(filled())
    open_collection(world).delete(list(world.texts()))
    settle(world)
    assert texts(world) == ["new text"]


def test_what_was_half_written_before_a_catalog_was_lost_is_written_whole():
    lost = make_world(mode=DeleteMode.APPEND)
    lost.bucket.put("a.txt", LONG)
    lost.listing()
    die_while_writing(lost, "docs")
    assert len(lost.texts()) == 1
    world = lose_catalog(lost)
    world.bucket.put("a.txt", f"new\n\n{LONG}")
    settle(world)
    assert (len(world.texts()), states(world)) == (13, {"a.txt": ("indexed", None)})


def test_what_a_scan_misses_of_a_whole_text_makes_it_no_half_one(monkeypatch):
    lost = make_world(mode=DeleteMode.APPEND)
    lost.bucket.put("a.txt", LONG)
    lost.sync()
    scan = MemoryCollection.scan

    def shifted(self, **options):  # as where others delete meanwhile
        return (tuple(page)[1:] for page in scan(self, **options))

    with monkeypatch.context() as patch:
        patch.setattr(MemoryCollection, "scan", shifted)
        world = lose_catalog(lost)
    world.bucket.put("a.txt", "new text")
    settle(world)
    assert (len(world.texts()), states(world)) == (12, SKIPPED)


def test_what_was_read_back_and_then_half_written_of_the_same_bytes_is_a_text_still():
    lost = make_world(mode=DeleteMode.APPEND)
    lost.bucket.put("a.txt", LONG)
    lost.sync()
    world = lose_catalog(lost)
    world.listing()
    die_while_writing(world, "docs")
    world.bucket.put("a.txt", "new text")
    world.sync()
    settle(world)
    assert texts(world) == sorted(LONG.split("\n\n"))
    assert states(world) == {"a.txt": ("skipped", "changed_in_append_mode")}


@pytest.mark.parametrize("lost", [False, True])
def test_what_an_owner_asked_in_vain_of_a_text_of_before_is_written(lost):
    settings = {"reader_keys": ("dept",)}
    world = make_world(mode=DeleteMode.APPEND, **settings)
    world.bucket.put("a.txt", "old text")
    world.sync()
    if lost:
        world = lose_catalog(world, **settings)
    world.bucket.put("a.txt", "new text")
    settle(world)
    assert texts(world) == KEPT

    def refuse(kind, _key):
        if kind == "GET":
            raise AccessDenied("not allowed")

    world.fault = refuse
    world.ask("a.txt", metadata={"dept": ["hr"]}, vouched=True)
    world.run_batches()
    world.fault = None
    world.clock.seconds += 7200
    world.sync()
    assert [one["dept"] for one in world.metadata().values()] == [["hr"]]


def test_what_was_read_back_while_the_model_was_away_is_kept():
    world = lose_catalog(filled())
    answering, world.embedder = world.embedder, Silent(world.embedder)
    world.sync()
    world.embedder = answering
    world.bucket.put("a.txt", "new text")
    world.clock.seconds += 7200
    world.sync()
    settle(world)
    assert (texts(world), states(world)) == (KEPT, SKIPPED)


def removal_dies(place):
    if place == "claimed_removal":
        raise Died


@pytest.mark.parametrize("mode", [DeleteMode.APPEND, DeleteMode.KEEP_DELETED])
@pytest.mark.parametrize("content", ["refused", "BAD"])
def test_what_was_only_begun_and_can_never_be_written_gives_its_ids_free(mode, content):
    world = make_world(mode=mode)
    refuses = refuse_with(
        RecordRejected("Chroma refused a record"),
        lambda records: any(one.document == "refused" for one in records),
    )
    collections = Refusing(world, upsert=refuses)
    world.bucket.put("b.meta.json", sidecar("b.txt", "x"))
    world.sync()
    world.bucket.put("b.txt", LONG)
    world.listing()
    die_while_writing(world, "docs")
    world.bucket.put("b.txt", "BAD of before")
    world.listing()
    work_and_die(world, workers=1, at=removal_dies)
    (begun,) = world.catalog.documents.of_source(world.source.id)
    assert (begun.phase.value, len(world.texts())) == ("removing", 1)
    world.bucket.put("b.txt", content)
    world.bucket.put("c.txt", "taken")
    world.listing()
    world.run_batches(collections=collections)
    assert texts(world) == ["taken"]
    world.bucket.put("a.meta.json", sidecar("a.txt", "x"))
    world.bucket.put("a.txt", "its own")
    for _ in range(2):
        world.sync()
    assert (texts(world), states(world)["a.txt"]) == (["its own", "taken"], ("indexed", None))


def test_what_a_rebuild_cannot_read_is_trusted_again_where_it_stands_as_written():
    world = filled()
    with world.catalog.database.write() as tx:
        tx.execute(objects.update().values(outcome="skipped", reason="archived"))
    world.catalog.documents.distrust_all(world.source.id)
    world.clock.seconds += DAY_SECONDS
    assert look(world) == 0
    (one,) = world.catalog.documents.of_source(world.source.id)
    assert (one.phase.value, texts(world)) == ("clean", KEPT)


def changed_behind(world, damage, check):
    """Return a world whose text of before was changed by others, which somebody has noticed."""
    world.bucket.put("a.txt", LONG)
    world.sync()
    world.bucket.put("a.txt", "new text")
    world.sync()
    before = world.texts()
    damage(world)
    check(world)
    settle(world)
    world.clock.seconds += DAY_SECONDS
    look(world)
    settle(world)
    return before


def by_itself(world):
    lines = []
    world.clock.seconds += DAY_SECONDS
    look(world, log=lines.append)
    assert "append mode keeps what is left" in lines[0]


def by_verify(world):
    verify_collection(
        world.source, collection=open_collection(world), documents=world.catalog.documents, fix=True
    )


def delete_one(world):
    open_collection(world).delete([min(world.texts())])


def delete_all(world):
    open_collection(world).delete(list(world.texts()))


def spoil_one(world):
    port, name = open_collection(world), min(world.texts())
    port.update_metadata([name], [{**world.metadata()[name], "odd": 1}])


@pytest.mark.parametrize("check", [by_itself, by_verify])
@pytest.mark.parametrize("damage", [delete_one, spoil_one])
def test_what_others_spoil_of_a_text_of_before_costs_no_more_of_it(damage, check):
    world = make_world(mode=DeleteMode.APPEND)
    before = changed_behind(world, damage, check)
    left = world.texts()
    assert left.items() <= before.items()
    assert len(left) >= len(before) - 1
    assert states(world) == SKIPPED


def test_a_text_of_before_that_others_wrote_over_is_not_trusted_again():
    world = make_world(mode=DeleteMode.APPEND)
    changed_behind(world, lambda world: world.poison(min(world.texts())), by_itself)
    (one,) = world.catalog.documents.of_source(world.source.id)
    assert (one.phase.value, states(world)) == ("writing", SKIPPED)


def test_a_text_of_before_of_which_nothing_is_left_is_that_of_now():
    world = make_world(mode=DeleteMode.APPEND)
    changed_behind(world, delete_all, by_verify)
    assert texts(world) == ["new text"]


@pytest.mark.parametrize("damage", [delete_one, spoil_one])
def test_a_spoilt_text_of_before_of_which_nothing_is_left_later_is_that_of_now(damage):
    world = make_world(mode=DeleteMode.APPEND)
    changed_behind(world, damage, by_itself)
    delete_all(world)
    for _ in range(2):
        world.clock.seconds += DAY_SECONDS
        look(world)
        settle(world)
    assert (texts(world), states(world)["a.txt"]) == (["new text"], ("indexed", None))


@pytest.mark.parametrize("check", [by_itself, by_verify])
def test_what_others_spoil_of_a_text_that_its_object_has_is_mended(check):
    world = make_world(mode=DeleteMode.APPEND)
    world.bucket.put("a.txt", LONG)
    world.sync()
    before = world.texts(), world.metadata()
    spoil_one(world)
    check(world)
    settle(world)
    assert (world.texts(), world.metadata()) == before
