"""Hybrid search: ranks fused, filters kept, never a text that the collection no longer has."""

import pytest

from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.engine.hybrid import fuse, hybrid_query
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster.ports.memory_chroma import MemoryCollections

EMBEDDER = open_embedder(EmbeddingConfig(kind="hash"))


class Words:
    """A word index that answers with one list."""

    def __init__(self, *ids):
        self.ids = list(ids)

    def search(self, text, *, limit, offset=0):
        return self.ids[offset : offset + limit]


@pytest.fixture
def collection():
    made = MemoryCollections().open("docs", tenant="t", database="d", embedder=EMBEDDER)
    texts = ["red green blue", "red green", "red", "other words", "more of other words"]
    records = [
        Record(id=f"r{n}", document=t, embedding_text=t, metadata={"n": n, "even": n % 2 == 0})
        for n, t in enumerate(texts)
    ]
    made.upsert(records, EMBEDDER.embed_documents(texts))
    return made


def test_ranks_are_fused():
    assert fuse([["a", "b"], ["b", "c"]]) == [
        ("b", 1 / 7 + 1 / 6),
        ("a", 1 / 6),
        ("c", 1 / 7),
    ]
    assert fuse([[], []]) == []


def test_words_lift_what_vectors_pass_over(collection):
    hits = hybrid_query(collection, EMBEDDER, Words("r4", "r0"), "red green blue", limit=3)
    assert [hit.id for hit in hits] == ["r0", "r4", "r1"]
    assert hits[0].score == pytest.approx(1 / 6 + 1 / 7)
    assert hits[1].document == "more of other words"
    assert hits[1].metadata == {"n": 4, "even": True}


def test_the_filter_holds_for_both_rankings(collection):
    index = Words("r3", "r4", "r1", "r2")
    where = {"even": False}
    hits = hybrid_query(collection, EMBEDDER, index, "red green blue", where=where)
    assert {hit.id for hit in hits} == {"r1", "r3"}
    with pytest.raises(InvalidSetting):
        hybrid_query(collection, EMBEDDER, index, "red", where={"a": 1, "b": 2})


def test_a_rare_match_of_a_filter_is_found_deep_in_the_ranking(collection):
    index = Words(*[f"gone{n}" for n in range(700)], "r4")
    hits = hybrid_query(collection, EMBEDDER, index, "nothing", limit=1, where={"n": 4})
    assert [hit.id for hit in hits] == ["r4"]


def test_what_the_index_has_and_the_collection_lacks_is_passed_over(collection):
    collection.delete(["r4"])
    hits = hybrid_query(collection, EMBEDDER, Words("r4", "r3"), "other", limit=4)
    assert hits[0].id == "r3"
    assert len(hits) == 4
    assert "r4" not in {hit.id for hit in hits}


def test_an_empty_collection_has_no_hits(collection):
    collection.delete([f"r{n}" for n in range(5)])
    assert hybrid_query(collection, EMBEDDER, Words("r1"), "red") == []
