"""Whose records they are: custom ids, sidecars that claim, records of others."""

import pytest

from s3sync_dagster.core.keys import document_id
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.core.rules import (
    LONG,
    die_while_writing,
    event,
    hold,
    requests,
    sidecar,
    states,
    work_on,
)
from s3sync_dagster_tests.core.test_rules_moved import _of
from s3sync_dagster_tests.simulation.ports import REFUSED, SimCollections, Weather
from s3sync_dagster_tests.sources import changed


def plant_records_of_others(world) -> str:
    """Put a record where that of a.txt would go; returns the document's id."""
    name = document_id("a.txt", custom_id=None, id_prefix="")
    port = world.collections.open(
        "docs", tenant=world.source.tenant, database=world.source.database_name,
        embedder=world.embedder,
    )  # fmt: skip
    port.upsert(
        [Record(id=f"{name}-0", document="theirs", embedding_text="t", metadata={"n": 1})],
        world.embedder.embed_documents(["t"]),
    )
    return name


def test_records_of_others_survive_the_object_that_would_have_their_ids(world):
    plant_records_of_others(world)
    world.bucket.put("a.txt", LONG)
    world.bucket.put("b.txt", "ours")
    assert world.sync() == {"a.txt": "failed", "b.txt": "indexed"}
    assert states(world)["a.txt"] == ("failed", "record_ids_taken")
    world.bucket.delete("a.txt")
    world.sync(approve_deletes=True)
    world.clock.seconds += 4000
    world.sync(approve_deletes=True)
    assert set(world.texts().values()) == {"theirs", "ours"}


def test_custom_ids_can_be_swapped_between_two_documents(world):
    world.bucket.put("a.txt", "text a")
    world.bucket.put("b.txt", "text b\n\nmore b")
    world.bucket.put("a.meta.json", sidecar("a.txt", "one"))
    world.bucket.put("b.meta.json", sidecar("b.txt", "two"))
    world.sync()
    world.bucket.put("a.meta.json", sidecar("a.txt", "two"))
    world.bucket.put("b.meta.json", sidecar("b.txt", "one"))
    for _ in range(3):
        world.sync()
        world.catalog.documents.enqueue_unclean(world.source.id)
        world.clock.seconds += 60
    assert world.texts() == {"two-0": "text a", "one-0": "text b", "one-1": "more b"}


@pytest.mark.parametrize("mode", [AutoSync.NONE, AutoSync.METADATA])
def test_a_request_that_names_its_collection_asks_for_no_document_in_another(world, mode):
    world.configure(auto_sync=mode)
    ref = world.bucket.put("a.txt", "text")
    if mode is AutoSync.METADATA:
        event(world, "a.txt", told=ref)  # in the same batch
    world.catalog.invocations.request(
        world.source, ["a.txt"], trigger=Trigger.API, target_collection_name="asked"
    )
    world.run_batches()
    assert world.texts() == {}
    assert list(world.texts("asked").values()) == ["text"]


def test_a_document_whose_request_for_another_id_is_refused_follows_its_object(world):
    def ask(key, custom_id=None):
        world.catalog.invocations.request(
            world.source,
            [key],
            trigger=Trigger.API,
            target_collection_name="asked",
            custom_id=custom_id,
        )

    world.bucket.put("a.txt", "a")
    world.bucket.put("b.txt", "old")
    world.sync()
    ask("a.txt", "r")
    ask("b.txt")
    world.run_batches()
    world.bucket.put("b.txt", "new")
    world.listing()
    ask("b.txt", "r")  # which a.txt has; in the same batch as the change
    world.run_batches()
    assert sorted(world.texts("asked").values()) == ["a", "new"]


