"""Who changed what over the API and the console."""

import re
import sys
import time
import uuid
from contextlib import closing
from dataclasses import replace

import httpx
import pytest

from s3sync_dagster.api import auditing
from s3sync_dagster.api.auditing import REFUSAL_SECONDS, REFUSALS
from s3sync_dagster.api.console import audit_page
from s3sync_dagster.api.guesses import BURST
from s3sync_dagster.catalog.audit import AuditEntry
from s3sync_dagster_tests.api.server import running_api
from s3sync_dagster_tests.api.test_add_file import send as upload_form
from s3sync_dagster_tests.api.test_doors import create
from s3sync_dagster_tests.waiting import wait_for


def entries(http, *, wanted):
    """Return what the log has once so much is there: it is written beside the answers."""
    ends_at = time.monotonic() + 20
    while len(found := http.get("/s3sync/v1/audit").json()) < wanted:
        assert time.monotonic() < ends_at, found
        time.sleep(0.05)
    return found


def test_changes_are_written_down_with_who_what_when_from_where_and_what_came_of_it(fresh_api):
    owner = fresh_api.token()
    with fresh_api.client(owner) as http:
        before = time.time()
        source_id = create(fresh_api, http).json()["source_id"]
        nobody = uuid.uuid4()
        assert http.delete(f"/api/v1/sources/{nobody}").status_code == 404
        http.get("/api/v1/sources")
        http.post("/s3sync/v1/search", json={"collection_name": "some-docs", "query": "x"})
        keys = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "canary-secret"}
        assert http.post("/s3sync/v1/credentials", json=keys).status_code == 201
        assert http.post(f"/s3sync/v1/sources/{source_id}/pause").status_code == 200
        found = entries(http, wanted=4)
        told = [(one["action"], one["subject"], one["outcome"]) for one in reversed(found)]
        assert told == [
            ("POST /api/v1/sources", "", "201"),
            ("DELETE /api/v1/sources/{source_id}", f"source_id={nobody}", "404"),
            ("POST /s3sync/v1/credentials", "", "201"),
            ("POST /s3sync/v1/sources/{source_id}/pause", f"source_id={source_id}", "200"),
        ]
        for one in found:
            assert (one["who"], one["role"], one["door"]) == ("token 1", "owner", "api")
            assert one["address"] == "127.0.0.1"
        rows = fresh_api.parts.catalog.audit.rows()
        assert all(before - 1 <= one.at <= time.time() + 1 for _, one in rows)
        assert "canary-secret" not in str(rows)
        assert owner not in str(rows)


def test_owners_see_their_tenant_s_and_members_nothing(fresh_api):
    tokens = {
        name: fresh_api.token(tenant=name, role=role)
        for name, role in (("mine", "owner"), ("theirs", "owner"))
    }
    member = fresh_api.token(tenant="mine", role="member")
    with fresh_api.client(member) as http:
        assert http.get("/s3sync/v1/audit").status_code == 403
        refused = http.post(f"/s3sync/v1/sources/{uuid.uuid4()}/pause")
        assert refused.status_code == 403
    with fresh_api.client(tokens["mine"]) as http:
        [one] = entries(http, wanted=1)
        assert (one["who"], one["role"], one["outcome"]) == ("token 3", "member", "403")
    with fresh_api.client(tokens["theirs"]) as http:
        assert http.get("/s3sync/v1/audit").json() == []


def test_an_id_is_written_down_in_one_spelling_however_it_was_sent(
    tmp_path, chroma_server, aws_endpoint
):
    environ = {"S3SYNC_API_COCO": "on"}
    with (
        running_api(
            tmp_path / "home", chroma=chroma_server, aws=aws_endpoint, environ=environ
        ) as api,
        api.client() as http,
    ):
        source_id = create(api, http).json()["source_id"]
        hidden = f"/datasource/{'urn:' * 200}{source_id}"
        assert http.delete(hidden).status_code == 404
        for spelt in (source_id.replace("-", ""), source_id.upper(), f"urn:uuid:{source_id}"):
            assert http.post(f"/s3sync/v1/sources/{spelt}/pause").status_code == 200
            assert http.get(f"/datasource/{spelt}").status_code == 404
        told = entries(http, wanted=5)
        assert [one["subject"] for one in told[:3]] == [f"source_id={source_id}"] * 3
        assert told[3]["subject"] == f"datasource_id={source_id}"


