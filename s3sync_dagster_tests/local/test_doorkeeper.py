"""Once there are API tokens the doors ask who somebody is: real door, catalog and cookie."""

import sys

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from s3sync_dagster.api.auditing import REFUSALS
from s3sync_dagster.api.console.session import SESSION_COOKIE, Sessions
from s3sync_dagster.api.guesses import BURST
from s3sync_dagster.api.passes import pass_headers
from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.local import door_auditing
from s3sync_dagster.local.door import Door
from s3sync_dagster.settings import load_settings
from s3sync_dagster_tests.local.doors import hello, home_of_doors, made, standing
from s3sync_dagster_tests.waiting import wait_for


@pytest.fixture
def settings(tmp_path):
    return home_of_doors(tmp_path)


@pytest.fixture
def tokens(settings):
    catalog = open_catalog(settings.database_url)
    yield catalog.tokens
    catalog.close()


@pytest.fixture
def http(settings):
    with standing(settings) as client:
        yield client


def test_without_tokens_the_door_is_open(http):
    assert http.get("/").text == "hello"


def test_the_first_token_closes_the_door(settings, tokens, http):
    assert http.get("/").status_code == 200
    owner, member = made(tokens), made(tokens, role="member")
    other = made(tokens, tenant="another-tenant")
    for headers in ({}, *({"x-chroma-token": one} for one in (member, other, "guessed"))):
        refused = http.get("/", headers=headers)
        assert refused.status_code == 401
        assert "sign in at the console" in refused.text
    assert http.get("/", headers={"x-chroma-token": owner}).text == "hello"
    assert http.get("/", headers=pass_headers(settings)).text == "hello"
    assert http.get("/", headers={"x-s3sync-pass": "ä".encode()}).status_code == 401
    rebound = pass_headers(settings) | {"host": "rebound.example"}
    assert http.get("/", headers=rebound).status_code == 403


def test_who_signed_in_at_the_console_may_pass_until_the_token_is_revoked(settings, tokens, http):
    owner = made(tokens)
    sealed = Sessions(settings).seal(owner)
    signed_in = {"cookie": f"{SESSION_COOKIE}={sealed}"}
    sent = {"x-chroma-token": owner}
    assert [http.get("/", headers=one).text for one in (signed_in, sent)] == ["hello"] * 2
    forged = {"cookie": f"{SESSION_COOKIE}=forged"}
    assert http.get("/", headers=forged).status_code == 401
    [row] = tokens.rows()
    tokens.revoke(row.id)
    assert http.get("/", headers=sent).status_code == 401, "at once"
    said = {http.get("/", headers=signed_in).status_code for _ in range(BURST + 5)}
    assert said == {401}, "a page that was left open asks on, and guesses nothing"


def test_websockets_are_asked_as_well(settings, tokens, http):
    owner = made(tokens)
    address = f"ws://127.0.0.1:{http.base_url.port}/graphql"
    with pytest.raises(InvalidStatus):
        connect(address).close()
    with connect(address, additional_headers={"x-chroma-token": owner}):
        pass


def test_guesses_are_slow_and_written_down_and_keep_nobody_out_who_is_known(settings, tokens, http):
    owner, member = made(tokens), made(tokens, role="member")

    def ask(token):
        return http.get("/runs%C2%9B2J", headers={"x-chroma-token": token})

    said = 0
    while (answer := ask(f"s3s_{said % 3}")).status_code == 401:
        said += 1
        assert said < 10 * BURST
    assert answer.status_code == 429
    assert said >= BURST
    assert 1 <= int(answer.headers["retry-after"]) <= 10
    assert ask(owner).text == "hello"
    assert ask(member).status_code == 401, "known, and not for this door"
    catalog = open_catalog(settings.database_url)
    rows = wait_for(
        lambda: catalog.audit.rows(who="unknown token", what="GET /runs%C2%9B2J"),
        lambda found: len(found) >= min(said, REFUSALS),
    )
    assert {(one.door, one.address, one.outcome) for _, one in rows} == {
        ("dagster", "127.0.0.1", "401")
    }
    catalog.close()