def test_of_two_sidecars_the_smaller_key_has_the_claim_and_the_other_inherits_it(world):
    world.bucket.put("a.txt", "text")
    world.bucket.put("2.meta.json", sidecar("a.txt", "two"))
    world.sync()
    world.bucket.put("1.meta.json", sidecar("a.txt", "one", target_collection_name="docs"))
    world.sync()
    world.run_batches()
    assert list(world.texts()) == ["one-0"]
    assert states(world)["2.meta.json"] == ("failed", "already_claimed")
    world.bucket.delete("1.meta.json")
    world.sync()
    world.run_batches()
    assert list(world.texts()) == ["two-0"]
    assert states(world)["2.meta.json"] == ("skipped", "sidecar")


def test_a_target_that_nobody_answered_for_is_tried_again_beside_a_refused_one(world):
    class Away(SimCollections):
        def open(self, name, **options):
            if name == "second":
                raise Unavailable("open did not answer")
            return super().open(name, **options)

    name = plant_records_of_others(world)
    world.bucket.put("a.txt", "text a")
    world.bucket.put("a.meta.json", sidecar("a.txt", "one", target_collection_name="second"))
    world.listing()
    world.run_batches(collections=Away(world.collections, Weather(), lambda: False))
    world.clock.seconds += 100
    world.run_batches()  # without another listing
    assert world.texts("second") == {"one-0": "text a"}
    assert states(world)["a.txt"] == ("failed", "record_ids_taken")
    assert world.texts() == {f"{name}-0": "theirs"}


def test_sidecars_that_did_not_change_are_not_read_again(world):
    world.bucket.put("a.txt", "text")
    world.bucket.put("a.meta.json", sidecar("a.txt"))
    world.sync()
    world.run_batches()
    before = requests(world, "GET")
    assert world.sync() == {}
    assert requests(world, "GET") == before


def test_a_target_that_is_refused_fails_the_key_and_the_others_are_written(world):
    world.bucket.put("a.txt", "text a")
    world.bucket.put("b.txt", "text b")
    world.bucket.put("a.meta.json", sidecar("a.txt", "same", target_collection_name="second"))
    world.sync()
    world.bucket.put("b.meta.json", sidecar("b.txt", "same", target_collection_name="second"))
    world.sync()
    world.run_batches()
    assert states(world)["b.txt"] == ("failed", "record_ids_taken")
    assert set(world.texts().values()) == {"text a", "text b"}
    assert set(world.texts("second").values()) == {"text a"}
    world.bucket.delete("a.meta.json")
    world.clock.seconds += 1000
    world.sync()
    world.clock.seconds += 1000
    world.sync()
    assert set(world.texts("second").values()) == {"text b"}
    assert states(world)["b.txt"] == ("indexed", None)


def list_and_be_refused(world):
    refusing = SimCollections(world.collections, Weather(), lambda: False)
    world.listing()
    for _ in range(3):
        world.run_batches(collections=refusing)
        world.catalog.documents.enqueue_unclean(world.source.id)
        world.clock.seconds += 60
    assert states(world)["c.txt"] == ("failed", "record_rejected")


def test_a_custom_id_that_was_taken_over_is_cleared_when_the_new_text_is_refused(world):
    world.bucket.put("a.txt", "\n\n".join(f"text {n}" for n in range(5)))
    world.bucket.put("a.meta.json", sidecar("a.txt", "one"))
    world.sync()
    world.bucket.put("c.txt", f"text c\n\nmore c {REFUSED}")
    world.bucket.put("a.meta.json", sidecar("c.txt", "one"))
    list_and_be_refused(world)
    assert world.keys_indexed() == {"a.txt"}
    assert "one-0" not in world.texts()
    assert [row.object_key for row in world.catalog.documents.of_source(world.source.id)] == [
        "a.txt"
    ]


def test_an_id_that_passes_on_within_a_batch_is_cleared_when_the_new_text_is_refused(world):
    world.configure(auto_sync=AutoSync.METADATA)
    world.bucket.put("z.txt", "\n\n".join(f"text {n}" for n in range(5)))
    world.bucket.put("a.meta.json", sidecar("z.txt", "one"))
    world.bucket.put("c.txt", f"text c {REFUSED}\n\nmore c")
    world.sync()
    assert len(world.texts()) == 5
    world.bucket.put("a.meta.json", sidecar("c.txt", "one"))
    list_and_be_refused(world)
    assert world.texts() == {}
    assert not world.catalog.documents.of_source(world.source.id)


