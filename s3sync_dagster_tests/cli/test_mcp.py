"""``s3sync mcp``: a real process, and the SDK's own client at its standard input and output."""

import asyncio
import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters

S3SYNC = str(Path(sys.executable).with_name("s3sync"))
LONG = "".join(f"## Part {n}\n\n{f'Filler number {n} of this part. ' * 30}\n\n" for n in range(30))
FILES = {
    "docs/ferry.md": f"# Ferry\n\n{LONG}## Leaving\n\nThe ferry leaves at dawn.\n",
    "docs/tide.py": "def tide(moon):\n    return moon * 2\n",
    "docs/broken.pdf": b"no pdf",
    "other/away.md": "outside",
}


@pytest.fixture
def collection(s3sync, aws_endpoint) -> str:
    bucket, name = aws_endpoint.make_bucket(), f"c-{uuid.uuid4().hex[:12]}"
    aws_endpoint.put_all(bucket, FILES)
    done = s3sync(
        "sync", f"s3://{bucket}/docs/", "--collection", name,
        "--endpoint-url", aws_endpoint.url, "--embedding", "hash",
    )  # fmt: skip
    assert done.code == 1, "one file is broken"
    return name


def converse(story):
    """Run a story with a client of a new ``s3sync mcp``."""

    async def run():
        command = StdioServerParameters(command=S3SYNC, args=["mcp"], env=dict(os.environ))
        async with Client(command, read_timeout_seconds=60) as client:

            async def ask(tool, **arguments):
                answer = await client.call_tool(tool, arguments)
                [content] = answer.content
                return answer.is_error, content.text

            await story(client, ask)

    asyncio.run(run())


def test_an_agent_searches_reads_and_asks_why(collection, aws_endpoint):
    async def story(client, ask):
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {"search", "read_document", "list_sources", "why"}
        assert all(tool.annotations.read_only_hint for tool in tools.values())
        assert "never instructions" in " ".join(client.instructions.split())

        is_error, told = await ask("list_sources")
        assert not is_error
        assert f"collection {collection}" in told
        assert "2 indexed" in told
        assert "1 failed (" in told
        source = told.partition(":")[0]
        assert aws_endpoint.secret_access_key not in told

        hit = {"query": "when does the ferry leave", "collection": collection, "limit": 1}
        is_error, told = await ask("search", **hit, neighbours=1)
        assert not is_error
        head, body, _ = told.partition("| The ferry leaves at dawn.")
        assert "-- before it" not in head  # what stands around a hit follows it
        assert "1. docs/ferry.md lines " in head
        assert "dense 0." in head
        assert "words " in head
        assert f"link: {aws_endpoint.url}/" in head
        assert body
        python = {"query": "ferry", "collection": collection, "where": {"language": "python"}}
        assert "docs/ferry.md" not in (await ask("search", **python))[1]

        line = next(
            n for n, one in enumerate(FILES["docs/ferry.md"].split("\n"), 1) if "dawn" in one
        )
        lines = {"key": "docs/ferry.md", "start_line": line, "end_line": line}
        is_error, told = await ask("read_document", **lines)
        assert (is_error, told.splitlines()[-1]) == (False, "| The ferry leaves at dawn.")
        assert f" lines {line}-{line} [" in told

        read, start, rounds = [], 0, 0
        while True:
            page = {"key": "docs/ferry.md", "start_chunk": start, "max_characters": 3000}
            is_error, told = await ask("read_document", **page)
            assert not is_error
            assert len(told) <= 3000
            read += [one.removeprefix("| ") for one in told.splitlines() if one.startswith("| ")]
            rounds += 1
            if "go on with start_chunk=" not in told:
                break
            start = int(told.rpartition("start_chunk=")[2].rstrip("."))
        assert rounds > 5
        # All of it, but for blank lines at the edges of chunks.
        words = " ".join(" ".join(read).split())
        assert words == " ".join(FILES["docs/ferry.md"].split())

        is_error, told = await ask("why", key="docs/broken.pdf")
        assert not is_error
        assert f"{source}: failed (" in told
        is_error, told = await ask("why", key="other/away.md", source=source)
        assert not is_error
        assert "outside_prefix" in told
        is_error, told = await ask("why", key="docs/never.md")
        assert f"{source}: unknown\n  No listing has seen this key." in told
        assert "would be selected" in told

    converse(story)


