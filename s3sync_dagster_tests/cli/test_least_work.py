"""Nothing changed, 1 % changed, 1 % deleted, metadata alone: what goes over each wire.

S3, Chroma and the embedding endpoint are counted by servers between them and the process, not by
its own summary.
"""

import json
import uuid
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest

from s3sync_dagster_tests.embedding.test_endpoints import OpenAiServer
from s3sync_dagster_tests.opened import stock_client
from s3sync_dagster_tests.scripted_http import ScriptedServer, scripted_server
from s3sync_dagster_tests.wire_proxy import WireProxy, wire_proxy

OBJECTS = 100
SECTIONS = 5
"""Of an object; each is one chunk."""

PROBE = "dimension"
"""What an endpoint is asked once a process that writes, to learn the length of its vectors."""
HEARTBEAT = "/api/v2/heartbeat"


def text_of(number: int, *, last: str = "first") -> str:
    """An object of five sections, each too large to share a chunk with the next."""
    sections = [
        f"# Section {place} of {number}\n\n" + f"Words {number} {place}. " * 60
        for place in range(SECTIONS - 1)
    ]
    return "\n\n".join([*sections, f"# The end of {number}\n\n" + f"The {last} end. " * 60])


def sidecar(number: int, team: str) -> str:
    return json.dumps(
        {
            "version": "chroma-v1",
            "id": f"page-{number}",
            "path": f"docs/{number:02}.md",
            "metadata": {"team": team},
        }
    )


def stored(url: str, collection: str, key: str | None = None) -> dict[str, str]:
    """Texts by record id, as a plain client reads them; of one object where a key is given."""
    parts = urlsplit(url)
    client = stock_client(host=parts.hostname or "", port=parts.port or 0)
    found = client.get_collection(collection).get(include=["documents", "metadatas"])
    rows = zip(found["ids"], found["documents"] or [], found["metadatas"] or [], strict=True)
    return {name: text for name, text, metadata in rows if key in (None, metadata["document_key"])}


@dataclass
class Wires:
    """All that a sync can be seen to do."""

    s3: WireProxy
    chroma: WireProxy
    model: ScriptedServer

    def reset(self) -> None:
        self.s3.reset()
        self.chroma.reset()
        self.model.asked.clear()

    def writes(self) -> dict[str, tuple[int, int]]:
        """Requests and records of each kind of write to Chroma."""
        requests: Counter[str] = Counter()
        records: Counter[str] = Counter()
        for request in self.chroma.log():
            kind = urlsplit(request.target).path.rpartition("/")[2]
            if kind in ("add", "upsert", "update", "delete"):
                requests[kind] += 1
                records[kind] += len(json.loads(request.body)["ids"])
        return {kind: (requests[kind], records[kind]) for kind in requests}

    def written(self) -> dict[str, int]:
        """Records of each kind of write: a slow machine cuts many of them into several requests."""
        return {kind: records for kind, (_, records) in self.writes().items()}

    def embedded(self) -> list[str]:
        return [text for *_, body in self.model.asked for text in json.loads(body)["input"]]


@pytest.fixture
def wires(aws_endpoint, chroma_server, environment, monkeypatch):
    with ExitStack() as stack:
        made = Wires(
            s3=stack.enter_context(wire_proxy(aws_endpoint.url)),
            chroma=stack.enter_context(wire_proxy(chroma_server)),
            model=stack.enter_context(scripted_server()),
        )
        made.model.decide = OpenAiServer()
        monkeypatch.setenv("S3SYNC_CHROMA_URL", made.chroma.url)
        yield made


def test_each_kind_of_change_costs_its_least(wires, s3sync, aws_endpoint, chroma_server):
    bucket, collection = aws_endpoint.make_bucket(), f"c-{uuid.uuid4().hex[:12]}"
    aws_endpoint.put_all(bucket, {f"docs/{n:02}.md": text_of(n) for n in range(OBJECTS)})
    aws_endpoint.put(bucket, "docs/99.md.meta.json", sidecar(99, "docs"))

    def sync() -> dict:
        wires.reset()
        answer = s3sync(
            "sync", f"s3://{bucket}/docs/", "--collection", collection, "--json",
            "--endpoint-url", wires.s3.url, "--embedding", "openai", "--embedding-model", "m",
            "--embedding-url", f"{wires.model.url}/v1",
        )  # fmt: skip
        assert answer.code == 0, answer.err
        return answer.json

    first = sync()
    chunks = first["chunks_written"]
    assert wires.s3.counts() == {"LIST": 1, "GET": OBJECTS + 1}
    assert wires.written() == {"upsert": chunks}
    assert len(set(wires.embedded()) - {PROBE}) == chunks == len(stored(chroma_server, collection))

    sync()
    assert wires.s3.counts() == {"LIST": 1}
    database = "/api/v2/tenants/default_tenant/databases/default_database"
    assert [urlsplit(request.target).path for request in wires.chroma.log()] == [
        HEARTBEAT,
        f"{database}/collections/{collection}",  # whether it is still the one written to
    ]
    assert wires.embedded() == []

    # The last of its chunks has another text; the others name the new version in their metadata.
    aws_endpoint.put(bucket, "docs/07.md", text_of(7, last="second"))
    of_changed = len(stored(chroma_server, collection, "docs/07.md"))
    sync()
    assert wires.s3.counts() == {"LIST": 1, "GET": 1}
    assert wires.writes() == {"upsert": (1, 1), "update": (1, of_changed - 1)}
    [text] = set(wires.embedded()) - {PROBE}
    assert text in stored(chroma_server, collection, "docs/07.md").values()

    aws_endpoint.delete(bucket, "docs/08.md")
    of_deleted = len(stored(chroma_server, collection, "docs/08.md"))
    sync()
    assert wires.s3.counts() == {"LIST": 1}
    assert wires.writes() == {"delete": (1, of_deleted)}
    assert wires.embedded() == []
    assert len(stored(chroma_server, collection)) == chunks - of_deleted

    # The object is read as well: each record's digest covers all of its metadata.
    aws_endpoint.put(bucket, "docs/99.md.meta.json", sidecar(99, "legal"))
    of_described = len(stored(chroma_server, collection, "docs/99.md"))
    sync()
    assert wires.s3.counts() == {"LIST": 1, "GET": 2}
    assert wires.writes() == {"update": (1, of_described)}
    assert set(wires.embedded()) <= {PROBE}

    # Somebody deletes the collection: nothing in the bucket changed, all of it comes back.
    parts = urlsplit(chroma_server)
    stock_client(host=parts.hostname or "", port=parts.port or 0).delete_collection(collection)
    again = sync()
    assert again["updated"] == OBJECTS - 1
    assert wires.written() == {"upsert": chunks - of_deleted}
    assert len(stored(chroma_server, collection)) == chunks - of_deleted
    assert set(wires.embedded()) <= {PROBE}  # the vectors are those of the cache
