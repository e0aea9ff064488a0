"""What every ``Collections`` and ``CollectionPort`` promises: fake and server alike."""

import uuid
from contextlib import suppress

import numpy as np
import pytest

from s3sync_dagster.core import filters
from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.embedding.embedder import ModelEmbedder
from s3sync_dagster.embedding.hashing import HashModel
from s3sync_dagster.engine.own_records import RECORDS_OF_OBJECTS
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.errors import (
    Conflict,
    EmbeddingMismatch,
    InvalidSetting,
    NotFound,
    RecordRejected,
)
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster.ports.chroma import open_collections
from s3sync_dagster.ports.chroma_configuration import new_collection
from s3sync_dagster.ports.memory_chroma import MemoryCollections

PLACE = {"tenant": "default_tenant", "database": "default_database"}
EMBEDDER = open_embedder(EmbeddingConfig(kind="hash"))


@pytest.fixture(params=["memory", "server", "embedded"])
def collections(request, tmp_path):
    match request.param:
        case "memory":
            made = MemoryCollections()
            made.missing_databases = {"no-such-database"}
        case "server":
            made = open_collections(url=request.getfixturevalue("chroma_server"))
        case _:
            made = open_collections(path=tmp_path / "chroma")
    yield made
    made.close()


@pytest.fixture
def name():
    return f"c-{uuid.uuid4().hex}"


@pytest.fixture
def collection(collections, name):
    return collections.open(name, **PLACE, embedder=EMBEDDER)


def record(number: int, text: str = "", **metadata) -> Record:
    text = text or f"chunk number {number}"
    metadata = {"s3sync_source": "s1", "n": number} | metadata
    return Record(id=f"id-{number}", document=text, embedding_text=text, metadata=metadata)


def write(collection, *records: Record) -> None:
    vectors = EMBEDDER.embed_documents([r.embedding_text for r in records])
    collection.upsert(records, vectors)


def test_a_heartbeat_is_answered(collections):
    collections.heartbeat()


def test_what_is_written_is_read_back_whole(collection):
    arrays = {"tags": ["b", "a", "b"], "ints": [1, 2], "floats": [0.5, 2.0], "flags": [True]}
    scalars = {"s": 'ü\n"quoted"', "i": 2**63 - 1, "f": 0.1, "b": False, "gone": None}
    text = "Zeile eins\r\nline two\t\u2028 \U0001f600 \x01"
    write(collection, record(1, text, **arrays, **scalars))
    stored = collection.get(["id-1", "missing"], documents=True, vectors=True)
    assert set(stored) == {"id-1"}
    assert stored["id-1"].document == text
    del scalars["gone"]
    assert stored["id-1"].metadata == {"s3sync_source": "s1", "n": 1, **arrays, **scalars}
    np.testing.assert_allclose(stored["id-1"].vector, EMBEDDER.embed_query(text), atol=1e-6)
    bare = collection.get(["id-1"])["id-1"]
    assert (bare.document, bare.vector) == (None, None)
    assert collection.count() == 1


def test_nothing_is_a_call_without_effect(collection):
    write(collection)
    collection.delete([])
    collection.update_metadata([], [])
    assert collection.get([]) == {}
    assert collection.count() == 0
    assert list(collection.scan()) == []
    assert collection.query(EMBEDDER.embed_query("x")) == []


def test_an_upsert_merges_metadata_and_none_clears(collection):
    write(collection, record(1, keep="k", drop="d", change=[1]))
    write(collection, record(1, "other text", drop=None, change="scalar now", new=1))
    stored = collection.get(["id-1"], documents=True)["id-1"]
    assert stored.document == "other text"
    assert stored.metadata == {
        "s3sync_source": "s1",
        "n": 1,
        "keep": "k",
        "change": "scalar now",
        "new": 1,
    }


