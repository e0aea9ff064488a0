"""What a person sees in Dagster's UI, looked at in Chromium: partitions, states, the three ops."""

import os
import shutil
import time
import uuid
from pathlib import Path

import pytest

from s3sync_dagster.local.stack import Stack
from s3sync_dagster.model.source import EmbeddingConfig, Source
from s3sync_dagster.settings import load_settings
from s3sync_dagster.wiring import open_parts

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

GOOD = {"docs/a file + more.md": "# Tides\n\nHigh at noon.", "docs/ä%41.txt": "Ebbe und Flut"}
BAD = "docs/broken.pdf"


@pytest.fixture(scope="module")
def page():
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    assert path, "These tests need Chromium: apt-get install chromium, or set CHROMIUM."
    with sync_playwright() as playwright:
        # Without a sandbox of its own: tests often run as root, and the pages are ours.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.set_default_timeout(60_000)
        yield page
        browser.close()


@pytest.fixture(scope="module")
def stack(aws_endpoint, tmp_path_factory):
    """A stack that has indexed two objects, and one that cannot be read."""
    bucket = aws_endpoint.make_bucket("ui")
    aws_endpoint.put_all(bucket, {**GOOD, BAD: b"%PDF-1.7 and then nothing"})
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "S3SYNC_"))}
    home = {"S3SYNC_HOME": str(tmp_path_factory.mktemp("ui"))}
    settings = load_settings({**kept, **aws_endpoint.environment(), **home})
    parts = open_parts(settings)
    source = parts.catalog.sources.add(
        Source(
            id=str(uuid.uuid4()),
            name="ui_docs",
            bucket_name=bucket,
            path_prefix="docs/",
            collection_name="ui-docs",
            region=aws_endpoint.region,
            endpoint_url=aws_endpoint.url,
            addressing_style="path",
            embedding=EmbeddingConfig(kind="hash"),
        )
    )
    with Stack(settings) as stack:
        end = time.monotonic() + 240
        while (counts := parts.catalog.views.counts(source.id)).indexed < 2 or not counts.failed:
            assert time.monotonic() < end, counts
            stack.tend()
            time.sleep(0.5)
        # The failed key shows as failed once its run has ended.
        while stack.dagster.runs(statuses=["STARTED", "STARTING", "QUEUED"]):
            assert time.monotonic() < end
            time.sleep(0.5)
        yield stack
    parts.close()


def see(page, stack, path, tmp_path, *texts):
    """Open a page, wait for each text, keep a screenshot."""
    page.goto(stack.addresses.dagster + path)
    for text in texts:
        page.get_by_text(text).first.wait_for()
    name = path.strip("/").split("?")[0].replace("/", "-")
    page.screenshot(path=Path(tmp_path, f"{name}.png"))
    return page.inner_text("body")


def test_each_object_is_a_partition_with_its_state(page, stack, tmp_path):
    text = see(page, stack, "/assets/s3/ui_docs?view=partitions", tmp_path, "Materialized (2)")
    assert "Failed (1)" in text
    assert "Missing (0)" in text
    assert BAD in text
    assert "docs/a file + more.md" in text
    assert "docs/ä" in text


def test_the_three_ops_are_steps_of_a_run(page, stack, tmp_path):
    run = next(run for run in stack.dagster.runs() if run.job == "index_ui_docs")
    steps = [f"s3__ui_docs.{op}" for op in ("extract", "chunk", "upsert")]
    see(page, stack, f"/runs/{run.id}", tmp_path, *steps)


def test_sensors_are_there_and_run(page, stack, tmp_path):
    text = see(page, stack, "/automation", tmp_path, "dispatch", "catalog_auto_sync")
    assert "s3sync" in text
    assert stack.dagster.tick_times("dispatch")


def test_no_secret_is_shown(page, stack, aws_endpoint, tmp_path):
    text = see(page, stack, "/locations/s3sync/resources", tmp_path, "source_ui_docs")
    page.get_by_text("source_ui_docs").first.click()
    page.get_by_text("bucket_name").first.wait_for()
    text += page.inner_text("body")
    assert aws_endpoint.secret_access_key not in text
    assert aws_endpoint.access_key_id not in text
