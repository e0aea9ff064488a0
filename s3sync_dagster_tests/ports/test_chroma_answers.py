"""What stands at the address of Chroma and is none, with status 200: nothing of it is believed."""

import json

import numpy as np
import pytest

from s3sync_dagster.engine.ports import WriteLimits
from s3sync_dagster.model import errors
from s3sync_dagster.ports.chroma import ChromaCollections
from s3sync_dagster.ports.chroma_collection import ChromaCollection
from s3sync_dagster.ports.chroma_http import ChromaHttp
from s3sync_dagster.ports.chroma_remote import RemoteChroma
from s3sync_dagster_tests.conftest_catalog import HandClock
from s3sync_dagster_tests.scripted_http import scripted_server

BLANK = ("", "null", "[]", '"back soon"', "5", "true")
OTHER = ("{}", '{"status": "maintenance"}')
FOUND = {"id": "8", "name": "c"}
RECORDS = {"ids": ["a"], "metadatas": [{"n": 1}], "documents": ["t"], "embeddings": [[1.0, 2.0]]}
HITS = {"ids": [["a"]], "metadatas": [[{"n": 1}]], "documents": [["t"]], "distances": [[0.5]]}


@pytest.fixture
def server():
    with scripted_server() as made:
        yield made


@pytest.fixture
def remote(server, clock: HandClock):
    made = RemoteChroma(ChromaHttp(server.url, clock=clock), cloud=False)
    yield made
    made.close()


@pytest.fixture
def collection(remote):
    return ChromaCollection(
        remote.sender(FOUND, "t", "d"),
        collection_id="8",
        name="c",
        write_limits=lambda: WriteLimits(max_records=10),
    )


def refused(server, answer, ask):
    """Require that an answer is taken for no word of Chroma's, whenever it is asked for."""
    text = answer if isinstance(answer, str) else json.dumps(answer)
    server.decide = lambda _body: (200, text, {})
    server.asked.clear()
    with pytest.raises(errors.Unavailable) as caught:
        ask()
    assert caught.value.reason == "bad_answer"
    assert len(server.asked) == 3  # it may have been a page that is gone by now


@pytest.mark.parametrize("answer", [*BLANK, *OTHER, {**FOUND, "id": None}, {**FOUND, "id": 8}])
def test_no_page_says_that_there_is_no_collection(server, remote, answer):
    chroma = ChromaCollections(remote)
    refused(server, answer, lambda: remote.find("c", "t", "d"))
    refused(server, answer, lambda: chroma.open("c", tenant="t", database="d", embedder=None))
    refused(server, answer, lambda: remote.create({"name": "c"}, "t", "d"))


@pytest.mark.parametrize(
    "part",
    [
        {"metadata": []},
        {"configuration_json": "x"},
        {"configuration_json": {"embedding_function": 5}},
        {"configuration_json": {"hnsw": []}},
        {"schema": 1},
    ],
)
def test_a_collection_of_another_shape_is_none(server, remote, part):
    refused(server, {**FOUND, **part}, lambda: remote.find("c", "t", "d"))


@pytest.mark.parametrize("answer", [*BLANK, *OTHER])
def test_no_page_is_a_database_a_list_a_limit_or_a_tenant(server, remote, answer):
    refused(server, answer, lambda: remote.has_database("t", "d"))
    refused(server, answer, remote.max_batch_size)
    remote.cloud = True
    refused(server, answer, lambda: remote.find("c", "default_tenant", "d"))
    if answer != "[]":  # of a database without collections
        refused(server, answer, lambda: remote.list_page("t", "d", limit=9, offset=0))
    refused(server, f"[{answer or 1}]", lambda: remote.list_page("t", "d", limit=9, offset=0))


@pytest.mark.parametrize("number", ["NaN", "0", "-1", "1.5", "true", "1e400", '"7"'])
def test_no_other_value_is_a_number_of_records(server, remote, collection, number):
    refused(server, f'{{"max_batch_size": {number}}}', remote.max_batch_size)
    if number != "0":
        refused(server, number, collection.count)


