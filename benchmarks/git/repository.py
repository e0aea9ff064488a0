"""A repository of 5,000 files: synced first, unchanged, and after a commit that touches 50.

    python benchmarks/git/repository.py [--files 5000] [--touched 50]

``hash`` embedding, one Chroma server for each way, git over ``file://``. ``peer.py`` beside it is a
script of thirty lines that reads every file each time. Reads and embedded texts are counted by each
way itself; CPU is of the process with all that it started, Chroma's apart. The command fails where
our reads are not the files that the commit touched, or more texts were embedded than it changed.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from s3sync_dagster_tests.conftest_chroma import ChromaServer, start_chroma
from s3sync_dagster_tests.places.git_server import Origin

HERE = Path(__file__).parent
COLLECTION = "docs"
SECTIONS = 6
WORDS = "alpha bravo charlie delta echo foxtrot golf hotel india juliet kilo lima mike".split()  # noqa: SIM905


def text_of(number: int, change: str = "") -> str:
    """Return a file of six sections, about 3.5 KiB, with a word of its own in each."""
    chance = random.Random(number)
    sections: list[str] = []
    for section in range(SECTIONS):
        words = " ".join(chance.choice(WORDS) for _ in range(90))
        more = change if section == SECTIONS // 2 else ""
        sections.append(f"## Part {section}\n\nfile{number}part{section} {words}. {more}\n")
    return f"# File {number}\n\n" + "\n".join(sections)


def measured(command: list[str], home: Path, chroma: ChromaServer) -> tuple[dict, float, float]:
    """Run a command; return the last line of JSON that it printed, its seconds and CPU seconds."""
    environment = {**os.environ, "S3SYNC_HOME": str(home), "S3SYNC_GIT_PROTOCOLS": "file"}
    environment["S3SYNC_CHROMA_URL"] = chroma.url
    began, before = time.monotonic(), os.times()
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, cwd=home
    )
    after = os.times()
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    used = after.children_user + after.children_system
    used -= before.children_user + before.children_system
    return json.loads(done.stdout.strip().splitlines()[-1]), time.monotonic() - began, used


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--touched", type=int, default=50)
    options = parser.parse_args()
    wrong = 0
    with TemporaryDirectory() as name:
        folder = Path(name)
        origin = Origin(folder / "origin")
        for number in range(options.files):
            origin.write(f"docs/{number % 100:02}/{number:05}.md", text_of(number))
        origin.commit()
        url = f"file://{origin.folder}"
        ways: dict[str, tuple[ChromaServer, Path, list[str]]] = {}
        for way in ("ours", "peer"):
            home = folder / way
            home.mkdir(mode=0o700)
            chroma = start_chroma(folder / f"chroma-{way}")
            ours = [str(Path(sys.executable).with_name("s3sync")), "sync", f"git+{url}"]
            ours += ["--collection", COLLECTION, "--embedding", "hash", "--json"]
            peer = [sys.executable, str(HERE / "peer.py"), url, str(home / "clone")]
            peer += [str(chroma.port), COLLECTION]
            ways[way] = (chroma, home, ours if way == "ours" else peer)
        print("| | way | seconds | CPU s | files read | texts embedded |")
        print("|---|---|---|---|---|---|", flush=True)
        try:
            for step in ("first", "unchanged", f"{options.touched} files changed"):
                if step not in ("first", "unchanged"):
                    for number in range(0, options.files, options.files // options.touched):
                        path = f"docs/{number % 100:02}/{number:05}.md"
                        origin.write(path, text_of(number, "One sentence is new."))
                    origin.commit()
                for way, (chroma, home, command) in ways.items():
                    told, seconds, cpu = measured(command, home, chroma)
                    reads = told["reads"] if way == "peer" else told["requests"]["GET"]
                    embedded = told["embedded"]
                    print(
                        f"| {step} | {way} | {seconds:.1f} | {cpu:.1f} | {reads:,} "
                        f"| {embedded:,} |",
                        flush=True,
                    )
                    if way == "ours" and step != "first":
                        expected = 0 if step == "unchanged" else options.touched
                        wrong += reads != expected or embedded > expected
        finally:
            for chroma, *_ in ways.values():
                chroma.stop()
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
