"""Chroma Cloud, spoken to a stand-in: a real server behind Cloud's headers, tenant and quotas."""

import json
import uuid

import httpx
import numpy as np
import pytest
from chromadb.api.types import Schema, SparseVectorIndexConfig, VectorIndexConfig
from chromadb.execution.expression.operator import Key
from chromadb.utils.embedding_functions import (
    ChromaCloudQwenEmbeddingFunction,
    ChromaCloudSpladeEmbeddingFunction,
)
from chromadb.utils.embedding_functions.chroma_cloud_qwen_embedding_function import (
    ChromaCloudQwenEmbeddingModel,
)

from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.model import errors
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster_tests.conftest_catalog import HandClock
from s3sync_dagster_tests.opened import closed_after, open_collections
from s3sync_dagster_tests.scripted_http import ScriptedServer, scripted_server

KEY = "ck-secret"
TENANT = "b1946ac9-2492-4d9e-bc2c-7a2f9d0a6f1a"
PLACE = {"tenant": "default_tenant", "database": "default_database"}
RECORDS_PER_WRITE = 300
SPARSE = {"indices": [7, 3], "values": [0.5, 1.5]}


class Cloud:
    """Checks what Cloud checks, then hands the request to a single node.

    A single node knows neither sparse vectors nor schemas with them, so both are kept here.
    """

    def __init__(self, server: ScriptedServer, node_url: str):
        self.server, self.node = server, closed_after(httpx.Client(base_url=node_url))
        self.created: dict = {}
        self.sparse: dict[str, dict] = {}
        self.busy = 0
        self.largest_write = 0
        server.decide = self.decide

    def decide(self, body):
        method, path, headers, _ = self.server.asked[-1]
        if headers.get("x-chroma-token") != KEY:
            return 403, '{"error": "AuthError", "message": "no"}', {}
        if path == "/api/v2/auth/identity":
            return 200, json.dumps({"user_id": "u", "tenant": TENANT, "databases": ["db"]}), {}
        if self.busy:
            self.busy -= 1
            return 429, "You have been rate limited.", {"retry-after": "2"}
        request = json.loads(body) if body else None
        if path.endswith("/upsert"):
            self.largest_write = max(self.largest_write, len(request["ids"]))
            if len(request["ids"]) > RECORDS_PER_WRITE:
                return 422, '{"error": "ChromaError", "message": "Quota exceeded"}', {}
            self._take_sparse(request)
        if method == "POST" and path.endswith("/collections"):
            self.created[request["name"]] = request
            vector_index = request["schema"]["keys"]["#embedding"]["float_list"]["vector_index"]
            config = vector_index["config"]
            request = {
                "name": request["name"],
                "configuration": {
                    "hnsw": {"space": config["space"]},
                    "embedding_function": config["embedding_function"],
                },
            }
        if TENANT in path:
            path = path.replace(TENANT, "default_tenant")
        elif "/tenants/" in path:
            return 404, '{"error": "NotFoundError"}', {}
        content = None if request is None else json.dumps(request)
        answer = self.node.request(
            method, path, content=content, headers={"content-type": "application/json"}
        )
        return answer.status_code, self._as_cloud(answer), {}

    def _take_sparse(self, request):
        for name, metadata in zip(request["ids"], request["metadatas"], strict=True):
            for key in [k for k, v in metadata.items() if isinstance(v, dict)]:
                self.sparse[name] = metadata.pop(key)

    def _as_cloud(self, answer):
        found = answer.json()
        if isinstance(found, dict) and found.get("name") in self.created:
            found["schema"] = self.created[found["name"]]["schema"]
        return json.dumps(found)


@pytest.fixture
def cloud(chroma_server):
    with scripted_server() as server:
        yield Cloud(server, chroma_server)


@pytest.fixture
def embed_url():
    """What speaks the wire of the embedding service, dense and sparse."""
    with scripted_server() as server:

        def decide(body):
            texts = json.loads(body)["texts"]
            if server.asked[-1][1].endswith("/embed_sparse"):
                sparse = [SPARSE if t != "the" else {"indices": [], "values": []} for t in texts]
                return 200, json.dumps({"embeddings": sparse}), {}
            vectors = [np.eye(1024)[len(t)].tolist() for t in texts]
            return 200, json.dumps({"embeddings": vectors}), {}

        server.decide = decide
        yield server.url


@pytest.fixture
def embedder(embed_url):
    config = EmbeddingConfig(kind="chroma-cloud", sparse_model="prithivida/Splade_PP_en_v1")
    return open_embedder(config, embed_url=embed_url)


@pytest.fixture
def collections(cloud, clock: HandClock):
    made = open_collections(url=cloud.server.url, cloud_api_key=KEY, clock=clock)
    yield made
    made.close()


@pytest.fixture
def name():
    return f"c-{uuid.uuid4().hex}"


def records(*texts):
    return [
        Record(id=f"r{n}", document=t, embedding_text=t, metadata={"n": n})
        for n, t in enumerate(texts)
    ]


