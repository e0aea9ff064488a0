"""A page on another site, in Chromium: it neither drives nor reads what listens on this machine."""

import http.server
import os
import shutil
import threading
from urllib.parse import quote

import httpx
import pytest
from playwright.sync_api import sync_playwright

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

MUTATION = 'mutation{addDynamicPartition(partitionsDefName:"s3__one",partitionKey:"x"){__typename}}'
FEATURES = "LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests"
"""Chromium's own question before a public site reaches loopback, which other browsers lack."""


@pytest.fixture(scope="module")
def evil_page():
    """A page, anybody's, and its port."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(b"<title>evil</title>")

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://evil.example:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def page(evil_page):
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "these tests need Chromium: apt-get install chromium"
    rules = "--host-resolver-rules=MAP evil.example 127.0.0.1"
    arguments = ["--no-sandbox", rules, f"--disable-features={FEATURES}"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        page = browser.new_page()
        page.goto(evil_page)
        yield page
        browser.close()


def test_no_picture_form_fetch_or_websocket_of_a_page_reaches_dagster(page, tiny_stack):
    dagster = tiny_stack.addresses.dagster
    answers = []
    page.on("response", lambda answer: answers.append((answer.url, answer.status)))
    page.evaluate(
        """async ([dagster, mutation, link]) => {
            const picture = new Image();
            picture.src = `${dagster}/graphql?query=${link}`;
            await new Promise(done => { picture.onerror = picture.onload = done });
            const body = JSON.stringify({query: mutation});
            await fetch(`${dagster}/graphql`, {method: "POST", mode: "no-cors", body});
        }""",
        [dagster, MUTATION, quote(MUTATION)],
    )
    assert [status for url, status in answers if url.startswith(dagster)] == [403, 403]
    opened = page.evaluate(
        """address => new Promise(done => {
            const socket = new WebSocket(address, "graphql-ws");
            socket.onopen = () => done(true);
            socket.onerror = () => done(false);
        })""",
        dagster.replace("http://", "ws://") + "/graphql",
    )
    assert opened is False


def test_a_name_that_was_bent_to_this_machine_shows_nothing(page, tiny_stack):
    port = httpx.URL(tiny_stack.addresses.dagster).port
    answer = page.goto(f"http://evil.example:{port}/runs")
    assert answer.status == 403
    assert "names of its own machine" in page.inner_text("body")