def test_refusals_of_one_token_do_not_fill_the_log(fresh_api):
    owner, member = fresh_api.token(), fresh_api.token(role="member")
    nowhere = f"/s3sync/v1/sources/{uuid.uuid4()}"
    with fresh_api.client(member) as http:
        for number in range(3 * REFUSALS):
            refused = http.post(f"{nowhere}/{'pause' if number % 2 else 'backfill'}")
            assert refused.status_code in (403, 404)
    with fresh_api.client(owner) as http:
        assert http.post(f"{nowhere}/pause").status_code == 404  # another's refusals are told
        by_member = wait_for(
            lambda: fresh_api.parts.catalog.audit.rows(limit=1000),
            lambda rows: any(entry.role == "owner" for _, entry in rows),
        )
    rows = [entry for _, entry in by_member if entry.role == "member"]
    assert REFUSALS <= len(rows) < 2 * REFUSALS  # one more a minute


@pytest.mark.long
def test_what_failed_may_have_changed_something_and_is_no_refusal(tmp_path, aws_endpoint):
    with running_api(tmp_path, chroma="http://127.0.0.1:9", aws=aws_endpoint) as api:
        nowhere = f"/s3sync/v1/sources/{uuid.uuid4()}/pause"
        with api.client(api.token()) as http:
            for _ in range(REFUSALS + 5):
                assert http.post(nowhere).status_code == 404
            failed = upload_form(
                http,
                ("database_name", "default_database"),
                ("collection_name", "docs"),
                ("file", b"text", "a.md"),
            )
            assert failed.status_code == 500
        told = wait_for(
            lambda: [one.action for _, one in api.parts.catalog.audit.rows(what="500", limit=1000)],
            seconds=REFUSAL_SECONDS / 3,  # what only counts is told later than that
        )
        assert told == ["POST /api/v1/add-file"]


def test_what_is_not_told_of_refusals_is_counted_in_the_next_one(monkeypatch):
    monkeypatch.setattr(auditing, "REFUSALS", 2)
    monkeypatch.setattr(auditing, "REFUSAL_SECONDS", 0.2)
    refusals = auditing.Refusals()
    entry = AuditEntry(
        at=0.0, tenant="acme", who="token 1", role="member", door="api", address=None,
        action="POST /pause", subject="", outcome="403",
    )  # fmt: skip
    told = [refusals.told(entry) for _ in range(5)]
    assert told == [entry, entry, None, None, None]
    last = wait_for(lambda: refusals.told(entry))
    number = re.fullmatch("403, ([0-9]+) more before", last.outcome)
    assert int(number[1]) >= 3


def test_what_only_counted_is_told_though_nothing_follows(monkeypatch, fresh_api):
    monkeypatch.setattr(auditing, "REFUSALS", 2)
    monkeypatch.setattr(auditing, "REFUSAL_SECONDS", 0.5)
    writer = auditing.AuditWriter(fresh_api.parts.catalog)
    entry = AuditEntry(
        at=0.0, tenant="acme", who="token 1", role="member", door="api", address=None,
        action="POST /pause", subject="", outcome="403",
    )  # fmt: skip

    def outcomes(tenant):
        return [one.outcome for _, one in fresh_api.parts.catalog.audit.rows(tenant=tenant)]

    writer.start()
    for _ in range(5):
        writer.put(entry, refusal=True)
    assert wait_for(lambda: outcomes("acme"), lambda found: len(found) == 3, seconds=10) == [
        "403, 2 more before", "403", "403"
    ]  # fmt: skip
    for _ in range(4):
        writer.put(replace(entry, tenant="other"), refusal=True)
    writer.stop()  # what is counted by then is told, too
    assert outcomes("other") == ["403, 1 more before", "403", "403"]


def test_buttons_of_the_console_are_written_down_as_such(fresh_api):
    with fresh_api.client() as http:
        source_id = create(fresh_api, http).json()["source_id"]
        page = http.get(f"/sources/{source_id}").text
        form_token = page.partition('name="form_token" value="')[2].partition('"')[0]
        done = http.post(f"/sources/{source_id}/pause", data={"form_token": form_token})
        assert done.status_code == 303, done.text
        newest = entries(http, wanted=2)[0]
        assert (newest["door"], newest["who"]) == ("console", "anybody")
        assert newest["action"] == "POST /sources/{source_id}/pause"


