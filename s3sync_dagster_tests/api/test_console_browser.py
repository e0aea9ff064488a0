"""The console in Chromium: keyboard, phone width, both colour schemes, and three clicks to a retry.

``S3SYNC_SCREENSHOTS`` names a folder for pictures (``docs/images`` holds those of the docs).
"""

import os
import re
import shutil
import time
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

from s3sync_dagster.catalog.tables import hours, sources
from s3sync_dagster_tests.api.indexing import listed_and_worked, work

pytestmark = pytest.mark.browser

DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
SPARE_PRESSES = 8
"""The window itself is met once, and a date has a stop for each of its parts."""
FILES = {
    "handbook/holidays.md": "# Holidays\n\nEverybody has 30 days of holidays a year.\n",
    "handbook/expenses.md": "# Expenses\n\nKeep the receipt; the company pays within two weeks.\n",
    "handbook/tides.md": "# Tides\n\n## Why\n\nThe moon pulls the sea twice a day.\n",
    "code/client.py": "def wait(seconds):\n    '''Wait and try again.'''\n    return seconds\n",
    "manuals/damaged-scan.pdf": b"%PDF-1.4 cut off",
    "media/intro.mp4": b"\x00\x00",
    f"reports/{'anamewithoutanyend' * 9}.md": "# Report\n\nIts name is long.\n",
}
TORN = """() => [...document.querySelectorAll(".state, td.figure, thead th, th.word")]
  .filter(e => { const head = e.closest("thead");  // on a phone nobody sees it
    return !head || getComputedStyle(head).clipPath === "none"; })
  .filter(e => { const r = document.createRange(); r.selectNodeContents(e);
    return new Set([...r.getClientRects()].map(c => Math.round(c.top))).size > 1; })
  .map(e => e.textContent)"""
FAR_FROM_THEIR_FIELDS = """() => [...document.querySelectorAll(".search .row > label[for]")]
  .filter(e => { const [a, b] = [e, document.getElementById(e.htmlFor)].map(
      one => one.getBoundingClientRect());
    return b.top > a.bottom && b.left < a.left; })
  .map(e => e.textContent)"""
NOTE_FOCUS = """() => {
  const named = e => [e.tagName, e.id, e.getAttribute("href"), e.textContent.trim()].join(" ");
  const all = "a[href], button, input:not([type=hidden]), select, textarea, summary";
  const met = new Set(), unseen = new Set();
  document.addEventListener("focusin", ({target}) => {
    met.add(named(target));
    const {outlineStyle, outlineWidth} = getComputedStyle(target);
    const drawn = outlineStyle !== "none" && parseFloat(outlineWidth) >= 2;
    if (!drawn && target.id !== "main") unseen.add(named(target));
  });
  window.controls = () => [...document.querySelectorAll(all)].filter(e => e.checkVisibility());
  window.unreached = () => controls().map(named).filter(e => !met.has(e));
  window.unseen = () => [...unseen];
}"""


@pytest.fixture(scope="module")
def browser():
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    assert path, "these tests need Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def source(api, aws_endpoint):
    bucket = aws_endpoint.make_bucket("company")
    aws_endpoint.put_all(bucket, FILES)
    with api.client() as http:
        body = api.s3(bucket, collection_name="handbook")
        body["embedding"] = {"dense": {"model": "s3sync-hash"}}
        source_id = http.post("/api/v1/sources", json=body).json()["source_id"]
        http.post(f"/s3sync/v1/sources/{source_id}/backfill")
        found = api.parts.catalog.sources.find(source_id)
        while not api.parts.catalog.invocations.live_count(source_id):
            pass
        while api.parts.catalog.listings.live_owner(source_id):
            pass
        work(api, source_id)
        lived(api, found)
    return found


