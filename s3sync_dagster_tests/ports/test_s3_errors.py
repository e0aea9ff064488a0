"""Each answer of S3 becomes the error that says what to do."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal

import pytest
from botocore import exceptions as aws

from s3sync_dagster.model.errors import (
    AccessDenied,
    FixConfiguration,
    FixInput,
    InvalidSetting,
    NotFound,
    NotPossible,
    ObjectChanged,
    S3SyncError,
    Throttled,
    Unavailable,
)
from s3sync_dagster.model.place import Carried
from s3sync_dagster.ports.s3 import S3ObjectStore
from s3sync_dagster.ports.s3_errors import Request, s3_error
from s3sync_dagster_tests.conftest_aws import AwsEndpoint
from s3sync_dagster_tests.opened import open_object_store
from s3sync_dagster_tests.wire_proxy import Fault, WireProxy, wire_proxy

Ask = Literal["list", "head", "read", "tags"]


@pytest.fixture(scope="module")
def proxy(aws_endpoint: AwsEndpoint) -> Iterator[WireProxy]:
    with wire_proxy(aws_endpoint.url) as running:
        yield running


@pytest.fixture
def store(aws_endpoint: AwsEndpoint, proxy: WireProxy) -> S3ObjectStore:
    source = aws_endpoint.source("some-bucket", endpoint_url=proxy.url)
    return open_object_store(source.place, resolve_env=aws_endpoint.resolve_env)


def failure(store: S3ObjectStore, ask: Ask, proxy: WireProxy, fault: Fault) -> S3SyncError:
    proxy.reset()
    proxy.plan = lambda _: fault
    asks: dict[Ask, Callable[[], object]] = {
        "list": lambda: store.list_page("", start_after=None),
        "head": lambda: store.head("the-key"),
        "read": lambda: store.read("the-key", max_size_bytes=10),
        "tags": lambda: store.carried("the-key", wanted=Carried(tags={"a": "a"})),
    }
    with pytest.raises(S3SyncError) as caught:
        asks[ask]()
    return caught.value


ANSWERS: list[tuple[Ask, int, str, type[S3SyncError], str]] = [
    ("list", 404, "NoSuchBucket", NotFound, "bucket_not_found"),
    ("read", 404, "NoSuchBucket", NotFound, "bucket_not_found"),
    ("read", 404, "NoSuchKey", NotFound, "object_gone"),
    ("read", 404, "NoSuchVersion", NotFound, "object_gone"),
    ("head", 404, "", NotFound, "bucket_not_found"),  # the HEAD of the bucket is a 404 too
    ("list", 403, "AccessDenied", AccessDenied, "access_denied"),
    ("read", 403, "AccessDenied", AccessDenied, "access_denied"),
    ("head", 403, "", AccessDenied, "access_denied"),
    ("head", 401, "", AccessDenied, "access_denied"),
    ("list", 403, "InvalidAccessKeyId", AccessDenied, "invalid_access_key"),
    ("list", 403, "SignatureDoesNotMatch", AccessDenied, "wrong_secret_key"),
    ("list", 400, "ExpiredToken", AccessDenied, "expired_token"),
    ("list", 400, "InvalidToken", AccessDenied, "invalid_token"),
    ("list", 403, "RequestTimeTooSkewed", AccessDenied, "clock_skew"),
    ("head", 400, "", AccessDenied, "bad_request"),
    ("read", 400, "KMS.DisabledException", AccessDenied, "kms_denied"),
    ("read", 403, "InvalidObjectState", FixInput, "archived"),
    ("read", 412, "PreconditionFailed", ObjectChanged, "object_changed"),
    ("tags", 403, "AccessDenied", AccessDenied, "tags_denied"),
    ("tags", 403, "InvalidAccessKeyId", AccessDenied, "invalid_access_key"),
    ("tags", 404, "NoSuchKey", NotFound, "object_gone"),
    ("tags", 501, "NotImplemented", NotPossible, "tags_not_supported"),
    ("tags", 405, "MethodNotAllowed", NotPossible, "tags_not_supported"),
    ("tags", 503, "SlowDown", Throttled, "throttled"),
    ("list", 301, "PermanentRedirect", InvalidSetting, "redirected"),
    ("head", 301, "", InvalidSetting, "redirected"),
    ("read", 307, "TemporaryRedirect", InvalidSetting, "redirected"),
    ("list", 400, "AuthorizationHeaderMalformed", InvalidSetting, "wrong_region"),
    ("list", 503, "SlowDown", Throttled, "throttled"),
    ("head", 503, "", Throttled, "throttled"),
    ("list", 429, "TooManyRequests", Throttled, "throttled"),
    ("list", 500, "InternalError", Unavailable, "service_error"),
    ("list", 502, "", Unavailable, "service_error"),
    ("read", 400, "RequestTimeout", Unavailable, "service_error"),
    ("list", 501, "NotImplemented", Unavailable, "service_error"),
    ("list", 405, "MethodNotAllowed", FixConfiguration, "request_refused"),
    ("list", 418, "<script>", FixConfiguration, "request_refused"),
]


@pytest.mark.parametrize(
    ("ask", "status", "code", "kind", "reason"),
    ANSWERS,
    ids=[f"{ask}-{status}-{code or 'bare'}" for ask, status, code, _, _ in ANSWERS],
)
def test_answers(
    store: S3ObjectStore,
    proxy: WireProxy,
    ask: Ask,
    status: int,
    code: str,
    kind: type[S3SyncError],
    reason: str,
) -> None:
    error = failure(store, ask, proxy, Fault(status=status, code=code))
    assert (type(error), error.reason) == (kind, reason)
    assert "some-bucket" in error.message or "the-key" in error.message
    assert "<script>" not in error.message


def test_a_forbidden_kms_key_is_named_as_such(store: S3ObjectStore, proxy: WireProxy) -> None:
    body = (
        b"<Error><Code>AccessDenied</Code><Message>User arn:aws:iam::1:user/x is not authorized "
        b"to perform: kms:Decrypt on resource</Message></Error>"
    )
    error = failure(store, "read", proxy, Fault(status=403, body=body))
    assert error.reason == "kms_denied"
    assert "user/x" not in error.message


def test_a_delete_marker_is_an_object_that_is_gone(store: S3ObjectStore, proxy: WireProxy) -> None:
    marker = (("x-amz-delete-marker", "true"),)
    for ask, status in (("head", 404), ("read", 404), ("head", 405), ("read", 405)):
        error = failure(store, ask, proxy, Fault(status=status, headers=marker))
        assert (type(error), error.reason) == (NotFound, "object_gone")
        assert proxy.counts().get("BUCKET", 0) == 0


def test_a_bucket_that_hides_itself_makes_no_evidence(
    aws_endpoint: AwsEndpoint, store: S3ObjectStore, proxy: WireProxy
) -> None:
    proxy.reset()
    proxy.plan = lambda request: Fault(status=404 if request.kind == "HEAD" else 403)
    with pytest.raises(AccessDenied, match="s3:ListBucket"):
        store.head("the-key")


def test_hints_follow_the_source(aws_endpoint: AwsEndpoint, proxy: WireProxy) -> None:
    source = aws_endpoint.source(
        "some-bucket",
        endpoint_url=proxy.url,
        expected_bucket_owner="1" * 12,
        requester_pays=True,
    )
    store = open_object_store(source.place, resolve_env=aws_endpoint.resolve_env)
    message = failure(store, "read", proxy, Fault(status=403, code="AccessDenied")).message
    assert "expected_bucket_owner" in message
    assert "requester_pays" not in message


def test_an_endpoint_that_the_environment_names_is_named(
    aws_endpoint: AwsEndpoint, proxy: WireProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    place = replace(aws_endpoint.source("some-bucket").place, endpoint_url=None, region=None)
    fault = Fault(status=404, code="NoSuchBucket")
    for region in ("us-east-1", None):  # found by a HEAD of the bucket where none is named
        store = open_object_store(
            replace(place, region=region), resolve_env=aws_endpoint.resolve_env
        )
        told = failure(store, "list", proxy, fault).message
        assert f"bucket 'some-bucket' does not exist at {proxy.url};" in told
        told = failure(store, "list", proxy, Fault(refuse=True)).message
        assert f"the endpoint {proxy.url}" in told


def test_where_aws_is_not_reached_and_no_endpoint_is_known_the_ways_to_name_one_are_told(
    aws_endpoint: AwsEndpoint,
) -> None:
    there = aws_endpoint.source("some-bucket").place
    error = aws.EndpointConnectionError(endpoint_url="https://s3.amazonaws.com")
    told = s3_error(error, Request("listing", replace(there, endpoint_url=None))).message
    assert "AWS cannot be reached" in told
    assert "--endpoint-url" in told
    assert "AWS_ENDPOINT_URL" in told
    assert "--endpoint-url" not in s3_error(error, Request("listing", there)).message


def test_redirects_without_end_are_counted_as_they_went_out(
    store: S3ObjectStore, proxy: WireProxy
) -> None:
    assert failure(store, "list", proxy, Fault(status=301)).reason == "redirected"
    counts = proxy.counts()
    assert sum(counts.values()) <= 5
    assert dict(store.requests()) == {"LIST": counts["LIST"], "GET": 0, "HEAD": counts["BUCKET"]}
