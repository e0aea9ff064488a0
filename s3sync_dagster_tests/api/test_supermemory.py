"""Supermemory's own client, call by call, against a bucket of ours."""

import pytest
import supermemory

from s3sync_dagster.engine.deleting import take_down
from s3sync_dagster_tests.api.indexing import listed_and_worked
from s3sync_dagster_tests.api.server import running_api
from s3sync_dagster_tests.waiting import wait_for

CONNECTIONS = "/v3/connections"


@pytest.fixture(scope="module")
def there(tmp_path_factory, chroma_server, aws_endpoint):
    with running_api(
        tmp_path_factory.mktemp("supermemory"),
        chroma=chroma_server,
        aws=aws_endpoint,
        environ={"S3SYNC_API_SUPERMEMORY": "on", "S3SYNC_API_SEARCHES_PER_TENANT": "1"},
    ) as api:
        api.owner = api.token()
        yield api


def bucket_of(api, **metadata):
    bucket = api.aws.make_bucket()
    api.aws.put_all(bucket, {"users/ann/a.md": b"# Ann", "users/bob/b.md": b"# Bob", "c.md": b"c"})
    return {
        "bucket": bucket,
        "region": api.aws.region,
        "endpoint": api.aws.url,
        "accessKeyId": api.aws.access_key_id,
        "secretAccessKey": api.aws.secret_access_key,
        **metadata,
    }


def test_the_walkthrough_of_their_client(there):
    api, token = there, there.owner
    given = bucket_of(api, prefix="users/", containerTagRegex="users/(?<userId>[^/]+)/")
    with supermemory.Supermemory(api_key=token, base_url=api.url, max_retries=0) as client:
        made = client.connections.create(
            "s3", container_tags=["team one"], document_limit=50, metadata=given
        )
        assert made.auth_link is None
        (listed,) = client.connections.list(container_tags=["team one"])
        assert (listed.id, listed.provider) == (made.id, "s3")
        assert client.connections.list(container_tags=["other"]) == []

        def look():
            return client.connections.get_by_id(made.id)

        shown = wait_for(
            look, lambda one: one.last_sync_run and one.last_sync_run.status == "completed"
        )
        assert shown.container_tags == ["team one"]
        assert shown.document_limit == 50
        assert shown.metadata["bucket"] == given["bucket"]
        assert given["secretAccessKey"] not in shown.model_dump_json()
        assert given["accessKeyId"] not in shown.model_dump_json()
        found = client.connections.list_documents("s3", container_tags=["team one"])
        assert [one.title for one in found] == ["users/ann/a.md", "users/bob/b.md"]
        assert {one.status for one in found} == {"queued"}  # no Dagster works in this test

        told = client.connections.import_("s3", container_tags=["team one"])
        assert "of 1 syncs started" in told
        with api.client(token) as http:
            runs = wait_for(
                lambda: http.get(f"{CONNECTIONS}/{made.id}/sync-runs").json(),
                lambda some: len(some) == 2 and some[0]["status"] == "completed",
            )
            assert runs[0]["itemsProcessed"] == 2
            assert runs[0]["connectionId"] == made.id
            source = http.get(f"/s3sync/v1/sources/{made.id}").json()["settings"]
        assert source["list_interval_seconds"] == 14_400
        assert source["path_metadata"] == "users/(?P<userId>[^/]+)/"
        assert source["path_metadata_whole_key"] is True
        with api.client(token) as http:
            written = http.get(f"{CONNECTIONS}/{made.id}").json()["metadata"]["containerTagRegex"]
            assert written == given["containerTagRegex"]
            for method in ("GET", "DELETE"):  # a provider, as theirs may be deleted, is no id
                refusal = http.request(method, f"{CONNECTIONS}/s3")
                assert refusal.status_code == 404, refusal.text
        assert source["metadata"] == {"containerTags": ["team one"]}
        (deleted,) = client.connections.delete_by_id(made.id)
        assert (deleted.id, deleted.provider) == (made.id, "s3")
        with pytest.raises(supermemory.NotFoundError):
            look()


def test_a_container_tag_is_found_in_the_whole_key_as_theirs(there):
    """Theirs reads "S3 key paths": users/ann/a.md has the tag ann, also below a prefix users/."""
    with there.client(there.owner) as http:
        given = bucket_of(there, prefix="users/", containerTagRegex="users/(?<userId>[^/]+)/")
        body = {"metadata": given, "containerTag": "by pattern"}
        made = http.post(f"{CONNECTIONS}/s3", json=body).json()["id"]
        listed_and_worked(there, http, made)
        shown = http.get(f"{CONNECTIONS}/{made}").json()["metadata"]
        assert shown["containerTagRegex"] == given["containerTagRegex"]
    records = records_of(there, there.parts.catalog.sources.find(made)).values()
    assert {one["document_key"]: one.get("userId") for one in records} == {
        "users/ann/a.md": "ann",
        "users/bob/b.md": "bob",
    }


