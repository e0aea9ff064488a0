"""``/mcp``: the SDK's own client over HTTP, on a real server with two tenants; what it refuses."""

import asyncio
import json
import threading
import uuid
from dataclasses import dataclass

import chromadb
import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from s3sync_dagster.core.state import DocumentPhase
from s3sync_dagster.meant import no_source
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster_tests.api.indexing import work
from s3sync_dagster_tests.api.server import Api, running_api
from s3sync_dagster_tests.scripted_http import scripted_server

OPEN = {
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}  # fmt: skip
ACCEPT = {"accept": "application/json, text/event-stream"}


@dataclass(kw_only=True)
class Two:
    """One server, two tenants that have a collection and a key of the same name."""

    api: Api
    tokens: dict[str, str]
    sources: dict[str, object]
    collection: str


@pytest.fixture(scope="module")
def two(tmp_path_factory, chroma_server, aws_endpoint):
    home = tmp_path_factory.mktemp("agents")
    environ = {**aws_endpoint.environment(), "S3SYNC_API_AGENTS": "on"}
    collection = f"c-{uuid.uuid4().hex[:8]}"
    host, port = chroma_server.removeprefix("http://").split(":")
    admin = chromadb.AdminClient(
        chromadb.Settings(
            chroma_api_impl="chromadb.api.fastapi.FastAPI",
            chroma_server_host=host,
            chroma_server_http_port=int(port),
            anonymized_telemetry=False,
        )
    )
    with running_api(home, chroma=chroma_server, aws=aws_endpoint, environ=environ) as api:
        tokens, sources = {}, {}
        for who, text in (("mine", "The vault opens with 4711."), ("theirs", "Bread is baked.")):
            tenant = f"{who}-{uuid.uuid4().hex[:8]}"
            admin.create_tenant(tenant)
            admin.create_database("default_database", tenant=tenant)
            tokens[who] = api.token(tenant=tenant, role="member")
            bucket = aws_endpoint.make_bucket()
            keys = ["docs/note.md"] + (["docs/vault.md"] if who == "mine" else [])
            for key in keys:
                aws_endpoint.put(bucket, key, f"# Note\n\n{text}\n")
            source = aws_endpoint.source(
                bucket,
                tenant=tenant,
                path_prefix="docs/",
                collection_name=collection,
                embedding=EmbeddingConfig(kind="hash"),
            )
            sources[who] = source = api.parts.catalog.sources.add(source)
            with api.client(tokens[who]) as http:
                for key in keys:
                    asked = {"object_key": key}
                    answer = http.post(f"/api/v1/sources/{source.id}/invocations", json=asked)
                    assert answer.status_code == 201, answer.text
            assert work(api, source.id) == 1
        yield Two(api=api, tokens=tokens, sources=sources, collection=collection)


def converse(two, who, story, *, mode="auto", **headers):
    async def run():
        own = headers or {"x-chroma-token": two.tokens[who]}
        async with httpx2.AsyncClient(headers=own, timeout=30) as http:
            transport = streamable_http_client(f"{two.api.url}/mcp", http_client=http)
            async with Client(transport, mode=mode, read_timeout_seconds=30) as client:

                async def ask(tool, **arguments):
                    answer = await client.call_tool(tool, arguments)
                    [content] = answer.content
                    return answer.is_error, content.text

                return await story(client, ask)

    return asyncio.run(run())


def test_a_misspelt_source_gets_near_names_of_its_own_tenant_alone(two):
    mine, theirs = two.sources["mine"].name, two.sources["theirs"].name

    async def story(client, ask):
        for tool in ("why", "read_document"):
            for name in (f"{mine}x", f"{theirs}x"):
                is_error, told = await ask(tool, key="docs/note.md", source=name)
                assert is_error
                assert f"No source {name!r}" in told
                assert theirs not in told.replace(name, "")
            _, told = await ask(tool, key="docs/note.md", source=f"{mine}x")
            assert f"Did you mean {mine!r}?" in told

    converse(two, "mine", story)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_tenant_searches_and_reads_what_is_its_own(two, mode):
    async def story(client, ask):
        assert len((await client.list_tools()).tools) == 4
        is_error, told = await ask("list_sources")
        assert not is_error
        assert two.sources["mine"].name in told
        assert two.sources["theirs"].name not in told
        assert f"tenant {two.sources['mine'].tenant}" in told
        question = {"query": "vault", "collection": two.collection}
        is_error, told = await ask("search", **question)
        assert not is_error
        assert "| The vault opens with 4711." in told
        assert "docs/vault.md lines " in told or "the same text: docs/vault.md" in told
        assert f"source {two.sources['mine'].name}" in told
        is_error, told = await ask("read_document", key="docs/vault.md")
        assert (is_error, told.splitlines()[-1]) == (False, "| The vault opens with 4711.")
        is_error, told = await ask("why", key="docs/vault.md")
        assert (is_error, "indexed" in told) == (False, True)
        assert two.api.aws.secret_access_key not in told

    converse(two, "mine", story, mode=mode)