def test_a_custom_id_of_what_was_only_begun_is_free_when_its_successor_is_refused(world):
    world.configure(mode=DeleteMode.APPEND)
    name = plant_records_of_others(world)
    world.bucket.put("a.txt", LONG)
    world.bucket.put("a.meta.json", sidecar("a.txt", "x"))
    world.listing()
    die_while_writing(world, "docs")
    world.bucket.delete("a.meta.json")
    world.bucket.put("b.txt", "text b")
    world.bucket.put("b.meta.json", sidecar("b.txt", "x"))
    for _ in range(3):
        world.sync()
        world.catalog.documents.enqueue_unclean(world.source.id)
        world.run_batches()
        world.clock.seconds += 1000
    assert states(world)["a.txt"] == ("failed", "record_ids_taken")
    assert world.texts() == {f"{name}-0": "theirs", "x-0": "text b"}


def test_of_two_that_wait_for_a_refused_successor_only_the_newest_stays(world):
    def fail_removals(step):
        if step == "before_remove":
            raise Unavailable("no removal today")

    name = plant_records_of_others(world)
    world.bucket.put("a.txt", "text a")
    world.bucket.put("a.meta.json", sidecar("a.txt", "one"))
    world.sync()
    for asks in (sidecar("none.txt", "one"), sidecar("a.txt", "two")):
        world.bucket.put("a.txt", "newer a")
        world.bucket.put("a.meta.json", asks)
        world.listing()
        world.run_batches(at=fail_removals)
    assert world.texts() == {f"{name}-0": "theirs", "one-0": "text a", "two-0": "newer a"}
    world.bucket.delete("a.meta.json")
    for _ in range(3):
        world.sync()
        world.catalog.documents.enqueue_unclean(world.source.id)
        world.clock.seconds += 1000
    assert states(world)["a.txt"] == ("failed", "record_ids_taken")
    assert world.texts() == {f"{name}-0": "theirs", "two-0": "newer a"}


def test_ids_that_are_being_cleared_are_given_to_nobody_else_meanwhile(world):
    world.bucket.put("a.txt", "text a")
    world.bucket.put("c.txt", "text c")
    world.bucket.put("a.meta.json", sidecar("a.txt", "x"))
    world.sync()
    world.bucket.put("a.meta.json", sidecar("a.txt", "y"))
    meanwhile = []

    def another_batch(step):
        if step == "before_delete" and not meanwhile:
            world.bucket.put("c.meta.json", sidecar("c.txt", "x"))
            world.listing()
            meanwhile.extend(world.run_batches(at=lambda _step: None))

    world.listing()
    world.run_batches(at=another_batch)
    assert "c.txt" in {report.key for report in meanwhile}
    for _ in range(3):
        world.clock.seconds += 100
        world.run_batches()
    assert world.texts() == {"y-0": "text a", "x-0": "text c"}


def test_what_is_taken_over_from_a_batch_that_found_it_whole_shows_it(world):
    world.bucket.put("a.txt", "text")
    world.sync()
    other = changed(
        world.source,
        id="00000000-0000-4000-8000-000000000002",
        name="b",
        bucket_name="another",
        adopt=True,
    )
    world.catalog.sources.add(other)
    beside = _of(world, other)
    beside.bucket.put("a.txt", "text")
    world.ask("a.txt", trigger=Trigger.CLI)
    batch = hold(world, "a.txt")

    def take_over(step):
        if step == "fetched":
            assert beside.sync() == {"a.txt": "indexed"}

    work_on(world, batch, at=take_over)
    world.run_batches()
    assert states(world) == {"a.txt": ("failed", "record_ids_taken")}
    assert states(beside) == {"a.txt": ("indexed", None)}
