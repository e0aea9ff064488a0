"""Coco's calls, as its documents show them, against buckets of ours."""

import base64
import uuid

import pytest

from s3sync_dagster.api.coco import document_id
from s3sync_dagster_tests.api.indexing import listed_and_worked
from s3sync_dagster_tests.api.server import running_api
from s3sync_dagster_tests.waiting import wait_for


@pytest.fixture(scope="module")
def there(tmp_path_factory, chroma_server, aws_endpoint):
    home = tmp_path_factory.mktemp("coco")
    environ = {"S3SYNC_API_COCO": "on"}
    with running_api(home, chroma=chroma_server, aws=aws_endpoint, environ=environ) as api:
        api.owner = api.token()
        yield api


def as_theirs(api, token=None):
    """A client that sends its token as theirs do."""
    client = api.client()
    client.headers["X-API-TOKEN"] = token or api.owner
    return client


def datasource(api, **config):
    bucket = api.aws.make_bucket()
    api.aws.put_all(
        bucket, {"in/a/b.md": b"# B", "in/c.txt": b"c", "in/d.bin": b"\0", "e.md": b"e"}
    )
    return {
        "name": f"Handbook {uuid.uuid4().hex[:8]}",
        "type": "connector",
        "enabled": True,
        "connector": {
            "id": "s3",
            "config": {
                "access_key_id": api.aws.access_key_id,
                "secret_access_key": api.aws.secret_access_key,
                "bucket": bucket,
                "endpoint": api.aws.url.removeprefix("http://"),
                "use_ssl": False,
                "prefix": "in/",
                "extensions": ["MD", "txt"],
                **config,
            },
        },
        "sync": {"enabled": True, "interval": "5m"},
    }


def test_the_walkthrough_of_their_documents(there):
    with as_theirs(there) as http:
        shown = http.get("/connector/s3").json()
        assert (shown["found"], shown["_source"]["processor"]["name"]) == (True, "s3")
        assert http.get("/connector/rss").status_code == 404
        body = datasource(there)
        made = http.post("/datasource/", json=body)
        assert (made.status_code, made.json()["result"]) == (200, "created"), made.text
        name = made.json()["_id"]
        stored = http.get(f"/datasource/{name}")
        source = stored.json()["_source"]
        assert source["name"] == body["name"]
        assert source["sync"] == {"enabled": True, "interval": "300s"}
        assert source["connector"]["config"]["extensions"] == ["md", "txt"]
        found = http.get("/datasource/_search", params={"size": 1}).json()["hits"]
        assert found["hits"][0]["_id"] == name
        for answer in (stored.text, http.post("/datasource/_search").text):
            assert there.aws.secret_access_key not in answer
            assert there.aws.access_key_id not in answer

        assert http.post(f"/datasource/{name}/_reset_sync").json() == {"acknowledged": True}
        documents = wait_for(
            lambda: http.get("/document/_search", params={"datasource": name}).json()["hits"],
            lambda hits: hits["total"]["value"] == 3,
        )["hits"]
        first = documents[0]["_source"]
        assert (first["title"], first["categories"]) == ("b.md", ["in", "a"])
        assert first["category"] == "/in/a"
        rest = http.get("/document/_search", params={"datasource": name, "from": 1, "size": 1})
        assert [one["_source"]["title"] for one in rest.json()["hits"]["hits"]] == ["c.txt"]
        for path in ("raw_content", "raw_content/b.md"):
            content = http.get(f"/document/{first['id']}/{path}")
            assert content.content == b"# B"
            assert "sandbox" in content.headers["content-security-policy"]

        gone = http.delete(f"/datasource/{name}")
        assert gone.json() == {"_id": name, "result": "deleted"}
        assert http.get(f"/datasource/{name}").json() == {"found": False, "_id": name}
        assert http.delete(f"/datasource/{name}").status_code == 404
        assert http.get(f"/document/{first['id']}/raw_content").status_code == 404


