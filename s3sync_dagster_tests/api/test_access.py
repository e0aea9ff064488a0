"""Tokens, roles, tenants; and what a server without tokens refuses."""

import json
import os
import re
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from s3sync_dagster.api.access import OPEN_SECONDS
from s3sync_dagster_tests.api.server import running_api
from s3sync_dagster_tests.api.test_add_file import form, send
from s3sync_dagster_tests.waiting import wait_for

GUIDES = Path(__file__).parents[2] / "docs" / "guides.md"


@pytest.fixture(scope="module")
def two(api, aws_endpoint):
    """Two tenants on one server: tokens, a source and an invocation of the first."""
    import chromadb

    names = {}
    host, port = api.parts.settings.chroma_url.removeprefix("http://").split(":")
    admin = chromadb.AdminClient(
        chromadb.Settings(
            chroma_api_impl="chromadb.api.fastapi.FastAPI",
            chroma_server_host=host,
            chroma_server_http_port=int(port),
            anonymized_telemetry=False,
        )
    )
    for name in ("mine", "theirs"):
        names[name] = f"{name}-{uuid.uuid4().hex[:8]}"
        admin.create_tenant(names[name])
        admin.create_database("default_database", tenant=names[name])
    tokens = {
        f"{name}-{role}": api.token(tenant=names[name], role=role)
        for name in names
        for role in ("owner", "member")
    }
    bucket = aws_endpoint.make_bucket()
    with api.client(tokens["mine-owner"]) as http:
        # Only trusted tenants may name an endpoint: the tests' S3 is none of AWS.
        body = api.s3(bucket)
        refusal = http.post("/api/v1/sources", json=body)
        assert (refusal.status_code, refusal.json()["error"]) == (400, "invalid_setting")
        source = _stored_source(api, names["mine"], bucket)
        asked = http.post(f"/api/v1/sources/{source.id}/invocations", json={"object_key": "a"})
        assert asked.status_code == 201, asked.text
    return {
        "tenants": names,
        "tokens": tokens,
        "source": source,
        "invocation": asked.json()["invocation_id"],
        "bucket": bucket,
    }


def _stored_source(api, tenant, bucket):
    source = api.aws.source(bucket).with_changes(tenant=tenant)
    return api.parts.catalog.sources.add(source)


def operations(two):
    """Every operation of the API on things of the first tenant."""
    source, invocation = two["source"].id, two["invocation"]
    return [
        ("GET", f"/api/v1/sources/{source}", None),
        ("DELETE", f"/api/v1/sources/{source}", None),
        ("POST", f"/api/v1/sources/{source}/invocations", {"object_key": "a"}),
        ("POST", f"/api/v1/sources/{source}/invocations/latest-by-keys", {"object_keys": ["a"]}),
        ("GET", f"/api/v1/invocations?source_id={source}", None),
        ("GET", f"/api/v1/invocations/{invocation}", None),
        ("PUT", f"/api/v1/invocations/{invocation}", None),
    ]


def test_another_tenant_finds_nothing_and_learns_nothing(api, two):
    with api.client(two["tokens"]["theirs-owner"]) as http:
        for method, path, body in operations(two):
            answer = http.request(method, path, json=body)
            assert answer.status_code == 404, (method, path, answer.text)
            unknown = path.replace(two["source"].id, str(uuid.uuid4()))
            unknown = unknown.replace(two["invocation"], str(uuid.uuid4()))
            there = http.request(method, unknown, json=body)
            assert there.json()["error"] == answer.json()["error"]
            assert there.status_code == 404
            for secret in (two["source"].name, two["bucket"], two["tenants"]["mine"]):
                assert secret not in answer.text
        assert http.get("/api/v1/sources").json() == []
        assert http.get("/api/v1/invocations").json() == []
        for query in ("database_name=default_database", "status=pending"):
            assert http.get(f"/api/v1/invocations?{query}").json() == []


def test_the_own_tenant_finds_its_things(api, two):
    with api.client(two["tokens"]["mine-member"]) as http:
        assert [s["id"] for s in http.get("/api/v1/sources").json()] == [two["source"].id]
        assert http.get(f"/api/v1/invocations/{two['invocation']}").status_code == 200


def test_members_neither_create_nor_delete_sources(api, two):
    with api.client(two["tokens"]["mine-member"]) as http:
        created = http.post("/api/v1/sources", json=api.s3(two["bucket"]))
        deleted = http.delete(f"/api/v1/sources/{two['source'].id}")
        for answer in (created, deleted):
            assert (answer.status_code, answer.json()["error"]) == (403, "forbidden")
    with api.client(two["tokens"]["theirs-member"]) as http:
        # Not 403 for what is not theirs to know about.
        assert http.delete(f"/api/v1/sources/{uuid.uuid4()}").status_code == 403


