"""Bodies of requests: read of those alone who are known, and none that keeps others waiting."""

import json
import socket
import time
from contextlib import ExitStack

import pytest
from starlette.datastructures import Headers
from starlette.routing import Route

from s3sync_dagster.api.app import create_app
from s3sync_dagster.api.console import access_page, actions, source_form
from s3sync_dagster.api.console.rendering import PageRoute
from s3sync_dagster.api.guards import BODY_BYTES, DELIVERY_BYTES, FORM_BYTES, SIGN_IN_BYTES
from s3sync_dagster.api.options import read_options
from s3sync_dagster.api.routing import (
    LARGE_BODIES_PER_TENANT,
    MAX_VALUES,
    SLOW_SECONDS,
    may_be_large,
    parse_bounded,
)
from s3sync_dagster_tests.api.server import running_api

DOORS = {f"S3SYNC_API_{name}": "on" for name in ("AGENTS", "SUPERMEMORY", "COCO")}
SOMEBODY = "00000000-0000-4000-8000-000000000000"
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def closed(tmp_path_factory, chroma_server, aws_endpoint):
    """A server with tokens and all doors."""
    home = tmp_path_factory.mktemp("bodies")
    with running_api(home, chroma=chroma_server, aws=aws_endpoint, environ=DOORS) as api:
        yield api, api.token()


def routes_with_bodies(api):
    waiting = list(create_app(api.parts, read_options(api.parts.settings)).routes)
    while waiting:
        route = waiting.pop(0)
        if not isinstance(route, Route):
            waiting += route.original_router.routes
        elif route.path == "/mcp" or getattr(route, "body_field", None) is not None:
            yield route


def test_nothing_is_read_of_a_body_before_it_is_known_whose_it_is(closed):
    api, _ = closed
    host, port = api.url.removeprefix("http://").split(":")
    asked = set()
    for route in routes_with_bodies(api):
        if isinstance(route, PageRoute):  # a form, whose signature stands in it
            continue
        path = route.path.format(
            source_id=SOMEBODY, datasource_id=SOMEBODY, credential_id=1, connection_id=SOMEBODY
        )
        method = next(iter(route.methods - {"HEAD"}))
        head = (
            f"{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            "content-length: 1000000\r\n\r\n["
        )
        with socket.create_connection((host, int(port)), timeout=60) as line:
            line.sendall(head.encode())  # the rest never comes: who waited for it would wait long
            answer = line.recv(65536)
        assert answer.startswith(b"HTTP/1.1 401"), (path, answer)
        asked.add(route.path)
    assert asked >= {"/s3sync/v1/search", "/api/v1/sources", "/datasource/", "/mcp"}
    assert asked >= {"/v3/connections/s3", "/api/v1/sources/{source_id}/invocations"}


def test_a_body_that_outlives_its_token_does_nothing(closed):
    api, _ = closed
    asked = set()
    with ExitStack() as lines:
        waiting = []
        row, token = api.parts.catalog.tokens.create(tenant="default_tenant", role="owner")
        for route in routes_with_bodies(api):
            if isinstance(route, PageRoute):  # asks whose it is once its form is there
                continue
            path = route.path.format(
                source_id=SOMEBODY, datasource_id=SOMEBODY, credential_id=1, connection_id=SOMEBODY
            )
            method = next(iter(route.methods - {"HEAD"}))
            head = (
                f"{method} {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
                f"x-chroma-token: {token}\r\ncontent-length: 2\r\n\r\n{{"
            )
            host, port = api.url.removeprefix("http://").split(":")
            line = lines.enter_context(socket.create_connection((host, int(port)), timeout=60))
            line.sendall(head.encode())
            waiting.append((route.path, line))
        time.sleep(SLOW_SECONDS + 0.5)  # for which they were let in by then
        api.parts.catalog.tokens.revoke(row.id)
        for path, line in waiting:
            line.sendall(b"}")
            answer = line.recv(65536)
            assert answer.startswith(b"HTTP/1.1 401"), (path, answer)
            asked.add(path)
    assert asked >= {"/s3sync/v1/search", "/api/v1/sources", "/datasource/", "/mcp"}
    assert asked >= {"/v3/connections/s3", "/s3sync/v1/credentials"}


@pytest.mark.parametrize("path", ["/s3sync/v1/search", "/api/v1/sources", "/mcp", "/login"])
def test_a_body_has_a_size_and_a_number_of_values(closed, path):
    api, token = closed
    with api.client(token) as http:
        many = b"[" + b"[]," * MAX_VALUES + b"[]]"
        answer = http.post(path, content=many, headers=JSON)
        # A form knows no JSON; all others refuse it for its values alone.
        assert answer.status_code == (403 if path == "/login" else 400)
        answer = http.post(path, content=b" " * (BODY_BYTES + 1), headers=JSON)
        assert (answer.status_code, answer.json()["error"]) == (413, "body_too_large")


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "Multipart/Form-Data; boundary=B"]
)
def test_forms_are_short_and_of_few_fields_for_whoever_sends_them(closed, kind):
    api, _ = closed
    pages = [
        route.path_format.replace("{source_id}", "1" * 32)
        for room in (access_page, actions, source_form)
        for route in room.router.routes
        if route.methods == {"POST"}
    ]
    assert len(pages) > 12
    with api.client(**{"content-type": kind}) as http:
        for path in pages:
            most = SIGN_IN_BYTES if path == "/login" else FORM_BYTES
            answer = http.post(path, content=b"&" * (most + 1))
            assert (answer.status_code, answer.json()["error"]) == (413, "body_too_large"), path
            many = http.post(path, content=b"&" * most)
            assert many.status_code == (400 if "url" in kind else 403), path
            spelt = b"form_token=" + b"%41" * 3000
            assert http.post(path, content=spelt).status_code in (303, 400, 403), path


