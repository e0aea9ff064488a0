"""What a process remembers of a word index saves work, and is forgotten where it may mislead."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from s3sync_dagster.core.rights import EVERYTHING, Reader
from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.engine import hybrid
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster.ports import word_memory, word_records
from s3sync_dagster.ports.memory_chroma import MemoryCollections
from s3sync_dagster.ports.word_index import FtsWordIndex
from s3sync_dagster.ports.word_memory import WordMemory
from s3sync_dagster.search import search
from s3sync_dagster.settings import load_settings
from s3sync_dagster.wiring import Parts
from s3sync_dagster_tests.ports.test_word_index import make_collection, version, write

EMBEDDING = EmbeddingConfig(kind="hash")


@pytest.fixture
def counted(tmp_path, monkeypatch):
    """An index that counts its words; a word of 300 records is one to remember."""
    monkeypatch.setattr(word_memory, "LEAST_KEPT", 100)
    collection, memory, asked = make_collection(), WordMemory(), []
    write(collection, "a", *(f"red number{n}" for n in range(300)))

    def open_index():
        index = FtsWordIndex(tmp_path / "words.db", memory)
        index._database.set_trace_callback(
            lambda query: asked.append(query) if "count(*)" in query else None
        )
        return index

    return collection, open_index, asked


def test_a_common_word_is_not_counted_at_each_question(counted):
    collection, open_index, asked = counted
    index = open_index()
    index.follow(collection, [version("a", 300)])
    assert index.ceiling("red") > 0
    assert len(asked) == 2, "the word, and all records"
    index.close()
    again = open_index()
    before = again.ceiling("red")
    assert len(asked) == 2
    again.close()
    assert before == pytest.approx(FtsWordIndex(again._file._path).ceiling("red"))


def test_a_count_that_fell_below_what_is_kept_is_not_taken_for_the_old_one():
    memory = WordMemory()
    memory.keep_count("red", 5000, touched=1)
    memory.keep_count("red", word_memory.LEAST_KEPT - 1, touched=5000)
    assert memory.count_of("red", 2) is None


def test_counts_are_made_again_when_many_records_changed(counted):
    collection, open_index, asked = counted
    index = open_index()
    index.follow(collection, [version("a", 300)])
    index.ceiling("red")
    write(collection, "b", *("blue" for _ in range(300)))
    index.follow(collection, [version("a", 300), version("b", 300)])
    asked.clear()
    rarer = index.ceiling("red")
    assert len(asked) == 2
    fresh = FtsWordIndex(index._file._path)
    assert rarer == pytest.approx(fresh.ceiling("red"))
    fresh.close()
    index.close()


def test_a_file_that_was_made_anew_is_counted_anew(counted):
    collection, open_index, asked = counted
    index = open_index()
    index.follow(collection, [version("a", 300)])
    index.ceiling("red")
    index.close()
    index._file._path.unlink()
    again = open_index()
    asked.clear()
    assert again.ceiling("red") == 0.0 or asked
    assert len(asked) == 2
    again.close()


@pytest.fixture
def parts(tmp_path):
    made = Parts(load_settings({"S3SYNC_HOME": str(tmp_path / "home")}), connect=MemoryCollections)
    yield made
    made.close()


def _write(parts, *texts):
    place = {"tenant": "default_tenant", "database": "default_database"}
    collection = parts.collections.open(
        "docs", **place, embedder=open_embedder(EMBEDDING), create=True
    )
    write(collection, "a", *texts)
    return collection


def _found(parts, words, limit=5):
    hits = search(
        parts,
        words,
        collection="docs",
        reader=EVERYTHING,
        ranking="words",
        embedding=EMBEDDING,
        limit=limit,
    )
    return [hit.document for hit in hits]


def test_a_look_that_cost_much_is_not_taken_again_at_once(parts):
    collection = _write(parts, "red")
    assert _found(parts, "red") == ["red"]
    (memory,) = parts._words.values()
    _write(parts, "red", "red red")
    assert _found(parts, "red", limit=1) == ["red red"], "a small one is looked at each time"
    memory.looked(time.monotonic(), collection.id, cpu_seconds=100)
    _write(parts, "red", "red red", "red red red")
    assert _found(parts, "red", limit=1) == ["red red"]
    memory.looked(time.monotonic(), collection.id, cpu_seconds=0.0)
    assert _found(parts, "red", limit=1) == ["red red red"]


def test_a_question_that_finds_too_little_ends_the_rest(parts):
    """What is gone may fill the first places, and what is there stand behind it."""
    collection = _write(parts, *(f"red number{n}" for n in range(1500)))
    assert len(_found(parts, "red")) == 5
    (memory,) = parts._words.values()
    collection.delete([f"a-{n}" for n in range(1, 1500)])
    _write(parts, *["red at last"])
    memory.looked(time.monotonic(), collection.id, cpu_seconds=100)
    assert _found(parts, "red") == ["red at last"]
    assert not memory.rests(time.monotonic(), collection.id)


def test_a_rest_is_over_for_another_collection_of_the_name_and_for_another_file(parts):
    collection = _write(parts, "red")
    assert _found(parts, "red") == ["red"]
    ((path, memory),) = parts._words.items()
    memory.looked(time.monotonic(), "another", cpu_seconds=100)
    _write(parts, "red", "blue")
    assert _found(parts, "blue") == ["blue"]
    memory.looked(time.monotonic(), collection.id, cpu_seconds=100)
    _write(parts, "red", "blue", "green")
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    assert _found(parts, "green") == ["green"]


def test_a_rest_is_over_where_another_process_made_the_file_anew(parts):
    """Vectors answer too: nothing is missing that would end the rest."""
    collection = _write(parts, "red", "blue")
    assert _found(parts, "red") == ["red"]
    ((path, memory),) = parts._words.items()
    memory.looked(time.monotonic(), collection.id, cpu_seconds=100)
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    FtsWordIndex(path).close()
    hits = search(parts, "red", collection="docs", reader=EVERYTHING, embedding=EMBEDDING, limit=2)
    assert hits[0].words is not None


def test_a_look_that_began_with_another_file_does_not_count():
    memory = WordMemory()
    memory.is_of("one")
    began = time.monotonic()
    memory.is_of("other")
    memory.looked(time.monotonic(), "c", cpu_seconds=100, began=began)
    assert not memory.rests(time.monotonic(), "c")
    memory.is_of("other")
    memory.looked(time.monotonic(), "c", cpu_seconds=100)
    assert memory.rests(time.monotonic(), "c")


def test_what_a_source_that_is_not_known_wrote_hides_nothing_from_a_member(parts, monkeypatch):
    """Such as of a catalog that was restored: of its records nobody knows who may read them."""
    monkeypatch.setattr(hybrid, "MAX_DEPTH", 120)
    collection = _write(parts, *("red red" for _ in range(130)), "red, and of no source")
    theirs = {f"a-{n}": {"s3sync_source": "not known", "n": n} for n in range(130)}
    collection.update_metadata(list(theirs), list(theirs.values()))
    lacks = []
    hits = search(
        parts,
        "red",
        collection="docs",
        reader=Reader(frozenset(["sales"])),
        ranking="words",
        embedding=EMBEDDING,
        lacks=lacks,
    )
    assert [hit.id for hit in hits] == ["a-130"]
    assert lacks == []


def test_how_long_a_look_rests():
    memory = WordMemory()
    assert not memory.rests(0.0, "c")
    memory.looked(10.0, "c", cpu_seconds=0.02)
    assert not memory.rests(10.0, "c")
    memory.looked(10.0, "c", cpu_seconds=0.12)
    assert memory.rests(11.9, "c")
    assert not memory.rests(12.1, "c")


def test_a_rest_has_an_end():
    memory = WordMemory()
    memory.looked(10.0, "c", cpu_seconds=1000)
    assert not memory.rests(10.0 + word_memory.LONGEST_REST_SECONDS, "c")


def test_counts_of_different_moments_raise_nothing(counted):
    """A word that all records have, counted after the records were: more than there are."""
    collection, open_index, _ = counted
    index = open_index()
    index.follow(collection, [version("a", 300)])
    before = index.search("number7 red", limit=3)
    index._memory.keep_count(word_memory.ALL_RECORDS, 290, index._file.state("touched"))
    index._last_counted = None
    assert index.search("number7 red", limit=3)[0][0] == before[0][0]
    assert index.ceiling("number7 red") > 0
    index.close()


def test_threads_that_ask_at_once_fill_the_index_once(parts, monkeypatch):
    _write(parts, *(f"red number{n}" for n in range(50)))
    filled = []
    add = word_records._add
    monkeypatch.setattr(
        word_records, "_add", lambda file, rows: (filled.append(len(rows)), add(file, rows))
    )
    with ThreadPoolExecutor(4) as threads:
        assert [len(one) for one in threads.map(lambda _: _found(parts, "red"), range(4))] == [
            5
        ] * 4
    assert sum(filled) == 50


def test_what_another_process_indexed_meanwhile_is_not_indexed_again(tmp_path):
    collection = make_collection()
    write(collection, "a", "red", "blue")
    ours, theirs = (FtsWordIndex(tmp_path / "words.db") for _ in range(2))

    class Slow:
        id = collection.id

        def get(self, ids, **options):
            theirs.follow(collection, [version("a", 2)])
            return collection.get(ids, **options)

    ours.follow(Slow(), [version("a", 2)])
    numbers = ours._database.execute("SELECT number FROM records").fetchall()
    assert numbers == [(1,), (2,)], "as the other one wrote them"
    ours.close()
    theirs.close()


def test_a_dear_look_is_taken_beside_the_question_and_not_before_it(parts):
    """The question is answered from the index as it is; the one after the look has what it saw."""
    collection = _write(parts, "red")
    assert _found(parts, "red") == ["red"]
    (memory,) = parts._words.values()
    _write(parts, "red", "red red")
    memory.looked(time.monotonic(), collection.id, cpu_seconds=0.021)
    memory._rests_until = 0.0  # its short rest is over
    with memory.following:  # another one follows: no question waits for it
        assert _found(parts, "red", limit=1) == ["red"]
    memory.finish()
    assert _found(parts, "red", limit=1) == ["red red"]


def test_no_question_is_answered_from_what_was_looked_at_long_ago(parts):
    collection = _write(parts, "red")
    assert _found(parts, "red") == ["red"]
    (memory,) = parts._words.values()
    _write(parts, "red", "red red")
    long_ago = time.monotonic() - word_memory.LONGEST_REST_SECONDS
    memory.looked(long_ago, collection.id, cpu_seconds=100)
    assert _found(parts, "red", limit=1) == ["red red"]


def test_a_look_that_fails_beside_a_question_is_made_again_by_the_next_one():
    memory = WordMemory()

    def fail():
        raise OSError

    memory.looked(time.monotonic(), "c", cpu_seconds=100)
    memory.look_beside(fail)
    memory.finish()
    assert not memory.rests(time.monotonic(), "c")
    assert not memory.is_recent(time.monotonic(), "c")


def test_a_look_that_began_before_the_index_was_found_wanting_does_not_count():
    memory = WordMemory()
    memory.wake(10.0)
    memory.looked(11.0, "c", cpu_seconds=100, began=9.9)
    assert not memory.rests(11.0, "c")
    memory.looked(12.0, "c", cpu_seconds=100, began=10.1)
    assert memory.rests(12.0, "c")
    assert memory.is_recent(12.0 + word_memory.LONGEST_REST_SECONDS - 0.1, "c")
    assert not memory.is_recent(12.0 + word_memory.LONGEST_REST_SECONDS, "c")