def signed_in(api, token):
    """Return a client that has signed in at the console."""
    http = api.client()
    form_token = re.search('name="form_token" value="([0-9a-f]+)"', http.get("/login").text)[1]
    answer = http.post("/login", data={"form_token": form_token, "token": token})
    return http, answer.status_code


def test_who_signs_in_and_who_is_refused_is_written_down(fresh_api):
    member = fresh_api.token(role="member")
    owner = fresh_api.token()
    for token, expected in ((member, 303), ("s3s_guessed", 401)):
        http, status = signed_in(fresh_api, token)
        http.close()
        assert status == expected
    with fresh_api.client("s3s_wrong") as http:
        assert http.get("/api/v1/sources").status_code == 401
        assert http.get("/api/v1/sources", headers={"x-chroma-token": ""}).status_code == 401
    with fresh_api.client(owner) as http:
        told = [
            (one["who"], one["role"], one["action"], one["outcome"], one["address"])
            for one in reversed(entries(http, wanted=3))
        ]
        assert told == [
            ("token 1", "member", "POST /login", "303", "127.0.0.1"),
            ("unknown token", "nobody", "POST /login", "401", "127.0.0.1"),
            ("unknown token", "nobody", "GET /api/v1/sources", "401", "127.0.0.1"),
        ]
    assert "s3s_" not in str(fresh_api.parts.catalog.audit.rows())
    other = fresh_api.token(tenant="other")
    with fresh_api.client(other) as http:
        assert http.get("/s3sync/v1/audit").json() == []


def test_guessing_is_slow_and_keeps_nobody_out_who_is_known(fresh_api):
    owner, new = fresh_api.token(), fresh_api.token()
    with fresh_api.client() as http:
        assert http.get("/health").status_code == 200

        def ask(token):
            return http.get("/api/v1/sources", headers={"x-chroma-token": token})

        assert ask(owner).status_code == 200
        said = [ask(f"s3s_{number}") for number in range(BURST)]
        assert {one.status_code for one in said} == {401}
        while said[-1].status_code == 401:  # a slow machine gets a guess more every three seconds
            assert len(said) < 10 * BURST
            said.append(ask(f"s3s_{len(said)}"))
        assert said[-1].status_code == 429
        assert 1 <= int(said[-1].headers["retry-after"]) <= 10
        assert ask(new).status_code == 200, "who has a token is let in, never seen or not"
        assert ask(owner).status_code == 200
        refused = [one for _, one in fresh_api.parts.catalog.audit.rows(who="unknown")]
        assert len(refused) <= len(said)
    status = 401
    while status == 401:
        login, status = signed_in(fresh_api, "s3s_another")
        login.close()
    assert status == 429


