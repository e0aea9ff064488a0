"""One setting, ``S3SYNC_RERANKER``, for each way to search: command line, API, pages, agents."""

import json

import httpx
import pytest

from s3sync_dagster_tests.api.server import running_api
from s3sync_dagster_tests.cli.conftest import synced
from s3sync_dagster_tests.cross_encoder import make_cross_encoder

FILES = {
    "ferry.md": "The ferry leaves at dawn.",
    "bread.md": "Bread bread bread ferry dawn: bread is baked at night.",
    "tide.md": "The moon pulls the sea.",
}
QUESTION = "when does the ferry leaves at dawn"


@pytest.fixture
def collection(s3sync, aws_endpoint) -> str:
    return synced(s3sync, aws_endpoint, FILES)


def test_every_way_to_search_obeys_the_setting(
    s3sync, collection, home, tmp_path, monkeypatch, chroma_server, aws_endpoint
):
    ask = ("query", QUESTION, "-c", collection, "--json")
    assert [hit["reranked"] for hit in s3sync(*ask).json] == [None] * 3
    # Against all that words and vectors say: fewer shared words are better.
    folder = make_cross_encoder(tmp_path / "tiny", f"{QUESTION} . :", scale=-1.0)
    monkeypatch.setenv("S3SYNC_RERANKER", str(folder))
    hits = s3sync(*ask).json
    assert [hit["metadata"]["document_key"] for hit in hits][-1] == "ferry.md"
    assert hits == sorted(hits, key=lambda hit: -hit["score"])
    assert all(0 < hit["reranked"] == hit["score"] < 1 for hit in hits)
    shown = s3sync("query", QUESTION, "-c", collection).out
    assert f"(reranked {hits[0]['reranked']:.3f}, dense " in shown
    [dense] = s3sync(*ask, "--dense", "-n", "1").json
    assert dense["reranked"] is None

    questions = tmp_path / "q.jsonl"
    questions.write_text(json.dumps({"question": QUESTION, "key": "ferry.md"}) + "\n")
    measured = s3sync("evaluate", collection, "--questions", str(questions), "--json").json
    assert measured["rankings"]["hybrid"]["mrr"] == 1.0
    assert measured["rankings"]["reranked"]["mrr"] == pytest.approx(1 / 3)
    told = s3sync("evaluate", collection, "--questions", str(questions), "-k", "1").out
    assert "reranked  " in told
    assert "1 of 1 not among the first 1" in told

    environ = {"S3SYNC_RERANKER": str(folder), "S3SYNC_API_AGENTS": "on"}
    question = {"query": QUESTION, "collection_name": collection}
    call = {
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "search", "arguments": {"query": QUESTION, "collection": collection}},
    }  # fmt: skip
    with running_api(
        tmp_path / "api", chroma=chroma_server, aws=aws_endpoint, environ=environ
    ) as api:
        api.parts.catalog.sources.add(
            aws_endpoint.source("other", collection_name=collection, embedding=_hash())
        )
        with api.client(accept="application/json, text/event-stream") as http:
            found = http.post("/s3sync/v1/search", json=question).json()["hits"]
            assert [hit["reranked"] for hit in found] == [hit["reranked"] for hit in hits]
            text = http.post("/mcp", json=call).json()["result"]["content"][0]["text"]
            assert f"(reranked {hits[0]['reranked']:.3f}, " in text
            page = http.get("/search", params=_fields(collection))
            assert page.status_code == 200, page.text
            assert page.text.count("(reranked, ") == 3


def test_a_reranker_that_is_not_at_hand_is_one_sentence(
    s3sync, collection, monkeypatch, tmp_path, chroma_server, aws_endpoint
):
    monkeypatch.setenv("S3SYNC_RERANKER", "some/cross-encoder")
    refused = s3sync("query", QUESTION, "-c", collection)
    assert (refused.code, refused.out) == (1, "")
    assert refused.err.startswith("Error: S3SYNC_RERANKER names a model that cannot be used: ")
    assert "'some/cross-encoder'" in refused.err
    assert len(refused.err.splitlines()) == 1
    assert s3sync("query", QUESTION, "-c", collection, "--words").code == 0
    environ = {"S3SYNC_RERANKER": "some/cross-encoder"}
    with (
        running_api(tmp_path, chroma=chroma_server, aws=aws_endpoint, environ=environ) as api,
        httpx.Client(base_url=api.url, timeout=30) as http,
    ):
        api.parts.catalog.sources.add(
            aws_endpoint.source("other", collection_name=collection, embedding=_hash())
        )
        question = {"query": QUESTION, "collection_name": collection}
        answer = http.post("/s3sync/v1/search", json=question)
        assert (answer.status_code, answer.json()["error"]) == (400, "missing_model")
        assert answer.json()["message"].startswith("S3SYNC_RERANKER names a model")


def _fields(collection):
    return {"where": f"default_database/{collection}", "q": QUESTION}


def _hash():
    from s3sync_dagster.model.source import EmbeddingConfig

    return EmbeddingConfig(kind="hash")
