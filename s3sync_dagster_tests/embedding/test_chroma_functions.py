"""Stock clients that know our own models query by text."""

import uuid

import pytest

from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.embedding.chroma_functions import register_embedding_functions
from s3sync_dagster.embedding.minilm_bf16 import has_bfloat16
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster_tests.opened import open_collections, stock_client

needs_bfloat16 = pytest.mark.skipif(
    not has_bfloat16(), reason="this processor has no bfloat16: see test_minilm_bf16"
)


@pytest.mark.parametrize(
    "kind", [pytest.param("minilm-bf16", marks=needs_bfloat16), "static", "hash"]
)
def test_a_client_queries_by_text_after_registration(chroma_server, kind):
    register_embedding_functions()
    embedder = open_embedder(EmbeddingConfig(kind=kind))
    name = f"c-{uuid.uuid4().hex}"
    collection = open_collections(url=chroma_server).open(
        name, tenant="default_tenant", database="default_database", embedder=embedder
    )
    texts = ["the cat sleeps on the sofa", "interest rates rose"]
    collection.upsert(
        [
            Record(id=f"r{n}", document=t, embedding_text=t, metadata={"n": n})
            for n, t in enumerate(texts)
        ],
        embedder.embed_documents(texts),
    )
    host, port = chroma_server.removeprefix("http://").split(":")
    stock = stock_client(host=host, port=int(port)).get_collection(name)
    answer = stock.query(query_texts=["where does the cat sleep"], n_results=1)
    assert answer["ids"] == [["r0"]]
    function = stock.configuration["embedding_function"]
    assert function.get_config() == embedder.configuration()["config"]