def test_a_metadata_update_leaves_text_and_vector(collection):
    write(collection, record(1, drop="d"))
    collection.update_metadata(["id-1", "missing"], [{"drop": None, "x": [1.5]}, {"y": 1}])
    stored = collection.get(["id-1", "missing"], documents=True, vectors=True)
    assert set(stored) == {"id-1"}
    assert stored["id-1"].metadata == {"s3sync_source": "s1", "n": 1, "x": [1.5]}
    assert stored["id-1"].document == "chunk number 1"
    np.testing.assert_allclose(
        stored["id-1"].vector, EMBEDDER.embed_query("chunk number 1"), atol=1e-6
    )


@pytest.mark.parametrize("value", [{"a": 1}, [1, "a"]])
def test_a_metadata_update_that_is_refused_changes_nothing(collection, value):
    write(collection, record(1), record(2))
    with pytest.raises((RecordRejected, InvalidSetting)):  # before it is sent, or by the server
        collection.update_metadata(["id-1", "id-2"], [{"n": 7}, {"x": value}])
    assert {one.metadata["n"] for one in collection.get(["id-1", "id-2"]).values()} == {1, 2}


def test_a_delete_takes_what_exists(collection):
    write(collection, record(1), record(2), record(3))
    collection.delete(["id-2", "missing", "id-3"])
    collection.delete(["id-2"])
    assert set(collection.get(["id-1", "id-2", "id-3"])) == {"id-1"}
    assert collection.count() == 1


def test_the_same_id_twice_in_a_write_is_a_conflict(collection):
    with pytest.raises(Conflict, match="id-1") as caught:
        write(collection, record(1), record(2), record(1, "again"))
    assert caught.value.reason == "duplicate_id"
    assert collection.count() == 0


def test_a_scan_gives_each_record_once_and_filters_by_source(collection):
    write(collection, *(record(n, s3sync_source=f"s{n % 2}") for n in range(25)))
    pages = list(collection.scan(page_size=10))
    assert max(len(page) for page in pages) == 10
    assert [r.id for page in pages for r in page] == [f"id-{n}" for n in range(25)]
    odd = [r for page in collection.scan(source_id="s1", page_size=5) for r in page]
    assert sorted(r.metadata["n"] for r in odd) == list(range(1, 25, 2))
    assert all(r.document is None for r in odd)


@pytest.mark.parametrize("gone", [range(3), range(8, 10), range(10), range(1, 12), range(25)])
def test_deletions_meanwhile_hide_no_record_of_a_scan(collection, gone):
    write(collection, *(record(n) for n in range(25)))
    pages = collection.scan(page_size=5)
    met = [record.id for _ in range(2) for record in next(pages)]
    collection.delete([f"id-{n}" for n in gone])
    write(collection, *(record(n) for n in (2, 30)))  # the first is there again, as the last
    met += [record.id for page in pages for record in page]
    assert {f"id-{n}" for n in range(25) if n not in gone} <= {*met}


def test_what_is_written_again_meanwhile_hides_no_record_of_a_scan(collection):
    write(collection, *(record(n) for n in range(25)))
    pages = collection.scan(page_size=20)
    met = [record.id for record in next(pages)]
    collection.delete(["id-19", "id-3"])
    write(collection, record(3))  # the last by now, behind those that nobody has met
    met += [record.id for page in pages for record in page]
    assert {*met} == {f"id-{n}" for n in range(25)}
    assert {name for name in met if met.count(name) > 1} <= {"id-3"}


