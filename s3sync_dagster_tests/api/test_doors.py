"""What a tenant or a visitor might send to break in, or to break something."""

import re
import sys
import threading
import uuid

import httpx
import pytest

from s3sync_dagster.api import waiting
from s3sync_dagster_tests.api.server import running_api
from s3sync_dagster_tests.api.test_add_file import send
from s3sync_dagster_tests.scripted_http import scripted_server


def create(api, http, **fields):
    bucket = api.aws.make_bucket()
    body = api.s3(bucket, **fields)
    body["embedding"] = {"dense": {"model": "s3sync-hash"}}
    return http.post("/api/v1/sources", json=body)


def test_a_source_that_is_listed_is_synced_without_more_words(api, http):
    made = create(api, http, list_interval_seconds=60)
    assert made.status_code == 201, made.text
    source_id = made.json()["source_id"]
    settings = http.get(f"/s3sync/v1/sources/{source_id}").json()["settings"]
    assert (settings["auto_sync"], settings["list_interval_seconds"]) == ("direct", 60)


def test_listings_of_a_source_that_does_nothing_by_itself_are_refused(api, http):
    answer = create(api, http, list_interval_seconds=60, auto_sync="none")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_setting")
    source_id = create(api, http).json()["source_id"]
    url = f"/s3sync/v1/sources/{source_id}"
    answer = http.patch(url, json={"list_interval_seconds": 60})
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_setting")
    change = {"list_interval_seconds": 60, "auto_sync": "direct"}
    assert http.patch(url, json=change).status_code == 200


@pytest.mark.parametrize("name", [".", ".."])
def test_a_database_whose_name_is_a_path_does_not_exist(api, http, name):
    body = api.s3(api.aws.make_bucket()) | {"database_name": name}
    for path, payload in (
        ("/api/v1/sources", body),
        (
            "/s3sync/v1/search",
            {"database_name": name, "collection_name": "some-docs", "query": "x"},
        ),
    ):
        answer = http.post(path, json=payload)
        assert (answer.status_code, answer.json()["error"]) == (404, "database_not_found")


def test_no_number_and_no_letter_is_a_fault_of_the_server(api, http):
    source_id = create(api, http).json()["source_id"]
    for value in (2**63 - 1, 2**31, -(2**63)):
        answer = http.patch(f"/s3sync/v1/sources/{source_id}", json={"aws_credential_id": value})
        assert answer.status_code == 400, value
    answer = http.post(
        f"/s3sync/v1/sources/{source_id}/approve-deletes", json={"listing_id": 2**64}
    )
    assert answer.status_code == 400
    form = {"form_token": "é", "token": "x"}
    answer = http.post("/login", data=form, headers={"cookie": "s3sync_form=x"})
    assert answer.status_code == 403


def test_no_number_and_no_day_is_a_fault_of_a_page(api, http):
    source = f"/sources/{create(api, http).json()['source_id']}"
    added = http.post(f"/api/v1{source}/invocations", json={"object_key": "a.md"})
    assert added.status_code == 201, added.text
    pages = (source, f"{source}/objects", f"{source}/object?key=a.md")
    for number in (f"1{'0' * 400}", "-1", f"{2**63}", "1e9"):
        for page in pages:
            answer = http.get(httpx.URL(page).copy_merge_params({"n": number}))
            assert answer.status_code == 400, (page, number)
    assert {http.get(f"{page.partition('?')[0]}").status_code for page in pages[:2]} == {200}
    for day in ("9999-12-31", "0001-01-01"):
        for end in ("since", "until"):
            assert http.get("/audit", params={end: day}).status_code == 200, (end, day)


def test_sparse_vectors_are_refused_by_what_the_server_has_not(api, http, monkeypatch):
    monkeypatch.setitem(sys.modules, "snowballstemmer", None)  # whose lack is not the reason
    body = api.s3(api.aws.make_bucket(), collection_name="sparse-docs")
    body["embedding"] = {"sparse": {}}
    answer = http.post("/api/v1/sources", json=body)
    assert (answer.status_code, answer.json()["error"]) == (400, "not_possible")
    assert "sparse vectors" in answer.json()["message"]


def test_errors_do_not_tell_where_chroma_is(api, http):
    inside = api.parts.settings.chroma_url.removeprefix("http://")
    question = {"collection_name": "nobody-has-it", "query": "x"}
    answer = http.post("/s3sync/v1/search", json=question)
    assert answer.status_code == 404
    assert inside not in answer.text
    assert "127.0.0.1" not in answer.text


def test_searches_in_flight_are_counted(tmp_path, aws_endpoint):
    environ = {"S3SYNC_API_SEARCHES_PER_TENANT": "1"}
    begun, go_on = threading.Event(), threading.Event()

    def chroma(_body):
        if "/collections" not in slow.asked[-1][1]:
            return 200, '{"id": "d", "name": "default_database"}', {}
        begun.set()
        go_on.wait(20)
        return 401, "", {}

    question = {"collection_name": "some-docs", "query": "x"}
    with (
        scripted_server() as slow,
        running_api(tmp_path, chroma=slow.url, aws=aws_endpoint, environ=environ) as api,
        api.client() as http,
    ):
        slow.decide, http.timeout = chroma, 120
        answers = []
        first = threading.Thread(
            target=lambda: answers.append(http.post("/s3sync/v1/search", json=question))
        )
        first.start()
        assert begun.wait(10)
        refused = http.post("/s3sync/v1/search", json=question)
        assert (refused.status_code, refused.json()["error"]) == (429, "too_many_searches")
        assert int(refused.headers["retry-after"]) >= 1
        go_on.set()
        first.join(120)
        assert [answer.status_code for answer in answers] == [403]
        assert http.post("/s3sync/v1/search", json=question).status_code != 429