def test_others_find_nothing_and_members_change_nothing(there):
    body = datasource(there)
    with as_theirs(there) as http:
        name = http.post("/datasource/", json=body).json()["_id"]
        assert http.post("/datasource/", json=body).status_code == 409
        http.post(f"/datasource/{name}/_reset_sync")
        found = wait_for(
            lambda: http.get("/document/_search", params={"datasource": name}).json()["hits"],
            lambda hits: hits["hits"],
        )
        document = found["hits"][0]["_id"]
    with as_theirs(there, there.token(tenant="elsewhere")) as http:
        for method, path in (
            ("GET", f"/datasource/{name}"),
            ("DELETE", f"/datasource/{name}"),
            ("POST", f"/datasource/{name}/_reset_sync"),
            ("GET", f"/document/{document}/raw_content"),
        ):
            theirs, none = (
                http.request(method, path.replace(name, one).replace(document, other))
                for one, other in ((name, document), (str(uuid.uuid4()), document[::-1]))
            )
            assert theirs.status_code == none.status_code == 404, path
        assert http.get("/datasource/_search").json()["hits"]["hits"] == []
        hits = http.get("/document/_search", params={"datasource": name}).json()["hits"]
        assert hits == {"total": {"value": 0, "relation": "eq"}, "hits": []}
    with as_theirs(there, there.token(role="member")) as http:
        assert http.get(f"/datasource/{name}").status_code == 200
        for method, path in (
            ("DELETE", f"/datasource/{name}"),
            ("POST", f"/datasource/{name}/_reset_sync"),
        ):
            assert http.request(method, path).status_code == 403
        assert http.post("/datasource/", json=body).status_code == 403
    with there.client() as http:
        for path in (f"/datasource/{name}", "/connector/s3", f"/document/{document}/raw_content"):
            assert http.get(path).status_code == 401


def test_an_id_reaches_nothing_beside_its_source(there):
    with as_theirs(there) as http:
        name = http.post("/datasource/", json=datasource(there)).json()["_id"]

        def document(key, *, source=name):
            plain = uuid.UUID(source).bytes + key
            return base64.urlsafe_b64encode(plain).decode().rstrip("=")

        for made_up in (
            document(b"e.md"),  # outside of the prefix
            document(b""),
            document(b"in/c.txt", source=str(uuid.uuid4())),
            document(b"\xff\xfe"),
            document(b"in/c.txt") + "=",
            "x",
        ):
            refusal = http.get(f"/document/{made_up}/raw_content")
            assert refusal.status_code in (400, 404), made_up
            assert b"# B" not in refusal.content


def test_the_url_of_a_document_names_its_key_and_nothing_else(there):
    body = datasource(there, extensions=[])
    key = "in/what? #1\n100%.md"
    there.aws.put(body["connector"]["config"]["bucket"], key, b"x")
    with as_theirs(there) as http:
        name = http.post("/datasource/", json=body).json()["_id"]
        http.post(f"/datasource/{name}/_reset_sync")
        hits = wait_for(
            lambda: http.get("/document/_search", params={"datasource": name}).json()["hits"],
            lambda found: len(found["hits"]) == 4,
        )["hits"]
    [url] = [hit["_source"]["url"] for hit in hits if "what" in hit["_source"]["title"]]
    assert url.endswith("/in/what%3F%20%231%0A100%25.md")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"connector": {"id": "rss"}}, "rss"),
        ({"name": ""}, "name"),
        ({"sync": {"interval": "often"}}, "interval"),
        ({"sync": {"interval": "0s"}}, "sync.interval"),
        ({"sync": {"interval": "9" * 310 + "s"}}, "sync.interval"),
        ({"sync": {"enabled": True, "hours": 3}}, "hours"),
        ({"enrichment_pipeline": {"name": "x"}}, "enrichment_pipeline"),
        ({"enabled": "yes"}, "enabled"),
    ],
)
def test_what_would_be_passed_over_is_refused_by_its_name(there, change, says):
    with as_theirs(there) as http:
        refusal = http.post("/datasource/", json={**datasource(there), **change})
        assert refusal.status_code == 400, refusal.text
        assert says in refusal.json()["message"]
        assert there.aws.secret_access_key not in refusal.text


def test_one_that_is_not_enabled_waits_from_its_first_moment_on(there, monkeypatch):
    def killed(*_, **__):
        raise AssertionError("between the making and the pause")

    monkeypatch.setattr(type(there.parts.catalog.sources), "set_paused", killed)
    with as_theirs(there) as http:
        body = {**datasource(there), "enabled": False}
        name = http.post("/datasource/", json=body).json()["_id"]
        assert http.get(f"/datasource/{name}").json()["_source"]["enabled"] is False
        assert there.parts.catalog.sources.paused(name)


SEARCHES = ["/datasource/_search", "/document/_search"]


@pytest.fixture(scope="module")
def two_datasources(there):
    with as_theirs(there) as http, there.client(there.owner) as own:
        ids = [http.post("/datasource/", json=datasource(there)).json()["_id"] for _ in range(2)]
        listed_and_worked(there, own, ids[0])
    return ids


