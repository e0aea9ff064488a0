"""``/api/v1/sources``: the wire of the contract, field by field."""

import uuid

import pytest

from s3sync_dagster.core.keys import validate_source_name
from s3sync_dagster.model.source import AutoSync
from s3sync_dagster_tests.api.server import running_api


def create(http, body):
    answer = http.post("/api/v1/sources", json=body)
    assert answer.status_code == 201, answer.text
    assert set(answer.json()) == {"source_id"}
    return answer.json()["source_id"]


def refused(http, body, status=400):
    answer = http.post("/api/v1/sources", json=body)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error", "message"}
    return answer.json()


def test_a_source_is_shown_with_its_defaults_and_without_secrets(api, http, aws_endpoint):
    bucket = aws_endpoint.make_bucket()
    source_id = create(http, api.s3(bucket))
    answer = http.get(f"/api/v1/sources/{source_id}")
    assert answer.status_code == 200
    shown = answer.json()
    credential_id = shown["s3"].pop("aws_credential_id")
    assert isinstance(credential_id, int)
    assert shown.pop("created_at").endswith("Z")
    model = {"model": "sentence-transformers/all-MiniLM-L6-v2", "task": None}
    assert shown == {
        "s3": {
            "bucket_name": bucket,
            "region": "us-east-1",
            "collection_name": f"c-{bucket}",
            "path_prefix": None,
            "auto_sync": "none",
        },
        "id": source_id,
        "database_name": "default_database",
        "embedding_model": model,
        "chunking": {"type": "tree_sitter", "max_size_bytes": 1024},
        "embedding": {"dense": model, "sparse": None},
    }
    assert aws_endpoint.secret_access_key not in answer.text
    assert aws_endpoint.access_key_id not in answer.text


def test_a_stored_credential_serves_another_source(api, http, aws_endpoint):
    bucket = aws_endpoint.make_bucket()
    first = create(http, api.s3(bucket))
    credential_id = http.get(f"/api/v1/sources/{first}").json()["s3"]["aws_credential_id"]
    body = api.s3(bucket, path_prefix="other/", aws_credential_id=credential_id)
    body["s3"]["collection_name"] = f"o-{bucket}"
    del body["s3"]["aws_access_key_id"], body["s3"]["aws_secret_access_key"]
    second = create(http, body)
    assert http.get(f"/api/v1/sources/{second}").json()["s3"]["aws_credential_id"] == credential_id
    refusal = refused(http, body | {"s3": body["s3"] | {"aws_credential_id": 99_999}}, 409)
    assert refusal["error"] == "source_exists"
    body["s3"] |= {"aws_credential_id": 99_999, "path_prefix": "third/"}
    assert refused(http, body, 404)["error"] == "credential_not_found"


def test_names_of_api_sources_are_fit_for_dagster(api, http, aws_endpoint):
    bucket = aws_endpoint.make_bucket("dots-and-hyphens.x")
    source_id = create(http, api.s3(bucket))
    source = api.parts.catalog.sources.find(source_id)
    validate_source_name(source.name)
    assert source.name.startswith("dots_and_hyphens_x")
    assert source.name.endswith("_" + source_id[:8])
    assert source.list_interval_seconds == 0
    assert source.auto_sync is AutoSync.NONE


