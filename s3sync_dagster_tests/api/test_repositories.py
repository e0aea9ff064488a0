"""Repositories by the API: the contract's ``github``, and any URL that the server may fetch."""

import pytest

from s3sync_dagster_tests.api.indexing import work
from s3sync_dagster_tests.api.server import running_api
from s3sync_dagster_tests.places.git_server import Origin, git_server
from s3sync_dagster_tests.waiting import wait_for

SOURCES = "/api/v1/sources"


@pytest.fixture
def origin(tmp_path):
    made = Origin(tmp_path / "served" / "team" / "docs")
    made.write("a.md", "# Title")
    made.write("b.txt", "text")
    made.commit()
    return made


def payload(repository, **fields):
    return {
        "github": {"repository": repository, **fields},
        "database_name": "default_database",
        "embedding": {"dense": {"model": "s3sync-hash"}},
    }


def test_the_payload_of_the_contract_makes_a_source_that_is_shown_like_it(api, http, origin):
    with git_server(origin.folder.parents[1]) as server:
        body = payload(f"{server.url}/team/docs", app_id=None, include_globs=["*.md"])
        made = http.post(SOURCES, json=body)
        assert made.status_code == 201, made.text
        name = made.json()["source_id"]
        shown = http.get(f"{SOURCES}/{name}").json()
        assert shown["github"]["repository"] == f"{server.url}/team/docs"
        assert shown["github"]["include_globs"] == ["*.md"]
        assert shown["github"]["collection_name"] == "team-docs"
        assert "s3" not in shown
        listed = http.get(SOURCES, params={"source_type": "github"}).json()
        assert name in [one["id"] for one in listed]
        twin = http.post(SOURCES, json=body)
        assert (twin.status_code, twin.json()["error"]) == (409, "source_exists")

        asked = http.post(f"{SOURCES}/{name}/invocations", json={"object_key": "a.md"})
        assert asked.status_code == 201, asked.text
        job = http.get(f"/api/v1/invocations/{asked.json()['invocation_id']}").json()
        assert job["metadata"]["github"]["git_ref_identifier"] == {"branch": "HEAD"}
        assert "s3" not in job["metadata"]
        jobs = http.get("/api/v1/invocations", params={"source_type": "github"}).json()
        assert job["id"] in [one["id"] for one in jobs]
        others = http.get("/api/v1/invocations", params={"source_type": "s3"}).json()
        assert job["id"] not in [one["id"] for one in others]
        started = http.post(f"/s3sync/v1/sources/{name}/backfill")
        assert started.status_code in (200, 202), started.text


def ended(api, http, source, name):
    """Return the job of an invocation once it has ended; its files are worked on meanwhile."""

    def look():
        work(api, source)
        return http.get(f"/api/v1/invocations/{name}").json()

    return wait_for(look, lambda job: job["status"] not in ("pending", "processing"))