def searched(http, path, name, *, params=None, **asked):
    params = {**({"datasource": name} if path.startswith("/document") else {}), **(params or {})}
    return http.request("POST" if asked else "GET", path, params=params, **asked)


@pytest.mark.parametrize("path", SEARCHES)
@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"params": {"query": "nothing-has-this-name"}}, "query"),
        ({"params": {"sort": "name:asc"}}, "sort"),
        ({"json": {"query": {"term": {"name": "nothing"}}}}, "query"),
        ({"json": {"size": "1"}}, "size"),
        ({"json": {"from": -1}}, "from"),
        ({"json": {"size": 10_001}}, "size"),
        ({"json": {"size": 1}, "params": {"size": 1}}, "size"),
        ({"params": {"from": [0, 1]}}, "from"),
        ({"json": []}, ""),
    ],
)
def test_a_search_passes_over_nothing_that_was_asked_for(there, two_datasources, path, asked, says):
    """Who filters and gets all of it is told a wrong number."""
    with as_theirs(there) as http:
        refusal = searched(http, path, two_datasources[0], **asked)
        assert refusal.status_code == 400, refusal.text
        assert says in refusal.json()["message"]
    with there.client() as http:
        assert searched(http, path, two_datasources[0], **asked).status_code == 401


@pytest.mark.parametrize("path", SEARCHES)
def test_a_search_gives_which_hits_its_body_asks_for(there, two_datasources, path):
    with as_theirs(there) as http:
        everything = searched(http, path, two_datasources[0]).json()["hits"]
        assert everything["total"]["value"] > 1
        for asked in (
            {"json": {"from": 1, "size": 1}},
            {"json": {"from": 1, "sort": None}, "params": {"size": 1}},
            {"params": {"from": 1, "size": 1}},
        ):
            hits = searched(http, path, two_datasources[0], **asked).json()["hits"]
            assert hits["hits"] == everything["hits"][1:2]
            assert hits["total"] == everything["total"]
    with as_theirs(there) as http:  # a datasource is asked for where documents are
        assert http.get(SEARCHES[0], params={"datasource": two_datasources[0]}).status_code == 400


def test_a_member_gets_no_bytes_of_what_a_source_leaves_out(there):
    bucket = there.aws.make_bucket()
    objects = {"a.md": b"# A", "private/b.md": b"# B", "c.key": b"C", "d.md": b"#" * 2000}
    there.aws.put_all(bucket, objects)
    with there.client(there.owner) as http:
        body = there.s3(
            bucket, exclude_globs=["private/**"], extensions=[".md"], max_size_bytes=1000
        )
        source = http.post("/api/v1/sources", json=body).json()["source_id"]
        listed_and_worked(there, http, source)
    there.aws.put(bucket, "later.md", b"# Of which no listing has told")

    def told(token):
        with there.client(token) as http:
            return {
                key: [
                    http.get(f"/document/{document_id(source, key)}/raw_content").status_code,
                    http.get(
                        f"/s3sync/v1/sources/{source}/content", params={"key": key}
                    ).status_code,
                ]
                for key in (*objects, "later.md", "none.md")
            }

    none, given = [404, 404], [200, 200]
    kept = dict.fromkeys(("private/b.md", "c.key", "d.md", "later.md", "none.md"), none)
    assert told(there.token(role="member")) == {"a.md": given, **kept}
    below = dict.fromkeys((*objects, "later.md"), given)
    assert told(there.owner) == {**below, "none.md": none}  # who sets the prefix sees what is below


def test_the_door_is_shut_unless_it_is_opened(http):
    assert http.get("/connector/s3").status_code == 404
    assert http.get("/datasource/_search").status_code == 404


@pytest.mark.parametrize(
    ("tags", "shown"), [(5, [5]), (True, [True]), ("audit", ["audit"]), (["a", "b"], ["a", "b"])]
)
def test_a_source_that_was_made_elsewhere_may_call_anything_tags(there, tags, shown):
    with as_theirs(there) as http:
        body = there.s3(there.aws.make_bucket(), metadata={"tags": tags})
        made = http.post("/api/v1/sources", json=body, headers={"x-chroma-token": there.owner})
        name = made.json()["source_id"]
        assert http.get(f"/datasource/{name}").json()["_source"]["tags"] == shown
        (first,) = http.get("/datasource/_search", params={"size": 1}).json()["hits"]["hits"]
        assert (first["_id"], first["_source"]["tags"]) == (name, shown)
