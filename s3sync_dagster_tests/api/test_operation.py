"""Health, metrics, traces, and the server as a process of its own."""

import http.server
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import httpx
import pytest
import sqlalchemy as sa
from prometheus_client.parser import text_string_to_metric_families

from s3sync_dagster.api.options import read_options
from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.local.loopback import free_port
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.settings import load_settings
from s3sync_dagster_tests.api.server import running_api
from s3sync_dagster_tests.conftest_chroma import start_chroma


def test_health_names_its_parts(http):
    answer = http.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "parts": {"catalog": "ok", "chroma": "ok"}}


def test_without_dagster_work_only_waits(tmp_path, chroma_server, aws_endpoint):
    environ = {"S3SYNC_DAGSTER_URL": "http://127.0.0.1:9"}
    with (
        running_api(tmp_path, chroma=chroma_server, aws=aws_endpoint, environ=environ) as api,
        api.client() as http,
    ):
        answer = http.get("/health")
        assert answer.status_code == 200
        assert answer.json()["status"] == "degraded"
        assert answer.json()["parts"]["dagster"] == "dagster_unavailable"


def test_without_chroma_the_server_is_not_healthy(tmp_path, aws_endpoint):
    chroma = start_chroma(tmp_path / "chroma")
    with (
        running_api(tmp_path / "home", chroma=chroma.url, aws=aws_endpoint) as api,
        api.client() as http,
    ):
        try:
            assert http.get("/health").status_code == 200
        finally:
            chroma.kill()
        deadline = time.monotonic() + 10
        while (answer := http.get("/health")).status_code == 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert answer.status_code == 503
        found = answer.json()
        assert found["error"] == "unavailable"
        assert "chroma" in found["message"]
        assert found["parts"]["catalog"] == "ok"
        # What needs no Chroma still works: lists, and requests that wait for it.
        assert http.get("/api/v1/sources").status_code == 200
        source = api.parts.catalog.sources.add(aws_endpoint.source("some-bucket"))
        ask = http.post(f"/api/v1/sources/{source.id}/invocations", json={"object_key": "a"})
        assert ask.status_code == 201, ask.text


def test_a_catalog_that_a_newer_program_made_its_own_shows_in_health(
    tmp_path, chroma_server, aws_endpoint
):
    with (
        running_api(tmp_path, chroma=chroma_server, aws=aws_endpoint) as api,
        api.client() as http,
    ):
        assert http.get("/health").json()["parts"]["catalog"] == "ok"
        with api.parts.catalog.database.write() as tx:
            tx.execute(sa.text("UPDATE alembic_version SET version_num = '1001'"))
        deadline = time.monotonic() + 30
        while (answer := http.get("/health")).status_code == 200:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert answer.json()["parts"]["catalog"] == "catalog_newer"


def metrics_of(answer):
    assert answer.status_code == 200, answer.text
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_metrics_of_sources_and_requests(fresh_api, aws_endpoint):
    api = fresh_api
    source = api.parts.catalog.sources.add(aws_endpoint.source("some-bucket"))
    other = aws_endpoint.source("other-bucket").with_changes(tenant="another")
    api.parts.catalog.sources.add(other)
    refs = [(ObjectRef(key=key, etag="e", size=1), skip) for key, skip in (("a", None), ("b", "x"))]
    api.parts.catalog.work.record_objects(source.id, refs)
    api.parts.catalog.invocations.request(source, ["a"], trigger=Trigger.API)
    with api.client() as http:
        http.get("/api/v1/sources")
        http.get(f"/api/v1/sources/{source.id}")
        found = metrics_of(http.get("/metrics"))
        mine = [("source", source.name), ("tenant", "default_tenant")]

        def value(name, **labels):
            return found[name, tuple(sorted([*mine, *labels.items()]))]

        assert value("s3sync_objects", state="waiting", reason="") == 1
        assert value("s3sync_objects", state="skipped", reason="x") == 1
        assert value("s3sync_invocations_live", status="pending") == 1
        assert value("s3sync_invocations_recent", status="pending", reason="") == 1
        assert value("s3sync_lag_seconds") >= 0
        assert value("s3sync_chunks") == 0
        assert found["s3sync_vector_cache_hits", ()] == 0
        route = {"method": "GET", "route": "/api/v1/sources/{source_id}", "status": "200"}
        assert found["s3sync_http_requests_total", tuple(sorted(route.items()))] == 1
        assert other.name in http.get("/metrics").text
    # Of other tenants and of the server only who operates it learns.
    tokens = {name: api.token(tenant=name, role="member") for name in ("another", "default_tenant")}
    tokens["owner"] = api.token(tenant="another")
    with api.client() as http:
        assert http.get("/metrics").status_code == 401
        assert other.name in http.get("/metrics", headers={"x-chroma-token": api.token()}).text
        for whose, token in tokens.items():
            answer = http.get("/metrics", headers={"authorization": f"Bearer {token}"})
            theirs = source if whose == "default_tenant" else other
            shown = [one.name for one in (source, other) if one.name in answer.text]
            assert shown == [theirs.name], whose
            assert "s3sync_http_requests" not in answer.text
            assert "s3sync_vector_cache" not in answer.text
            assert "s3sync_dispatch_failures" not in answer.text