def test_nothing_of_another_tenant_is_seen(two):
    mine = two.sources["mine"]

    async def story(client, ask):
        answers = [
            await ask("search", query="vault 4711", collection=two.collection, limit=50),
            await ask("list_sources"),
            await ask("list_sources", collection=two.collection),
            await ask("why", key="docs/vault.md"),
            await ask("read_document", key="docs/note.md"),
        ]
        assert not any(is_error for is_error, _ in answers)
        refused = [
            await ask("read_document", key="docs/vault.md"),
            await ask("read_document", key="docs/vault.md", source=mine.name),
            await ask("read_document", key="docs/vault.md", source=mine.id),
            await ask("why", key="docs/vault.md", source=mine.name),
            await ask("search", query="vault", collection=two.collection, database="elsewhere"),
        ]
        assert all(is_error for is_error, _ in refused)
        own = [two.sources["theirs"].name]
        for name, answer in (
            (mine.name, refused[3]),
            ("nobody", await ask("why", key="docs/vault.md", source="nobody")),
        ):
            none = no_source(name, own, otherwise="list_sources names those there are").message
            assert answer[1].startswith(none.rstrip(".")), "as if there were none"
        for _, told in [*answers, *refused]:
            assert "4711" not in told
            assert mine.tenant not in told
            assert mine.place.bucket_name not in told
        assert "Bread" in answers[0][1]
        assert "unknown" in answers[3][1]

    converse(two, "theirs", story)


def test_limits_are_those_of_every_door(two):
    deep = {"a": 1}
    for _ in range(20):
        deep = {"$or": [deep, {"b": 1}]}
    source = two.sources["mine"].name
    wrong = [
        ("search", {"limit": 51}, "limit: "),
        ("search", {"limit": 10**18}, "limit: "),
        ("search", {"where": deep}, "16 levels"),
        ("search", {"where": {"$or": [{"a": 1}] * 2_000}}, "500 names and values"),
        ("search", {"where": {"$nope": 1}}, "filter"),
        ("search", {"collection": "no/such"}, "collection"),
        ("read_document", {"key": "elsewhere.md", "source": source}, "begin with 'docs/'"),
        ("read_document", {"key": "docs/missing.md"}, "No source has indexed"),
    ]

    async def story(client, ask):
        for tool, change, sentence in wrong:
            asked = {"query": "x", "collection": two.collection} if tool == "search" else {}
            is_error, told = await ask(tool, **asked | change)
            assert (is_error, sentence in told) == (True, True), (change, told)
            assert len(told) < 600

    converse(two, "mine", story)


def post(two, body, **headers):
    own = {"x-chroma-token": two.tokens["mine"], **ACCEPT, **headers}
    content = body if isinstance(body, bytes) else json.dumps(body)
    own["content-type"] = "application/json"
    return httpx.post(f"{two.api.url}/mcp", content=content, headers=own, timeout=30)


def test_who_may_come_in(two):
    assert post(two, OPEN).status_code == 200
    for token in ("", "nonsense"):
        answer = post(two, OPEN, **{"x-chroma-token": token})
        assert (answer.status_code, answer.json()["error"]) == (401, "unauthorized")
    bearer = {"x-chroma-token": "", "authorization": f"Bearer {two.tokens['mine']}"}
    assert post(two, OPEN, **bearer).status_code == 200
    for origin in ("https://evil.example", "null", f"{two.api.url}.evil.example"):
        answer = post(two, OPEN, origin=origin)
        assert (answer.status_code, answer.json()["error"]) == (403, "forbidden")
    assert post(two, OPEN, origin=two.api.url).status_code == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" * 100_000 + b"]" * 100_000, 400),
        (b'{"a": NaN}', 400),
        (b"\xff", 400),
        (b"x" * (17 * 1024 * 1024), 413),
        (b"[]", 400),
        (b"{}", 400),
    ],
)
def test_bodies_that_are_no_messages(two, body, status):
    answer = post(two, body)
    assert answer.status_code == status, answer.text
    assert answer.json()["error"] in ("invalid_request", "body_too_large")
    assert len(answer.text) < 200


