"""What goes over the wire, counted outside of the port; and a wire that breaks."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest

from s3sync_dagster import __version__
from s3sync_dagster.local.loopback import free_port
from s3sync_dagster.model.errors import (
    FixConfiguration,
    NotFound,
    NotPossible,
    S3SyncError,
    Throttled,
    Unavailable,
)
from s3sync_dagster.ports import s3
from s3sync_dagster.ports.aws_session import read_time
from s3sync_dagster.ports.body_spool import MAX_MEMORY_BYTES
from s3sync_dagster.ports.s3 import S3ObjectStore
from s3sync_dagster_tests.conftest_aws import AwsEndpoint
from s3sync_dagster_tests.opened import open_object_store
from s3sync_dagster_tests.wire_proxy import Fault, WireProxy, WireRequest, wire_proxy

BIG = bytes(range(256)) * (12 * 1024 * 4)


@pytest.fixture
def proxy(aws_endpoint: AwsEndpoint) -> Iterator[WireProxy]:
    with wire_proxy(aws_endpoint.url) as running:
        yield running


@pytest.fixture
def bucket(aws_endpoint: AwsEndpoint) -> str:
    return aws_endpoint.make_bucket("wire")


@pytest.fixture
def store(aws_endpoint: AwsEndpoint, proxy: WireProxy, bucket: str, tmp_path: Path):
    source = aws_endpoint.source(bucket, endpoint_url=proxy.url)
    opened = open_object_store(
        source.place, resolve_env=aws_endpoint.resolve_env, spool_dir=tmp_path / "spool"
    )
    yield opened
    opened.close()


def wire(proxy: WireProxy) -> dict[str, int]:
    """Return the proxy's counts in the words of ``ObjectStore.requests``."""
    counts = proxy.counts()
    return {
        "LIST": counts.get("LIST", 0),
        "GET": counts.get("GET", 0),
        "HEAD": counts.get("HEAD", 0) + counts.get("BUCKET", 0),
    }


def test_counts_are_those_of_the_wire(
    store: S3ObjectStore, proxy: WireProxy, aws_endpoint: AwsEndpoint, bucket: str
) -> None:
    for number in range(5):
        aws_endpoint.put(bucket, f"k{number}")
    store.list_page("", start_after=None, limit=2)
    store.list_page("", start_after="k1", limit=2)
    store.head("k0")
    for number in range(5):
        store.read(f"k{number}", max_size_bytes=100)
    assert wire(proxy) == {"LIST": 2, "GET": 5, "HEAD": 1} == dict(store.requests())


def test_the_sdk_s_own_retries_are_counted(
    store: S3ObjectStore, proxy: WireProxy, aws_endpoint: AwsEndpoint, bucket: str
) -> None:
    aws_endpoint.put(bucket, "a")
    proxy.plan = lambda request: Fault(status=500) if request.number == 1 else None
    assert store.read("a", max_size_bytes=10).content == b"text"
    assert wire(proxy) == {"LIST": 0, "GET": 2, "HEAD": 0} == dict(store.requests())


def test_a_lasting_problem_of_the_service_is_reported_after_bounded_tries(
    store: S3ObjectStore, proxy: WireProxy
) -> None:
    proxy.plan = lambda _: Fault(status=500)
    with pytest.raises(Unavailable) as caught:
        store.list_page("", start_after=None)
    assert caught.value.reason == "service_error"
    assert 2 <= wire(proxy)["LIST"] <= 4
    assert dict(store.requests()) == wire(proxy)


def test_a_pause_that_is_asked_for_is_handed_on(store: S3ObjectStore, proxy: WireProxy) -> None:
    proxy.plan = lambda _: Fault(status=503, code="SlowDown", headers=(("Retry-After", "7"),))
    with pytest.raises(Throttled) as caught:
        store.head("a")
    assert caught.value.retry_after_seconds == 7


@pytest.mark.parametrize("cut", [0, 1, 5000])
def test_a_read_that_breaks_on_the_way_is_begun_again(
    store: S3ObjectStore, proxy: WireProxy, aws_endpoint: AwsEndpoint, bucket: str, cut: int
) -> None:
    aws_endpoint.put(bucket, "a", BIG[:10_000])
    store.head("a")
    proxy.reset()
    proxy.plan = lambda request: Fault(cut_after_bytes=cut) if request.number == 1 else None
    assert store.read("a", max_size_bytes=10_000).content == BIG[:10_000]
    assert wire(proxy)["GET"] == 2


