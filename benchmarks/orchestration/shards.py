"""One source shown by one asset, and by many: what a key, a tick and a load cost.

    python -m benchmarks.orchestration.shards [--files 1000] [--rounds 3] [--loads 1 10 100]

The same folder is synced in turn by ``s3sync sync`` with room for all keys in one asset, and for
a fortieth of them in each: CPU of the command with all it starts, Chroma too. Then the shards of a
source are counted up in its catalog alone, and the definitions are loaded with so many assets.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import sqlalchemy as sa

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.catalog.tables import shards

SHARDS = 40
CLI = "from s3sync_dagster.cli import main; main()"
LOAD = """
import resource
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster_shared.serdes import serialize_value
from s3sync_dagster.definitions import defs
repository = defs().get_repository_def()
used = resource.getrusage(resource.RUSAGE_SELF)
size = len(serialize_value(RepositorySnap.from_def(repository)))
print(used.ru_utime + used.ru_stime, used.ru_maxrss // 1024, size)
"""


def main() -> None:
    """Print a line of JSON for each measurement."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--loads", type=int, nargs="+", default=[1, 10, 100])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = folder / "files"
        files.mkdir()
        for number in range(options.files):
            (files / f"{number:05}.md").write_text(f"# Text {number}\n\nOf the number {number}.\n")
        few, many = options.files, max(options.files // SHARDS, 1)
        cost: dict[int, list[float]] = {few: [], many: []}
        for turn in range(options.rounds):
            for most in (few, many) if turn % 2 else (many, few):
                home = folder / f"home-{turn}-{most}"
                cost[most].append(round(sync(home, files, most) / options.files * 1000, 2))
        one, more = (statistics.median(cost[most]) for most in (few, many))
        line = {"one asset: CPU-ms a key": cost[few], f"{SHARDS} assets": cost[many]}
        print(json.dumps(line | {"ratio of medians": round(more / one, 3)}), flush=True)
        home = folder / f"home-0-{few}"
        for assets in sorted(options.loads):
            print(json.dumps({"assets": assets} | load(home, assets, options.rounds)), flush=True)


def sync(home: Path, files: Path, most: int) -> float:
    """Sync the folder from nothing; returns CPU-seconds of all processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    what = ["sync", str(files), "--collection", "docs", "--embedding", "hash", "--json"]
    answer = run([sys.executable, "-c", CLI, *what], home, most)
    summary = json.loads(answer.strip().splitlines()[-1])
    assert summary["indexed"] == len(list(files.iterdir())), summary
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def load(home: Path, assets: int, rounds: int) -> dict[str, float]:
    """Load the definitions of a source with so many assets, as each run and reload does."""
    catalog = open_catalog(f"sqlite:///{home}/catalog.db")
    source = next(iter(catalog.sources.rows())).source
    with catalog.database.write() as tx:
        tx.execute(shards.delete())
        rows = [
            {"source_id": source.id, "shard": number, "partitions": 1}
            for number in range(1, assets + 1)
        ]
        tx.execute(sa.insert(shards), rows)
    catalog.close()
    command = [sys.executable, "-c", LOAD]
    found = [list(map(float, run(command, home, 1).split())) for _ in range(rounds)]
    cpu, memory, size = (statistics.median(values) for values in zip(*found, strict=True))
    return {"CPU-seconds": round(cpu, 2), "MiB": memory, "message, KiB": round(size / 1024)}


def run(command: list[str], home: Path, most: int) -> str:
    """Run a command in a home of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("S3SYNC_", "DAGSTER_"))}
    environ = {**kept, "S3SYNC_HOME": str(home), "S3SYNC_PARTITIONS_PER_ASSET": str(most)}
    done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


if __name__ == "__main__":
    main()