def test_all_contract_fields_and_extensions_arrive(api, http, aws_endpoint):
    bucket = aws_endpoint.make_bucket()
    body = api.s3(
        f"s3://{bucket}/",
        collection_name="all-fields",
        path_prefix="docs/",
        auto_sync="direct",
        include_globs=["**/*.md"],
        exclude_globs=["tmp/**"],
        extensions=[".md"],
        max_size_bytes=1000,
        document_limit=7,
        id_prefix="p-",
        metadata={"team": "x", "tags": ["a", "b"]},
        list_interval_seconds=60,
        mode="append",
        on_config_change="reindex",
        requester_pays=False,
    )
    body["chunking"] = {"type": "lines", "max_lines": 20, "max_size_bytes": 2000}
    body["embedding"] = {"dense": {"model": "wordllama-l2-supercat-256"}, "sparse": None}
    source_id = create(http, body)
    shown = http.get(f"/api/v1/sources/{source_id}").json()
    assert shown["chunking"] == {"type": "lines", "max_lines": 20, "max_size_bytes": 2000}
    assert shown["embedding"]["dense"]["model"] == "wordllama-l2-supercat-256"
    assert shown["embedding_model"] == shown["embedding"]["dense"]
    assert shown["s3"]["auto_sync"] == "direct"
    assert shown["s3"]["path_prefix"] == "docs/"
    source = api.parts.catalog.sources.find(source_id)
    assert source.place.bucket_name == bucket
    assert source.include_globs == ("**/*.md",)
    assert source.document_limit == 7
    assert source.metadata == {"team": "x", "tags": ["a", "b"]}
    assert source.mode.value == "append"
    assert source.embedding.kind == "static"


def test_payloads_of_older_clients(api, http, aws_endpoint):
    bucket = aws_endpoint.make_bucket()
    body = api.s3(bucket, trigger_mode="metadata")
    body["embedding_model"] = {"model": "sentence-transformers/all-MiniLM-L6-v2", "task": None}
    shown = http.get(f"/api/v1/sources/{create(http, body)}").json()
    assert shown["s3"]["auto_sync"] == "metadata"
    body = api.s3(bucket, collection_name="second", path_prefix=None, auto_sync=None)
    body["embedding_model"] = "all-MiniLM-L6-v2"
    create(http, body)
    body = api.s3(bucket, collection_name="third") | {"embedding_model": None, "chunking": None}
    create(http, body)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"bucket_name": None}, "s3.bucket_name"),
        ({"bucket_name": ""}, "s3.bucket_name"),
        ({"bucket_name": "x"}, "bucket_name"),
        ({"bucket_name": "s3://abc/prefix"}, "path_prefix"),
        ({"bucket_name": "a b"}, "bucket_name"),
        ({"region": "nowhere really"}, "region"),
        ({"collection_name": "x"}, "collection_name"),
        ({"collection_name": "ends-"}, "collection_name"),
        ({"aws_secret_access_key": None}, "come together"),
        ({"aws_credential_id": 1}, "exclude each other"),
        ({"aws_credential_id": "1", "aws_access_key_id": None}, "aws_credential_id"),
        ({"auto_sync": "always"}, "auto_sync"),
        ({"auto_sync": "none", "trigger_mode": "direct"}, "trigger_mode"),
        ({"path_prefx": "docs/"}, "path_prefx"),
        ({"include_globs": ["[unclosed"]}, "unclosed"),
        ({"extensions": ["md"]}, "extensions"),
        ({"metadata": {"chroma_x": 1}}, "chroma_x"),
        ({"metadata": {"document_key": 1}}, "document_key"),
        ({"metadata": {"nested": {"a": 1}}}, "nested"),
        ({"metadata": {"mixed": [1, "a"]}}, "mixed"),
        ({"id_prefix": "x" * 57}, "id_prefix"),
        ({"endpoint_url": "ftp://x"}, "endpoint_url"),
        ({"endpoint_url": "http://user:password@x"}, "endpoint_url"),
        ({"endpoint_url": "http://:99999999"}, "endpoint_url"),
        ({"list_interval_seconds": -1}, "list_interval_seconds"),
        ({"expected_bucket_owner": "123\r\nx-evil: 1"}, "expected_bucket_owner"),
        ({"aws_access_key_id": "A\r\nx-evil: 1"}, "access key id"),
        ({"aws_session_token": "A\nx"}, "session token"),
    ],
)
def test_a_refusal_names_field_and_rule(api, http, change, says):
    body = api.s3("some-bucket", **change)
    body["s3"] = {key: value for key, value in body["s3"].items() if value is not None}
    refusal = refused(http, body)
    assert says in refusal["message"]
    assert api.aws.secret_access_key not in refusal["message"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"s3": None}, "exactly one source type"),
        ({"github": {"repository": "a/b"}}, "exactly one source type"),
        ({"s3": None, "web_scrape": {"starting_url": "ftp://x"}}, "starting_url"),
        ({"s3": None, "file_upload": {}}, "add-file"),
        ({"database_name": None}, "database_name"),
        ({"chunking": {"type": "words"}}, "chunking.type"),
        ({"chunking": {"type": "tree_sitter", "max_lines": 3}}, "max_lines"),
        ({"chunking": {"type": "lines", "max_size_bytes": 16_385}}, "max_size_bytes"),
        ({"embedding": {"dense": {"model": "Qwen/Qwen3-Embedding-0.6B"}}}, "CHROMA_EMBED_URL"),
        ({"embedding_model": {"model": "Qwen/Qwen3-Embedding-0.6B"}}, "CHROMA_API_KEY"),
        ({"embedding": {"dense": {"model": "gpt"}}}, "not known here"),
        ({"embedding": {"dense": {"model": "static", "task": {"task_name": "x"}}}}, "task"),
        ({"embedding": {"sparse": {"model": "prithivida/Splade_PP_en_v1"}}}, "CHROMA_EMBED_URL"),
        ({"embedding": {"sparse": {}}}, "sparse vectors"),
        (
            {"embedding": {"dense": {"model": "static"}}, "embedding_model": "minilm"},
            "different models",
        ),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_a_refusal_of_the_common_fields(api, http, aws_endpoint, change, says):
    bucket = aws_endpoint.make_bucket()
    body = {k: v for k, v in (api.s3(bucket) | change).items() if v is not None}
    assert says in refused(http, body)["message"]