def test_the_same_bucket_in_two_tenants_is_no_conflict(api, two):
    other = _stored_source(api, two["tenants"]["theirs"], two["bucket"])
    with api.client(two["tokens"]["theirs-owner"]) as http:
        assert [s["id"] for s in http.get("/api/v1/sources").json()] == [other.id]
        assert http.delete(f"/api/v1/sources/{other.id}").status_code == 204


def test_credentials_of_another_tenant_are_not_found(api, two):
    from s3sync_dagster.catalog.cipher import open_cipher
    from s3sync_dagster.catalog.credentials import AwsKeys

    keys = AwsKeys(access_key_id="AKIAOFMINE1234567890", secret_access_key="s")
    cipher = open_cipher(api.parts.settings)
    mine = api.parts.catalog.credentials.add(keys, tenant=two["tenants"]["mine"], cipher=cipher)
    body = {
        "s3": {
            "bucket_name": "some-bucket",
            "region": "us-east-1",
            "collection_name": "some-collection",
            "aws_credential_id": mine.id,
        },
        "database_name": "default_database",
    }
    with api.client(two["tokens"]["theirs-owner"]) as http:
        answer = http.post("/api/v1/sources", json=body)
        assert (answer.status_code, answer.json()["error"]) == (404, "credential_not_found")
        own = body | {"s3": {**body["s3"], "aws_credential_id": None}}
        answer = http.post("/api/v1/sources", json=own)
        assert (answer.status_code, answer.json()["error"]) == (400, "no_credentials")
        assert "S3SYNC_API_TRUSTED_TENANTS" in answer.json()["message"]
        for field, url in (
            ("queue_url", "http://169.254.169.254/latest"),
            ("queue_url", "https://vpc-search.us-east-1.es.amazonaws.com/1/queue"),
            ("endpoint_url", "https://vpc-search.us-east-1.es.amazonaws.com"),
            ("endpoint_url", "http://s3.us-east-1.amazonaws.com"),
            ("endpoint_url", "https://s3.us-east-1.amazonaws.com:9200"),
        ):
            answer = http.post("/api/v1/sources", json=body | {"s3": {**body["s3"], field: url}})
            assert (answer.status_code, answer.json()["error"]) == (400, "invalid_setting"), url


def test_a_token_is_needed_once_one_exists(api, two):
    with api.client() as http:
        for token in (None, "", "s3s_wrong", "\xff" * 40):
            headers = {} if token is None else {"x-chroma-token": token.encode("latin-1")}
            answer = http.get("/api/v1/sources", headers=headers)
            assert (answer.status_code, answer.json()["error"]) == (401, "unauthorized")
            assert "www-authenticate" in answer.headers
        assert http.get("/health").status_code == 200


def test_a_revoked_token_ends_at_once(api, two):
    row, token = api.parts.catalog.tokens.create(tenant="default_tenant", role="owner")
    with api.client(token) as http:
        assert http.get("/api/v1/sources").status_code == 200
        api.parts.catalog.tokens.revoke(row.id)
        assert http.get("/api/v1/sources").status_code == 401


@pytest.mark.parametrize("ends", ["revoked", "first token"])
def test_an_upload_that_outlives_its_token_is_not_accepted(fresh_api, ends):
    row, token = None, "any"
    if ends == "revoked":
        row, token = fresh_api.parts.catalog.tokens.create(tenant="default_tenant", role="owner")
    fields = (("database_name", "default_database"), ("collection_name", "ccc"))
    whole = form(*fields, ("file", b"slow", "slow.md"))
    incoming = fresh_api.parts.settings.home / "uploads" / "incoming"

    def slowly():
        yield whole[:-12]
        wait_for(lambda: incoming.is_dir() and list(incoming.iterdir()))
        if row is not None:
            fresh_api.parts.catalog.tokens.revoke(row.id)
        else:
            fresh_api.token()
            time.sleep(OPEN_SECONDS + 0.1)
        yield whole[-12:]

    with fresh_api.client(token) as http:
        answer = send(http, content=slowly(), length=4)
    assert (answer.status_code, answer.json()["error"]) == (401, "unauthorized")
    assert fresh_api.parts.catalog.sources.rows() == []


def test_without_tokens_only_this_machine_s_own_programs_are_heard(fresh_api):
    with fresh_api.client() as http:
        assert http.get("/api/v1/sources").status_code == 200
        assert http.get("/api/v1/sources", headers={"x-chroma-token": "any"}).status_code == 200
        for headers in (
            {"host": "rebound.example.com"},
            {"host": "a{b}.rebound.example"},
            {"host": "a`b.rebound.example"},
            {"host": "rebound.example:99999"},
            {"host": "rebound.example:"},
            {"host": "127.0.0.1:99999"},
            {"host": "b\xfccher.example".encode("latin-1")},
            {"host": ""},
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
            {"origin": "http://rebound.example"},
            {"origin": "http://127.0.0.1:1"},
            {"origin": "null"},
            {"origin": "http://["},
            {"x-forwarded-for": "10.0.0.1"},
            {"x-real-ip": "10.0.0.1"},
            {"via": "1.1 proxy"},
            {"forwarded": "for=10.0.0.1"},
            {"x-forwarded-host": "rebound.example"},
        ):
            answer = http.get("/api/v1/sources", headers=headers)
            assert (answer.status_code, answer.json()["error"]) == (403, "forbidden")
        for headers in (
            {"host": "localhost"},
            {"host": "console.localhost:8200"},
            {"host": "[::1]:8200"},
            {"sec-fetch-site": "same-origin"},
            {"origin": fresh_api.url},
        ):
            assert http.get("/api/v1/sources", headers=headers).status_code == 200