def test_what_cannot_be_asked_is_answered_with_a_sentence(collection):
    deep = {"a": 1}
    for _ in range(20):
        deep = {"$and": [deep, {"b": 1}]}
    wrong = [
        ("search", {"query": "x", "collection": "nobody-has-it"}, "no collection 'nobody-has-it'"),
        ("search", {"query": "x", "collection": "nobody-has-it"}, f"there are {collection!r}"),
        ("search", {"query": "x", "collection": "../.."}, "collection"),
        ("search", {"query": "  ", "collection": collection}, "question is blank"),
        ("search", {"query": "x" * 5000, "collection": collection}, "at most 4096 characters"),
        ("search", {"query": "x", "collection": collection, "limit": 10**9}, "limit: "),
        ("search", {"query": "x", "collection": collection, "where": deep}, "16 levels"),
        ("search", {"query": "x", "collection": collection, "where": {"$no": 1}}, "filter"),
        ("search", {"query": "x", "collection": collection, "max_characters": 10**7}, "40000"),
        ("search", {"collection": collection, "secret": "AKIA"}, "query: Field required"),
        ("read_document", {"key": "other/away.md"}, "No source has indexed 'other/away.md'"),
        (
            "read_document",
            {"key": "docs/ferry.md", "source": "nobody"},
            "No source 'nobody'; list_sources",
        ),
        ("read_document", {"key": "k" * 5000}, "key: "),
        ("read_document", {"key": "docs/tide.py", "start_line": 3, "end_line": 2}, "end_line"),
        ("why", {"key": ""}, "key: "),
        ("why", {"key": "x", "source": "nobody"}, "No source 'nobody'; list_sources"),
        ("delete_everything", {}, "There is no tool 'delete_everything'"),
    ]

    async def story(client, ask):
        source = (await ask("list_sources"))[1].partition(":")[0]
        outside = {"key": "other/away.md", "source": source}
        for tool, arguments, sentence in [
            *wrong,
            ("read_document", outside, "does not begin with 'docs/'"),
        ]:
            is_error, told = await ask(tool, **arguments)
            assert is_error, (tool, arguments, told)
            assert sentence in told, (tool, arguments, told)
            assert len(told) < 600
            assert "AKIA" not in told
            assert "Traceback" not in told
        assert not (await ask("why", key="docs/tide.py"))[0], "it goes on after all of these"

    converse(story)


def test_lines_that_are_no_messages_do_not_end_it(environment):
    """Nothing but messages comes out, and it ends when its input does."""
    opening = {
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"},
        },
    }  # fmt: skip
    call = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
    lines = [json.dumps(opening), "[" * 100_000, "\x00\xff", "null", json.dumps(call)]
    with subprocess.Popen(
        [S3SYNC, "mcp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write("\n".join(lines) + "\n")
        process.stdin.flush()
        answers = {}
        while 2 not in answers:  # a call under way is given up when the input ends
            answer = json.loads(process.stdout.readline())
            answers[answer.get("id")] = answer
        assert process.communicate(timeout=60)[0] == ""
    assert process.returncode == 0
    assert answers[1]["result"]["serverInfo"]["name"] == "s3sync"
    assert len(answers[2]["result"]["tools"]) == 4


def test_half_a_character_is_answered(environment):
    """The SDK drops such a message, and whoever asked would wait for good."""
    hello = {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "t", "version": "1"},
    }
    lines = [
        json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}),
        json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        '{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"\\ud800"}}',
        json.dumps({"jsonrpc": "2.0", "id": 3, "method": "ping"}),
    ]
    with subprocess.Popen(
        [S3SYNC, "mcp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for line in lines:
            print(line, file=process.stdin, flush=True)
        told = [json.loads(process.stdout.readline()) for _ in range(3)]
        process.stdin.close()
    answers = {one["id"]: one for one in told}
    assert set(answers) == {1, 2, 3}
    assert answers[2]["error"]["code"] == -32600
