"""What the calls of other products make of patterns and of what a source leaves out."""

import pytest

from s3sync_dagster.api.coco import document_id
from s3sync_dagster_tests.api.indexing import listed_and_worked
from s3sync_dagster_tests.api.server import running_api
from s3sync_dagster_tests.api.test_coco import as_theirs, datasource
from s3sync_dagster_tests.api.test_supermemory import CONNECTIONS, bucket_of, records_of


@pytest.fixture(scope="module")
def there(tmp_path_factory, chroma_server, aws_endpoint):
    home = tmp_path_factory.mktemp("both")
    environ = {"S3SYNC_API_COCO": "on", "S3SYNC_API_SUPERMEMORY": "on"}
    with running_api(home, chroma=chroma_server, aws=aws_endpoint, environ=environ) as api:
        api.owner = api.token()
        yield api


def test_a_container_tag_is_found_in_the_whole_key_as_theirs(there):
    """Theirs reads "S3 key paths": users/ann/a.md has the tag ann, also below a prefix users/."""
    with there.client(there.owner) as http:
        given = bucket_of(there, prefix="users/", containerTagRegex="users/(?<userId>[^/]+)/")
        body = {"metadata": given, "containerTag": "by pattern"}
        made = http.post(f"{CONNECTIONS}/s3", json=body).json()["id"]
        listed_and_worked(there, http, made)
    records = records_of(there, there.parts.catalog.sources.find(made)).values()
    assert {one["document_key"]: one.get("userId") for one in records} == {
        "users/ann/a.md": "ann",
        "users/bob/b.md": "bob",
    }


def test_a_member_gets_no_bytes_of_what_a_source_leaves_out(there):
    bucket = there.aws.make_bucket()
    there.aws.put_all(bucket, {"a.md": b"# A", "private/b.md": b"# B", "c.key": b"C"})
    with there.client(there.owner) as http:
        body = there.s3(bucket, exclude_globs=["private/**"], extensions=[".md"])
        made = http.post("/api/v1/sources", json=body)
        source = made.json()["source_id"]
        listed_and_worked(there, http, source)
    with there.client(there.token(role="member")) as http:
        told = {}
        for key in ("a.md", "private/b.md", "c.key", "never-listed"):
            told[key] = [
                http.get(f"/document/{document_id(source, key)}/raw_content").status_code,
                http.get(f"/s3sync/v1/sources/{source}/content", params={"key": key}).status_code,
            ]
    assert told == {
        "a.md": [200, 200],
        "private/b.md": [404, 404],
        "c.key": [404, 404],
        "never-listed": [404, 404],
    }


@pytest.mark.parametrize("path", ["/datasource/_search", "/document/_search"])
@pytest.mark.parametrize(
    "asked",
    [
        {"params": {"query": "nothing-has-this-name"}},
        {"json": {"from": 0, "size": 1}},
        {"json": {"query": {"term": {"name": "nothing"}}}},
    ],
)
def test_a_search_passes_over_nothing_that_was_asked_for(there, path, asked):
    """Who filters and gets all of it is told a wrong number: 400, where it is not understood."""
    with as_theirs(there) as http:
        ids = [http.post("/datasource/", json=datasource(there)).json()["_id"] for _ in range(2)]
        with there.client(there.owner) as own:
            listed_and_worked(there, own, ids[0])
        params = {"datasource": ids[0], **asked.get("params", {})}
        method = "POST" if "json" in asked else "GET"
        answer = http.request(method, path, params=params, json=asked.get("json"))
        if answer.status_code == 400:
            return
        hits = answer.json()["hits"]
        most = 1 if "size" in asked.get("json", {}) else 0
        assert len(hits["hits"]) <= most
