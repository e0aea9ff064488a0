"""A site of local pages, crawled first, unchanged, and beside a loop that reads every page.

    python benchmarks/web/crawl.py [--pages 2000] [--kib 20]

The loop is what loaders of other libraries do: one GET a page with a kept connection, every time.
Each way is run in this process one after the other, so the ratios are those of one run. ``dated``
is a crawl whose sitemap has dates of the past.
"""

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import Process, Queue
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from s3sync_dagster_tests.places.web_server import Visitor, web_site


def serve(pages: int, kib: int, told: "Queue[str]", asked: "Queue[str]") -> None:
    """Serve a site of its own process, and tell its address and what it was asked."""
    with web_site() as site:
        names = [f"/p/{number:05}" for number in range(pages - 1)]
        words = "Some words that fill a page of the site. " * (kib * 1024 // 41)
        for number, name in enumerate(names):
            following = names[number + 1 : number + 21]
            site.page(name, *following, text=f"{number} {words}")
        site.page("/", *names[:50])
        dated = "".join(
            f"<url><loc>{site.url}{name}</loc><lastmod>2024-01-01</lastmod></url>"
            for name in ("/", *names)
        )
        told.put(site.url)
        while (word := asked.get()) != "end":
            if word == "dates":
                site.put("/sitemap.xml", f"<urlset>{dated}</urlset>")
            told.put(repr(Counter(status for _, status in site.seen)))
            site.seen.clear()


@contextmanager
def site_process(pages: int, kib: int) -> Iterator[tuple[str, Callable[[str], str]]]:
    told, asked = Queue(), Queue()
    server = Process(target=serve, args=(pages, kib, told, asked), daemon=True)
    server.start()

    def ask(word: str) -> str:
        asked.put(word)
        return told.get()

    try:
        yield told.get(), ask
    finally:
        asked.put("end")
        server.join()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=2000)
    parser.add_argument("--kib", type=int, default=20)
    options = parser.parse_args()
    with site_process(options.pages, options.kib) as (url, ask), TemporaryDirectory() as folder:

        class Here:
            pass

        Here.url = url  # type: ignore[attr-defined]
        visitor = Visitor(Here(), Path(folder), starting_url=f"{url}/")  # type: ignore[arg-type]

        def loop() -> int:
            with httpx.Client() as client:
                return sum(client.get(f"{url}{one}").is_success for one in found)

        found: dict[str, str] = {}
        seconds: dict[str, float] = {}
        print(f"{'way':<12} {'pages':>6} {'seconds':>8} {'CPU':>7}  answers")
        for way in ("first", "unchanged", "dated", "dated again", "loop"):
            if way == "dated":
                ask("dates")
            began, cpu = time.monotonic(), os.times()
            if way == "loop":
                number = loop()
            else:
                found = visitor.crawl()
                number = len(found)
            seconds[way] = time.monotonic() - began
            used = os.times().user + os.times().system - cpu.user - cpu.system
            print(f"{way:<12} {number:>6} {seconds[way]:>8.2f} {used:>7.2f}  {ask('seen')}")
        visitor.store.close()
        for way in ("first", "unchanged", "dated again"):
            print(f"{way} / loop: {seconds[way] / seconds['loop']:.2f}")
    return int(len(found) != options.pages)


if __name__ == "__main__":
    sys.exit(main())