@pytest.mark.parametrize(
    "answer", [*BLANK, OTHER[1], {"error": "InternalError", "message": "x"}, {"detail": "gone"}]
)
def test_no_page_says_that_something_was_written(server, remote, collection, answer):
    refused(server, answer, lambda: collection.delete(["a"]))
    refused(server, answer, lambda: collection.update_metadata(["a"], [{"n": 1}]))
    refused(server, answer, lambda: remote.delete("c", "t", "d"))


@pytest.mark.parametrize("answer", [*BLANK, *OTHER, {"nanosecond heartbeat": None}])
def test_no_page_says_that_chroma_is_there(server, remote, answer):
    refused(server, answer, remote.heartbeat)


@pytest.mark.parametrize(
    "answer",
    [
        *BLANK,
        *OTHER,
        {**RECORDS, "ids": None},
        {**RECORDS, "ids": ["b"]},
        {**RECORDS, "ids": ["a", "a"]},
        {**RECORDS, "ids": [None]},
        {**RECORDS, "metadatas": None},
        {**RECORDS, "metadatas": ["x"]},
        {**RECORDS, "documents": []},
        {**RECORDS, "documents": [{}]},
        {**RECORDS, "embeddings": ["x"]},
        {**RECORDS, "embeddings": [["x"]]},
        {**RECORDS, "embeddings": [[10**400]]},
        {**RECORDS, "embeddings": [[float("nan")]]},
    ],
)
def test_records_of_another_shape_are_none(server, collection, answer):
    refused(server, answer, lambda: collection.get(["a"], documents=True, vectors=True))


@pytest.mark.parametrize(
    "answer",
    [
        *BLANK,
        *OTHER,
        {**HITS, "ids": []},
        {**HITS, "ids": ["a"]},
        {**HITS, "ids": [["a", "b"]]},
        {**HITS, "documents": None},
        {**HITS, "metadatas": [["x"]]},
        {**HITS, "distances": [["0.5"]]},
        {**HITS, "distances": [[float("nan")]]},
        {**HITS, "distances": [[10**400]]},
    ],
)
def test_hits_of_another_shape_are_none(server, collection, answer):
    refused(server, answer, lambda: collection.query(np.zeros(2, dtype=np.float32)))


def test_what_chroma_answers_is_read(server, remote, collection):
    for answer, ask, read in (
        (FOUND, lambda: remote.find("c", "t", "d"), FOUND),
        ([FOUND], lambda: remote.list_page("t", "d", limit=9, offset=0), [FOUND]),
        ([], lambda: remote.list_page("t", "d", limit=9, offset=0), []),
        (0, collection.count, 0),
        ({}, lambda: collection.delete(["a"]), None),
        ({"deleted": 1}, lambda: collection.delete(["a"]), None),
        ({}, lambda: remote.delete("c", "t", "d"), None),
        ({"nanosecond heartbeat": 5}, remote.heartbeat, None),
    ):
        server.script.append((200, json.dumps(answer), {}))
        assert ask() == read
    server.script.append((200, json.dumps(RECORDS), {}))
    record = collection.get(["a"], documents=True, vectors=True)["a"]
    assert (record.metadata, record.document, list(record.vector)) == ({"n": 1}, "t", [1.0, 2.0])
    leaving = {"ids": [["a", "b"]], "metadatas": [[{"n": 1}, None]], "documents": [["t", None]],
               "distances": [[0.5, None]]}  # fmt: skip
    server.script.append((200, json.dumps(leaving), {}))
    assert [hit.id for hit in collection.query(np.zeros(2, dtype=np.float32))] == ["a"]
    far = {"ids": [["a", "b"]], "metadatas": [[{"n": 1}, {"n": 2}]], "documents": [["t", "u"]],
           "distances": [[0.5, None]]}  # fmt: skip
    server.script.append((200, json.dumps(far), {}))
    assert [hit.id for hit in collection.query(np.zeros(2, dtype=np.float32))] == ["a"]
    server.script.append((200, json.dumps({**RECORDS, "embeddings": [[1.0, None]]}), {}))
    assert collection.get(["a"], documents=True, vectors=True)["a"].vector is None


@pytest.mark.parametrize("told", ["\u00b2", "9" * 400, "soon", ""])
def test_a_pause_that_is_no_number_is_none(server, collection, told):
    server.decide = lambda _body: (429, "", {"retry-after": told})
    with pytest.raises(errors.Throttled):
        collection.count()