def test_a_request_may_list_as_many_keys_as_the_contract_says(closed):
    api, token = closed
    source = api.parts.catalog.sources.add(api.aws.source(api.aws.make_bucket()))
    keys = [f"{'k' * 200}, [{number}] {{}}" for number in range(10_000)]
    with api.client(token) as http:
        url = f"/api/v1/sources/{source.id}/invocations/latest-by-keys"
        answer = http.post(url, json={"object_keys": keys})
        assert (answer.status_code, answer.json()) == (200, {}), answer.text[:500]


@pytest.mark.parametrize(
    ("body", "taken"),
    [
        (b"[1,2,3]", True),
        (b"[1,2,3,4,5]", False),
        (b'{"a":1,"b":[1]}', True),
        (b"[[],[],[],[]]", False),
        (b'["a,[{,,\\",,,[", "\\\\"]', True),
        (b'["a', False),
        (b'"' * 41, False),
        (b"\\" * 50, False),
        (b'["\\\\", ",,,,,", "\\\\\\",,,"]', True),
        (b'["%b"]' % (b"9" * 50), True),
        (b"[18446744073709551615, -9223372036854775808]", True),
        (b"[%b]" % (b"9" * 4299), False),
    ],
)
def test_marks_inside_of_texts_are_no_values(body, taken):
    try:
        parsed = parse_bounded(body, most_values=4)
    except json.JSONDecodeError:
        assert not taken
    else:
        assert taken
        assert parsed == json.loads(body)


def test_a_tenant_has_so_many_large_bodies_in_flight_and_keeps_nobody_elses_out(closed):
    api, token = closed
    url = f"/s3sync/v1/sources/{SOMEBODY}/retry"
    body = json.dumps({"keys": ["x" * 4096] * (BODY_BYTES // 4096 + 1)}).encode()
    with ExitStack() as held:
        for _ in range(LARGE_BODIES_PER_TENANT):
            held.enter_context(api.context.large_bodies.taken("default_tenant"))
        with api.client(token) as http:
            refused = http.post(url, content=body, headers=JSON)
            assert (refused.status_code, "retry-after" in refused.headers) == (429, True)
            assert http.post(url, json={"keys": ["a"]}).status_code == 404
            assert may_be_large(Headers({"content-length": f"{len(body):030}"}))
            assert http.post(url).status_code == 404  # no body at all
        with api.client(api.token(tenant="another")) as http:
            assert http.post(url, content=body, headers=JSON).status_code == 404


def test_so_many_large_deliveries_of_an_address_are_read_of_whom_nobody_knows(closed):
    api, _ = closed
    url = f"/webhooks/github/{SOMEBODY}"
    with ExitStack() as held, api.client() as http:
        held.enter_context(api.context.deliveries.taken("127.0.0.1"))
        held.enter_context(api.context.deliveries.taken("127.0.0.1"))
        assert http.post(url, content=b"[" * (BODY_BYTES + 1), headers=JSON).status_code == 429
        assert http.post(url, content=b"[]", headers=JSON).status_code == 404
    with api.client() as http:
        too_large = http.post(url, content=b"[" * (DELIVERY_BYTES + 1), headers=JSON)
        assert too_large.status_code == 413