def test_a_query_gives_the_nearest_first_with_a_score_of_similarity(collection):
    write(
        collection,
        record(1, "red green blue"),
        record(2, "red green yellow"),
        record(3, "nothing of the kind"),
    )
    hits = collection.query(EMBEDDER.embed_query("red green blue"), limit=2)
    assert [hit.id for hit in hits] == ["id-1", "id-2"]
    assert hits[0].score == pytest.approx(1.0, abs=1e-5)
    assert hits[1].score == pytest.approx(2 / 3, abs=1e-5)
    assert hits[0].document == "red green blue"
    assert hits[0].metadata == {"s3sync_source": "s1", "n": 1}


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"n": 2}, {2}),
        ({"n": {"$gte": 3}}, {3, 4}),
        ({"$and": [{"n": {"$gt": 0}}, {"n": {"$ne": 4}}]}, {1, 2, 3}),
        ({"$or": [{"n": 0}, {"kind": "even"}]}, {0, 2, 4}),
        ({"n": {"$in": [1, 3]}}, {1, 3}),
        ({"n": {"$nin": [1, 3]}}, {0, 2, 4}),
        ({"tags": {"$contains": "t1"}}, {1}),
        ({"tags": {"$not_contains": "t1"}}, {0, 2, 3, 4}),
        ({"kind": {"$ne": "even"}}, {1, 3}),
        ({"absent": {"$ne": "x"}}, {0, 1, 2, 3, 4}),
        ({"absent": "x"}, set()),
        ({"tags": "t1"}, set()),
    ],
)
def test_a_query_filters_on_metadata(collection, where, expected):
    kinds = ["even", "odd"]
    write(collection, *(record(n, tags=[f"t{n}"], kind=kinds[n % 2]) for n in range(5)))
    hits = collection.query(EMBEDDER.embed_query("chunk"), limit=10, where=where)
    assert {hit.metadata["n"] for hit in hits} == expected


VALUES = [3, 3.0, 2.5, "3", "", True, False, 1, 0, 0.0, -1, 2**53, float(2**53)]
ASKED = [*VALUES, None, [], [3], [3.0, 2.5], ["3", "a"], [True], [1, "a"], [1, 1.0], {}, 2**63]
FILTERS = [
    *({"n": {operator: value}} for operator in filters._OPERATORS for value in ASKED),
    *({"n": value} for value in ASKED),
    # Not those of nothing, which a server takes, $and for everything: each door refuses them.
    *({"$and": parts} for parts in ([{"n": 3}], [{"n": 3}, {}], "x", [5], {"n": 3})),
    {"$or": [{"n": 1}, {"n": {"$lt": 0}}]},
    {"": 3},
    {"$nonsense": 1},
    {"$contains": "x"},
    {"n": {"$like": "x"}},
    {"n": {"$eq": 3, "$ne": 4}},
    {"n": {"$and": [1]}},
    *(
        {"n": {operator: number}}
        for operator in ("$eq", "$ne", "$gt", "$gte", "$lt", "$lte")
        for number in (3.5, -3.5, 0.5, -0.5, 2.5)
    ),
    {"n": {"$in": [3.5, 4.5]}},
    {"n": {"$nin": [3.5, -1.5]}},
    {"$or": [{"n": {"$gte": 3.5}}, {"n": {"$in": [2.5]}}]},
    {"n": 1, "kind": 2},
]


def test_a_filter_means_the_same_to_chroma_and_to_words(collection):
    """Also what is none: a wrong setting here, before anything is asked."""
    kept = [*VALUES, 2, 4, -2, -3, -3.5, 3.5, ["a", "3"], [1, 3], [3.0], [True], None]
    write(collection, *(record(place, n=value) for place, value in enumerate(kept)))
    stored = collection.get([f"id-{place}" for place in range(len(kept))])
    question = EMBEDDER.embed_query("chunk")
    for where in FILTERS:
        found = met = None
        with suppress(InvalidSetting):
            found = {hit.id for hit in collection.query(question, limit=99, where=where)}
        with suppress(InvalidSetting):
            filters.require_filter(where)
            met = {name for name, one in stored.items() if filters.matches(one.metadata, where)}
        assert found == met, where
    few, many = {"n": 3}, {"n": {"$ne": "no such"}}
    assert len(collection.ids_meeting(few, most=2)) == 2
    assert collection.ids_meeting(few, most=1) is None
    assert len(collection.ids_meeting(few, most=RECORDS_OF_OBJECTS)) == 2
    assert len(collection.ids_meeting(many, most=len(kept))) == len(kept)
    assert collection.ids_meeting(many, most=len(kept) - 1) is None
    with pytest.raises(InvalidSetting) as caught:
        collection.query(question, where={"$nonsense": 1})
    assert caught.value.reason == "invalid_filter"


def test_vectors_of_another_dimension_are_refused(collection):
    write(collection, record(1))
    with pytest.raises(EmbeddingMismatch):
        collection.upsert([record(2)], np.ones((1, 7), dtype=np.float32))
    assert collection.count() == 1