def lived(api, source):
    """Give a source days behind it, as the table of hours has them."""
    catalog, now = api.parts.catalog, int(time.time() // 3600)
    with catalog.database.write() as tx:
        for before in range(1, 6 * 24):
            grown, waits = 420 - 2 * before, before % 36 // 12 * 20
            row = {
                "source_id": source.id, "hour": now - before, "noted_at": time.time(),
                "states": {"indexed": grown, "skipped": 31, "processing": waits // 4,
                           "pending": waits},
                "failed": {"damaged": 9 + before // 20, "too_large": before // 40},
                "lag_seconds": waits * 31.0, "complete_invocations": 4 + before * 13 % 29,
                "failed_invocations": before % 5, "texts": 40 + before * 71 % 131,
            }  # fmt: skip
            tx.execute(hours.insert().values(**row))


@pytest.fixture(params=["desktop-light", "phone-dark"])
def tab(request, browser):
    """A page in each shape; what the browser complains about is an error."""
    size, scheme = request.param.split("-")
    context = browser.new_context(
        viewport=DESKTOP if size == "desktop" else PHONE, color_scheme=scheme
    )
    opened = context.new_page()
    troubles = []
    opened.on("pageerror", lambda error: troubles.append(str(error)))
    opened.on("console", lambda line: troubles.append(line.text) if line.type == "error" else None)
    opened.shape = request.param
    yield opened
    context.close()
    assert troubles == []


def walk(tab):
    """Go through a page with the Tab key: it comes to all that can be used, and one sees where."""
    tab.evaluate(NOTE_FOCUS)
    for _ in range(tab.evaluate("controls().length") + SPARE_PRESSES):
        tab.keyboard.press("Tab")
    assert tab.evaluate("unreached()") == []
    assert tab.evaluate("unseen()") == []


def check(tab, name):
    """Keep a page's picture, and hold it against what everybody needs."""
    folder = os.environ.get("S3SYNC_SCREENSHOTS")
    if folder and name:
        path = Path(folder) / f"console-{name}-{tab.shape}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        size = tab.evaluate("[innerWidth, Math.min(document.body.scrollHeight, 1600)]")
        picture = {"x": 0, "y": 0, "width": size[0], "height": size[1]}
        tab.screenshot(path=path, full_page=True, clip=picture)
    tab.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), "scrolls sideways"
    for scheme, rules in (("light", {}), ("dark", COLOURS)):  # a scheme changes nothing else
        tab.emulate_media(color_scheme=scheme)
        found = Axe().run(tab, options={"resultTypes": ["violations"], **rules})
        assert found.violations_count == 0, f"{scheme}: {found.generate_report()}"
    tab.emulate_media(color_scheme=tab.shape.rpartition("-")[2])
    assert tab.evaluate(FAR_FROM_THEIR_FIELDS) == [], "a word ends the line before its field"
    walk(tab)
    small = tab.evaluate(
        "[...document.querySelectorAll('button, .button')]"
        ".filter(e => e.getBoundingClientRect().height < 44).map(e => e.outerHTML)"
    )
    assert small == []


def test_a_failing_object_is_found_understood_and_retried_with_three_clicks(api, source, tab):
    work(api, source.id)
    tab.goto(api.url)
    check(tab, "overview")
    tab.get_by_role("row", name=source.name).get_by_role("link", name="1 failed").click()
    expect(tab.get_by_role("row", name="damaged-scan.pdf")).to_contain_text("failed")
    check(tab, "failed")
    tab.get_by_role("link", name="manuals/damaged-scan.pdf").click()
    expect(tab.get_by_role("heading", level=1)).to_have_text("manuals/damaged-scan.pdf")
    [row] = api.parts.catalog.views.object_rows(source.id, state="failed")
    expect(tab.get_by_role("main")).to_contain_text(row.error)
    check(tab, "object")
    tab.get_by_role("button", name="Retry").click()
    expect(tab.get_by_role("status")).to_have_text("Tried again: 1 object.")
    assert api.parts.catalog.invocations.live_count(source.id) == 1
    work(api, source.id)


def test_each_page(api, source, tab):
    tab.goto(f"{api.url}/sources/{source.id}")
    expect(tab.get_by_role("heading", name="History")).to_be_visible()
    check(tab, "source")
    tab.goto(f"{api.url}/sources/{source.id}/objects")
    expect(tab.get_by_role("row")).to_have_count(len(FILES) + 1)
    assert tab.evaluate(TORN) == [], "a long key makes no other column two letters wide"
    check(tab, "objects")
    here = f"sources/{source.id}"
    for path, heading, name in (
        ("new-source", "New source", "new-source"),
        ("new-source?type=web_scrape", "New source", ""),
        ("reasons", "Reasons", "reasons"), ("access", "Access", "access"),
        ("audit", "Audit", "audit"), ("docs", "The HTTP API", "http-api"),
        (f"{here}/edit", f"Change {source.name}", "edit"),
        (f"{here}/delete", f"Delete {source.name}", "delete"),
        (f"{here}/removals", "What an approval would remove", ""),
        (f"{here}/move", f"Move of {source.name}", ""),
        (f"{here}/history", f"History of {source.name}", "history"),
    ):  # fmt: skip
        tab.goto(f"{api.url}/{path}")
        expect(tab.get_by_role("heading", level=1)).to_have_text(heading)
        assert tab.evaluate(TORN) == [], path
        check(tab, name)
    tab.goto(f"{api.url}/{here}/object?key=handbook/holidays.md")
    expect(tab.get_by_role("heading", name="Chunks in handbook")).to_be_visible()
    check(tab, "")
    tab.goto(f"{api.url}/{here}")
    tab.get_by_role("button", name="What would a sync do?").click()
    expect(tab.get_by_role("heading", level=1)).to_have_text("What a sync would do")
    check(tab, "dry-run")
    tab.goto(f"{api.url}/search")
    tab.get_by_label("Words or a question").fill("how many days of holidays")
    tab.get_by_role("button", name="Search").click()
    first = tab.get_by_role("article").first
    expect(first.get_by_role("heading")).to_have_text("handbook/holidays.md")
    marked = first.locator("mark").all_text_contents()
    assert marked == ["Holidays", "days", "of", "holidays"]
    expect(first).to_contain_text(re.compile(r"lines? \d"))
    check(tab, "search")


def test_a_hit_leads_to_its_band_in_the_text(api, aws_endpoint, tab):
    bucket = aws_endpoint.make_bucket()
    lines = "".join(f"At minute {n} station{n} reports {n * 37 % 200} cm.\n" for n in range(240))
    aws_endpoint.put(bucket, "tides/log.txt", lines)
    with api.client() as http:
        body = api.s3(bucket)
        body |= {"embedding": {"dense": {"model": "s3sync-hash"}},
                 "chunking": {"type": "lines", "max_lines": 3}}  # fmt: skip
        listed_and_worked(api, http, http.post("/api/v1/sources", json=body).json()["source_id"])
    place = f"default_database/{body['s3']['collection_name']}"
    tab.goto(f"{api.url}/search?q=station160&ranking=words&where={place}")
    tab.get_by_role("link", name="tides/log.txt").click()
    band = tab.get_by_role("article", name="Chunk 53 – marked", exact=True)
    expect(band).to_be_in_viewport()
    expect(band).to_be_focused()
    expect(band).to_contain_text("At minute 160 station160 reports 120 cm.")
    expect(band).to_contain_text(re.compile(r"words \d"))
    expect(band.locator("mark")).to_have_text(["station160"])
    expect(tab.locator(".found:visible")).to_have_count(1)
    assert band.evaluate("e => parseFloat(getComputedStyle(e).outlineWidth)") >= 2
    edges = tab.evaluate(
        "[...document.querySelectorAll('.band')].map(e => getComputedStyle(e).borderLeftColor)"
    )
    assert (len(edges), len(set(edges))) == (30, 2), "two colours, in turn"
    check(tab, "chunks")
    tab.get_by_role("navigation", name="above").get_by_role("link", name="Chunks before").click()
    expect(tab.get_by_role("article").first).to_have_accessible_name("Chunk 0")
    expect(tab.get_by_role("article")).to_have_count(50)
    expect(tab.get_by_role("heading", name="Chunks in")).to_be_in_viewport()
    tab.get_by_label("Words or a question").fill("station7")
    tab.get_by_role("button", name="Find in this text").click()
    tab.get_by_role("listitem").filter(has_text="words").get_by_role("link", name="Chunk 2").click()
    expect(tab.get_by_role("article", name="Chunk 2 – marked", exact=True)).to_be_in_viewport()


def test_what_is_not_there_is_said(api, browser):
    tab = browser.new_page(viewport=PHONE)
    tab.goto(f"{api.url}/sources/nonsense")
    expect(tab.get_by_role("alert")).to_contain_text("There is no page at this address")
    tab.goto(f"{api.url}/nowhere")
    expect(tab.get_by_role("alert")).to_contain_text("There is no page at this address")
    tab.shape = "phone-light"
    check(tab, "")
    tab.get_by_role("link", name="All sources").click()
    expect(tab.get_by_role("heading", name="Sources")).to_be_visible()
    tab.context.close()


def test_everything_can_be_done_with_the_keyboard(api, source, tab):
    tab.goto(api.url)
    tab.keyboard.press("Tab")
    expect(tab.get_by_role("link", name="Skip to the content")).to_be_focused()
    tab.keyboard.press("Enter")
    assert tab.evaluate("document.activeElement.id") == "main"
    for _ in range(40):
        tab.keyboard.press("Tab")
        focused = tab.evaluate("document.activeElement.textContent.trim()")
        outline = tab.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none"
        if focused == source.name:
            break
    else:
        raise AssertionError("the source was not reached")
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("heading", level=1)).to_contain_text(source.name)


