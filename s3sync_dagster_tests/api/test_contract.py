"""The contract's description against our server: a client from it, and a fuzzer over it."""

import copy
import json
import uuid
from collections import Counter

import hypothesis
import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from s3sync_dagster_tests.api.contract import CONTRACT
from s3sync_dagster_tests.api.contract_client import ContractClient, UnexpectedStatus
from s3sync_dagster_tests.api.indexing import work
from s3sync_dagster_tests.opened import stock_client

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
OPERATIONS = sorted(
    operation["operationId"]
    for methods in CONTRACT["paths"].values()
    for operation in methods.values()
)


@pytest.fixture(scope="module")
def client(api):
    found = ContractClient(api.url, "any")
    yield found
    found.close()


@pytest.fixture(scope="module")
def bucket(aws_endpoint):
    name = aws_endpoint.make_bucket()
    aws_endpoint.put(name, "a.md", "# Moon\n\nTides come twice a day.\n")
    return name


@pytest.fixture(scope="module")
def source_id(api, client, bucket):
    body = api.s3(bucket) | {"embedding": {"dense": {"model": "s3sync-hash"}}}
    return client.create_source(body)["source_id"]


def test_a_client_of_the_contract_from_the_source_to_the_query(api, client, source_id):
    asked = client.create_job({"object_key": "a.md", "metadata": {"n": 1}}, source_id=source_id)
    invocation_id = asked["invocation_id"]
    assert client.get_job(invocation_id=invocation_id)["status"] == "pending"
    work(api, source_id)
    job = client.get_job(invocation_id=invocation_id)
    assert set(job["status"]) == {"complete"}
    newest = client.latest_invocations_by_keys({"object_keys": ["a.md"]}, source_id=source_id)
    assert newest["a.md"] == job
    assert job in client.list_jobs(source_id=source_id, status="complete", limit=5)
    assert source_id in [one["id"] for one in client.list_sources(source_type="s3")]
    with pytest.raises(UnexpectedStatus) as caught:
        client.cancel_pending_job(invocation_id=invocation_id)
    assert caught.value.status == 412
    uploaded = client.add_file(
        form={"database_name": "default_database", "collection_name": "uploaded"},
        file=("note.md", b"# Note\n\nBring bread.\n", "text/markdown"),
        x_upload_content_length=21,
    )
    assert client.get_job(invocation_id=uploaded["invocation_id"])["status"] == "pending"
    assert client.health_check()["status"] == "ok"

    host, port = api.parts.settings.chroma_url.removeprefix("http://").split(":")
    collection = stock_client(host=host, port=int(port)).get_collection(
        api.parts.catalog.sources.find(source_id).collection_name, embedding_function=None
    )
    [metadata] = collection.get(where={"n": 1})["metadatas"]
    assert metadata["document_key"] == "a.md"


def test_our_description_has_every_operation_of_the_contract(http):
    ours = http.get("/openapi.json").json()
    assert ours["openapi"].startswith("3.1")
    for path, methods in CONTRACT["paths"].items():
        for method, operation in methods.items():
            found = ours["paths"][path][method]
            assert found["operationId"] == operation["operationId"]
            assert set(operation["responses"]) <= set(found["responses"])
            names = {one["name"] for one in operation.get("parameters", ())}
            assert names <= {one["name"] for one in found.get("parameters", ())}
            assert ("requestBody" in operation) == ("requestBody" in found)
    assert "422" not in json.dumps(ours)
    titles = set(ours["components"]["schemas"])
    assert {"CreateSourcePayload", "Source", "Job", "CreateJobPayload", "ErrorResponse"} <= titles


MENDABLE = ["path", "database", "place", "names", "rest"]


def mend(operation_id, case, mended, api, source_id, bucket):
    """Give some parts of a made-up request a meaning, so that it gets past the first rules."""
    parameters, body = case.path_parameters or {}, case.body
    if "path" in mended and "source_id" in parameters:
        # The known source stays: what deletes gets another id.
        deletes = operation_id in ("delete_source", "update_source")
        parameters["source_id"] = str(uuid.uuid4()) if deletes else source_id
    if "path" in mended and "invocation_id" in parameters:
        for row in api.parts.catalog.invocations.rows(limit=1):
            parameters["invocation_id"] = row.id
    if not isinstance(body, dict):
        return
    if "database" in mended and "database_name" in body:
        body["database_name"] = "default_database"
    if "place" in mended:
        if operation_id == "create_source" and isinstance(body.get("s3"), dict):
            place = api.s3(bucket, collection_name=f"c-{uuid.uuid4().hex[:12]}")["s3"]
            del place["collection_name"]
            body["s3"] = {**body["s3"], **place}
        if operation_id == "create_job":
            body["object_key"] = "a.md"
        if "collection_name" in body:
            body["collection_name"] = "some-collection"
    if "names" in mended and isinstance(body.get("s3"), dict):
        body["s3"] |= {"collection_name": f"c-{uuid.uuid4().hex[:12]}", "path_prefix": None}
        body["s3"].pop("aws_credential_id", None)
    if "rest" in mended:
        for name in ("custom_id", "metadata", "embedding", "chunking", "embedding_model"):
            body.pop(name, None)


def fuzz(schema, operation_id, api, source_id, bucket, *, examples):
    """Send what a schema allows, and some of what it does not; hold answers against it.

    Returns how many answers had which status.
    """
    loaded = schemathesis.openapi.from_dict(copy.deepcopy(schema))
    loaded.config.update(base_url=api.url)
    loaded.config.generation.update(
        modes=[schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
    )
    operation = loaded.find_operation_by_id(operation_id)
    statuses = Counter()

    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(
        case=operation.as_strategy(),
        mended=st.just(set(MENDABLE)) | st.sets(st.sampled_from(MENDABLE)),
    )
    def run(case, mended):
        mend(operation_id, case, mended, api, source_id, bucket)
        answer = case.call_and_validate(checks=CHECKS, timeout=60)
        statuses[answer.status_code] += 1

    run()
    return statuses


@pytest.mark.parametrize("operation_id", OPERATIONS)
def test_fuzzed_by_the_contract(api, source_id, bucket, operation_id):
    statuses = fuzz(CONTRACT, operation_id, api, source_id, bucket, examples=30)
    assert statuses.total() >= 10 or operation_id == "health_check"


@pytest.mark.long
@pytest.mark.parametrize("operation_id", OPERATIONS)
def test_fuzzed_by_the_contract_at_length(api, source_id, bucket, operation_id):
    statuses = fuzz(CONTRACT, operation_id, api, source_id, bucket, examples=1000)
    if operation_id not in ("add_file", "delete_source"):
        # The order of parts is no part of a description; the known source is not deleted.
        assert any(status < 300 for status in statuses), statuses


BEYOND = [
    "list_managed_sources",
    "get_managed_source",
    "update_source",
    "pause_source",
    "resume_source",
    "dry_run",
    "retry_failed",
    "approve_deletes",
    "sync_history",
    "list_objects",
    "get_object",
    "get_content",
    "search",
    "list_credentials",
    "create_credential",
    "delete_credential",
]


@pytest.mark.parametrize("operation_id", BEYOND)
def test_fuzzed_by_our_own_description(api, http, source_id, bucket, operation_id):
    fuzz(http.get("/openapi.json").json(), operation_id, api, source_id, bucket, examples=15)