def test_unknown_fields_that_are_null_do_no_harm(api, http, aws_endpoint):
    create(http, api.s3(aws_endpoint.make_bucket(), newer_field=None) | {"github": None})


def test_what_the_outside_refuses_at_creation_leaves_nothing_behind(api, http, aws_endpoint):
    def new_keys():
        """A pair that is not stored yet: the same pair would keep its row."""
        return {"aws_access_key_id": f"AKIA{uuid.uuid4().hex[:16].upper()}"}

    stored = api.parts.catalog.credentials.rows()
    sources = api.parts.catalog.sources.rows()
    bucket = aws_endpoint.make_bucket()
    missing = api.s3("missing-" + uuid.uuid4().hex[:8], **new_keys())
    assert refused(http, missing, 404)["error"] == "bucket_not_found"
    nowhere = api.s3(bucket, **new_keys()) | {"database_name": "nowhere"}
    refusal = refused(http, nowhere, 404)
    assert refusal["error"] == "database_not_found"
    assert "nowhere" in refusal["message"]
    unreachable = api.s3(bucket, endpoint_url="http://127.0.0.1:9", **new_keys())
    assert refused(http, unreachable, 500)["error"] == "endpoint_unreachable"
    assert api.parts.catalog.credentials.rows() == stored
    assert api.parts.catalog.sources.rows() == sources
    create(http, api.s3(bucket, **new_keys()))
    assert len(api.parts.catalog.credentials.rows()) == len(stored) + 1


def test_the_same_source_again_is_a_conflict(api, http, aws_endpoint):
    bucket = aws_endpoint.make_bucket()
    create(http, api.s3(bucket, path_prefix="docs/"))
    assert refused(http, api.s3(bucket, path_prefix="docs/"), 409)["error"] == "source_exists"
    overlap = refused(http, api.s3(bucket, path_prefix="docs/deep/"), 409)
    assert overlap["error"] == "source_overlaps"
    create(http, api.s3(bucket, path_prefix="docs/deep/", id_prefix="deep-"))
    create(http, api.s3(bucket, path_prefix="docs/", collection_name=f"elsewhere-{bucket}"))