def test_a_large_read_that_breaks_leaves_no_file_behind(
    store: S3ObjectStore,
    proxy: WireProxy,
    aws_endpoint: AwsEndpoint,
    bucket: str,
    tmp_path: Path,
) -> None:
    aws_endpoint.put(bucket, "big", BIG)
    store.head("big")
    proxy.plan = lambda _: Fault(cut_after_bytes=MAX_MEMORY_BYTES + 2 * 1024 * 1024)
    with pytest.raises(Unavailable) as caught:
        store.read("big", max_size_bytes=len(BIG))
    assert caught.value.reason == "connection_broken"
    assert list((tmp_path / "spool").iterdir()) == []
    proxy.reset()
    body = store.read("big", max_size_bytes=len(BIG))
    assert isinstance(body.content, Path)
    assert body.content.parent == tmp_path / "spool"
    assert body.content.read_bytes() == BIG


def test_a_list_answer_that_breaks_is_asked_for_again(
    store: S3ObjectStore, proxy: WireProxy, aws_endpoint: AwsEndpoint, bucket: str
) -> None:
    aws_endpoint.put(bucket, "a")
    store.head("a")
    proxy.reset()
    proxy.plan = lambda request: Fault(cut_after_bytes=40) if request.number == 1 else None
    assert [ref.key for ref in store.list_page("", start_after=None).objects] == ["a"]


def test_what_is_too_large_is_not_fetched(
    store: S3ObjectStore, proxy: WireProxy, aws_endpoint: AwsEndpoint, bucket: str
) -> None:
    aws_endpoint.put(bucket, "big", BIG)
    with pytest.raises(S3SyncError) as caught:
        store.read("big", max_size_bytes=1000)
    assert caught.value.reason == "too_large"
    assert wire(proxy)["GET"] == 1


def not_found(_: WireRequest) -> Fault:
    return Fault(status=404, body=b"<html>nothing here</html>")


def test_a_404_of_somebody_else_is_no_evidence(store: S3ObjectStore, proxy: WireProxy) -> None:
    """A wrong endpoint answers 404 to everything; records must not be deleted for that."""
    proxy.plan = not_found
    for ask in (lambda: store.head("a"), lambda: store.read("a", max_size_bytes=10)):
        with pytest.raises(S3SyncError) as caught:
            ask()
        assert caught.value.reason == "bucket_not_found"


def test_a_missing_object_costs_one_request_more_once_a_minute(
    store: S3ObjectStore, proxy: WireProxy
) -> None:
    for _ in range(3):
        with pytest.raises(NotFound) as caught:
            store.head("gone")
        assert caught.value.reason == "object_gone"
    assert proxy.counts() == {"HEAD": 3, "BUCKET": 1}


def test_a_web_page_is_not_taken_for_s3(store: S3ObjectStore, proxy: WireProxy) -> None:
    """Least of all for the complete listing of an empty bucket."""
    for body in (b"<html><p>Welcome</p></html>", b"<html><p>Welcome</html>", b"", b"{}"):
        proxy.plan = lambda _, body=body: Fault(status=200, body=body)
        with pytest.raises(S3SyncError) as caught:
            store.list_page("", start_after=None)
        assert caught.value.reason in ("not_this_service", "service_error")


def test_keys_out_of_order_end_the_listing(store: S3ObjectStore, proxy: WireProxy) -> None:
    entries = "".join(
        f"<Contents><Key>{key}</Key><Size>1</Size><ETag>e</ETag></Contents>" for key in "acb"
    )
    xml = f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>"
    proxy.plan = lambda _: Fault(status=200, body=xml.encode())
    with pytest.raises(NotPossible) as caught:
        store.list_page("", start_after=None)
    assert caught.value.reason == "unordered_listing"


def test_an_empty_page_before_the_end_is_followed(store: S3ObjectStore, proxy: WireProxy) -> None:
    def page(request: WireRequest) -> Fault:
        truncated, more = ("false", "<Contents><Key>z</Key><Size>1</Size></Contents>")
        if "continuation-token" not in request.target:
            truncated, more = ("true", "<NextContinuationToken>t</NextContinuationToken>")
        xml = f"<R><IsTruncated>{truncated}</IsTruncated>{more}</R>"
        return Fault(status=200, body=xml.encode())

    proxy.plan = page
    listed = store.list_page("", start_after=None)
    assert [ref.key for ref in listed.objects] == ["z"]
    assert listed.last


