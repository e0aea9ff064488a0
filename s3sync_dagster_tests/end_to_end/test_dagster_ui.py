"""What a person sees in Dagster's UI, looked at in Chromium: partitions, states, the three ops."""

import os
import re
import shutil
import time
import uuid
from pathlib import Path

import pytest

from s3sync_dagster.local.stack import Stack
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster.settings import load_settings
from s3sync_dagster.wiring import open_parts
from s3sync_dagster_tests.dagster_partitions import find_backfill
from s3sync_dagster_tests.sources import s3_source

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

GOOD = {"docs/a file + more.md": "# Tides\n\nHigh at noon.", "docs/ä%41.txt": "Ebbe und Flut"}
MANY = {f"docs/log/{day:03d}.md": f"# Day {day}\n\nNothing happened." for day in range(100)}
BAD = "docs/broken.pdf"
BLANK = "docs/blank.md"


@pytest.fixture(scope="module")
def page():
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    assert path, "These tests need Chromium: apt-get install chromium, or set CHROMIUM."
    with sync_playwright() as playwright:
        # Without a sandbox of its own: tests often run as root, and the pages are ours.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(60_000)
        yield page
        browser.close()


@pytest.fixture(scope="module")
def stack(aws_endpoint, tmp_path_factory):
    """A stack that has indexed what can be read; one object cannot, and one is blank."""
    bucket = aws_endpoint.make_bucket("ui")
    aws_endpoint.put_all(
        bucket, {**GOOD, **MANY, BAD: b"%PDF-1.7 and then nothing", BLANK: b"\n \n"}
    )
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "S3SYNC_"))}
    home = {"S3SYNC_HOME": str(tmp_path_factory.mktemp("ui"))}
    settings = load_settings({**kept, **aws_endpoint.environment(), **home})
    parts = open_parts(settings)
    source = parts.catalog.sources.add(
        s3_source(
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
        wanted = len(GOOD) + len(MANY)
        while (
            counts := parts.catalog.views.counts(source.id)
        ).indexed < wanted or not counts.failed:
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


def launch(page, stack, words, button):
    """Choose the partitions that hold these words in Materialize, and launch."""
    page.goto(stack.addresses.dagster + "/assets/s3/ui_docs")
    page.get_by_role("button", name="Materialize").first.click()
    page.get_by_text("Select a partition or create one").click()
    page.get_by_placeholder("Filter partitions").fill(words)
    page.get_by_text(re.compile(r"^Select all \(\d+\)$")).last.click()
    page.keyboard.press("Escape")
    page.get_by_role("button", name=button).last.click()


def ended(stack, jobs_before, seconds=240):
    """Wait until a run that was not there before has ended; returns it."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        stack.tend()
        new = [run for run in stack.dagster.runs(limit=50) if run.id not in jobs_before]
        if new and all(run.status in ("SUCCESS", "FAILURE") for run in new):
            return new
        time.sleep(0.5)
    raise AssertionError("no run was launched, or it did not end")


def run_ids(stack):
    return {run.id for run in stack.dagster.runs(limit=50)}


def test_each_object_is_a_partition_with_its_state(page, stack, tmp_path):
    path = "/assets/s3/ui_docs?view=partitions"
    text = see(page, stack, path, tmp_path, f"Materialized ({len(GOOD) + len(MANY) + 1})")
    assert "Failed (1)" in text
    assert "Missing (0)" in text
    assert BAD in text
    assert "docs/a file + more.md" in text
    page.get_by_placeholder("Filter by name…").fill("ä")  # the list shows what is in sight
    page.get_by_text("docs/ä%2541.txt").first.wait_for()


def test_a_partition_shows_what_was_done(page, stack, tmp_path):
    path = "/assets/s3/ui_docs?view=partitions&partition=docs/a file %2B more.md"
    text = see(page, stack, path, tmp_path, "ms_upsert")
    for name in ("state", "indexed", "chunks", "bytes", "etag", "ms_extract", "ms_embed"):
        assert name in text
    link = page.locator("a", has_text="/docs/a%20file%20%2B%20more.md").first
    assert link.get_attribute("href").endswith("/docs/a%20file%20%2B%20more.md")
    path = f"/assets/s3/ui_docs?view=partitions&partition={BLANK}"
    text = see(page, stack, path, tmp_path, "empty_text")
    assert "skipped" in text


def test_a_failed_partition_leads_to_its_reason(page, stack, tmp_path):
    path = f"/assets/s3/ui_docs?view=partitions&partition={BAD}"
    see(page, stack, path, tmp_path, "and did not materialize this asset")
    page.get_by_role("button", name="View all historical events (1)").click()
    page.get_by_text("Observation").last.click()
    page.get_by_text("damaged").first.wait_for()


def test_checks_are_evaluated_and_plot_the_source(page, stack, tmp_path):
    end = time.monotonic() + 150  # reported once a minute
    while True:
        text = see(page, stack, "/assets/s3/ui_docs?view=checks", tmp_path, "no_failed_keys")
        page.get_by_text("not_gone_quiet").first.wait_for()
        if "Evaluation result" in text and text.count("Not Evaluated") == 1:
            break  # records_match_catalog asks Chroma for each id: on demand only
        assert time.monotonic() < end, text
        stack.tend()
        time.sleep(2)
    for name in ("objects", "indexed", "failed", "skipped", "pending", "chunks", "lag_seconds"):
        assert name in text
    assert "Plots" in text


def test_one_partition_is_launched_from_the_dialog(page, stack):
    before = run_ids(stack)
    launch(page, stack, "a file", "Launch 1 run")
    (run,) = ended(stack, before)
    assert run.status == "SUCCESS"
    assert run.tags["dagster/partition"] == "docs/a file + more.md"
    assert run.tags["s3sync/source"] == "ui_docs"


def test_a_backfill_of_a_hundred_is_launched_from_the_dialog(page, stack, tmp_path):
    before = run_ids(stack)
    launch(page, stack, "docs/log/", "Launch backfill")
    (run,) = ended(stack, before)  # neighbours go together
    assert run.status == "SUCCESS"
    backfill = run.tags["dagster/backfill"]
    end = time.monotonic() + 120
    while not find_backfill(stack.dagster, backfill).finished:
        assert time.monotonic() < end
        time.sleep(1)
    assert find_backfill(stack.dagster, backfill).status == "COMPLETED_SUCCESS"
    see(page, stack, f"/runs/b/{backfill}", tmp_path, "Succeeded", "100 partitions")


def test_the_three_ops_are_steps_of_a_run(page, stack, tmp_path):
    run = next(run for run in stack.dagster.runs(limit=50) if run.job == "index_ui_docs")
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
