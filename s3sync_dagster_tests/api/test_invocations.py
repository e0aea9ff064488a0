"""Invocations over HTTP: ask, list, show, cancel, and the newest of many keys."""

import time
import uuid

import pytest

from s3sync_dagster.catalog.batches import Take
from s3sync_dagster.core.outcome import KeyOutcome
from s3sync_dagster.model.invocation import Result, Trigger


@pytest.fixture
def source_id(api, http, aws_endpoint):
    body = api.s3(aws_endpoint.make_bucket(), path_prefix="docs/")
    return http.post("/api/v1/sources", json=body).json()["source_id"]


def ask(http, source_id, **body):
    answer = http.post(f"/api/v1/sources/{source_id}/invocations", json=body)
    assert answer.status_code == 201, answer.text
    assert set(answer.json()) == {"invocation_id"}
    return answer.json()["invocation_id"]


def shown(http, invocation_id):
    answer = http.get(f"/api/v1/invocations/{invocation_id}")
    assert answer.status_code == 200
    return answer.json()


def test_an_invocation_as_the_contract_shows_it(api, http, source_id):
    source = api.parts.catalog.sources.find(source_id)
    invocation_id = ask(
        http,
        source_id,
        object_key="docs/a b+ü.md",
        custom_id="mine",
        metadata={"n": 1, "list": ["x", "y"], "none": None},
        target_collection_name="target",
    )
    found = shown(http, invocation_id)
    assert found.pop("created_at").endswith("Z")
    assert found == {
        "id": invocation_id,
        "status": "pending",
        "metadata": {
            "s3": {
                "bucket_name": source.place.bucket_name,
                "object_key": "docs/a b+ü.md",
                "custom_id": "mine",
                "additional_metadata": {"n": 1, "list": ["x", "y"], "none": None},
            },
            "database_name": "default_database",
            "collection_name": "target",
        },
        "source_id": source_id,
    }


def test_every_status_has_its_shape(api, http, source_id):
    catalog = api.parts.catalog
    source = catalog.sources.find(source_id)
    keys = ["docs/done", "docs/failed", "docs/cancelled", "docs/works", "docs/waits"]
    ids = {key: ask(http, source_id, object_key=key) for key in keys[:3]}
    assert http.put(f"/api/v1/invocations/{ids['docs/cancelled']}").status_code == 202
    batch = catalog.batches.reserve(source_id, take=Take(), owner="test", run_id="run")
    time.sleep(0.02)
    catalog.documents.commit(
        batch.token,
        source,
        outcomes=[
            KeyOutcome(key="docs/done", result=Result.INDEXED),
            KeyOutcome(
                key="docs/failed",
                result=Result.FAILED,
                outcome="failed",
                reason="damaged",
                error="It is damaged.",
                retry_class="input",
            ),
        ],
    )
    catalog.batches.finish(batch.token)
    ids["docs/works"] = ask(http, source_id, object_key="docs/works")
    catalog.batches.reserve(source_id, take=Take(), owner="test", run_id="run")
    ids["docs/waits"] = ask(http, source_id, object_key="docs/waits")
    assert shown(http, ids["docs/waits"])["status"] == "pending"
    assert shown(http, ids["docs/works"])["status"] == "processing"
    assert shown(http, ids["docs/cancelled"])["status"] == "cancelled"
    assert shown(http, ids["docs/failed"])["status"] == {"failed": {"error": "It is damaged."}}
    [(name, complete)] = shown(http, ids["docs/done"])["status"].items()
    assert name == "complete"
    assert complete["finished_at"].endswith("Z")
    assert 10 <= complete["duration_ms"] < 60_000
    for key, word in zip(
        keys, ("complete", "failed", "cancelled", "processing", "pending"), strict=True
    ):
        answer = http.get("/api/v1/invocations", params={"source_id": source_id, "status": word})
        assert [job["id"] for job in answer.json()] == [ids[key]]
    for key in ("docs/works", "docs/done", "docs/failed", "docs/cancelled"):
        answer = http.put(f"/api/v1/invocations/{ids[key]}")
        assert (answer.status_code, answer.json()["error"]) == (412, "not_pending")
    answer = http.put(f"/api/v1/invocations/{ids['docs/waits']}")
    assert (answer.status_code, answer.json()) == (202, {})


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({}, "object_key is required"),
        ({"object_key": None}, "object_key is required"),
        ({"object_key": ""}, "empty"),
        ({"object_key": 1}, "object_key"),
        ({"object_key": "other/a"}, "docs/"),
        ({"object_key": "docs/" + "é" * 510}, "1024"),
        ({"object_key": "docs/a\x00"}, "strict JSON"),
        ({"object_key": "docs/a", "custom_id": "x" * 121}, "custom_id"),
        ({"object_key": "docs/a", "custom_id": "é" * 61}, "120"),
        ({"object_key": "docs/a", "custom_id": ""}, "custom_id"),
        ({"object_key": "docs/a", "metadata": {"s3sync_x": 1}}, "reserved"),
        ({"object_key": "docs/a", "metadata": {"chroma:document": 1}}, "chroma:document"),
        ({"object_key": "docs/a", "metadata": {"deep": {"a": 1}}}, "deep"),
        ({"object_key": "docs/a", "metadata": {"empty": []}}, "empty"),
        ({"object_key": "docs/a", "metadata": {f"k{i}": i for i in range(17)}}, "17 keys"),
        ({"object_key": "docs/a", "metadata": [1]}, "metadata"),
        ({"object_key": "docs/a", "target_collection_name": "x"}, "target_collection_name"),
        ({"object_key": "docs/a", "ref_identifier": {"sha": "abc"}}, "GitHub"),
        ({"object_key": "docs/a", "object_keys": ["b"]}, "object_keys"),
    ],
)
def test_a_refusal_names_field_and_rule(http, source_id, body, says):
    answer = http.post(f"/api/v1/sources/{source_id}/invocations", json=body)
    assert answer.status_code == 400
    assert says in answer.json()["message"]


