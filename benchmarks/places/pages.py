"""A site of local pages in a process of its own, which tells what it was asked."""

import html
import random
import sysconfig
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import Process, Queue
from pathlib import Path
from typing import Any

from s3sync_dagster_tests.places.web_server import Site, web_site

SECTIONS = (2, 5)
"""Of a page: each a heading and paragraphs, about 900 characters."""
SECTION_CHARACTERS = 900
NAMESPACE = "http://www.sitemaps.org/schemas/sitemap/0.9"


def word(number: int, edition: int) -> str:
    """Return a word that is in no other page, and in no other edition of this one."""
    return f"zq{number:05}e{edition}"


def name_of(number: int) -> str:
    return f"/guide/part{number % 40:02}/page{number:05}" if number else "/"


def page(number: int, edition: int, pages: int) -> str:
    """Return a page: 40 links of a menu, links to its neighbours, and a text of two to five KiB."""
    chance = random.Random(number)
    menu = "".join(f'<li><a href="{name_of(n)}">Part {n}</a></li>' for n in range(1, 41))
    near = range(number + 1, min(number + 6, pages))
    links = "".join(f'<li><a href="{name_of(n)}">Page {n}</a></li>' for n in near)
    count = chance.randint(*SECTIONS)
    parts: list[str] = []
    for section in range(count):
        words = _words(chance)
        text = html.escape(" ".join(words))
        if section == count // 2:
            text = f"{word(number, edition)} " + "More is said here. " * (edition - 1) + text
        parts.append(f"<h2>Part {section} of page {number}</h2>\n<p>{text}</p>\n")
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>Page {number}</title>'
        f"</head><body><header><nav><ul>{menu}</ul></nav></header>"
        f"<main><h1>Page {number}</h1>\n{''.join(parts)}</main>"
        f"<aside><ul>{links}</ul></aside><footer>All of it was made by a script.</footer>"
        "</body></html>"
    )


def _words(chance: random.Random, known: dict[str, list[str]] = {}) -> list[str]:  # noqa: B006
    """Return words of the packages' own documents, from somewhere on."""
    if not known:
        folder = Path(sysconfig.get_path("purelib"))
        found = sorted(path for path in folder.rglob("*.md") if path.stat().st_size > 2000)
        text = " ".join(path.read_text(errors="ignore") for path in found[:200])
        known["words"] = text.split()
    words = known["words"]
    at = chance.randrange(len(words) - SECTION_CHARACTERS)
    return words[at : at + SECTION_CHARACTERS // 6]


def _serve(pages: int, told: "Queue[Any]", asked: "Queue[tuple[str, Any]]") -> None:
    with web_site() as site:
        for number in range(pages):
            _put(site, number, 1, pages)
        told.put(site.url)
        while (order := asked.get())[0] != "end":
            match order:
                case "change", numbers:
                    for number, edition in numbers.items():
                        _put(site, number, edition, pages)
                case "sitemap", date:
                    site.put("/sitemap.xml", _sitemap(site.url, pages, date))
            pages_asked = Counter(status for _, status in site.pages_asked())
            others = len(site.seen) - pages_asked.total()
            site.seen.clear()
            told.put((dict(pages_asked), others))


def _put(site: Site, number: int, edition: int, pages: int) -> None:
    headers = {"Content-Type": "text/html; charset=utf-8"}
    site.put(name_of(number), page(number, edition, pages), headers=headers)


def _sitemap(url: str, pages: int, date: str | None) -> str:
    changed = f"<lastmod>{date}</lastmod>" if date else ""
    entries = "".join(f"<url><loc>{url}{name_of(n)}</loc>{changed}</url>" for n in range(pages))
    return f'<?xml version="1.0" encoding="UTF-8"?><urlset xmlns="{NAMESPACE}">{entries}</urlset>'


Ask = Callable[..., tuple[dict[int, int], int]]


@contextmanager
def site_process(pages: int) -> Iterator[tuple[str, Ask]]:
    """Serve until the block ends.

    Yields the site's address, and what takes orders (``change`` with editions by number,
    ``sitemap`` with a date or None, ``seen``) and returns what was asked since the last one: pages
    by status, and how often robots.txt and the sitemap.
    """
    told: Queue[Any] = Queue()
    asked: Queue[tuple[str, Any]] = Queue()
    server = Process(target=_serve, args=(pages, told, asked), daemon=True)
    server.start()

    def ask(what: str, about: Any = None) -> tuple[dict[int, int], int]:
        asked.put((what, about))
        return told.get()

    try:
        yield told.get(), ask
    finally:
        asked.put(("end", None))
        server.join()