def test_empty_pages_that_lead_nowhere_end_the_listing(
    store: S3ObjectStore, proxy: WireProxy
) -> None:
    xml = "<R><IsTruncated>true</IsTruncated>{}</R>"
    for more in ("", "<NextContinuationToken>t</NextContinuationToken>"):
        body = xml.format(more).encode()
        proxy.plan = lambda _, body=body: Fault(status=200, body=body)
        with pytest.raises(Unavailable) as caught:
            store.list_page("", start_after=None)
        assert caught.value.reason == "listing_stuck"


@pytest.mark.parametrize("tokens", [("a", "b"), None])
def test_empty_pages_whose_tokens_go_round_or_on_for_ever_end_the_listing(
    store: S3ObjectStore,
    proxy: WireProxy,
    monkeypatch: pytest.MonkeyPatch,
    tokens: tuple[str, ...] | None,
) -> None:
    monkeypatch.setattr(s3, "_EMPTY_PAGES", 7)
    asked: list[str] = []

    def page(request: WireRequest) -> Fault:
        asked.append(request.target)
        assert len(asked) < 20, "it goes on for ever"
        token = tokens[len(asked) % len(tokens)] if tokens else f"t{len(asked)}"
        more = f"<NextContinuationToken>{token}</NextContinuationToken>"
        xml = f"<R><IsTruncated>true</IsTruncated>{more}</R>"
        return Fault(status=200, body=xml.encode())

    proxy.plan = page
    with pytest.raises(Unavailable) as caught:
        store.list_page("", start_after=None)
    assert caught.value.reason == "listing_stuck"
    assert len(asked) == (3 if tokens else 8)


def test_a_restored_object_is_told_from_an_archived_one(
    store: S3ObjectStore, proxy: WireProxy
) -> None:
    def entry(key: str, restore: str) -> str:
        return (
            f"<Contents><Key>{key}</Key><Size>1</Size>"
            f"<StorageClass>GLACIER</StorageClass>{restore}</Contents>"
        )

    going = "<RestoreStatus><IsRestoreInProgress>true</IsRestoreInProgress></RestoreStatus>"
    done = (
        "<RestoreStatus><IsRestoreInProgress>false</IsRestoreInProgress>"
        "<RestoreExpiryDate>2030-01-01T00:00:00Z</RestoreExpiryDate></RestoreStatus>"
    )
    entries = entry("a", "") + entry("b", going) + entry("c", done)
    xml = f"<R><IsTruncated>false</IsTruncated>{entries}</R>".encode()
    proxy.plan = lambda _: Fault(status=200, body=xml)
    found = {ref.key: ref.restored for ref in store.list_page("", start_after=None).objects}
    assert found == {"a": False, "b": False, "c": True}


def test_many_threads_share_a_store(
    store: S3ObjectStore, proxy: WireProxy, aws_endpoint: AwsEndpoint, bucket: str
) -> None:
    for number in range(40):
        aws_endpoint.put(bucket, f"k{number}", f"text {number}")
    with ThreadPoolExecutor(16) as pool:
        bodies = list(
            pool.map(lambda n: store.read(f"k{n}", max_size_bytes=100).content, range(40))
        )
    assert bodies == [f"text {number}".encode() for number in range(40)]
    assert dict(store.requests()) == wire(proxy) == {"LIST": 0, "GET": 40, "HEAD": 0}


def test_a_closed_port_is_reported_within_30_seconds(aws_endpoint: AwsEndpoint) -> None:
    port = free_port()
    source = aws_endpoint.source("bucket", endpoint_url=f"http://127.0.0.1:{port}")
    store = open_object_store(source.place, resolve_env=aws_endpoint.resolve_env)
    began = time.monotonic()
    with pytest.raises(Unavailable) as caught:
        store.list_page("", start_after=None)
    assert caught.value.reason == "endpoint_unreachable"
    assert f":{port}" in caught.value.message
    assert time.monotonic() - began < 30
    assert sum(store.requests().values()) == 0  # nothing ever went out


