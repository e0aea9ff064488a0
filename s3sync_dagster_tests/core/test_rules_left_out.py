"""What is left out or kept: selection, delete modes, settings that change."""

import pytest

from s3sync_dagster.model.source import DeleteMode
from s3sync_dagster_tests.core.rules import LONG, Died, die_while_writing, event, sidecar, states


def test_what_a_batch_left_out_comes_back_when_it_is_selected_again(world):
    world.bucket.put("a.txt", "text")
    world.listing()
    world.configure(exclude_globs=("a.txt",))
    world.run_batches()  # no listing saw the new selection
    assert states(world)["a.txt"][0] == "skipped"
    world.configure(exclude_globs=())
    assert world.sync() == {"a.txt": "indexed"}


def test_documents_kept_by_a_mode_go_when_the_mode_mirrors_again(world):
    world.configure(mode=DeleteMode.KEEP_DELETED)
    for name in "abcdef":
        world.bucket.put(f"{name}.txt", f"text {name}")
    world.sync()
    world.bucket.delete("a.txt")
    world.sync()
    assert len(world.texts()) == 6
    world.configure(mode=DeleteMode.MIRROR)
    world.sync()
    assert len(world.texts()) == 5
    assert world.sync() == {}


def test_append_mode_adds_a_sidecar_s_target_and_leaves_the_rest(world):
    world.configure(mode=DeleteMode.APPEND)
    world.bucket.put("a.txt", "old")
    world.sync()
    world.bucket.put("a.txt", "new")
    world.bucket.put("a.meta.json", sidecar("a.txt", target_collection_name="second"))
    world.sync()
    world.run_batches()
    assert set(world.texts().values()) == {"old"}
    assert world.texts("second") == {"x-0": "new"}


def test_a_half_written_document_of_a_kept_object_that_is_gone_rests(world):
    world.configure(mode=DeleteMode.KEEP_DELETED)
    world.bucket.put("a.txt", LONG)
    world.sync()
    world.bucket.put("a.txt", "short")
    world.listing()

    def die(step):
        if step == "upserted":
            raise Died

    world.at = die
    with pytest.raises(Died):
        world.run_batches()
    world.at = None
    for row in world.catalog.batches.live():
        world.catalog.batches.release(row.token, died=True)
    world.bucket.delete("a.txt")
    world.sync()
    assert world.catalog.documents.enqueue_unclean(world.source.id) == 0
    assert len(world.texts()) == 12


def test_a_document_that_is_only_looked_at_stays_outdated(world):
    world.bucket.put("a.txt", "text")
    world.sync()
    world.configure(metadata={"team": "red"})
    event(world, "a.txt")
    assert [report.state for report in world.run_batches()] == ["unchanged"]
    world.configure(on_config_change="reindex")
    assert world.sync() == {"a.txt": "updated"}
    assert world.metadata().popitem()[1]["team"] == "red"


def test_a_source_that_is_being_deleted_gives_out_no_work(world):
    world.bucket.put("a.txt", "text")
    world.listing()
    world.catalog.sources.mark_deleting(world.source.id, keep_records=False)
    assert world.run_batches() == []
    assert world.listing() is None
    leased, held = world.catalog.batches.lease_keys(
        world.source.id, ["a.txt"], owner="me", run_id="r"
    )
    assert (leased, held) == (None, {})


@pytest.mark.parametrize("mode", [DeleteMode.KEEP_DELETED, DeleteMode.APPEND])
def test_what_was_only_begun_is_not_kept_when_its_object_goes(world, mode):
    world.configure(mode=mode)
    world.bucket.put("a.txt", LONG)
    world.listing()
    die_while_writing(world, "docs")
    assert len(world.texts()) == 1
    world.bucket.delete("a.txt")
    world.sync()
    world.catalog.documents.enqueue_unclean(world.source.id)
    world.run_batches()
    assert world.texts() == {}
    assert world.catalog.documents.of_source(world.source.id) == []


@pytest.mark.parametrize("mode", [DeleteMode.KEEP_DELETED, DeleteMode.APPEND])
def test_what_was_only_begun_is_not_kept_when_nobody_asks_for_it_any_more(world, mode):
    world.configure(mode=mode)
    world.bucket.put("a.txt", LONG)
    world.sync()
    world.bucket.put("a.meta.json", sidecar("a.txt", target_collection_name="second"))
    world.listing()
    die_while_writing(world, "second")
    assert len(world.texts("second")) == 1
    world.bucket.delete("a.meta.json")
    world.sync()
    world.catalog.documents.enqueue_unclean(world.source.id)
    world.run_batches()
    assert (len(world.texts()), world.texts("second")) == (12, {})
    assert world.catalog.documents.enqueue_unclean(world.source.id) == 0  # nor is it asked for


def test_what_was_half_rewritten_is_kept_whole_when_nobody_asks_for_it_any_more(world):
    world.configure(mode=DeleteMode.KEEP_DELETED)
    world.bucket.put("a.txt", LONG)
    world.bucket.put("a.meta.json", sidecar("a.txt", target_collection_name="second"))
    world.sync()
    world.run_batches()
    assert len(world.texts("second")) == 12
    world.bucket.put("a.txt", "new\n\nand short")
    world.listing()
    die_while_writing(world, "second")
    world.bucket.delete("a.meta.json")
    world.sync()
    world.catalog.documents.enqueue_unclean(world.source.id)
    world.run_batches()
    assert set(world.texts("second").values()) == {"new", "and short"}
    assert world.catalog.documents.enqueue_unclean(world.source.id) == 0
