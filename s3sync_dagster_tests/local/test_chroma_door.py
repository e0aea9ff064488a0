"""Chroma behind its door: its own client works, pages of others do not."""

import chromadb
import httpx
import pytest

from s3sync_dagster.local.chroma_server import running_chroma


@pytest.fixture
def chroma(tiny_stack):
    return httpx.URL(tiny_stack.addresses.chroma)


def test_chromas_own_client_writes_and_asks_through_the_door(chroma):
    client = chromadb.HttpClient(host=chroma.host, port=chroma.port)
    made = client.get_or_create_collection("through-the-door", embedding_function=None)
    ids = [f"ä/{n}" for n in range(300)]
    made.upsert(ids=ids, embeddings=[[1.0, n] for n in range(300)], documents=["x" * 5000] * 300)
    assert made.count() == 300
    assert made.query(query_embeddings=[[1.0, 7.0]], n_results=300)["ids"][0]
    made.delete(ids=ids[:299])
    assert made.get()["ids"] == ids[299:]
    client.delete_collection("through-the-door")
    with pytest.raises(chromadb.errors.NotFoundError):
        client.get_collection("through-the-door")


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "rebound.example.com"},
        {"origin": "http://evil.example"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_pages_of_others_read_nothing(chroma, headers):
    address = chroma.join("/api/v2/tenants/default_tenant/databases/default_database/collections")
    assert httpx.get(address).status_code == 200
    for method in ("GET", "POST", "DELETE"):
        assert httpx.request(method, address, json={}, headers=headers).status_code == 403


def test_the_server_itself_is_where_nobody_guesses_it(tiny_stack):
    inside = httpx.URL(running_chroma(tiny_stack.settings).url)
    assert inside.host.startswith("127.")
    assert inside.host != "127.0.0.1"
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{inside.port}/api/v2/heartbeat", trust_env=False)
    assert httpx.URL(tiny_stack.settings.chroma_url) == inside  # our processes make no detour
