"""A site of 2,000 local pages: first, by its sitemap's dates, by 304, and 20 pages changed.

    python -m benchmarks.places.crawl [--pages 2000] [--changed 20] [--rounds 1]
        [--ways ...] [--peers-python FILE]

As ``repository.py`` beside it, which says how peers are installed and what is counted. Requests
are counted by the site, a process of its own that no way's CPU includes. Nobody waits between
requests: ours is declared with ``--delay 0`` before its first sync is measured. It asks for one
page after the other, langchain and llama-index for ten at once; cocoindex has no source of web
pages. The command fails where ours asks for an unchanged page's bytes, or for any page of which a
dated sitemap tells that it is the same, or needs more CPU than it is said to.
"""

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.places.comparison import (
    COLLECTION,
    OURS,
    Row,
    Way,
    broken_claims,
    drop,
    open_ways,
    print_head,
    print_ratios,
    print_row,
)
from benchmarks.places.pages import site_process, word
from benchmarks.places.peers import options_of, peer_command

DATE = "2024-01-01"
DATED = "unchanged, dated"
CLAIMED_PAGES = 2000
"""With fewer, the start of a process decides who needs the least CPU."""


def main() -> int:
    options = options_of(__doc__, pages=2000, changed=20)
    names = [name for name in options.names if name != "cocoindex"]
    changed = f"{options.changed} pages changed"
    most = {
        "first": {200: options.pages},
        DATED: {},
        "unchanged": {304: options.pages},
        changed: {200: options.changed, 304: options.pages - options.changed},
    }
    """The pages that ours may ask for, by phase."""
    editions = dict.fromkeys(range(options.pages), 1)
    rows: dict[tuple[str, str], list[Row]] = defaultdict(list)
    wrong: list[str] = []
    with site_process(options.pages) as (url, ask), TemporaryDirectory() as folder:
        print_head("pages asked for")
        for turn in range(options.rounds):
            rounds = Path(folder) / f"round-{turn}"
            rounds.mkdir()
            ways = open_ways(names if turn % 2 == 0 else reversed(names), rounds)
            try:
                for way in ways:
                    prepare(way, url, options.peers_python)
                for phase, allowed in most.items():
                    ask("sitemap", DATE if phase in ("first", DATED) else None)
                    if phase == changed:
                        step = options.pages // options.changed
                        numbers = range(0, step * options.changed, step)
                        editions |= {number: editions[number] + 1 for number in numbers}
                        ask("change", {number: editions[number] for number in numbers})
                    newest = {word(*one) for one in editions.items()}
                    for way in list(ways):
                        if phase == DATED and way.name != OURS:
                            continue  # dates say nothing to it: the next phase is the same work
                        seen: dict[int, int] = {}

                        def asked(_: object, seen: dict[int, int] = seen) -> str:
                            pages, others = ask("seen")
                            seen.update(pages)
                            told = [f"{n:,} x {status}" for status, n in sorted(pages.items())]
                            return ", ".join([*told, f"{others} more"])

                        row = way.measure(newest, asked)
                        print_row(phase, way.name, row)
                        if row is None:
                            drop(way, ways)
                            continue
                        rows[phase, way.name].append(row)
                        if way.name == OURS and any(
                            number > allowed.get(status, 0) for status, number in seen.items()
                        ):
                            wrong.append(f"{phase}: {row.asked} were asked for")
            finally:
                for way in ways:
                    way.chroma.stop()
    print_ratios(rows)
    claimed = ("unchanged",) if options.pages >= CLAIMED_PAGES else ()
    wrong += broken_claims(rows, least_cpu=claimed)
    print(*wrong, sep="\n", file=sys.stderr)
    return int(bool(wrong))


def prepare(way: Way, url: str, python: Path) -> None:
    """Give a way its command."""
    if way.name != OURS:
        way.command = peer_command(way, "site", url, python)
        return
    program = str(Path(sys.executable).with_name("s3sync"))
    way.environment = {"S3SYNC_CHROMA_URL": way.chroma.url}
    home = {"S3SYNC_HOME": str(way.home / "home")}
    create = [program, "source", "create", "site", "--place", f"{url}/", "--no-check", "--delay"]
    create += ["0", "--collection", COLLECTION, "--embedding", "hash"]
    subprocess.run(create, check=True, capture_output=True, env={**os.environ, **home})
    way.command = [program, "sync", f"{url}/", "--collection", COLLECTION, "--json"]


if __name__ == "__main__":
    sys.exit(main())