def test_a_pattern_of_ours_that_means_something_else_is_not_shown_as_theirs(there):
    with there.client(there.owner) as http:
        bucket = bucket_of(there)["bucket"]
        pattern = "(?P<userId>[^/]+)/"
        for prefix, shown in (("users/", None), ("", "(?<userId>[^/]+)/")):
            body = there.s3(bucket, path_prefix=prefix, path_metadata=pattern)
            body["s3"]["collection_name"] = f"of-{prefix.strip('/') or 'all'}-{bucket}"
            made = http.post("/api/v1/sources", json=body)
            assert made.status_code in (200, 201), made.text
            name = made.json()["source_id"]
            metadata = http.get(f"{CONNECTIONS}/{name}").json()["metadata"]
            assert metadata.get("containerTagRegex") == shown


@pytest.mark.parametrize(
    ("limit", "kept"), [(5000.0, 5000), (5000, 5000), (5.5, None), (1e300, None), (0.0, None)]
)
def test_a_limit_is_a_whole_number_however_a_client_writes_it(there, limit, kept):
    with there.client(there.owner) as http:
        body = {"metadata": bucket_of(there), "documentLimit": limit}
        made = http.post(f"{CONNECTIONS}/s3", json=body)
        if kept is None:
            assert made.status_code == 400, made.text
            assert "documentLimit" in made.json()["message"]
        else:
            assert made.status_code == 201, made.text
            shown = http.get(f"{CONNECTIONS}/{made.json()['id']}").json()
            assert shown["documentLimit"] == kept


def test_the_newest_run_names_what_has_failed(there):
    given = bucket_of(there)
    there.aws.put_all(given["bucket"], {f"{n:02}.pdf": b"%PDF-1.7 torn" for n in range(27)})
    with there.client(there.owner) as http:
        body = {"metadata": given, "containerTag": "torn"}
        made = http.post(f"{CONNECTIONS}/s3", json=body).json()["id"]
        listed_and_worked(there, http, made)
        newest, *older = http.get(f"{CONNECTIONS}/{made}/sync-runs").json()
        documents = http.post(f"{CONNECTIONS}/s3/documents", json={"containerTags": ["torn"]})
    assert newest["itemsFailed"] == 27
    failures = newest["failures"]
    assert [one["title"] for one in failures] == [f"{n:02}.pdf" for n in range(25)]
    assert {one["errorCode"] for one in failures} == {"damaged"}
    assert all(one["errorMessage"] for one in failures)
    ids = {one["title"]: one["id"] for one in documents.json()}
    assert all(one["documentId"] == ids[one["title"]] for one in failures)
    assert all(one["failures"] == [] for one in older)


def test_a_member_with_groups_takes_one_place_among_the_searches(there):
    bucket = there.aws.make_bucket()
    there.aws.put_all(bucket, {"hr/a.pdf": b"%PDF-1.7 torn"})
    with there.client(there.owner) as http:
        body = there.s3(bucket, path_metadata="(?P<team>[^/]+)/", reader_keys=["team"])
        made = http.post("/api/v1/sources", json=body).json()["source_id"]
        listed_and_worked(there, http, made)
    create = there.parts.catalog.tokens.create
    member = create(tenant="default_tenant", role="member", name="ann", groups=["sales"])[1]
    with there.client(member) as http:
        told = http.get(f"{CONNECTIONS}/{made}/sync-runs")
    assert told.status_code == 200, told.text
    assert [(one["itemsFailed"], one["failures"]) for one in told.json()] == [(1, [])]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"containerTagRegex": "users/([^/]+)/"}, "userId"),
        ({"containerTagRegex": "(?<userId>x)" + "x" * 200}, "200"),
        ({"containerTagRegex": "(?<userId>(?=x))"}, "path_metadata"),
        ({"bucket": "b/../c"}, "bucket_name"),
        ({"secretAccessKey": ""}, "secretAccessKey"),
        ({"roleArn": "x"}, "roleArn"),
        ({"region": None}, "metadata"),
    ],
)
def test_a_refusal_names_what_is_wrong(there, change, says):
    with there.client(there.owner) as http:
        metadata = {**bucket_of(there), **change}
        refusal = http.post(f"{CONNECTIONS}/s3", json={"metadata": metadata})
        assert refusal.status_code == 400, refusal.text
        assert says in refusal.json()["message"]
        assert there.aws.secret_access_key not in refusal.text


