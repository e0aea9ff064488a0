"""The wire: deadlines, retries, and one of our errors for everything that can come back."""

import json
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from s3sync_dagster.engine.ports import WriteLimits
from s3sync_dagster.local.loopback import free_port
from s3sync_dagster.model import errors
from s3sync_dagster.model.document import Record
from s3sync_dagster.ports.chroma_collection import ChromaCollection
from s3sync_dagster.ports.chroma_http import ChromaHttp, way_options
from s3sync_dagster.ports.chroma_remote import RemoteChroma
from s3sync_dagster_tests.conftest_catalog import HandClock
from s3sync_dagster_tests.scripted_http import scripted_server

SECRET = "text of a document that must not spread"
_NOT_FOUND = json.dumps({"error": "NotFoundError", "message": SECRET})


@pytest.fixture
def server():
    with scripted_server() as made:
        yield made


@pytest.fixture
def http(server, clock: HandClock):
    made = ChromaHttp(server.url, clock=clock)
    yield made
    made.close()


def ask(http):
    return http.call("get", "POST", "things/get", {"ids": ["a"]}, subject="collection 'c'")


@pytest.mark.parametrize(
    ("status", "body", "kind", "reason", "requests"),
    [
        (400, "{}", errors.InvalidSetting, "chroma_refused", 1),
        (400, '{"error":"QuotaError"}', errors.FixConfiguration, "quota_exceeded", 1),
        (422, "Quota exceeded: records", errors.FixConfiguration, "quota_exceeded", 1),
        (
            400,
            "Collection expecting embedding with dimension of 3, got 4",
            errors.EmbeddingMismatch,
            "embedding_mismatch",
            1,
        ),
        (400, "Invalid where clause", errors.InvalidSetting, "invalid_filter", 1),
        (501, "Sparse vector is not supported for local", errors.NotPossible, "not_possible", 1),
        (401, "no", errors.AccessDenied, "access_denied", 1),
        (403, '{"error":"AuthError"}', errors.AccessDenied, "access_denied", 1),
        (404, _NOT_FOUND, errors.NotFound, "not_found", 1),
        (404, "<html>no such page</html>", errors.Unavailable, "not_chroma", 8),
        (404, '{"error":"other"}', errors.Unavailable, "not_chroma", 8),
        (402, "pay first", errors.FixConfiguration, "chroma_misconfigured", 1),
        (410, "", errors.FixConfiguration, "chroma_misconfigured", 1),
        (409, "no", errors.Conflict, "already_exists", 1),
        (413, "Payload too large", errors.LimitExceeded, "request_too_large", 1),
        (408, "", errors.Unavailable, "chroma_unavailable", 8),
        (425, "", errors.Unavailable, "chroma_unavailable", 8),
        (429, "You have been rate limited.", errors.Throttled, "throttled", 8),
        (429, '{"error":"ChromaError"}', errors.Throttled, "throttled", 8),
        (500, "InternalError", errors.Unavailable, "chroma_error", 3),
        (
            500,
            "Failed to apply logs to the hnsw segment writer",
            errors.FixConfiguration,
            "index_damaged",
            1,
        ),
        (
            500,
            "Error creating hnsw segment reader: Nothing found on disk",
            errors.FixConfiguration,
            "index_damaged",
            4,
        ),
        (
            412,
            "Missing field: [Missing metadata segment]",
            errors.FixConfiguration,
            "index_damaged",
            4,
        ),
        (502, "<html>", errors.Unavailable, "chroma_unavailable", 8),
        (503, '{"error":"ChromaError"}', errors.Unavailable, "chroma_unavailable", 8),
        (504, "<html>", errors.Unavailable, "chroma_unavailable", 8),
        (200, "<html>a login page</html>", errors.Unavailable, "bad_answer", 3),
    ],
)
def test_each_answer_is_one_of_our_errors(server, http, status, body, kind, reason, requests):
    said = body if SECRET in body else f"{body} {SECRET}"
    server.decide = lambda _body: (status, said, {})
    with pytest.raises(kind) as caught:
        ask(http)
    assert type(caught.value) is kind
    assert caught.value.reason == reason
    assert len(server.asked) == requests == http.sent["get"]
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None


def test_an_index_that_is_only_behind_is_not_called_damaged(server, http):
    server.script = [(500, "Error finding id", {}), (200, '{"ids": []}', {})]
    assert ask(http) == {"ids": []}


def test_what_passes_is_tried_again_with_growing_pauses(server, http, clock):
    server.script = [(503, "", {}), (429, "", {}), (500, "", {}), (200, '{"ids": []}', {})]
    before = clock.seconds
    assert ask(http) == {"ids": []}
    assert 0.25 / 2 + 0.5 / 2 + 1 / 2 <= clock.seconds - before <= 1.75
    assert {path for _, path, _, _ in server.asked} == {"/api/v2/things/get"}
    assert all(json.loads(body) == {"ids": ["a"]} for *_, body in server.asked)


