"""Sparse vectors: Splade from a service, BM25 as stock clients make it."""

import json
import sys

import pytest
from chromadb.utils.embedding_functions import ChromaCloudSpladeEmbeddingFunction

from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.embedding.sparse import Bm25Sparse
from s3sync_dagster.model.embedding_kinds import BM25, SPLADE
from s3sync_dagster.model.errors import InvalidSetting, MissingEngine, Unavailable
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster_tests.scripted_http import scripted_server

TEXTS = [f"text {n}" for n in range(100)]


def splade(server):
    config = EmbeddingConfig(kind="hash", sparse_model=SPLADE, sparse_key="words")
    return open_embedder(config, embed_url=server.url).sparse


def answer(body):
    made = [
        {"indices": [9, int(text.split()[1])], "values": [0.5, 2]}
        for text in json.loads(body)["texts"]
    ]
    return 200, json.dumps({"embeddings": made}), {}


def test_splade_speaks_the_wire_of_the_stock_function(monkeypatch):
    monkeypatch.setenv("CHROMA_API_KEY", "any")
    with scripted_server() as server:
        server.decide = answer
        sparse = splade(server)
        made = sparse.embed_documents(TEXTS)
        assert made[3] == ([3, 9], [2.0, 0.5])
        assert [min(9, n) for n in range(100)] == [indices[0] for indices, _ in made]
        assert sparse.embed_query("text 1") == ([1, 9], [2.0, 0.5])
        assert {path for _, path, _, _ in server.asked} == {"/embed_sparse"}
        assert server.asked[0][2]["x-chroma-embedding-model"] == SPLADE
    assert (sparse.key, sparse.bm25) == ("words", False)
    stock = ChromaCloudSpladeEmbeddingFunction()
    assert sparse.configuration()["name"] == stock.name()
    assert sparse.configuration()["config"] == stock.get_config()


@pytest.mark.parametrize(
    "body",
    [
        '{"embeddings": [{"indices": [1]}]}',
        '{"error": "x"}',
        "[]",
        *(
            f'{{"embeddings": [{{"indices": [{index}], "values": [{value}]}}]}}'
            for index, value in (
                ("1e400", 1),
                ("-1", 1),
                (2**32, 1),
                (1.5, 1),
                ("true", 1),
                (1, "NaN"),
                (1, "1e400"),
                (1, "9" * 400),
                (1, "[]"),
                (1, '"x"'),
            )
        ),
    ],
)
def test_an_answer_that_is_none_is_tried_later(body):
    with scripted_server() as server:
        server.decide = lambda _body: (200, body, {})
        with pytest.raises(Unavailable) as caught:
            splade(server).embed_query("x")
    assert caught.value.reason == "bad_vectors"


def test_bm25_without_its_stemmer_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "snowballstemmer", None)
    with pytest.raises(MissingEngine, match="snowballstemmer"):
        open_embedder(EmbeddingConfig(kind="hash", sparse_model=BM25))


def test_an_unknown_sparse_model_is_a_wrong_setting():
    with pytest.raises(InvalidSetting, match="known are"):
        open_embedder(EmbeddingConfig(kind="hash", sparse_model="other"))
    assert Bm25Sparse.bm25
    assert open_embedder(EmbeddingConfig(kind="hash")).sparse is None