def test_others_see_nothing_and_members_create_nothing(there):
    owner, member = there.owner, there.token(role="member")
    stranger = there.token(tenant="elsewhere")
    body = {"metadata": bucket_of(there), "containerTag": "t"}
    with there.client(owner) as http:
        made = http.post(f"{CONNECTIONS}/s3", json=body)
        assert made.status_code == 201, made.text
        name = made.json()["id"]
        twin = http.post(f"{CONNECTIONS}/s3", json=body)
        assert (twin.status_code, twin.json()["error"]) == (409, "source_exists")
    with there.client(member) as http:
        assert http.post(f"{CONNECTIONS}/s3", json=body).status_code == 403
        assert http.delete(f"{CONNECTIONS}/{name}").status_code == 403
    with there.client(stranger) as http:
        assert http.post(f"{CONNECTIONS}/list", json={}).json() == []
        for path in ("", "/sync-runs"):
            assert http.get(f"{CONNECTIONS}/{name}{path}").status_code == 404
        assert http.post(f"{CONNECTIONS}/s3/import", json={}).status_code == 404
        assert http.post(f"{CONNECTIONS}/s3/documents", json={}).json() == []
        assert http.delete(f"{CONNECTIONS}/{name}").status_code == 404
        inside = http.post(f"{CONNECTIONS}/s3", json=body)  # at an endpoint that is not AWS's
        assert inside.status_code == 400, inside.text
    with there.client() as http:
        assert http.post(f"{CONNECTIONS}/list", json={}).status_code == 401


def test_documents_stay_where_a_deletion_says_so(there):
    with there.client(there.owner) as http:
        made = http.post(f"{CONNECTIONS}/s3", json={"metadata": bucket_of(there)}).json()["id"]
        gone = http.delete(f"{CONNECTIONS}/{made}", params={"deleteDocuments": "false"})
        assert gone.json() == [{"id": made, "provider": "s3"}]
        row = there.parts.catalog.sources.row(made)
        assert row is None or row.deleting is not None


def test_a_connection_that_is_made_again_goes_on_with_the_documents_that_stayed(there):
    given = bucket_of(there, prefix="users/")
    body = {"metadata": given, "containerTag": "again"}
    sources = there.parts.catalog.sources
    with there.client(there.owner) as http:
        first = http.post(f"{CONNECTIONS}/s3", json=body).json()["id"]
        listed_and_worked(there, http, first)
        before = records_of(there, sources.find(first))
        assert {one["document_key"] for one in before.values()} == {
            "users/ann/a.md",
            "users/bob/b.md",
        }
        http.delete(f"{CONNECTIONS}/{first}", params={"deleteDocuments": "false"})
        take_down(
            sources.row(first).source,
            catalog=there.parts.catalog,
            collections=lambda: there.parts.collections,
            clock=there.parts.clock,
            drop_partitions=lambda _: True,
            log=lambda _: None,
        )
        assert sources.row(first) is None
        given["endpoint"] += "/"  # the same one
        second = http.post(f"{CONNECTIONS}/s3", json=body).json()["id"]
        there.aws.put(given["bucket"], "users/bob/b.md", "# Robert")
        listed_and_worked(there, http, second)
        told = http.post(f"{CONNECTIONS}/s3/documents", json={"containerTags": ["again"]}).json()
        assert {one["title"]: one["status"] for one in told} == {
            "users/ann/a.md": "done",
            "users/bob/b.md": "done",
        }
        after = records_of(there, sources.find(second))
        assert after.keys() == before.keys()
        assert {one["s3sync_source"] for one in after.values()} == {second}


def records_of(api, source):
    """Return what stands in the collection of a source: record id -> metadata."""
    collection = api.parts.collections.open(
        source.collection_name,
        tenant=source.tenant,
        database=source.database_name,
        embedder=None,
        create=False,
    )
    return {one.id: one.metadata for page in collection.scan() for one in page}


def test_what_is_changed_by_their_calls_is_written_down_as_ours(there):
    with there.client(there.owner) as http:
        made = http.post(f"{CONNECTIONS}/s3", json={"metadata": bucket_of(there)}).json()["id"]
        http.post(f"{CONNECTIONS}/list", json={})
        http.post(f"{CONNECTIONS}/s3/documents", json={})
        http.delete(f"{CONNECTIONS}/{made}")
        found = wait_for(
            lambda: http.get("/s3sync/v1/audit").json(),
            lambda entries: made in str(entries[:1]),  # the deletion, by its id
        )
        told = [(one["action"], one["door"]) for one in reversed(found[:2])]
        assert told == [
            (f"POST {CONNECTIONS}/s3", "api"),
            (f"DELETE {CONNECTIONS}/{{connection_id}}", "api"),
        ]


def test_the_door_is_shut_unless_it_is_opened(http):
    assert http.post(f"{CONNECTIONS}/list", json={}).status_code == 404
