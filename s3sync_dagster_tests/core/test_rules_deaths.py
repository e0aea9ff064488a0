"""Faults of the program and deaths of workers."""

import pytest
import sqlalchemy as sa

from s3sync_dagster.core.keys import document_id
from s3sync_dagster.model.source import ChunkingConfig
from s3sync_dagster_tests.core.rules import Died, event, sidecar, states, work_and_die
from s3sync_dagster_tests.engine_fixture import paragraph_chunker, text_extractor


def test_a_fault_of_the_program_fails_one_key_and_keeps_its_records(world, caplog):
    for name in "abc":
        world.bucket.put(f"{name}.txt", f"text {name}")
    world.sync()
    for name in "abc":
        world.bucket.put(f"{name}.txt", f"new {name}")

    def faulty(content, **options):
        if b"new b" in content:
            raise KeyError("secret of the document")
        return text_extractor(content, **options)

    world.listing()
    ended = {r.key: r.state for r in world.run_batches(extractor=faulty)}
    assert ended == {"a.txt": "updated", "b.txt": "failed", "c.txt": "updated"}
    assert set(world.texts().values()) == {"new a", "text b", "new c"}
    assert states(world)["b.txt"] == ("failed", "unexpected_error")
    assert "KeyError" in caplog.text
    [row] = world.catalog.views.object_rows(world.source.id, key="b.txt")
    assert "secret" not in caplog.text + row.error


def test_a_key_that_kills_its_worker_in_any_step_is_found_and_the_others_are_done(world):
    names = [f"{n:02}.txt" for n in range(40)]
    for name in names:
        world.bucket.put(name, f"text of {name}")

    def deadly(document, *, object_key, **options):
        if object_key == "07.txt":
            raise Died
        return paragraph_chunker(document, object_key=object_key, **options)

    world.listing()
    work_and_die(world, workers=60, chunker=deadly)
    assert states(world)["07.txt"] == ("failed", "worker_died")
    assert world.keys_indexed() == {*names} - {"07.txt"}


def test_events_of_a_deadly_key_do_not_clear_it_of_suspicion(world):
    for n in range(20):
        world.bucket.put(f"{n:02}.txt", "text")
    world.listing()
    deaths = []

    def deadly(content, *, name, **options):
        if name == "07.txt":
            event(world, "07.txt")  # another one each time, while it is processed
            deaths.append(name)
            raise Died
        return text_extractor(content, name=name, **options)

    work_and_die(world, workers=40, extractor=deadly)
    assert len(deaths) < 12
    assert states(world)["07.txt"] == ("failed", "worker_died")


def test_records_of_the_last_good_version_go_when_the_new_one_kills_its_worker(world):
    world.bucket.put("a.txt", "good")
    world.bucket.put("b.txt", "other")
    world.sync()
    world.bucket.put("a.txt", "deadly")

    def deadly(content, **options):
        if content == b"deadly":
            raise Died
        return text_extractor(content, **options)

    world.listing()
    work_and_die(world, workers=20, extractor=deadly)
    assert set(world.texts().values()) == {"other"}


def test_a_key_that_kills_its_worker_under_new_settings_comes_to_its_end_too(world):
    world.bucket.put("a.txt", "good")
    world.sync()
    world.bucket.put("a.txt", "deadly")
    world.configure(chunking=ChunkingConfig(max_size_bytes=900))
    tries = []

    def deadly(content, **options):
        if content == b"deadly":
            tries.append(content)
            raise Died
        return text_extractor(content, **options)

    world.listing()
    work_and_die(world, workers=30, extractor=deadly)
    assert len(tries) == 3
    assert states(world)["a.txt"] == ("failed", "worker_died")
    assert world.texts() == {}
    world.configure(chunking=ChunkingConfig(max_size_bytes=1000))
    world.sync()  # other settings are reason enough to look once more
    assert states(world)["a.txt"] == ("indexed", None)


def test_what_a_live_batch_holds_is_not_asked_for_until_it_is_given_back(world):
    world.bucket.put("a.txt", "text")
    world.bucket.put("a.meta.json", sidecar("a.txt", "first"))
    world.sync()
    world.bucket.delete("a.meta.json")

    def die(step):
        if step == "before_remove":
            raise Died

    world.at = die
    with pytest.raises(Died):
        world.sync()
    world.at = None
    own = f"{document_id('a.txt', custom_id=None, id_prefix='')}-0"
    assert set(world.texts()) == {"first-0", own}
    with world.catalog.database.write() as tx:  # nothing but what is held asks for it
        ended = "status = 'complete', batch_token = NULL, finished_at = created_at"
        tx.execute(sa.text(f"UPDATE invocations SET {ended}"))
    assert world.catalog.documents.enqueue_unclean(world.source.id) == 0
    for row in world.catalog.batches.live():
        world.catalog.batches.release(row.token, died=True)
    assert world.catalog.documents.enqueue_unclean(world.source.id) == 1
    world.run_batches()
    assert set(world.texts()) == {own}
    assert world.catalog.documents.enqueue_unclean(world.source.id) == 0