def test_a_collection_with_another_model_is_refused_at_once(api, http, aws_endpoint):
    bucket = aws_endpoint.make_bucket()
    body = api.s3(bucket)
    collections = api.parts.collections.directory
    collections.create(
        {"name": f"c-{bucket}", "configuration": {"hnsw": {"space": "l2"}}},
        "default_tenant",
        "default_database",
    )
    assert refused(http, body, 409)["error"] == "embedding_mismatch"


def test_lists_filter_order_and_page(fresh_api, aws_endpoint):
    api = fresh_api
    buckets = [aws_endpoint.make_bucket() for _ in range(3)]
    with api.client() as http:
        ids = [create(http, api.s3(bucket)) for bucket in buckets]

        def listed(**query):
            answer = http.get("/api/v1/sources", params=query)
            assert answer.status_code == 200
            return [source["id"] for source in answer.json()]

        assert listed() == ids[::-1]
        assert listed(order_by="ASC") == ids
        assert listed(order_by="ASC", limit=2, offset=1) == ids[1:]
        assert listed(limit=0) == []
        assert listed(offset=99) == []
        assert listed(source_type="s3", database_name="default_database") == ids[::-1]
        assert listed(source_type="github") == []
        assert listed(database_name="other") == []
        for query in ("order_by=asc", "limit=x", "limit=10001", "offset=-1", "source_type=gdrive"):
            assert http.get(f"/api/v1/sources?{query}").status_code == 400


def test_a_deleted_source_is_gone_and_its_records_stay(api, http, aws_endpoint):
    bucket = aws_endpoint.make_bucket()
    source_id = create(http, api.s3(bucket))
    answer = http.delete(f"/api/v1/sources/{source_id}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert http.get(f"/api/v1/sources/{source_id}").status_code == 404
    assert http.delete(f"/api/v1/sources/{source_id}").status_code == 404
    assert source_id not in [s["id"] for s in http.get("/api/v1/sources").json()]
    assert api.parts.catalog.sources.deleting(source_id) == "keep"
    asked = http.post(f"/api/v1/sources/{source_id}/invocations", json={"object_key": "a"})
    assert asked.status_code == 404
    assert refused(http, api.s3(bucket), 409)["error"] == "source_being_deleted"
    other = create(http, api.s3(bucket, collection_name="other-one"))
    assert http.delete(f"/api/v1/sources/{other}?delete_records=true").status_code == 204
    assert api.parts.catalog.sources.deleting(other) == "records"


def test_an_id_that_is_none(http):
    assert http.get(f"/api/v1/sources/{uuid.uuid4()}").json()["error"] == "source_not_found"
    assert http.get("/api/v1/sources/1").status_code == 400


def test_with_a_cloud_embedding_service_the_contract_s_model_is_the_default(
    tmp_path, chroma_server, aws_endpoint
):
    environ = {"CHROMA_EMBED_URL": "http://127.0.0.1:9"}
    with (
        running_api(tmp_path, chroma=chroma_server, aws=aws_endpoint, environ=environ) as api,
        api.client() as http,
    ):
        body = api.s3(aws_endpoint.make_bucket())
        shown = http.get(f"/api/v1/sources/{create(http, body)}").json()
        assert shown["embedding_model"]["model"] == "Qwen/Qwen3-Embedding-0.6B"
        assert shown["embedding_model"]["task"]["task_name"] == "generic_retrieval"
        assert shown["chunking"]["max_size_bytes"] == 2048
        task = {"task_name": "nl_to_code", "document_prompt": "", "query_prompt": "q"}
        body = api.s3(aws_endpoint.make_bucket()) | {
            "embedding": {"dense": {"model": "Qwen/Qwen3-Embedding-0.6B", "task": task}}
        }
        shown = http.get(f"/api/v1/sources/{create(http, body)}").json()
        assert shown["embedding"]["dense"]["task"] == task
