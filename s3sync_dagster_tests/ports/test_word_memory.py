"""What a process remembers of a word index saves work, and is forgotten where it may mislead."""

import time

import pytest

from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster.ports import word_memory
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


def _found(parts, words):
    hits = search(parts, words, collection="docs", ranking="words", embedding=EMBEDDING)
    return [hit.document for hit in hits]


def test_a_look_that_cost_much_is_not_taken_again_at_once(parts):
    collection = _write(parts, "red")
    assert _found(parts, "red") == ["red"]
    (memory,) = parts._words.values()
    _write(parts, "red", "red too")
    assert _found(parts, "too") == ["red too"], "a small collection is looked at for each question"
    memory.looked(time.monotonic(), collection.id, cpu_seconds=100)
    _write(parts, "red", "red too", "red three")
    assert _found(parts, "three") == []
    memory.looked(time.monotonic(), collection.id, cpu_seconds=0.0)
    assert _found(parts, "three") == ["red three"]


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


def test_how_long_a_look_rests():
    memory = WordMemory()
    assert not memory.rests(0.0, "c")
    memory.looked(10.0, "c", cpu_seconds=0.02)
    assert not memory.rests(10.0, "c")
    memory.looked(10.0, "c", cpu_seconds=0.12)
    assert memory.rests(11.9, "c")
    assert not memory.rests(12.1, "c")
