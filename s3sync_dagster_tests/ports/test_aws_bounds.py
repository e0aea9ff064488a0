"""Answers of S3, SQS and STS that do not end, or come a byte now and then."""

import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import chain, repeat

import pytest

from s3sync_dagster.answer_time import answers_take
from s3sync_dagster.model.errors import NotPossible, S3SyncError, Unavailable
from s3sync_dagster.model.place import CredentialsConfig
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.ports import aws_bounds
from s3sync_dagster.ports.aws_bounds import MESSAGES_BYTES, MOST_BYTES, PAGE_BYTES
from s3sync_dagster.ports.s3 import S3ObjectStore
from s3sync_dagster.ports.sqs import SqsQueue
from s3sync_dagster_tests.endless_http import Endless, endless_server, trickle, without_end
from s3sync_dagster_tests.opened import open_object_store, open_queue

KEYS = CredentialsConfig(access_key_id_env="ID", secret_access_key_env="SECRET")
ENVIRONMENT = {"ID": "AKIA", "SECRET": "secret"}
LISTING = b'<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated>'
ENTRY = b"<Contents><Key>" + b"k" * 1000 + b"</Key></Contents>"
ON_THE_WAY = 16 * 1024 * 1024
"""So many bytes lie between a server and a client that reads no more."""


@pytest.fixture
def server() -> Iterator[Endless]:
    with endless_server() as running:
        yield running


def opened(server: Endless, role_arn: str | None = None) -> S3ObjectStore:
    place = S3Place(
        bucket_name="bucket",
        endpoint_url=server.url,
        region="eu-central-1",
        credentials=CredentialsConfig(
            access_key_id_env="ID", secret_access_key_env="SECRET", role_arn=role_arn
        ),
    )
    return open_object_store(place, resolve_env=ENVIRONMENT.get)


def queue(server: Endless) -> SqsQueue:
    place = S3Place(bucket_name="bucket", region="eu-central-1", credentials=KEYS)
    return open_queue(f"{server.url}/1/q", place=place, resolve_env=ENVIRONMENT.get)


def refused(call: Callable[[], object]) -> S3SyncError:
    with pytest.raises(S3SyncError) as caught:
        call()
    assert type(caught.value) is Unavailable
    return caught.value


def listing(server: Endless) -> Callable[[], object]:
    return lambda: opened(server).list_page("", start_after=None)


def test_a_page_of_keys_without_an_end(server: Endless) -> None:
    server.pieces = lambda _: without_end(LISTING, ENTRY)
    error = refused(listing(server))
    assert error.reason == "answer_too_long"
    assert server.url in error.message
    assert server.sent < PAGE_BYTES + ON_THE_WAY
    assert len(server.asked) == 1


@pytest.mark.parametrize("status", [200, 403, 404, 500])
def test_any_other_answer_without_an_end(server: Endless, status: int) -> None:
    server.pieces = lambda _: without_end(b"<Error><Code>", b"NoSuchKey")
    server.status = status
    store = opened(server)
    calls: list[Callable[[], object]] = [lambda: store._tags("a", version_id=None)]  # pyright: ignore[reportPrivateUsage]
    if status != 200:
        calls.append(lambda: store.read("a", max_size_bytes=10))
        calls.append(lambda: store.list_page("", start_after=None))
    for call in calls:
        server.sent = 0
        assert refused(call).reason == "answer_too_long"
        assert server.sent < PAGE_BYTES + ON_THE_WAY


def test_headers_without_an_end(server: Endless) -> None:
    server.headers_first = False
    server.pieces = lambda _: without_end(
        b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 C\r\n\r\n"
    )
    store = opened(server)
    for call in (lambda: store.head("a"), lambda: store.read("a", max_size_bytes=10)):
        server.sent = 0
        assert refused(call).reason == "answer_too_long"
        assert server.sent < MOST_BYTES + ON_THE_WAY


@pytest.mark.parametrize(
    "body",
    [
        LISTING + b"<a>" * 400_000,
        LISTING + b"<a/>" * 400_000 + b"</ListBucketResult>",
        LISTING + b"<a " + b" ".join(b'a%d=""' % one for one in range(200_000)) + b"/>",
        b'<!DOCTYPE a [<!ENTITY e "' + b"x" * 1_000_000 + b'">]>' + LISTING + b"&e;" * 99_999,
    ],
    ids=["deep", "many", "attributes", "entities"],
)
def test_a_page_that_would_make_a_tree_many_times_as_large(server: Endless, body: bytes) -> None:
    server.pieces = lambda _: iter((body,))
    assert refused(listing(server)).reason == "answer_too_long"


def test_a_large_page_is_taken(server: Endless) -> None:
    keys = (
        b"<Contents><Key>%07d" % one + b"k" * 1000 + b"</Key></Contents>" for one in range(9000)
    )
    body = LISTING + b"".join(keys) + b"</ListBucketResult>"
    server.pieces = lambda _: iter((body,))
    assert len(opened(server).list_page("", start_after=None).objects) == 9000