def test_traces_reach_a_collector(tmp_path, chroma_server, aws_endpoint):
    from s3sync_dagster.api.tracing import exporting

    received = []

    class Collector(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append((self.path, body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_args):
            pass

    collector = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=collector.serve_forever, daemon=True).start()
    try:
        with (
            exporting(f"http://127.0.0.1:{collector.server_port}/") as tracer,
            running_api(tmp_path, chroma=chroma_server, aws=aws_endpoint, tracer=tracer) as api,
            api.client() as client,
        ):
            trace = "0af7651916cd43dd8448eb211c80319c"
            parent = {"traceparent": f"00-{trace}-b7ad6b7169203331-01"}
            assert client.get("/api/v1/sources", headers=parent).status_code == 200
    finally:
        collector.shutdown()
        collector.server_close()
    assert {path for path, _ in received} == {"/v1/traces"}
    sent = b"".join(body for _, body in received)
    assert bytes.fromhex(trace) in sent
    assert b"GET /api/v1/sources" in sent
    assert b"s3sync-api" in sent


class Process:
    """The API as ``python -m s3sync_dagster.api``."""

    def __init__(self, home, chroma, *arguments, **environ):
        self.port = free_port()
        names = ("PATH", "LANG", "HOME", "VIRTUAL_ENV", "PYTHONPATH")
        kept = {name: os.environ[name] for name in names if name in os.environ}
        self.errors = (home.parent / "stderr.log").open("wb+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "s3sync_dagster.api", f"--port={self.port}", *arguments],
            env={**kept, "S3SYNC_HOME": str(home), "S3SYNC_CHROMA_URL": chroma, **environ},
            stderr=self.errors,
        )

    def wait(self, host="127.0.0.1"):
        deadline = time.monotonic() + 60
        while True:
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            try:
                return httpx.get(f"http://{host}:{self.port}/health", timeout=5)
            except httpx.HTTPError:
                time.sleep(0.05)

    def log(self):
        self.errors.seek(0)
        return self.errors.read().decode()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(20)
        lines = self.log().splitlines()
        self.errors.close()
        return code, lines


def _own_address():
    """Return an address of this machine that is not loopback, None where it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return probe.getsockname()[0]


def test_without_a_token_only_loopback_hears_and_the_log_says_so(tmp_path, chroma_server):
    api = Process(tmp_path / "home", chroma_server, "--host=0.0.0.0")
    try:
        assert api.wait().status_code == 200
        url = f"http://127.0.0.1:{api.port}/api/v1/sources"
        assert httpx.get(url, headers={"x-request-id": "from-a-test"}).status_code == 200
        address = _own_address()
        if address is not None and not address.startswith("127."):
            with pytest.raises(httpx.ConnectError):
                httpx.get(f"http://{address}:{api.port}/health", timeout=5)
    finally:
        code, lines = api.stop()
    assert code == 0
    records = [json.loads(line) for line in lines]
    assert any("no API token exists" in record["message"] for record in records)
    [logged] = [record for record in records if record.get("id") == "from-a-test"]
    assert logged["route"] == "/api/v1/sources"
    assert logged["status"] == 200
    assert logged["ms"] >= 0


def test_with_a_token_it_listens_where_it_is_told(tmp_path, chroma_server):
    home = tmp_path / "home"
    home.mkdir()
    catalog = open_catalog(f"sqlite:///{home}/catalog.db")
    _, token = catalog.tokens.create(tenant="default_tenant", role="member")
    catalog.close()
    api = Process(home, chroma_server, "--host=0.0.0.0")
    try:
        assert api.wait().status_code == 200
        url = f"http://127.0.0.1:{api.port}/api/v1/sources"
        assert httpx.get(url).status_code == 401
        assert httpx.get(url, headers={"x-chroma-token": token}).json() == []
        address = _own_address()
        if address is not None:
            headers = {"x-chroma-token": token}
            there = f"http://{address}:{api.port}/api/v1/sources"
            assert httpx.get(there, headers=headers).status_code == 200
    finally:
        code, lines = api.stop()
    assert code == 0
    assert token not in "\n".join(lines)


def test_a_request_under_way_ends_before_the_server_does(tmp_path, chroma_server):
    api = Process(tmp_path / "home", chroma_server)
    api.wait()
    with socket.create_connection(("127.0.0.1", api.port), timeout=15) as line:
        line.sendall(
            b"POST /s3sync/v1/search HTTP/1.1\r\nhost: localhost\r\n"
            b"content-type: application/json\r\ncontent-length: 2\r\n\r\n{"
        )
        time.sleep(0.3)
        api.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        line.sendall(b"}")
        assert line.recv(65536).startswith(b"HTTP/1.1 400")
    code, _ = api.stop()
    assert code == 0


def test_a_wrong_setting_is_a_sentence_and_an_exit_code(tmp_path, chroma_server):
    api = Process(tmp_path / "home", chroma_server, S3SYNC_API_MAX_BODY_BYTES="many")
    assert api.process.wait(60) == 2
    assert api.log().strip() == "S3SYNC_API_MAX_BODY_BYTES has to be a number from 1024 on."
    api.errors.close()


@pytest.mark.parametrize(
    ("inner", "public", "told"),
    [
        ("http://webserver:3000", "", None),
        ("http://10.0.0.7:3000", "https://dagster.example.org/", "https://dagster.example.org"),
        ("http://127.0.0.1:3000", "", "http://127.0.0.1:3000"),
        ("", "", None),
    ],
)
def test_where_dagster_is_inside_is_told_to_nobody(tmp_path, inner, public, told):
    environ = {"S3SYNC_DAGSTER_URL": inner, "S3SYNC_DAGSTER_PUBLIC_URL": public}
    settings = load_settings({"S3SYNC_HOME": str(tmp_path), **environ})
    assert read_options(settings).dagster_public_url == told
