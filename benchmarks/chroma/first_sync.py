"""The first sync of text files beside Chroma's bare insert, and where its CPU goes.

    python benchmarks/chroma/first_sync.py [--files 1700] [--ways ours,script,bare] [--no-profile]

``hash`` embedding. Each way is a process of its own on a fresh Chroma server. ``bare`` is the
stock client with the very records and vectors that our sync made, in batches of 1,000; ``script``
is ``thirty_lines.py``, which cuts by size. CPU is of the process with all its descendants, and of
Chroma apart. The last table is of one more sync, with ``where_cpu.py`` inside.
"""

import argparse
import json
import pickle
import sys
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import chromadb
from measured import Cost, adopt_orphans, run
from peer_corpus import word
from text_corpus import text_corpus

from s3sync_dagster_tests.conftest_aws import AwsEndpoint, start_rclone
from s3sync_dagster_tests.conftest_chroma import start_chroma

HERE = Path(__file__).parent
COLLECTION = "docs"
PAGE = 1000
ROWS = 30
MAX_CPU_SECONDS = {1700: 20.0}
"""What the project promises, by files."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1700)
    parser.add_argument("--ways", default="ours,script,bare")
    parser.add_argument("--no-profile", action="store_true")
    options = parser.parse_args()
    adopt_orphans()
    server = start_rclone()
    try:
        s3 = AwsEndpoint(url=server.url)
        bucket = s3.make_bucket()
        files = text_corpus(options.files)
        s3.put_all(bucket, files)
        with TemporaryDirectory() as folder:
            costs = compare(options.ways.split(","), s3, bucket, len(files), Path(folder))
            if not options.no_profile:
                explain(s3, bucket, Path(folder))
    finally:
        server.close()
    allowed = MAX_CPU_SECONDS.get(options.files)
    return int(allowed is not None and "ours" in costs and costs["ours"].cpu > allowed)


def compare(
    ways: list[str], s3: AwsEndpoint, bucket: str, count: int, folder: Path
) -> dict[str, Cost]:
    """Print a row for each way."""
    print("| way | seconds | of bare | CPU s | Chroma CPU s | peak MB | records | missing |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    costs: dict[str, Cost] = {}
    rows: list[tuple[str, int, int]] = []
    records = folder / "records.pickle"
    for way in ways:
        home = folder / way
        home.mkdir()
        chroma = start_chroma(home / "chroma")
        try:
            command = {
                "ours": ours(s3, bucket, chroma.url),
                "script": [
                    *(sys.executable, str(HERE / "thirty_lines.py"), bucket, s3.url),
                    *(str(chroma.port), COLLECTION),
                ],
                "bare": [
                    *(sys.executable, str(HERE / "bare_insert.py"), str(records)),
                    *(str(chroma.port), COLLECTION),
                ],
            }[way]
            costs[way] = run(command, s3.environment(), chroma, home)
            columns = take_out(chroma.port)
            if way == "ours":
                records.write_bytes(pickle.dumps(columns))
        finally:
            chroma.stop()
        held = "\n".join(columns["documents"])
        missing = sum(word(number) not in held for number in range(count))
        rows.append((way, len(columns["ids"]), missing))
    for way, number, missing in rows:
        cost = costs[way]
        ratio = f"{cost.seconds / costs['bare'].seconds:.2f}" if "bare" in costs else ""
        print(
            f"| {way} | {cost.seconds:.1f} | {ratio} | {cost.cpu:.1f} | {cost.chroma_cpu:.1f} "
            f"| {cost.peak_mb:.0f} | {number} | {missing} |"
        )
    return costs


def ours(s3: AwsEndpoint, bucket: str, chroma_url: str, *, begin: list[str] | None = None) -> list:
    """Return the command of our sync."""
    return [
        *(begin or [str(Path(sys.executable).with_name("s3sync"))]),
        *("sync", f"s3://{bucket}/", "--collection", COLLECTION, "--endpoint-url", s3.url),
        *("--chroma-url", chroma_url, "--embedding", "hash", "--json"),
    ]


def take_out(port: int) -> dict[str, list]:
    """Return all records as columns."""
    collection = chromadb.HttpClient(port=port).get_collection(COLLECTION)
    columns: dict[str, list] = {"ids": [], "documents": [], "metadatas": [], "embeddings": []}
    for offset in range(0, collection.count(), PAGE):
        page = collection.get(
            limit=PAGE, offset=offset, include=["documents", "metadatas", "embeddings"]
        )
        for name, column in columns.items():
            column.extend(page[name])
    return columns


def explain(s3: AwsEndpoint, bucket: str, folder: Path) -> None:
    """Print where the CPU of one more sync goes."""
    home = folder / "explained"
    home.mkdir()
    places = home / "places.json"
    chroma = start_chroma(home / "chroma")
    try:
        begin = [sys.executable, str(HERE / "where_cpu.py"), str(places)]
        run(ours(s3, bucket, chroma.url, begin=begin), s3.environment(), chroma, home)
    finally:
        chroma.stop()
    found = json.loads(places.read_text())
    seen = sum(spent for _, spent in found["places"])
    print("\n| where | CPU s |")
    print("|---|---|")
    print(f"| worker processes | {found['workers']:.1f} |")
    print(f"| the process itself | {found['main']:.1f} |")
    print(f"| of it: its start and threads of libraries | {found['main'] - seen:.1f} |")
    rooms: Counter[str] = Counter()
    for place, spent in found["places"]:
        rooms[place.partition("/")[0] if "/" in place else "libraries"] += spent
    for room, spent in rooms.most_common():
        print(f"| of it: {room} | {spent:.1f} |")
    for place, spent in found["places"][:ROWS]:
        print(f"| `{place}` | {spent:.2f} |")


if __name__ == "__main__":
    sys.exit(main())