@pytest.mark.parametrize(("value", "pause"), [("7", 7), ("0", 0.25), ("tomorrow", 0.25)])
def test_retry_after_is_kept(server, http, clock, value, pause):
    server.script = [(429, "", {"retry-after": value})]
    before = clock.seconds
    ask(http)
    assert pause / 2 <= clock.seconds - before <= pause


def test_a_call_ends_within_its_time_retries_included(server, clock):
    server.decide = lambda _body: (503, "", {})
    http = ChromaHttp(server.url, clock=clock, timeout_seconds=3)
    before = clock.seconds
    with pytest.raises(errors.Unavailable):
        ask(http)
    assert clock.seconds - before < 3
    assert len(server.asked) < 6
    server.decide = lambda _body: (429, "", {"retry-after": "30"})
    with pytest.raises(errors.Throttled) as caught:
        ask(http)
    assert caught.value.retry_after_seconds == 30


def test_a_server_that_does_not_answer_is_left_in_time(clock):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        http = ChromaHttp(
            f"http://127.0.0.1:{silent.getsockname()[1]}",
            clock=clock,
            timeout_seconds=0.3,
            tries=1,
        )
        with pytest.raises(errors.Unavailable) as caught:
            ask(http)
    assert caught.value.reason == "chroma_timeout"


@pytest.fixture
def rude():
    """A server that reads each request and hangs up; what it read."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def hang_up():
            while True:
                try:
                    link = listening.accept()[0]
                except OSError:
                    return
                with link:
                    heard.append(link.recv(65536))

        thread = threading.Thread(target=hang_up)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", heard
        listening.shutdown(socket.SHUT_RDWR)
    thread.join()


def test_a_server_that_hangs_up_is_asked_three_times(rude, clock):
    url, heard = rude
    http = ChromaHttp(url, clock=clock)
    with pytest.raises(errors.Unavailable) as caught:
        ask(http)
    assert caught.value.reason == "chroma_hung_up"
    assert http.sent["get"] == len(heard) == 3


def test_a_question_that_may_have_ended_the_server_is_not_asked_again(rude, clock):
    url, heard = rude
    http = ChromaHttp(url, clock=clock)
    with pytest.raises(errors.Unavailable) as caught:
        http.call("query", "POST", "things/query", {"where": {}}, subject="collection 'c'")
    assert caught.value.reason == "chroma_hung_up"
    assert len(heard) == 1


def test_nobody_at_the_port_is_unreachable(clock):
    http = ChromaHttp(f"http://127.0.0.1:{free_port()}", clock=clock, tries=2)
    with pytest.raises(errors.Unavailable, match="cannot be reached") as caught:
        ask(http)
    assert caught.value.reason == "chroma_unreachable"


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://", "", "http://u:p@h:1"])
def test_a_wrong_url_is_a_wrong_setting_that_shows_no_password(url):
    with pytest.raises(errors.InvalidSetting) as caught:
        ChromaHttp(url)
    assert "u:p" not in str(caught.value)


def test_headers_are_sent_and_a_path_before_the_api_is_kept(server, clock):
    http = ChromaHttp(f"{server.url}/behind/", headers={"Authorization": "Bearer t"}, clock=clock)
    ask(http)
    _, path, headers, _ = server.asked[0]
    assert path == "/behind/api/v2/things/get"
    assert headers["authorization"] == "Bearer t"


def open_collection(http, limits):
    send = RemoteChroma(http, cloud=False).sender({"id": "x", "name": "c"}, "t", "d")
    return ChromaCollection(send, collection_id="x", name="c", write_limits=lambda: limits)


def _records(count: int) -> list[Record]:
    return [
        Record(id=f"r{n}", document=f"d{n}", embedding_text="", metadata={"n": n})
        for n in range(count)
    ]


def test_a_write_that_is_too_large_is_halved_until_it_fits(server, http):
    written: list[str] = []

    def decide(body):
        ids = json.loads(body)["ids"]
        if len(ids) > 3:
            return 413, "Payload too large", {}
        written.extend(ids)
        return 200, "{}", {}

    server.decide = decide
    collection = open_collection(http, WriteLimits())
    collection.upsert(_records(10), np.ones((10, 2), dtype=np.float32))
    assert written == [f"r{n}" for n in range(10)]


def test_one_bad_record_does_not_take_the_others_with_it(server, http):
    written: list[str] = []

    def decide(body):
        ids = json.loads(body)["ids"]
        if {"r3", "r7"} & set(ids):
            return 422, SECRET, {}
        written.extend(ids)
        return 200, "{}", {}

    server.decide = decide
    collection = open_collection(http, WriteLimits())
    with pytest.raises(errors.RecordRejected) as caught:
        collection.upsert(_records(10), np.ones((10, 2), dtype=np.float32))
    assert caught.value.record_ids == ("r3", "r7")
    assert written == [f"r{n}" for n in range(10) if n not in (3, 7)]


def test_a_probe_is_as_large_as_the_record_and_goes_where_its_write_had_no_answer(server, http):
    metadata = {"s3sync_source": "s1", "secret": "words " * 100, "numbers": [2**62] * 50}
    like = Record(id="r" * 66 + "-0", document=SECRET * 50, embedding_text="", metadata=metadata)
    collection = open_collection(http, WriteLimits())
    vectors = np.ones((1, 2), dtype=np.float32)
    collection.upsert([like], vectors)
    collection.probe(like, vectors[0], source_id="s1", name="s3sync-probe-1")
    real, probe, update, delete = (body for *_, body in server.asked)
    assert abs(len(real) - len(probe)) < 10
    assert json.loads(update)["metadatas"] == json.loads(probe)["metadatas"]
    assert json.loads(probe)["metadatas"][0].keys() == metadata.keys()
    assert not {"document", "secret words"} & set(probe.decode().split())
    assert json.loads(delete)["ids"] == json.loads(probe)["ids"]

    server.asked.clear()
    server.decide = lambda body: (
        (413, "", {}) if "documents" in json.loads(body) else (200, "{}", {})
    )
    with pytest.raises(errors.LimitExceeded):
        collection.probe(like, vectors[0], source_id="s1", name="s3sync-probe-2")
    (*_, written), (*_, delete) = server.asked
    assert json.loads(delete)["ids"] == json.loads(written)["ids"]


def test_batches_keep_to_count_and_bytes(server, http):
    limits = WriteLimits(max_records=4, max_bytes=10_000)
    collection = open_collection(http, limits)
    collection.upsert(_records(9), np.ones((9, 2), dtype=np.float32))
    large = [
        Record(id=f"l{n}", document="x" * 6_000, embedding_text="", metadata={"n": n})
        for n in range(3)
    ]
    collection.upsert(large, np.ones((3, 2), dtype=np.float32))
    sizes = [len(json.loads(body)["ids"]) for *_, body in server.asked]
    assert sizes == [4, 4, 1, 1, 1, 1]


@pytest.fixture
def certificate(tmp_path):
    """A self-signed certificate for 127.0.0.1 and its key, as PEM files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "chroma.test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (tmp_path / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return tmp_path / "cert.pem", tmp_path / "key.pem"