@pytest.mark.skipif(sys.platform != "linux", reason="one loopback address elsewhere")
def test_guesses_from_many_addresses_do_not_fill_the_log(settings, tokens, http):
    owner, catalog = made(tokens), open_catalog(settings.database_url)
    for number in range(4 * REFUSALS // BURST):
        here = httpx.HTTPTransport(local_address=f"127.{number + 1}.0.1")
        with httpx.Client(base_url=http.base_url, transport=here, timeout=60) as guessing:
            for _ in range(BURST):
                answer = guessing.get("/runs", headers={"x-chroma-token": "s3s_guessed"})
                assert answer.status_code == 401
    assert http.post("/last", headers={"x-chroma-token": owner}, json={}).text == "hello"
    wait_for(lambda: catalog.audit.rows(what="/last"))
    guesses = catalog.audit.rows(who="unknown token", limit=1000)
    assert REFUSALS <= len(guesses) < 2 * REFUSALS  # one more a minute
    catalog.close()


@pytest.mark.parametrize(
    ("origin", "passes"),
    [
        ("https://dagster.example.org", True),
        ("http://dagster.example.org", False),  # of whoever sits on the way
        ("https://dagster.example.org:8443", False),
        ("ftp://dagster.example.org", False),
    ],
)
@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_behind_tls_only_pages_that_came_by_it_drive_dagster(kind, origin, passes):
    door = Door(hello, public_url="https://dagster.example.org")
    headers = {"host": "dagster.example.org", "origin": origin, "content-type": "application/json"}
    scope = {
        "type": kind,
        "method": "POST",
        "path": "/graphql",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    assert (door.refusal(scope) is None) is passes


def test_whom_a_proxy_signs_in_may_pass_as_an_owner_of_a_trusted_tenant(settings, tokens):
    sso = {
        **settings.environment,
        "S3SYNC_SSO_HEADER": "x-forwarded-user",
        "S3SYNC_SSO_SECRET": "s" * 32,
        "S3SYNC_SSO_USERS": "ann=default_tenant:owner bob=default_tenant:member eve=other:owner",
    }
    with standing(load_settings(sso)) as http:
        secret = {"x-s3sync-proxy-secret": "s" * 32}
        assert http.get("/", headers={**secret, "x-forwarded-user": "ann"}).text == "hello"
        for headers in (
            {},
            secret,
            {"x-forwarded-user": "ann"},
            {**secret, "x-s3sync-proxy-secret": "t" * 32, "x-forwarded-user": "ann"},
            *({**secret, "x-forwarded-user": user} for user in ("bob", "eve", "nobody")),
        ):
            assert http.get("/", headers=headers).status_code == 401, headers


def test_of_two_tokens_none_counts(tokens, http):
    owner = made(tokens)
    for second in (owner, "guessed", ""):
        twice = [("x-chroma-token", owner), ("X-Chroma-Token", second)]
        assert http.get("/", headers=twice).status_code == 403
    member = made(tokens, role="member")
    for name, second in (("x-api-token", member), ("authorization", f"Bearer {member}")):
        answer = http.get("/", headers={"x-chroma-token": owner, name: second})
        assert (answer.status_code, "send one token" in answer.text) == (403, True)


def asked(query, **more):
    return {"query": query, **more}


@pytest.mark.parametrize(
    ("door", "path", "body", "of"),
    [
        ("dagster", "/graphql", asked("mutation Launch { a: launchRun { id } }"), "launchRun"),
        ("dagster", "/graphql", asked("query Q{x} mutation\n{ setNuxSeen }"), "setNuxSeen"),
        ("dagster", "/graphql/", [asked("mutation ($a: A = {b: 1}) { endRun }")], "unread"),
        ("dagster", "/graphql", asked("x" * door_auditing.MAX_LOOKED_AT), "unread"),
        ("dagster", "/report_asset_observation/a", {}, ""),
        ("chroma", "/api/v2/collections/a/delete", {}, ""),
        ("chroma", "/api/v2/collections/a%2Fget/upsert", {}, ""),
        ("chroma", "/api/v2/delete%2Fget", {}, ""),
    ],
)
def test_what_is_changed_through_a_door_is_written_down(settings, tokens, door, path, body, of):
    owner, member = made(tokens), made(tokens, role="member")
    catalog = open_catalog(settings.database_url)
    with standing(settings, door) as http:
        for token in (owner, member):
            http.post(path, json=body, headers={"x-chroma-token": token})
        http.post(path, json=body, headers=pass_headers(settings))  # our own processes
    told = [
        (one.door, one.who, one.role, one.address, one.action, one.outcome)
        for _, one in catalog.audit.rows()
    ]
    assert sorted(told) == [
        (door, "token 1", "owner", "127.0.0.1", f"POST {path}", "200"),
        (door, "token 2", "member", "127.0.0.1", f"POST {path}", "401"),
    ]
    assert of in [one.subject for _, one in catalog.audit.rows() if one.role == "owner"]
    catalog.close()


@pytest.mark.parametrize(
    ("door", "method", "path", "body"),
    [
        ("dagster", "POST", "/graphql", asked("query Q { version }")),
        ("dagster", "GET", "/runs", None),
        ("chroma", "POST", "/api/v2/collections/a/query", {}),
        ("chroma", "POST", "/api/v2/collections/a/get", {}),
        ("chroma", "GET", "/api/v2/collections", None),
    ],
)
def test_what_is_only_asked_through_a_door_is_not(settings, tokens, door, method, path, body):
    owner = made(tokens)
    catalog = open_catalog(settings.database_url)
    with standing(settings, door) as http:
        answer = http.request(method, path, json=body, headers={"x-chroma-token": owner})
        assert answer.text == "hello"
    assert catalog.audit.rows() == []
    catalog.close()