@pytest.mark.long
def test_an_endpoint_that_never_answers_is_reported_within_30_seconds(
    aws_endpoint: AwsEndpoint,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        source = aws_endpoint.source("bucket", endpoint_url=url)
        store = open_object_store(source.place, resolve_env=aws_endpoint.resolve_env)
        began = time.monotonic()
        with pytest.raises(Unavailable) as caught:
            store.list_page("", start_after=None)
        assert caught.value.reason == "timeout"
        assert time.monotonic() - began < 30


def test_an_overwrite_while_a_body_is_read_gives_one_of_both_whole(
    store: S3ObjectStore, aws_endpoint: AwsEndpoint, bucket: str
) -> None:
    """Content and etag of a read belong together, whatever happens meanwhile."""
    texts = [b"a" * 200_000, b"b" * 100_000]
    etags = {aws_endpoint.put(bucket, "k", text): text for text in texts}
    stop = threading.Event()

    def overwrite() -> None:
        while not stop.is_set():
            for text in texts:
                aws_endpoint.put(bucket, "k", text)

    thread = threading.Thread(target=overwrite)
    thread.start()
    try:
        for _ in range(30):
            body = store.read("k", max_size_bytes=300_000)
            assert body.content == etags[body.ref.etag]
            assert body.ref.size == len(etags[body.ref.etag])
    finally:
        stop.set()
        thread.join()


def test_errors_name_no_secret(aws_endpoint: AwsEndpoint, proxy: WireProxy, bucket: str) -> None:
    source = aws_endpoint.source(bucket, endpoint_url=proxy.url)
    store = open_object_store(source.place, resolve_env=aws_endpoint.resolve_env)
    texts = [repr(store)]
    for code, status in (
        ("InvalidAccessKeyId", 403),
        ("SignatureDoesNotMatch", 403),
        ("AccessDenied", 403),
        ("InternalError", 500),
        ("StrangeCode", 418),
    ):
        secret = aws_endpoint.secret_access_key
        body = f"<Error><Code>{code}</Code><Message>{secret} foreign</Message></Error>".encode()
        proxy.plan = lambda _, status=status, body=body: Fault(status=status, body=body)
        with pytest.raises(S3SyncError) as caught:
            store.list_page("", start_after=None)
        texts += [str(caught.value), repr(caught.value)]
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__
    for text in texts:
        assert aws_endpoint.secret_access_key not in text
        assert aws_endpoint.access_key_id not in text
        assert "foreign" not in text


def test_an_endpoint_that_is_no_url(aws_endpoint: AwsEndpoint) -> None:
    for url in ("127.0.0.1:9000", "nonsense"):
        store = open_object_store(
            aws_endpoint.source("bucket", endpoint_url=url).place,
            resolve_env=aws_endpoint.resolve_env,
        )
        with pytest.raises(FixConfiguration) as caught:
            store.list_page("", start_after=None)
        assert caught.value.reason == "invalid_setting"


def test_a_request_names_this_program_and_its_version(
    store: S3ObjectStore, proxy: WireProxy, aws_endpoint: AwsEndpoint, bucket: str
) -> None:
    aws_endpoint.put(bucket, "a")
    store.read("a", max_size_bytes=10)
    named = proxy.log()[-1].headers["user-agent"]
    assert named.startswith(f"s3sync-dagster/{__version__} ")


@pytest.mark.parametrize(
    "written",
    [
        "Sun, 22 Nov 2026 23:59:13 GMT",
        "2026-11-22T23:59:13Z",
        "2026-11-22T23:59:13.000Z",
        "Sun, 22 Nov 2026 23:59:13 +0000",
        "Monday, 22-Nov-26 23:59:13 GMT",
        1795391953,
    ],
)
def test_the_forms_of_a_time_are_one_moment(written: str | int) -> None:
    assert read_time(written) == datetime(2026, 11, 22, 23, 59, 13, tzinfo=UTC)


def test_what_is_no_time_is_refused_as_by_the_sdk() -> None:
    with pytest.raises(ValueError, match="Invalid timestamp"):
        read_time("Sun, 99 Nov 2026 23:59:13 GMT")


def test_a_bucket_and_a_queue_are_opened_without_what_copies_large_files():
    code = (
        "import sys\n"
        "import s3sync_dagster.ports.places, s3sync_dagster.ports.sqs\n"
        "print(*sys.modules)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    loaded = set(told.stdout.split())
    assert "botocore.client" in loaded
    assert not loaded & {"boto3", "s3transfer", "multiprocessing"}