def test_a_body_that_is_streamed_has_the_bounds_of_its_reader(server: Endless) -> None:
    server.pieces = lambda _: repeat(b"x" * 65536, 640)
    body = opened(server).read("a", max_size_bytes=100 * 1024 * 1024)
    assert len(body.content.read_bytes()) == 640 * 65536  # type: ignore[union-attr]
    server.pieces = lambda _: without_end(b"", b"x")
    server.sent = 0
    with pytest.raises(S3SyncError) as caught:
        opened(server).read("a", max_size_bytes=1024 * 1024)
    assert caught.value.reason == "too_large"
    assert server.sent < 2 * ON_THE_WAY


DECLARED = b"<!DOCTYPE l [<!ATTLIST a %s>]>" % b" ".join(
    b'a%d CDATA "x"' % one for one in range(9000)
)


@pytest.mark.parametrize("status", [200, 403, 500])
@pytest.mark.parametrize("packed", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_short_answer_that_declares_what_each_element_has(
    server: Endless, status: int, packed: str
) -> None:
    body = DECLARED + b"<ListBucketResult>" + b"<a/>" * 3000 + b"</ListBucketResult>"
    server.pieces = lambda _: iter((body.decode().encode(packed),))
    server.status = status
    began = time.thread_time()
    with pytest.raises(S3SyncError):
        opened(server).list_page("", start_after=None)
    assert time.thread_time() - began < 10


@pytest.mark.parametrize("length", [300_000, 900_000, 12_000_000])
def test_a_date_that_takes_hours_to_read(server: Endless, length: int) -> None:
    date = b"<LastModified>" + b"1." * (length // 2) + b"</LastModified>"
    page = LISTING + b"<Contents><Key>a</Key>" + date + b"</Contents></ListBucketResult>"
    server.pieces = lambda _: iter((page,))
    began = time.thread_time()
    with pytest.raises(S3SyncError):
        listing(server)()
    assert time.thread_time() - began < 10


@pytest.mark.parametrize("where", [b"<Contents><Key>%b</Key></Contents>", b"<Prefix>%b</Prefix>"])
def test_a_key_that_takes_gigabytes_to_decode(server: Endless, where: bytes) -> None:
    escaped = b"%61" * 500_000 + b"<!-- -->" + b"%61" * 500_000
    page = LISTING + b"<EncodingType>url</EncodingType>" + where % escaped + b"</ListBucketResult>"
    server.pieces = lambda _: iter((page,))
    call = listing(server)
    tracemalloc.start()
    try:
        assert refused(call).reason == "answer_too_long"
        assert tracemalloc.get_traced_memory()[1] < 60 * 1024 * 1024
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("key", ["k" * 1024, "ä" * 512, "k" * 1025, "ä" * 513])
def test_a_key_that_no_bucket_has(server: Endless, key: str) -> None:
    page = f"{LISTING.decode()}<Contents><Key>{key}</Key></Contents></ListBucketResult>"
    server.pieces = lambda _: iter((page.encode(),))
    if len(key.encode()) <= 1024:
        [found] = opened(server).list_page("", start_after=None).objects
        assert found.key == key
        return
    with pytest.raises(NotPossible) as caught:
        listing(server)()
    assert caught.value.reason == "not_this_service"


def test_a_byte_order_mark_hides_no_tags(server: Endless) -> None:
    body = LISTING + b"<a/>" * 400_000 + b"</ListBucketResult>"
    server.pieces = lambda _: iter((b"\xef\xbb\xbf" + body,))
    assert refused(listing(server)).reason == "answer_too_long"


def test_a_web_page_in_place_of_a_bucket_is_told_as_before(server: Endless) -> None:
    server.media = "text/html"
    server.pieces = lambda _: iter((b"<!DOCTYPE html><html><br><p>Welcome</html>",))
    with pytest.raises(S3SyncError) as caught:
        opened(server).list_page("", start_after=None)
    assert (caught.value.reason, "web page" in caught.value.message) == ("service_error", True)


def test_a_slow_page_is_taken_to_its_end(server: Endless, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws_bounds, "_PATIENCE", 0.05)

    def slowly(_: str) -> Iterator[bytes]:
        yield LISTING
        for one in range(8):
            time.sleep(0.2)
            yield b"<Contents><Key>%d</Key></Contents>" % one + b" " * 1024
        yield b"</ListBucketResult>"

    server.pieces = slowly
    assert len(opened(server).list_page("", start_after=None).objects) == 8
    with answers_take(0.8):  # such as in a sensor, which others wait for
        began = time.monotonic()
        assert refused(listing(server)).reason == "timeout"
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("what", ["body", "error", "headers"])
def test_an_answer_that_comes_a_byte_now_and_then(
    server: Endless, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws_bounds, "_PATIENCE", 0.1)
    server.pieces = lambda _: trickle(begin=LISTING)
    if what == "error":
        server.status = 403
    if what == "headers":
        server.headers_first = False
        server.pieces = lambda _: trickle(begin=b"HTTP/1.1 200 OK\r\nX: ")
    store = opened(server)
    for call in (
        lambda: store.list_page("", start_after=None),
        lambda: store.read("a", max_size_bytes=10),
    )[: 1 if what == "body" else 2]:
        began = time.monotonic()
        assert refused(call).reason == "timeout"
        assert time.monotonic() - began < 25


def slowly(_: str) -> Iterator[bytes]:
    for _number in range(8):
        time.sleep(0.2)
        yield b"x"


def test_a_slow_body_that_is_streamed_is_read_to_its_end(
    server: Endless, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aws_bounds, "_PATIENCE", 0.1)
    server.pieces = slowly
    assert opened(server).read("a", max_size_bytes=10).content == b"x" * 8


def test_a_body_that_drips_is_ended(server: Endless, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws_bounds, "BODY_SECONDS", 0.5)
    server.pieces = slowly
    assert refused(lambda: opened(server).read("a", max_size_bytes=10)).reason == "timeout"
    monkeypatch.setattr(aws_bounds, "SLOWEST_BODY_BYTES", 1)  # as many bytes as give it the time
    assert opened(server).read("a", max_size_bytes=10).content == b"x" * 8


def test_a_body_is_not_waited_for_longer_than_who_asks_bears(
    server: Endless, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.pieces = lambda _: trickle()
    began = time.monotonic()
    with answers_take(0.5):
        assert refused(lambda: opened(server).read("a", max_size_bytes=99)).reason == "timeout"
    monkeypatch.setattr(aws_bounds, "BODY_SECONDS", 1.0)
    monkeypatch.setattr(aws_bounds, "SLOWEST_AWAITED_BYTES", 1)
    with answers_take(0.5):
        assert refused(lambda: opened(server).read("a", max_size_bytes=99)).reason == "timeout"
    assert time.monotonic() - began < 40


def test_a_queue_s_answer_without_an_end(server: Endless) -> None:
    server.media = "application/x-amz-json-1.0"
    server.pieces = lambda _: without_end(b'{"Messages":[', b'{"Body":""},')
    error = refused(queue(server).receive)
    assert (error.reason, server.url in error.message) == ("answer_too_long", True)
    assert server.sent < MESSAGES_BYTES + ON_THE_WAY
    server.sent = 0
    assert refused(queue(server).attributes).reason == "answer_too_long"
    assert server.sent < MOST_BYTES + ON_THE_WAY


@pytest.mark.parametrize("body", [b"[" * 2_000_000, b"[" * 200_000, b'{"a":' * 100_000])
def test_a_queue_s_answer_that_is_nested_without_end(server: Endless, body: bytes) -> None:
    server.media = "application/x-amz-json-1.0"
    server.pieces = lambda _: iter((body,))
    with pytest.raises(S3SyncError) as caught:
        queue(server).receive()
    assert caught.value.reason in ("answer_too_long", "not_this_service")


def test_ten_messages_of_a_mebibyte_each_are_taken(server: Endless) -> None:
    server.media = "application/x-amz-json-1.0"
    text = b'{\\"key\\":\\"' + b"k" * 100 + b'\\"},'
    body = text * (1024 * 1024 // len(text))
    one = b'{"MessageId":"1","ReceiptHandle":"r","Body":"' + body + b'"}'
    server.pieces = lambda _: chain((b'{"Messages":[',), (b",".join([one] * 10),), (b"]}",))
    assert len(queue(server).receive()) == 10


def test_a_role_s_answer_without_an_end(server: Endless, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.url)
    server.pieces = lambda _: without_end(b"<AssumeRoleResponse>", b"<a>a</a>")
    store = opened(server, role_arn="arn:aws:iam::123456789012:role/reader")
    assert refused(lambda: store.list_page("", start_after=None)).reason == "answer_too_long"
    assert server.sent < MOST_BYTES + ON_THE_WAY
    assert server.asked == ["POST /"]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_endless_page_takes_little_memory(server: Endless) -> None:
    server.pieces = lambda _: without_end(LISTING, ENTRY)
    program = f"""
import resource
from pathlib import Path
from s3sync_dagster.model.place import CredentialsConfig
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.ports.s3 import open_object_store
place = S3Place(bucket_name="b", endpoint_url={server.url!r}, region="eu-central-1",
    credentials=CredentialsConfig(access_key_id_env="ID", secret_access_key_env="SECRET"))
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
store = open_object_store(place, resolve_env={ENVIRONMENT!r}.get)
def most():
    told = Path("/proc/self/status").read_text().partition("VmHWM:")[2]
    return int(told.split()[0]) // 1024
before = most()
for _ in range(3):
    try:
        store.list_page("", start_after=None)
    except Exception as error:
        print(getattr(error, "reason", type(error)), end=" ")
print(most() - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    *reasons, mebibytes = done.stdout.split()
    assert reasons == ["answer_too_long"] * 3
    assert int(mebibytes) < 150
