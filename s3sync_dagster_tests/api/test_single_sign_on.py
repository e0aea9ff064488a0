"""A proxy that signs people in: its header counts, and nobody else's."""

import re
import time

import httpx
import pytest
from starlette.datastructures import Headers

from s3sync_dagster.api.single_sign_on import SECRET_HEADER, read_single_sign_on
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster_tests.api.server import running_api
from s3sync_dagster_tests.api.test_doors import create

SECRET = "a-secret-that-only-the-proxy-and-this-server-know"
SSO = {
    "S3SYNC_SSO_HEADER": "X-Auth-Request-Email",
    "S3SYNC_SSO_GROUPS_HEADER": "X-Auth-Request-Groups",
    "S3SYNC_SSO_SECRET": SECRET,
    "S3SYNC_SSO_USERS": "ann@example.org=default_tenant:owner, *@example.org=default_tenant:member "
    "group:auditors=another:owner",
}


def proxied(user, **more):
    """Return the headers that the proxy sends for somebody."""
    return {
        "x-auth-request-email": user,
        SECRET_HEADER: SECRET,
        "x-forwarded-for": "203.0.113.9",
        **more,
    }


@pytest.fixture(scope="module")
def api(tmp_path_factory, chroma_server, aws_endpoint):
    home = tmp_path_factory.mktemp("sso")
    with running_api(home, chroma=chroma_server, aws=aws_endpoint, environ=SSO) as running:
        yield running


def visit(http, path="/", **headers):
    return http.get(path, headers=headers)


def test_whom_the_proxy_names_is_signed_in_with_the_role_of_the_first_grant(http):
    ann = visit(http, **proxied("Ann@Example.org"))
    assert ann.status_code == 200
    assert "ann@example.org, default_tenant (owner)" in ann.text
    assert "Sign out" not in ann.text
    assert "default_tenant (member)" in visit(http, **proxied("bob@example.org")).text
    by_group = proxied("eve@example.com", **{"x-auth-request-groups": "staff, Auditors"})
    assert "another (owner)" in visit(http, **by_group).text


@pytest.mark.parametrize("user", ["eve@example.com", "ann@example.org.evil.com", "example.org"])
def test_to_whom_nothing_is_granted_is_told_so(http, user):
    refused = visit(http, **proxied(user))
    assert refused.status_code == 403
    assert "Nothing is granted" in refused.text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {SECRET_HEADER: ""},
        {SECRET_HEADER: "guessed" * 8},
        {SECRET_HEADER: SECRET[:-1]},
        {SECRET_HEADER: "ä" * 32},
    ],
)
def test_the_header_of_anybody_else_is_worth_nothing(http, headers):
    sent = [("x-auth-request-email", "ann@example.org")]
    sent += [(name, value.encode("latin-1")) for name, value in headers.items()]
    answer = http.get("/", headers=sent)
    assert (answer.status_code, answer.headers["location"][:6]) == (303, "/login")


@pytest.mark.parametrize("twice", ["x-auth-request-email", SECRET_HEADER])
def test_a_header_that_comes_twice_names_nobody(http, twice):
    sent = [*proxied("ann@example.org").items(), (twice, "bob@example.org")]
    assert http.get("/", headers=sent).status_code == 303
    assert http.get("/", headers=sent[::-1]).status_code == 303


@pytest.mark.parametrize(
    "user",
    [
        *("", "x" * 201, b"ann\xad@example.org"),
        "eve@evil.com, bob@example.org",  # what a proxy made of a header that came twice
        "eve@evil.com,bob@example.org",
    ],
)
def test_names_that_nobody_has_are_those_of_nobody(http, user):
    assert visit(http, **proxied(user)).status_code == 303


def test_the_api_asks_for_tokens_all_the_same_and_is_open_to_nobody(http):
    """What a browser sends by itself opens no door without form tokens."""
    for path in ("/api/v1/sources", "/s3sync/v1/audit", "/metrics"):
        assert visit(http, path, **proxied("ann@example.org")).status_code == 401
        assert visit(http, path).status_code == 401
    made = http.post("/api/v1/sources", json={}, headers=proxied("ann@example.org"))
    assert made.status_code == 401


def form_of(http, path, headers):
    page = http.get(path, headers=headers).text
    [found] = set(re.findall('name="form_token" value="([0-9a-f]+)"', page))
    return found


def console_rows(api):
    return [one for _, one in api.parts.catalog.audit.rows() if one.door == "console"]


def test_what_they_do_is_written_down_with_their_name_and_address(api, http):
    token = api.parts.catalog.tokens.create(tenant="default_tenant", role="owner")[1]
    with api.client(token) as owner:
        source_id = create(api, owner).json()["source_id"]
    ann, bob = proxied("ann@example.org"), proxied("bob@example.org")
    form_token, bobs = (form_of(http, f"/sources/{source_id}", who) for who in (ann, bob))
    forged = ann | {"x-forwarded-for": "198.51.100.1, 203.0.113.9"}  # the first is the visitor's
    pause = f"/sources/{source_id}/pause"
    assert http.post(pause, data={"form_token": "guessed"}, headers=forged).status_code == 403
    assert http.post(pause, data={"form_token": form_token}, headers=forged).status_code == 303
    planted = http.post(f"/sources/{source_id}/retry", data={"form_token": form_token}, headers=bob)
    assert planted.status_code == 403  # members may retry, by a form of their own
    assert http.post(pause, data={"form_token": bobs}, headers=bob).status_code == 403
    ends_at = time.monotonic() + 60
    while len(rows := console_rows(api)) < 4:
        assert time.monotonic() < ends_at
        time.sleep(0.05)
    told = {(one.who, one.role, one.address, one.outcome) for one in rows}
    assert ("user ann@example.org", "owner", "203.0.113.9", "303") in told
    assert ("user ann@example.org", "owner", "203.0.113.9", "403") in told  # a forged form
    assert ("user bob@example.org", "member", "203.0.113.9", "403") in told
    assert SECRET not in str(rows)


def test_a_proxy_may_stand_before_a_server_without_tokens(api):
    with httpx.Client(base_url=api.url) as http:
        assert http.get("/", headers={"x-forwarded-for": "203.0.113.9"}).status_code == 303


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("S3SYNC_SSO_SECRET", ""),
        ("S3SYNC_SSO_SECRET", "short"),
        ("S3SYNC_SSO_SECRET", "ä" * 40),
        ("S3SYNC_SSO_USERS", ""),
        ("S3SYNC_SSO_USERS", "ann@example.org"),
        ("S3SYNC_SSO_USERS", "ann@example.org=owner"),
        ("S3SYNC_SSO_USERS", "ann@example.org=default_tenant:boss"),
        ("S3SYNC_SSO_USERS", "=default_tenant:owner"),
        ("S3SYNC_SSO_USERS", "a*b=default_tenant:owner"),
    ],
)
def test_settings_that_would_let_anybody_in_are_refused(name, value):
    with pytest.raises(InvalidSetting, match=name):
        read_single_sign_on({**SSO, name: value})


def test_the_secret_stands_in_no_text_of_the_settings():
    assert SECRET not in repr(read_single_sign_on(SSO))


@pytest.mark.parametrize("told", ["", "eng,", " ,Eng,,"])
def test_a_group_without_a_name_is_none(told):
    said = proxied("bob@example.org", **{"x-auth-request-groups": told})
    visitor = read_single_sign_on(SSO).visitor(Headers(said))
    assert visitor.groups == frozenset({"eng"} if told else ())