def test_a_whole_commit_is_asked_for_as_the_contract_has_it(api, http, origin):
    with git_server(origin.folder.parents[1]) as server:
        name = http.post(SOURCES, json=payload(f"{server.url}/team/docs")).json()["source_id"]
        route = f"{SOURCES}/{name}/invocations"
        branch = origin.git("symbolic-ref", "--short", "HEAD").strip()
        commit = origin.git("rev-parse", "HEAD").strip()
        body = {"ref_identifier": {"branch": branch}, "target_collection_name": "team-docs"}
        asked = http.post(route, json=body)
        assert asked.status_code == 201, asked.text
        job = ended(api, http, name, asked.json()["invocation_id"])
        assert set(job["status"]) == {"complete"}, job
        assert job["metadata"]["github"] == {
            "git_ref_identifier": {"branch": branch}, "object_key": None,
        }  # fmt: skip
        assert job["metadata"]["collection_name"] == "team-docs"
        query = {"collection_name": "team-docs", "query": "title", "limit": 5}
        found = http.post("/s3sync/v1/search", json=query).json()
        assert {one["metadata"]["version_key"] for one in found["hits"]} == {commit}

        listed = http.get("/api/v1/invocations", params={"source_id": name}).json()
        assert len(listed) == 3  # one, and its two files
        assert listed[-1] == job
        pages = [
            http.get(
                "/api/v1/invocations", params={"source_id": name, "limit": 1, "offset": n}
            ).json()
            for n in range(4)
        ]
        assert [one for page in pages for one in page] == listed
        done = http.get("/api/v1/invocations", params={"source_id": name, "status": "failed"})
        assert done.json() == []
        cancelled = http.put(f"/api/v1/invocations/{job['id']}")
        assert cancelled.status_code == 412

        origin.write("c.md", "# More")
        newer = origin.commit()
        by_sha = http.post(route, json={**body, "ref_identifier": {"sha": newer}})
        assert by_sha.status_code == 201, by_sha.text
        again = ended(api, http, name, by_sha.json()["invocation_id"])
        assert set(again["status"]) == {"complete"}
        assert again["metadata"]["github"]["git_ref_identifier"] == {"sha": newer}

        for wrong, error in (
            ({**body, "ref_identifier": {"sha": commit}}, "source_type_not_available"),
            ({**body, "ref_identifier": {"branch": "other"}}, "source_type_not_available"),
            ({**body, "target_collection_name": "other"}, "source_type_not_available"),
            ({**body, "ref_identifier": {}}, "invalid_setting"),
            ({**body, "ref_identifier": {"branch": branch, "sha": newer}}, "invalid_setting"),
            ({**body, "metadata": {"a": 1}}, "invalid_setting"),
            ({**body, "object_key": "a.md"}, "invalid_setting"),
            ({"target_collection_name": "team-docs"}, "invalid_setting"),
        ):
            refused = http.post(route, json=wrong)
            assert (refused.status_code, refused.json()["error"]) == (400, error), wrong


def test_what_the_server_refuses_is_said_at_the_creation(api, http, origin):
    with git_server(origin.folder.parents[1], token="s3cret") as server:
        for repository, error in (
            (f"{server.url}/team/docs", "git_access_denied"),
            ("https://u:p@h/r", "invalid_setting"),
            ("owner/repo", "git_protocol"),  # the tests' server speaks http alone
            ("file:///etc", "git_protocol"),
            ("git@github.com:o/r", "git_protocol"),
        ):
            refusal = http.post(SOURCES, json=payload(repository))
            assert refusal.json()["error"] == error, refusal.text
            assert refusal.status_code in (400, 403, 502, 503), refusal.text
            assert "u:p" not in refusal.text
        env = http.post(SOURCES, json=payload(f"{server.url}/team/docs", token_env="HOME"))
        assert (env.status_code, "token_env" in env.json()["message"]) == (400, True)
        other = http.post(SOURCES, json=payload(f"{server.url}/team/docs", saved_token=999_999))
        assert other.status_code in (400, 404), other.text


def test_a_tenant_that_nobody_trusts_reaches_no_address_of_the_network(
    tmp_path, chroma_server, aws_endpoint
):
    environ = {"S3SYNC_GIT_PROTOCOLS": "https http", "S3SYNC_API_TRUSTED_TENANTS": "none"}
    with (
        running_api(
            tmp_path / "home", chroma=chroma_server, aws=aws_endpoint, environ=environ
        ) as api,
        api.client() as http,
    ):
        plain = http.post(SOURCES, json=payload("http://127.0.0.1:9/r"))
        assert plain.json()["error"] == "git_protocol"
        inside = http.post(SOURCES, json=payload("https://127.0.0.1:9/rrr"))
        assert inside.json()["error"] == "private_address", inside.text


def test_content_is_of_the_commit_that_the_server_has_at_that_moment(api, http, origin):
    """The API has a copy of its own where another host lists and indexes."""
    with git_server(origin.folder.parents[1]) as server:
        name = http.post(SOURCES, json=payload(f"{server.url}/team/docs")).json()["source_id"]

        def content(key):
            return http.get(f"/s3sync/v1/sources/{name}/content", params={"key": key})

        assert (content("a.md").text, content("b.txt").text) == ("# Title", "text")
        origin.write("a.md", "# Another")
        origin.git("rm", "-q", "b.txt")
        origin.commit()
        assert content("a.md").text == "# Another"
        assert content("b.txt").status_code == 404
        server.redirect = "http://127.0.0.1:9"
        assert content("a.md").status_code >= 400
