"""A repository of 5,000 files: synced first, unchanged, and after a commit that touches 50.

    python -m benchmarks.places.repository [--files 5000] [--touched 50] [--rounds 1]
        [--ways ...] [--peers-python FILE]

The libraries need an environment of their own: ``python -m venv FOLDER`` and ``FOLDER/bin/pip
install -r benchmarks/places/peers.txt``; without it, ours runs beside a script of thirty lines.
All have the ``hash`` embedding, a Chroma server each, git over ``file://``, and their own splitter.

CPU is of a process with all that it started, Chroma's apart. Files read are counted between ours
and ``git cat-file`` by a program that stands between them, for the others as their interpreter
opens files of the checkout. ``new texts`` are records whose text was not in the collection before.
The command fails where ours reads other than what the commit touched, embeds more than changed,
or needs more CPU than another way where nothing or little changed. In the first sync it does.
"""

import os
import shutil
import sys
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

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
from benchmarks.places.peers import options_of, peer_command
from benchmarks.places.repository_files import repository_files, touch, word
from s3sync_dagster_tests.places.git_server import Origin

CLAIMED_FILES = 5000
"""With fewer, the start of a process decides who needs the least CPU."""
COUNTING_GIT = """#!/bin/sh
if [ "$2" = --batch-command ]; then tee -a '{log}' | '{git}' "$@"; else exec '{git}' "$@"; fi
"""


def main() -> int:
    options = options_of(__doc__, files=5000, touched=50)
    names = options.names
    files = repository_files(options.files)
    rows: dict[tuple[str, str], list[Row]] = defaultdict(list)
    wrong: list[str] = []
    changed = f"{options.touched} files changed"
    with TemporaryDirectory() as folder:
        origin = Origin(Path(folder) / "origin")
        for one in files:
            origin.write(one.path, one.text())
        origin.commit()
        print_head("files read")
        for turn in range(options.rounds):
            rounds = Path(folder) / f"round-{turn}"
            rounds.mkdir()
            ways = open_ways(names if turn % 2 == 0 else reversed(names), rounds)
            try:
                for way in ways:
                    prepare(way, f"file://{origin.folder}", options.peers_python)
                for phase in ("first", "unchanged", changed):
                    touched = touch(files, options.touched) if phase == changed else []
                    for one in touched:
                        origin.write(one.path, one.text())
                    origin.commit()
                    newest = {word(one.number, one.edition) for one in files if one.marked}
                    for way in list(ways):
                        row = way.measure(newest, lambda told, way=way: reads(way, told))
                        print_row(phase, way.name, row)
                        if row is None:
                            drop(way, ways)
                            continue
                        rows[phase, way.name].append(row)
                        if way.name == OURS and phase != "first" and row.asked != str(len(touched)):
                            wrong.append(f"{phase}: {row.asked} files were read")
            finally:
                for way in ways:
                    way.chroma.stop()
    print_ratios(rows)
    claimed = ("unchanged", changed) if options.files >= CLAIMED_FILES else ()
    wrong += broken_claims(rows, least_cpu=claimed)
    print(*wrong, sep="\n", file=sys.stderr)
    return int(bool(wrong))


def prepare(way: Way, url: str, python: Path) -> None:
    """Give a way its command."""
    if way.name != OURS:
        way.command = peer_command(way, "repository", url, python)
        return
    programs = way.home / "programs"
    programs.mkdir()
    between = programs / "git"
    between.write_text(COUNTING_GIT.format(log=way.home / "asked", git=shutil.which("git")))
    between.chmod(0o755)
    way.command = [str(Path(sys.executable).with_name("s3sync")), "sync", f"git+{url}"]
    way.command += ["--collection", COLLECTION, "--embedding", "hash", "--json"]
    way.environment = {
        "PATH": os.pathsep.join((str(programs), os.environ["PATH"])),
        "S3SYNC_CHROMA_URL": way.chroma.url,
        "S3SYNC_GIT_PROTOCOLS": "file",
    }


def reads(way: Way, told: dict[str, Any]) -> str:
    """Return how many files a way has read since it was asked last."""
    if way.name != OURS:
        return str(told["opened"])
    asked = way.home / "asked"
    number = asked.read_bytes().count(b"contents ") if asked.exists() else 0
    asked.unlink(missing_ok=True)
    return str(number)


if __name__ == "__main__":
    sys.exit(main())