def test_a_collection_is_written_and_read_like_any_other(cloud, collections, embedder, name):
    collection = collections.open(name, **PLACE, embedder=embedder)
    made = records("a", "four", "the")
    collection.upsert(made, embedder.embed_documents([r.document for r in made]))
    assert collection.query(embedder.embed_query("1234"), limit=1)[0].id == "r1"
    assert collection.get(["r0"])["r0"].metadata == {"n": 0}
    assert cloud.sparse == {
        name: {"#type": "sparse_vector", "indices": [3, 7], "values": [1.5, 0.5]}
        for name in ("r0", "r1")
    }
    assert all(TENANT in path for _, path, _, _ in cloud.server.asked if "/tenants/" in path)
    again = collections.open(name, **PLACE, embedder=embedder, create=False)
    assert again.count() == 3


def test_a_probe_has_as_many_sparse_terms_and_goes(cloud, collections, embedder, name):
    collection = collections.open(name, **PLACE, embedder=embedder)
    [like] = records("four words are here")
    [vector] = embedder.embed_documents(["a neutral text"])
    collection.probe(like, vector, source_id="s1", name="s3sync-probe-1")
    [(key, sparse)] = cloud.sparse.items()
    assert key.startswith("s3sync-probe-1")
    assert len(sparse["indices"]) == len(sparse["values"]) == 2
    assert not {3, 7} & set(sparse["indices"])
    assert collection.count() == 0


def test_writes_and_reads_keep_to_clouds_quota(cloud, collections, embedder, name):
    collection = collections.open(name, **PLACE, embedder=embedder)
    assert collection.write_limits.max_records == RECORDS_PER_WRITE
    made = records(*["x"] * 650)
    collection.upsert(made, np.ones((650, 1024), dtype=np.float32))
    assert cloud.largest_write == RECORDS_PER_WRITE
    assert len(collection.get([r.id for r in made])) == 650
    pages = list(collection.scan())
    assert max(len(page) for page in pages) <= 300
    assert [record.id for page in pages for record in page] == [record.id for record in made]


def test_rate_limits_are_waited_out(cloud, collections, embedder, name, clock):
    collection = collections.open(name, **PLACE, embedder=embedder)
    cloud.busy = 3
    before = clock.seconds
    collection.upsert(records("a"), embedder.embed_documents(["a"]))
    assert clock.seconds - before >= 6
    assert collection.count() == 1


def test_a_wrong_key_is_refused_without_being_shown(cloud, embedder, name, clock):
    collections = open_collections(url=cloud.server.url, cloud_api_key="ck-wrong", clock=clock)
    with pytest.raises(errors.AccessDenied) as caught:
        collections.open(name, **PLACE, embedder=embedder)
    assert "ck-wrong" not in str(caught.value)
    assert "ck-wrong" not in repr(vars(collections))


def test_another_sparse_function_is_a_mismatch(collections, embedder, embed_url, name):
    plain = open_embedder(EmbeddingConfig(kind="chroma-cloud"), embed_url=embed_url)
    collections.open(name, **PLACE, embedder=plain)
    with pytest.raises(errors.EmbeddingMismatch, match="sparse"):
        collections.open(name, **PLACE, embedder=embedder)


def test_a_single_node_says_that_it_cannot_index_sparse_vectors(chroma_server, embedder, name):
    collections = open_collections(url=chroma_server)
    with pytest.raises(errors.NotPossible):
        collections.open(name, **PLACE, embedder=embedder)
    assert name not in collections.list_collections(**PLACE)


def test_the_schema_is_what_the_stock_client_sends(cloud, collections, embedder, name, monkeypatch):
    monkeypatch.setenv("CHROMA_API_KEY", "any")
    collections.open(name, **PLACE, embedder=embedder)
    sent = cloud.created[name]["schema"]
    stock = Schema()
    # The stock client refuses to serialise a task that is not its own, so it gets that one.
    qwen = ChromaCloudQwenEmbeddingFunction(
        model=ChromaCloudQwenEmbeddingModel.QWEN3_EMBEDDING_0p6B, task="nl_to_code"
    )
    stock.create_index(config=VectorIndexConfig(space="cosine", embedding_function=qwen))
    splade = ChromaCloudSpladeEmbeddingFunction()
    stock.create_index(
        config=SparseVectorIndexConfig(source_key=Key.DOCUMENT, embedding_function=splade),
        key="sparse_embedding",
    )
    wanted = stock.serialize_to_json()
    for place in (wanted["defaults"], wanted["keys"]["#embedding"]):
        function = place["float_list"]["vector_index"]["config"]["embedding_function"]
        assert function["config"]["task"] == "nl_to_code"
        function["config"]["task"] = "generic_retrieval"
        function["config"]["instructions"] = {
            "generic_retrieval": {
                "documents": "",
                "query": "Retrieve semantically similar text",
            }
        }
    assert sent == wanted
