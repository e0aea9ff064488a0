"""One body for every error, whoever raised it; nothing inside it that should not leave."""

import json
import logging
import socket
import time

import pytest

from s3sync_dagster.api.app import create_app
from s3sync_dagster.api.errors import CONTRACT_PREFIX, status_of
from s3sync_dagster.api.request_log import JsonLines
from s3sync_dagster.model import errors as model
from s3sync_dagster_tests.api.server import running_api


def body_of(answer):
    found = answer.json()
    assert set(found) == {"error", "message"}
    assert answer.headers["content-type"] == "application/json"
    return found


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("GET", "/nope", 404, "not_found"),
        ("GET", "/api/v1/sources/", 404, "not_found"),
        ("GET", "/api/v2/sources", 404, "not_found"),
        ("POST", "/health", 405, "method_not_allowed"),
        ("PATCH", "/api/v1/sources", 405, "method_not_allowed"),
        ("OPTIONS", "/api/v1/sources", 405, "method_not_allowed"),
        ("GET", "/api/v1/sources/not-a-uuid", 400, "invalid_request"),
        ("GET", "/api/v1/invocations?status=%00", 400, "invalid_request"),
        ("GET", "/api/v1/invocations?database_name=%00", 400, "invalid_request"),
        ("GET", "/%ff%00", 404, "not_found"),
    ],
)
def test_the_framework_s_own_errors_have_our_shape(http, method, path, status, error):
    answer = http.request(method, path)
    assert (answer.status_code, body_of(answer)["error"]) == (status, error)
    if status == 405:
        assert answer.headers["allow"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"text"',
        b"{}x",
        b"\xff\xfe",
        b'{"database_name": NaN}',
        b'{"database_name": "\\ud800"}',
        b'{"\\udfff": 1}',
        b'{"a": "\\u0000"}',
        b'{"a": 123456789012345678901234567890}',
        b'{"a": 1e999999}',
        b"[" * 100_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    ],
)
def test_what_is_no_strict_json(http, body):
    headers = {"content-type": "application/json"}
    answer = http.post("/api/v1/sources", content=body, headers=headers)
    assert answer.status_code == 400
    assert body_of(answer)["error"] == "invalid_request"


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("", "query: is blank: say what to search for"),
        (" ", "query: is blank: say what to search for"),
        ("x" * 5000, "query: String should have at most 4096 characters"),
        (3, "query: Input should be a valid string"),
        ("a\0b", "holds a NUL character"),
    ],
)
def test_a_question_that_is_none_is_named_by_its_field(http, question, said):
    """``query`` is a field of the body as well as the place of parameters in an address."""
    body = {"query": question, "collection_name": "docs"}
    answer = http.post("/s3sync/v1/search", json=body)
    assert answer.status_code == 400
    assert said in body_of(answer)["message"]


def test_a_body_that_is_not_sent_as_json(http):
    for headers in ({}, {"content-type": "text/plain"}, {"content-type": "x"}):
        answer = http.post("/api/v1/sources", content=b"{}", headers=headers)
        assert answer.status_code == 400
        body_of(answer)


def test_values_are_never_repeated(http):
    secret = "AKIACANARY0123456789"
    for body in (
        {"s3": {"bucket_name": [secret], "aws_secret_access_key": {"a": secret}}},
        {"s3": secret, "database_name": [secret]},
        {"database_name": secret * 1000},
    ):
        answer = http.post("/api/v1/sources", json=body)
        assert answer.status_code == 400
        assert secret not in answer.text


def test_a_body_that_is_too_large(http):
    answer = http.post("/api/v1/sources", content=b"x" * (17 * 1024 * 1024))
    assert (answer.status_code, body_of(answer)["error"]) == (413, "body_too_large")

    def endless():
        for _ in range(20):
            yield b"x" * 1024 * 1024

    headers = {"content-type": "application/json"}
    answer = http.post("/api/v1/sources", content=endless(), headers=headers)
    assert (answer.status_code, body_of(answer)["error"]) == (413, "body_too_large")


def test_a_body_that_does_not_come(tmp_path, chroma_server, aws_endpoint):
    environ = {"S3SYNC_API_BODY_TIMEOUT_SECONDS": "0.3"}
    with running_api(tmp_path, chroma=chroma_server, aws=aws_endpoint, environ=environ) as api:
        host, port = api.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=10) as line:
            line.sendall(
                b"POST /api/v1/sources HTTP/1.1\r\nhost: localhost\r\n"
                b"content-type: application/json\r\ncontent-length: 100\r\n\r\n{"
            )
            began = time.monotonic()
            answer = b""
            while piece := line.recv(65536):
                answer += piece
            assert answer.startswith(b"HTTP/1.1 408")
            assert b'"error":"body_timeout"' in answer
            assert time.monotonic() - began < 25


def test_every_answer_protects_browsers_and_has_a_request_id(http):
    for path in ("/health", "/nope", "/openapi.json"):
        answer = http.get(path, headers={"x-request-id": "abc-1"})
        assert answer.headers["x-request-id"] == "abc-1"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert len(http.get("/health", headers={"x-request-id": "a b"}).headers["x-request-id"]) == 32


def test_a_failure_that_nobody_foresaw_tells_nothing(fresh_api, caplog):
    canary = "canary-in-a-foreign-exception"

    def broken(*_args, **_kwargs):
        raise RuntimeError(canary)

    fresh_api.parts.catalog.invocations.rows = broken
    with fresh_api.client() as http, caplog.at_level(logging.INFO):
        answer = http.get("/api/v1/invocations")
    assert answer.status_code == 500
    assert body_of(answer)["error"] == "internal"
    assert answer.headers["x-request-id"] in answer.json()["message"]
    assert canary not in answer.text
    assert canary not in caplog.text
    assert "RuntimeError" in caplog.text


def test_every_error_of_the_tree_has_a_status():
    def leaves(kind):
        yield kind
        for child in kind.__subclasses__():
            yield from leaves(child)

    for kind in leaves(model.S3SyncError):
        status = status_of(kind("x"), path=CONTRACT_PREFIX)
        assert status in (400, 401, 403, 404, 409, 429, 500), kind
    assert status_of(model.Unavailable("x"), path="/s3sync/v1/search") == 503


def test_log_lines_are_json_and_hold_no_text_of_foreign_exceptions():
    try:
        raise ValueError("canary")
    except ValueError as error:
        info = (type(error), error, error.__traceback__)
    record = logging.LogRecord("x", logging.ERROR, "f", 1, "failed %s", ("here",), info)
    line = json.loads(JsonLines().format(record))
    assert line["message"] == "failed here"
    assert line["error"] == "ValueError"
    assert "canary" not in json.dumps(line)


def test_the_description_needs_no_chroma(tmp_path):
    from s3sync_dagster.settings import load_settings
    from s3sync_dagster.wiring import open_parts

    parts = open_parts(load_settings({"S3SYNC_HOME": str(tmp_path / "home")}))
    app = create_app(parts)
    assert app.openapi()["info"]["title"] == "s3sync Sync API"
    parts.close()