def test_it_stays_up_to_date_and_can_be_stopped(api, source, tab):
    tab.goto(f"{api.url}/sources/{source.id}")
    live = tab.get_by_label("Live")
    expect(live).to_be_checked()
    objects = tab.locator("#live-objects")
    before = objects.inner_text()
    api.parts.catalog.invocations.retry_failed(source)
    expect(objects).not_to_have_text(before, timeout=15_000, use_inner_text=True)
    live.uncheck()
    tab.reload()
    expect(live).not_to_be_checked()
    work(api, source.id)


def test_without_javascript_everything_can_be_read(api, source, browser):
    context = browser.new_context(java_script_enabled=False, viewport=PHONE)
    tab = context.new_page()
    tab.goto(api.url)
    tab.get_by_role("link", name=source.name).first.click()
    expect(tab.get_by_role("heading", level=1)).to_contain_text(source.name)
    tab.get_by_role("button", name="Pause").click()
    expect(tab.get_by_role("status")).to_have_text("Automatic work is paused.")
    tab.get_by_role("button", name="Resume").click()
    expect(tab.get_by_role("status")).to_have_text("Automatic work goes on.")
    context.close()


@pytest.fixture(scope="module")
def waiting(api, aws_endpoint):
    """A source whose removals wait for a person, and one that is being moved."""
    made = []
    with api.client() as http:
        for name in ("guarded", "moving"):
            bucket = aws_endpoint.make_bucket(name)
            aws_endpoint.put_all(bucket, {f"plans/{n}.md": f"# Plan {n}" for n in range(3)})
            body = {**api.s3(bucket), "embedding": {"dense": {"model": "s3sync-hash"}}}
            made.append(http.post("/api/v1/sources", json=body).json()["source_id"])
            listed_and_worked(api, http, made[-1])
            if name == "guarded":
                for number in range(3):
                    aws_endpoint.delete(bucket, f"plans/{number}.md")
                listed_and_worked(api, http, made[-1], state="blocked")
    catalog = api.parts.catalog
    before = catalog.sources.find(made.pop())
    with catalog.database.write() as tx:
        tx.execute(sources.update().where(sources.c.id == before.id).values(origin="python"))
    catalog.sources.register(before.with_changes(collection_name="plans-elsewhere"))
    return made[0], catalog.moves.begin(before.name).id


def test_what_waits_is_shown(api, waiting, tab):
    guarded, moving = waiting
    tab.goto(f"{api.url}/sources/{guarded}/removals")
    expect(tab.get_by_role("button", name="Approve 3 removals")).to_be_visible()
    check(tab, "removals")
    tab.goto(f"{api.url}/sources/{moving}/move")
    expect(tab.get_by_role("main")).to_contain_text("3 documents of before")
    check(tab, "move")


def test_signing_in(fresh_api, aws_endpoint, tab):
    mine = fresh_api.parts.catalog.sources.add(aws_endpoint.source("some-bucket"))
    token = fresh_api.token(role="member")
    tab.goto(f"{fresh_api.url}/sources/{mine.id}")
    expect(tab.get_by_role("heading", name="Sign in")).to_be_visible()
    expect(tab.get_by_label("API token")).to_be_focused()
    check(tab, "login")
    tab.keyboard.type(token)
    tab.keyboard.press("Enter")
    expect(tab.get_by_role("heading", level=1)).to_contain_text(mine.name)
    tab.get_by_role("button", name="Sign out").click()
    expect(tab.get_by_role("heading", name="Sign in")).to_be_visible()