@pytest.mark.skipif(sys.platform != "linux", reason="one loopback address elsewhere")
def test_guesses_from_many_addresses_are_few_rows_that_say_how_many_they_were(fresh_api):
    owner = fresh_api.token()
    addresses = [f"127.{number}.0.1" for number in range(1, 1 + 4 * REFUSALS // BURST)]
    for address in addresses:
        here = httpx.HTTPTransport(local_address=address)
        with httpx.Client(base_url=fresh_api.url, transport=here, timeout=30) as http:
            for number in range(BURST):
                guess = {"x-chroma-token": f"s3s_{number}"}
                assert http.get("/api/v1/sources", headers=guess).status_code == 401
    with fresh_api.client(owner) as http:
        assert http.post(f"/s3sync/v1/sources/{uuid.uuid4()}/pause").status_code == 404
    written = wait_for(
        lambda: [one for _, one in fresh_api.parts.catalog.audit.rows(limit=1000)],
        lambda rows: any(entry.role == "owner" for entry in rows),
    )
    guesses = [one for one in written if one.role == "nobody"]
    assert REFUSALS <= len(guesses) < 2 * REFUSALS  # one more a minute
    assert {one.address for one in guesses} <= set(addresses)


def test_owners_read_the_log_as_a_page_with_filters_and_members_do_not(fresh_api, monkeypatch):
    owner, member = fresh_api.token(), fresh_api.token(role="member")
    theirs = fresh_api.token(tenant="theirs")
    day = 86_400.0
    fresh_api.parts.catalog.audit.add(
        [
            AuditEntry(
                at=1_700_000_000 + number * day, tenant="default_tenant", role="owner", door="api",
                who="token 7 (ci)" if number % 2 else "user <b>ann</b>", address="10.0.0.1",
                action="POST /pause", subject=f"source_id={number}", outcome="200",
            )
            for number in range(120)
        ]
    )  # fmt: skip
    http, status = signed_in(fresh_api, owner)
    with closing(http):
        assert status == 303
        first = http.get("/audit").text
        assert "source_id=119<" in first
        assert "source_id=10<" not in first
        assert "user &lt;b&gt;ann&lt;/b&gt; (owner)" in first
        older = re.search('href="(/audit[?][^"]*before=[^"]*)"', first)[1].replace("&amp;", "&")
        assert "source_id=10<" in http.get(older).text
        for size in (59, 60):  # no page follows one that is just full
            monkeypatch.setattr(audit_page, "ENTRIES_A_PAGE", size)
            assert ("Older entries" in http.get("/audit", params={"who": "ann"}).text) is (
                size < 60
            )
        monkeypatch.undo()
        ci = http.get("/audit", params={"who": "CI", "what": "source_id=11"}).text
        assert set(re.findall("<code>source_id=([0-9]+)<", ci)) == {
            "11",
            "111",
            "113",
            "115",
            "117",
            "119",
        }
        two = http.get("/audit", params={"since": "2023-11-15", "until": "2023-11-16"}).text
        assert re.findall("<code>source_id=([0-9]+)<", two) == ["2", "1"]
        assert "Nothing was done that fits" in http.get("/audit", params={"what": "%"}).text
        assert http.get("/audit", params={"since": "soon"}).status_code == 400
    http, _ = signed_in(fresh_api, member)
    with closing(http):
        assert http.get("/audit").status_code == 403
        assert 'href="/audit"' not in http.get("/").text
    http, _ = signed_in(fresh_api, theirs)
    with closing(http):
        page = http.get("/audit").text
        assert "source_id" not in page
        assert "POST /login" in http.get("/audit").text or "Nothing was done" in page


def test_what_is_refused_unread_is_written_down_where_somebody_known_sent_it(fresh_api):
    token = fresh_api.token()
    with fresh_api.client(token) as http:
        source_id = create(fresh_api, http).json()["source_id"]
        assert http.put("/api/v1/sources").status_code == 405
        assert http.post("/api/v1/sources", content=b"x" * 2 * 1024 * 1024).status_code == 413
        assert http.put("/api/v1/sources", headers={"x-chroma-token": "guess"}).status_code == 405
    http, status = signed_in(fresh_api, token)
    assert status == 303
    pause, remove = f"/sources/{source_id}/pause", f"/sources/{source_id}/delete"
    with closing(http):
        assert http.post(remove, data={"name": "x" * 100_000}).status_code == 413
        assert http.post(pause, data={f"f{n}": "x" for n in range(300)}).status_code == 400
    with fresh_api.client() as stranger:
        assert stranger.post(pause, data={"name": "x" * 100_000}).status_code == 413
    rows = wait_for(
        lambda: [one for _, one in reversed(fresh_api.parts.catalog.audit.rows())],
        lambda found: len(found) >= 7,
    )
    named = f"source_id={source_id}"
    told = [(one.who, one.door, one.action, one.subject, one.outcome) for one in rows]
    assert sorted(told) == sorted([
        ("token 1", "api", "POST /api/v1/sources", "", "201"),
        ("token 1", "api", "PUT /api/v1/sources", "", "405"),
        ("token 1", "api", "POST /api/v1/sources", "", "413"),
        ("unknown token", "api", "PUT /api/v1/sources", "", "405"),
        ("token 1", "console", "POST /login", "", "303"),
        ("token 1", "console", f"POST {remove}", "", "413"),
        ("token 1", "console", "POST /sources/{source_id}/pause", named, "400"),
    ])  # fmt: skip