def test_opening_again_gives_the_same_records(collections, collection, name):
    write(collection, record(1))
    again = collections.open(name, **PLACE, embedder=EMBEDDER, create=False)
    assert again.count() == 1
    assert again.id == collection.id
    assert collections.open(name, **PLACE, embedder=None).id == collection.id
    assert name in collections.list_collections(**PLACE)


def test_another_embedding_function_is_a_mismatch_before_anything_is_written(
    collections, collection, name
):
    other = ModelEmbedder(HashModel(dimension=64))
    with pytest.raises(EmbeddingMismatch, match="s3sync-hash"):
        collections.open(name, **PLACE, embedder=other)
    assert collection.count() == 0


@pytest.mark.parametrize("collections", ["memory", "server"], indirect=True)
def test_a_finished_collection_takes_nothing_more_and_is_read(collections, name):
    if isinstance(collections, MemoryCollections):
        collections.open(name, **PLACE, embedder=EMBEDDER).metadata["finished_ingest"] = True
    else:
        body = {**new_collection(name, EMBEDDER), "metadata": {"finished_ingest": True}}
        collections.directory.create(body, **PLACE)
    with pytest.raises(Conflict, match="finished_ingest"):
        collections.open(name, **PLACE, embedder=EMBEDDER)
    assert collections.open(name, **PLACE, embedder=EMBEDDER, reads=True).count() == 0


def test_what_does_not_exist_is_not_found(collections, name):
    for options in ({"create": False}, {"reads": True}):
        with pytest.raises(NotFound, match=name):
            collections.open(name, **PLACE, embedder=EMBEDDER, **options)
    with pytest.raises(NotFound, match="no-such-database"):
        collections.open(
            name, tenant="default_tenant", database="no-such-database", embedder=EMBEDDER
        )
    assert name not in collections.list_collections(**PLACE)


def test_a_deleted_collection_is_gone_for_who_holds_it(collections, collection, name):
    write(collection, record(1))
    collections.delete_collection(name, **PLACE)
    collections.delete_collection(name, **PLACE)
    with pytest.raises(NotFound):
        write(collection, record(2))
    anew = collections.open(name, **PLACE, embedder=EMBEDDER)
    assert anew.count() == 0
    assert anew.id != collection.id


def test_a_write_larger_than_the_limits_arrives_whole(collections, name):
    collection = collections.open(name, **PLACE, embedder=EMBEDDER)
    count = collection.write_limits.max_records + 1
    records = [record(n, text="x") for n in range(count)]
    vectors = np.eye(EMBEDDER.dimension, dtype=np.float32)[np.arange(count) % 384]
    collection.upsert(records, vectors)
    ids = [r.id for r in records]
    collection.update_metadata(ids, [{"seen": True}] * count)
    stored = collection.get(ids)
    assert len(stored) == count
    assert all(r.metadata["seen"] for r in stored.values())
    collection.delete(ids)
    assert collection.count() == 0


def test_a_probe_is_taken_and_leaves_nothing(collection):
    write(collection, record(1))
    vector = np.ones(open_embedder(EmbeddingConfig(kind="hash")).dimension, dtype="float32")
    arrays = {"tags": ["b", "a"], "ints": [1, 2**62], "floats": [0.5], "flags": [True]}
    scalars = {"s": 'ü\n"quoted"', "i": -(2**63), "f": 1e300, "b": False, "gone": None}
    like = record(1, "Zeile eins\r\nline two\t\u2028 \U0001f600 " * 200, **arrays, **scalars)
    collection.probe(like, vector, source_id="s", name="s3sync-probe-1")
    assert collection.count() == 1
    assert set(collection.get(["id-1"], documents=True)) == {"id-1"}


def test_a_probe_that_is_refused_says_so_and_leaves_nothing(collection):
    write(collection, record(1))
    with pytest.raises(EmbeddingMismatch):
        collection.probe(record(2), np.ones(3, dtype="float32"), source_id="s", name="s3sync-probe")
    assert collection.count() == 1