def test_a_tenant_has_so_many_sources_and_no_more(tmp_path, chroma_server, aws_endpoint):
    environ = {"S3SYNC_API_SOURCES_PER_TENANT": "2"}
    with (
        running_api(tmp_path, chroma=chroma_server, aws=aws_endpoint, environ=environ) as api,
        api.client() as http,
    ):
        made = [create(api, http, collection_name=f"one-of-{n}") for n in range(3)]
        assert [answer.status_code for answer in made] == [201, 201, 429]
        assert made[2].json()["error"] == "too_many_sources"
        http.delete(f"/api/v1/sources/{made[0].json()['source_id']}")
        assert create(api, http, collection_name="one-more").status_code == 201


def test_so_many_requests_of_a_tenant_wait_and_no_more(
    tmp_path, chroma_server, aws_endpoint, monkeypatch
):
    monkeypatch.setattr(waiting, "FRESH_SECONDS", 0.0)
    environ = {"S3SYNC_API_WAITING_PER_TENANT": "2"}
    with (
        running_api(tmp_path, chroma=chroma_server, aws=aws_endpoint, environ=environ) as api,
        api.client() as http,
    ):
        url = f"/api/v1/sources/{create(api, http).json()['source_id']}/invocations"
        asked = [http.post(url, json={"object_key": f"{n}.md"}) for n in range(3)]
        assert [answer.status_code for answer in asked] == [201, 201, 429]
        assert asked[2].json()["error"] == "too_many_requests"
        assert int(asked[2].headers["retry-after"]) >= 1
        cancelled = http.put(f"/api/v1/invocations/{asked[0].json()['invocation_id']}")
        assert cancelled.status_code == 202
        assert http.post(url, json={"object_key": "3.md"}).status_code == 201


def test_a_tenant_has_so_many_stored_keys_and_no_more(tmp_path, chroma_server, aws_endpoint):
    environ = {"S3SYNC_API_CREDENTIALS_PER_TENANT": "1"}
    with (
        running_api(tmp_path, chroma=chroma_server, aws=aws_endpoint, environ=environ) as api,
        api.client() as http,
    ):
        said = []
        for secret in ("first", "second", "first"):
            body = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": secret}
            said.append(http.post("/s3sync/v1/credentials", json=body))
        assert [answer.status_code for answer in said] == [201, 429, 201], said[0].text
        assert said[1].json()["error"] == "too_many_credentials"
        body = api.s3(api.aws.make_bucket()) | {"embedding": {"dense": {"model": "s3sync-hash"}}}
        answer = http.post("/api/v1/sources", json=body)
        assert (answer.status_code, answer.json()["error"]) == (429, "too_many_credentials")


def test_uploads_make_no_more_sources_than_a_tenant_may_have(tmp_path, chroma_server, aws_endpoint):
    environ = {"S3SYNC_API_SOURCES_PER_TENANT": "1"}
    with (
        running_api(tmp_path, chroma=chroma_server, aws=aws_endpoint, environ=environ) as api,
        api.client() as http,
    ):
        names = [f"uploads-{uuid.uuid4().hex[:8]}" for _ in range(2)]
        answers = [
            send(
                http,
                ("database_name", "default_database"),
                ("collection_name", name),
                ("file", b"# one", f"{number}.md"),
            )
            for number, name in enumerate([*names, names[0]])
        ]
        assert [answer.status_code for answer in answers] == [201, 429, 201]
        assert answers[1].json()["error"] == "too_many_sources"
        assert int(answers[1].headers["retry-after"]) >= 1


def test_behind_a_tls_proxy_cookies_never_go_without_tls(tmp_path, chroma_server, aws_endpoint):
    environ = {"S3SYNC_API_PUBLIC_URL": "https://sync.example.org"}
    with (
        running_api(tmp_path, chroma=chroma_server, aws=aws_endpoint, environ=environ) as api,
        api.client() as http,
    ):
        api.token()
        answer = http.get("/login")
        assert "; Secure" in answer.headers["set-cookie"]
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        [signed] = re.findall('name="form_token" value="([0-9a-f]+)"', answer.text)
        cookie = answer.headers["set-cookie"].partition(";")[0]
        for origin, status in (
            ("https://sync.example.org", 401),  # a form of ours, and no token
            ("http://sync.example.org", 403),
            ("https://sync.example.org:8443", 403),
        ):
            sent = {"cookie": cookie, "origin": origin}
            form = {"form_token": signed, "token": "unknown"}
            assert http.post("/login", data=form, headers=sent).status_code == status, origin
