"""``s3sync sync https://...``: a site over HTTP into a real collection, and again."""

import shutil

from s3sync_dagster_tests.places.web_server import later, web_site

SAME = "<nav>Menu of the site</nav>"


def guide(site) -> None:
    site.page("/", "/install", "/rotate", "/app", text="Welcome to the guide.")
    for path, words in (
        ("/install", "Install the buoy with four bolts and a hammer."),
        ("/rotate", "Rotate a key every ninety days and tell the harbour office."),
    ):
        body = f"<html><body>{SAME}<main><h1>{path}</h1><p>{words}</p></main></body></html>"
        site.put(path, body, headers={"Content-Type": "text/html"})
    app = '<html><body><div id="root"></div><script src="/app.js"></script></body></html>'
    site.put("/app", app, headers={"Content-Type": "text/html"})


def test_a_site_is_synced_and_costs_304s_when_nothing_changed(s3sync, chroma_server, home):
    with web_site() as site:
        guide(site)
        made = s3sync(
            "source", "create", "guide", "--starting-url", f"{site.url}/", "--delay", "0",
            "-c", "guide", "--auto-sync", "none", "--embedding", "hash",
        )  # fmt: skip
        assert made.code == 0, made.err
        place = [f"{site.url}/", "-c", "guide", "--json", "-q"]
        first = s3sync("sync", *place)
        assert first.code == 0, first.err
        assert (first.json["indexed"], first.json["skipped"]) == (3, {"javascript_only": 1})
        assert first.json["listed"] == 4

        site.seen.clear()
        again = s3sync("sync", *place)
        assert (again.json["unchanged"], again.json["embedded"]) == (3, 0), again.out
        assert {status for _, status in site.pages_asked()} == {304}
        assert again.json["requests"]["GET"] == len(site.seen)

        found = s3sync("query", "how often is a key rotated", "-c", "guide", "--json", "-n", "1")
        assert f"{site.url}/rotate" in found.out
        assert "Menu of the site" not in found.out

        site.replies["/install"] = site.replies["/rotate"]
        del site.replies["/rotate"]
        once = s3sync("sync", *place)
        assert (once.json["updated"], once.json["removed"]) == (1, 0), once.out
        assert s3sync("sync", *place).json["removed"] == 0  # at once: the same outage
        later(home, hours=6)
        twice = s3sync("sync", *place)
        assert (twice.json["listed"], twice.json["removed"]) == (3, 1), twice.out
        why = s3sync("why", f"{site.url}/app", "--source", "guide")
        assert "javascript_only" in why.out


def test_a_site_that_is_larger_than_its_limit_says_so(s3sync, chroma_server):
    with web_site() as site:
        paths = [f"/p{number}" for number in range(6)]
        site.page("/", *paths)
        for path in paths:
            site.page(path)
        made = s3sync(
            "source", "create", "part", "--starting-url", f"{site.url}/", "--delay", "0",
            "-c", "part", "--page-limit", "4", "--embedding", "hash",
        )  # fmt: skip
        assert made.code == 0, made.err
        synced = s3sync("sync", f"{site.url}/", "-c", "part", "--json", "-q")
        assert (synced.json["indexed"], synced.json["skipped"]) == (4, {"page_limit": 3})
        assert "page_limit" in s3sync("status", "part").out
        why = s3sync("why", f"{site.url}/p5", "--source", "part")
        assert "page_limit: raise it" in why.out, why.out
        s3sync("source", "edit", "part", "--page-limit", "9")
        synced = s3sync("sync", f"{site.url}/", "-c", "part", "--json", "-q")
        assert (synced.json["indexed"], synced.json["skipped"]) == (3, {}), synced.out


def test_pages_that_are_there_keep_their_records_after_a_restore_into_a_new_home(
    s3sync, chroma_server, home, tmp_path
):
    with web_site() as site:
        site.page("/", "/a", text="Welcome.")
        site.page("/a", text="Of a.")
        made = s3sync(
            "source", "create", "back", "--starting-url", f"{site.url}/", "--delay", "0",
            "-c", "back", "--embedding", "hash",
        )  # fmt: skip
        assert made.code == 0, made.err
        place = [f"{site.url}/", "-c", "back", "--json", "-q"]
        assert s3sync("sync", *place).json["indexed"] == 2
        assert s3sync("backup", str(tmp_path / "saved")).code == 0
        site.page("/", "/a", "/b", "/c", text="Welcome.")
        site.page("/b", text="Of b.")
        site.page("/c", text="Of c.")
        later(home, hours=6)
        assert s3sync("sync", *place).json["indexed"] == 2
        shutil.rmtree(home)
        assert s3sync("restore", str(tmp_path / "saved")).code == 0
        site.page("/", "/a", text="Welcome.")  # nothing leads to /b and /c for a while
        there = dict(site.replies)
        del site.replies["/c"]
        assert s3sync("sync", *place).code == 0
        looked = s3sync("verify", "back", "--fix", "--json")
        (found,) = looked.json
        assert (found["stray"], found["held_back"]) == ([], [f"{site.url}/b", f"{site.url}/c"])
        site.replies = there
        site.page("/", "/a", "/b", "/c", text="Welcome.")
        later(home, hours=6)
        assert s3sync("sync", *place).code == 0
        assert s3sync("verify", "back", "--fix", "--json").json[0]["sound"]
        for words in ("b", "c"):
            assert f"Of {words}." in s3sync("query", f"Of {words}.", "-c", "back", "--json").out