def test_no_stream_is_held_open(two):
    """A GET would wait for news that never come; there are no sessions to delete."""
    for method in ("GET", "DELETE"):
        answer = httpx.request(
            method, f"{two.api.url}/mcp", headers={"x-chroma-token": two.tokens["mine"], **ACCEPT}
        )
        assert (answer.status_code, answer.json()["error"]) == (405, "method_not_allowed")
    assert "mcp-session-id" not in post(two, OPEN).headers


def test_a_document_of_two_collections_has_to_be_named(two):
    """The same object for two sources of one tenant: no guess which is meant."""
    mine = two.sources["mine"]
    other = two.api.parts.catalog.sources.add(
        two.api.aws.source(
            mine.place.bucket_name,
            tenant=mine.tenant,
            path_prefix="docs/",
            collection_name=f"{two.collection}-2",
            embedding=EmbeddingConfig(kind="hash"),
        )
    )
    with two.api.client(two.tokens["mine"]) as http:
        asked = {"object_key": "docs/note.md"}
        assert http.post(f"/api/v1/sources/{other.id}/invocations", json=asked).status_code == 201
    work(two.api, other.id)
    [document] = two.api.parts.catalog.documents.of_key(other.id, "docs/note.md")
    assert document.phase is DocumentPhase.CLEAN

    async def story(client, ask):
        is_error, told = await ask("read_document", key="docs/note.md")
        assert is_error
        assert f"{mine.name} in {two.collection}" in told
        for chosen in ({"collection": f"{two.collection}-2"}, {"source": other.name}):
            is_error, told = await ask("read_document", key="docs/note.md", **chosen)
            assert not is_error
            assert f"source {other.name}" in told

    try:
        converse(two, "mine", story)
    finally:
        two.api.parts.catalog.sources.mark_deleting(other.id, keep_records=True)


def test_searches_of_agents_count_among_those_of_their_tenant(tmp_path, aws_endpoint):
    begun, go_on = threading.Event(), threading.Event()

    def chroma(_body):
        if "/collections" not in slow.asked[-1][1]:
            return 200, '{"id": "d", "name": "default_database"}', {}
        begun.set()
        go_on.wait(20)
        return 401, "", {}

    environ = {"S3SYNC_API_SEARCHES_PER_TENANT": "1", "S3SYNC_API_AGENTS": "on"}
    call = {
        "jsonrpc": "2.0", "id": 2, "method": "tools/call",
        "params": {"name": "search", "arguments": {"query": "x", "collection": "some-docs"}},
    }  # fmt: skip
    with (
        scripted_server() as slow,
        running_api(tmp_path, chroma=slow.url, aws=aws_endpoint, environ=environ) as api,
        api.client(**ACCEPT) as http,
    ):
        slow.decide, http.timeout = chroma, 120
        question = {"collection_name": "some-docs", "query": "x"}
        first = threading.Thread(target=lambda: http.post("/s3sync/v1/search", json=question))
        first.start()
        assert begun.wait(10)
        answer = http.post("/mcp", json=call).json()["result"]
        go_on.set()
        first.join(120)
    assert answer["isError"]
    assert "too_many_searches" in answer["content"][0]["text"]


def test_the_door_is_closed_unless_it_is_opened(api, http, aws_endpoint, tmp_path, chroma_server):
    assert http.post("/mcp", json=OPEN, headers=ACCEPT).status_code in (404, 405)
    environ = {"S3SYNC_API_AGENTS": "on"}
    with (
        running_api(tmp_path, chroma=chroma_server, aws=aws_endpoint, environ=environ) as own,
        own.client(**ACCEPT) as client,
    ):
        assert client.post("/mcp", json=OPEN).status_code == 200
        bent = client.post("/mcp", json=OPEN, headers={"host": "evil.example"})
        assert (bent.status_code, bent.json()["error"]) == (403, "forbidden")
        page = client.post("/mcp", json=OPEN, headers={"sec-fetch-site": "cross-site"})
        assert page.status_code == 403
        assert 'route="/mcp"' in client.get("/metrics").text