def test_all_tokens_revoked_does_not_open_the_door(fresh_api):
    fresh_api.token()
    [row] = fresh_api.parts.catalog.tokens.rows()
    fresh_api.parts.catalog.tokens.revoke(row.id)
    with fresh_api.client() as http:
        assert http.get("/api/v1/sources").status_code == 401


def test_a_server_that_others_reach_is_never_open(tmp_path, chroma_server, aws_endpoint):
    with (
        running_api(tmp_path, chroma=chroma_server, aws=aws_endpoint, loopback=False) as api,
        api.client() as http,
    ):
        assert http.get("/api/v1/sources").status_code == 401


def test_a_rate_for_each_token(tmp_path, chroma_server, aws_endpoint):
    environ = {"S3SYNC_API_REQUESTS_PER_SECOND": "2"}
    with running_api(tmp_path, chroma=chroma_server, aws=aws_endpoint, environ=environ) as api:
        first, second = api.token(), api.token()
        with api.client(first) as http:
            statuses = [http.get("/api/v1/sources").status_code for _ in range(6)]
            assert statuses[:4] == [200] * 4
            assert 429 in statuses
            refused = http.get("/api/v1/sources")
            while refused.status_code == 200:
                refused = http.get("/api/v1/sources")
            assert refused.json()["error"] == "too_many_requests"
            assert int(refused.headers["retry-after"]) >= 1
        with api.client(second) as http:
            assert http.get("/api/v1/sources").status_code == 200


def test_the_guide_makes_a_tenant_whose_program_sees_what_was_uploaded(api, two, tmp_path):
    [script] = re.findall(r"```sh\n# tenant\n(.*?)```", GUIDES.read_text("utf-8"), re.DOTALL)
    (tmp_path / "notes.md").write_text("# Notes")
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script.replace("acme", f"acme-{uuid.uuid4().hex[:8]}")],
        env={
            **api.parts.settings.child_environment(),
            "S3SYNC": api.url,
            "S3SYNC_CHROMA_URL": api.parts.settings.chroma_url,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    [seen] = json.loads(done.stdout[done.stdout.index("[") :])
    assert seen["metadata"]["s3"]["object_key"] == "notes.md"
    assert f'"invocation_id":"{seen["id"]}"' in done.stdout


@pytest.mark.parametrize("name", ["x-chroma-token", "x-api-token", "authorization"])
def test_of_two_tokens_none_counts(fresh_api, name):
    owner, member = fresh_api.token(), fresh_api.token(tenant="other", role="member")
    with fresh_api.client() as http:
        for tokens in ((owner, member), (owner, owner), (owner, "")):
            twice = [("x-chroma-token", owner)] if name != "x-chroma-token" else []
            twice += [(name, tokens[0]), (name.title(), tokens[1])]
            answer = http.get("/s3sync/v1/sources", headers=twice)
            assert (answer.status_code, "twice" in answer.text) == (400, True)


@pytest.mark.parametrize("path", ["/s3sync/v1/sources", "/metrics", "/datasource/_search", "/mcp"])
def test_of_two_tokens_in_different_headers_none_counts(
    tmp_path, chroma_server, aws_endpoint, path
):
    environ = {"S3SYNC_API_AGENTS": "on", "S3SYNC_API_COCO": "on"}
    with running_api(tmp_path, chroma=chroma_server, aws=aws_endpoint, environ=environ) as api:
        owner, member = api.token(), api.token(tenant="other", role="member")
        with api.client() as http:
            for one, other in ((owner, member), (member, owner)):
                bearer = {"authorization": f"Bearer {other}"}
                for headers in (
                    {"x-chroma-token": one, "x-api-token": other},
                    {"x-chroma-token": one, **bearer},
                    {"x-api-token": one, **bearer},
                ):
                    answer = http.get(path, headers=headers)
                    assert (answer.status_code, "send one token" in answer.text) == (400, True)
            once = {"x-chroma-token": owner, "authorization": f"bearer {owner}"}
            assert http.get("/metrics", headers=once).status_code == 200, "it is one"
            proxy = {"x-chroma-token": owner, "authorization": "Bearer eyJh.of.a.proxy"}
            assert http.get("/metrics", headers=proxy).status_code == 200, "it is no token of ours"