def test_tls_is_trusted_by_its_ca_file_only(certificate, clock):
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(*certificate)
    with scripted_server(tls=tls) as server:
        url = server.url.replace("http:", "https:")
        trusting = ChromaHttp(url, verify=str(certificate[0]), clock=clock)
        assert ask(trusting) == {}
        with pytest.raises(errors.InvalidSetting) as caught:
            ask(ChromaHttp(url, clock=clock))
        assert caught.value.reason == "untrusted_certificate"
        assert ask(ChromaHttp(url, verify=False, clock=clock)) == {}
    with pytest.raises(errors.InvalidSetting, match="CA file"):
        ChromaHttp(url, verify="/no/such/file.pem")


def test_a_proxy_of_the_environment_is_used(server, clock, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", server.url)
    monkeypatch.setenv("NO_PROXY", "")
    ask(ChromaHttp("http://chroma.example:8000", clock=clock))
    assert server.asked[0][1] == "http://chroma.example:8000/api/v2/things/get"


@pytest.mark.parametrize(
    ("url", "proxied", "verified"),
    [
        ("http://127.0.0.1:8000", False, False),
        ("https://127.0.0.1:8000", False, True),
        ("http://localhost:8000", True, True),  # a name: somebody's hosts file says where it leads
        ("http://10.0.0.7:8000", True, True),  # by a proxy that may speak TLS
        ("https://chroma.example.org", True, True),
    ],
)
def test_only_what_goes_to_this_machine_without_tls_reads_no_certificates(url, proxied, verified):
    assert way_options(url) == {"trust_env": proxied, "verify": verified}


@pytest.mark.parametrize("bad", ["d\x1b[2J", "d\nFORGED", "d\x7f", "d\u0085", "d\u2028x"])
def test_a_name_with_what_nobody_sees_in_it_is_not_told_to_chroma(server, http, bad):
    chroma = RemoteChroma(http, cloud=False)
    assert not chroma.has_database("default_tenant", bad)
    assert chroma.find("docs", "default_tenant", bad) is None
    assert chroma.find(bad, "default_tenant", "default_database") is None
    assert not server.asked