def test_a_finished_collection_takes_nothing_more(api, http, source_id):
    name = f"finished-{uuid.uuid4().hex[:8]}"
    body = {"name": name, "metadata": {"finished_ingest": True}}
    api.parts.collections.directory.create(body, "default_tenant", "default_database")
    answer = http.post(
        f"/api/v1/sources/{source_id}/invocations",
        json={"object_key": "docs/a", "target_collection_name": name},
    )
    assert (answer.status_code, answer.json()["error"]) == (409, "finished_ingest")


def test_lists_filter_order_and_page(api, http, source_id):
    ids = []
    for number in range(3):
        ids.append(ask(http, source_id, object_key=f"docs/{number}"))
        time.sleep(0.002)

    def listed(**query):
        answer = http.get("/api/v1/invocations", params=query)
        assert answer.status_code == 200, answer.text
        return [job["id"] for job in answer.json()]

    assert listed(source_id=source_id) == ids[::-1]
    assert listed(source_id=source_id, order_by="ASC") == ids
    assert listed(source_id=source_id, order_by="ASC", limit=1, offset=1) == [ids[1]]
    assert set(ids) <= set(listed(database_name="default_database", source_type="s3"))
    assert listed(database_name="other") == []
    assert listed(source_type="file_upload", source_id=source_id) == []
    assert listed(source_type="web_scrape") == []
    assert listed(source_id=source_id, status="failed") == []
    both = {"source_id": source_id, "database_name": "default_database"}
    assert "exclude" in http.get("/api/v1/invocations", params=both).json()["message"]
    for query in ({"status": "completed"}, {"source_id": "x"}, {"limit": "-1"}):
        assert http.get("/api/v1/invocations", params=query).status_code == 400
    assert http.get(f"/api/v1/invocations?source_id={uuid.uuid4()}").status_code == 404


def test_the_newest_of_each_key(http, source_id):
    ask(http, source_id, object_key="docs/a")
    time.sleep(0.002)
    newer = ask(http, source_id, object_key="docs/a")
    other = ask(http, source_id, object_key="docs/b")
    url = f"/api/v1/sources/{source_id}/invocations/latest-by-keys"
    keys = ["docs/a", "docs/b", "docs/unknown", "docs/a"]
    answer = http.post(url, json={"object_keys": keys})
    assert answer.status_code == 200
    assert {key: job["id"] for key, job in answer.json().items()} == {
        "docs/a": newer,
        "docs/b": other,
    }
    assert answer.json()["docs/a"]["status"] == "pending"
    assert http.post(url, json={"object_keys": []}).json() == {}
    many = [f"docs/{number:05}" for number in range(9_999)] + ["docs/b"]
    answer = http.post(url, json={"object_keys": many})
    assert {key: job["id"] for key, job in answer.json().items()} == {"docs/b": other}
    assert http.post(url, json={"object_keys": [*many, "x"]}).status_code == 400
    assert http.post(url, json={}).status_code == 400


def test_what_is_asked_for_is_dispatched_together(api, http, source_id):
    before = len(api.dispatched)
    for number in range(20):
        ask(http, source_id, object_key=f"docs/{number}")
    deadline = time.monotonic() + 5
    while not any(source_id in sources for sources in api.dispatched[before:]):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert len(api.dispatched) - before < 20


def test_an_id_that_is_none(http):
    for method in ("get", "put"):
        answer = getattr(http, method)(f"/api/v1/invocations/{uuid.uuid4()}")
        assert (answer.status_code, answer.json()["error"]) == (404, "invocation_not_found")
        assert getattr(http, method)("/api/v1/invocations/1").status_code == 400


LONG = {f"k{number}": "v" * 8000 for number in range(4)}
NAMES = {f"k{number}": None for number in range(2000)}


@pytest.mark.parametrize("metadata", [LONG, NAMES], ids=["long-values", "names-without-values"])
def test_a_request_or_source_brings_so_much_metadata_and_no_more(http, source_id, metadata):
    body = {"object_key": "docs/a.md", "metadata": metadata}
    for answer in (
        http.post(f"/api/v1/sources/{source_id}/invocations", json=body),
        http.patch(f"/s3sync/v1/sources/{source_id}", json={"metadata": metadata}),
    ):
        assert answer.status_code == 400
        assert "at most 16,384" in answer.json()["message"]


def test_no_answer_holds_more_metadata_than_the_server_bears(api, http, source_id):
    source = api.parts.catalog.sources.find(source_id)
    keys = [f"docs/{number}" for number in range(10)]
    metadata = dict.fromkeys(NAMES, "v" * 1000)  # as one that was kept before there was a limit
    api.parts.catalog.invocations.request(source, keys, trigger=Trigger.API, metadata=metadata)
    few = http.get("/api/v1/invocations", params={"source_id": source_id, "limit": 8})
    newest = f"/api/v1/sources/{source_id}/invocations/latest-by-keys"
    assert [len(few.json()), len(http.post(newest, json={"object_keys": keys[:8]}).json())] == [
        8,
        8,
    ]
    for answer in (
        http.get("/api/v1/invocations", params={"source_id": source_id}),
        http.post(newest, json={"object_keys": keys}),
    ):
        assert answer.status_code == 400
        assert "ask for fewer at once" in answer.json()["message"]
