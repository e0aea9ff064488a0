"""What a million objects and a day of 1 % change cost, here and in other ways.

    python benchmarks/chroma/price.py [--files 200 800] [--ways ours,hand-written,cocoindex]
        [--peers-python FILE] [--prices list=0.005,get=0.0004,core=0.04,tokens=0.02]

Each way syncs text files at two sizes, each on a fresh Chroma: the first sync, one in which nothing
changed, one in which a hundredth did. What an object costs is the difference of the two sizes, what
a sync costs whatever its size the rest; a million is their line drawn on, which nobody measured:
Chroma's part of it grows a little faster (its graph is searched for each record), so the last
table says what a record costs it at both sizes. What a page of 1,000 keys costs that did not change
is too little to be seen at these sizes: it is measured on 20,000 keys, and added. Requests are
counted on the wire, texts by the model's own count. CPU is of all processes of a way, and of
Chroma. Peers as in ``peers.py``.
"""

import argparse
import json
import math
import multiprocessing
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
from measured import Cost, adopt_orphans, lend_packages, run
from peers import change, command_of, look
from text_corpus import text_corpus

from s3sync_dagster_tests.conftest_aws import AwsEndpoint, start_rclone
from s3sync_dagster_tests.conftest_chroma import ChromaServer, start_chroma
from s3sync_dagster_tests.wire_proxy import WireProxy

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1]))  # the engine's benchmark, for what a listing costs
PAGE, LISTED = 1000, 20_000
PHASES = ("first", "nothing changed", "1 % changed")
MILLION = 1_000_000
COUNTED = ("cpu", "chroma_cpu", "LIST", "GET", "HEAD", "texts")
TOKEN_BYTES = 3.3
"""Of a token of MiniLM's, in this project's documents and code: see docs/embedding.md."""
VECTORS = (5_000, 20_000)
"""Held by a Chroma whose memory is looked at."""
PRICES = "list=0.005,get=0.0004,core=0.04,tokens=0.02"
"""Examples of a day in 2026: a thousand LISTs, a thousand GETs or HEADs, an hour of a core, a
million tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One phase at one size."""

    files: int
    figures: dict[str, float]
    records: int
    peak_mb: float
    disk_mb: float
    tokens_a_text: float
    missing: int
    stale: int


def main() -> None:
    """Print what was measured, and what is drawn on from it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, nargs=2, default=[200, 800])
    parser.add_argument("--embedding", choices=["hash", "static", "minilm"], default="hash")
    parser.add_argument("--ways", default="ours,hand-written,langchain,cocoindex")
    parser.add_argument("--peers-python", default=str(HERE / ".peers" / "bin" / "python"))
    parser.add_argument("--model-dir", type=Path, default=Path.home() / ".cache" / "s3sync-bench")
    parser.add_argument("--prices", default=PRICES)
    options = parser.parse_args()
    if {"langchain", "cocoindex"} & set(options.ways.split(",")):
        lend_packages(Path(options.peers_python))
    adopt_orphans()
    found: dict[str, dict[str, list[Measured]]] = {}
    server = start_rclone()
    try:
        direct = AwsEndpoint(url=server.url)
        wire = WireProxy(server.url)
        print(
            f"| way | files | phase | {' | '.join(COUNTED)} | peak MB | records | missing | stale |"
        )
        print("|---" * (len(COUNTED) + 7) + "|", flush=True)
        for way in options.ways.split(","):
            found[way] = {phase: [] for phase in PHASES}
            for files in sorted(options.files):
                measure(way, options, direct, wire, files, found[way])
        wire.close()
    finally:
        server.close()
    tell(found, dict(one.split("=") for one in options.prices.split(",")))


def measure(
    way: str,
    options: argparse.Namespace,
    direct: AwsEndpoint,
    wire: WireProxy,
    count: int,
    found: dict[str, list[Measured]],
) -> None:
    """Measure all phases of a way at one size."""
    bucket = direct.make_bucket()
    files = text_corpus(count)
    direct.put_all(bucket, files)
    newest = dict.fromkeys(range(count), 1)
    s3 = AwsEndpoint(url=wire.url)
    with TemporaryDirectory() as folder:
        chroma = start_chroma(Path(folder) / "chroma")
        try:
            command = command_of(way, options, s3, bucket, chroma, Path(folder))
            for phase in PHASES:
                if phase == "1 % changed":
                    change(direct, bucket, files, newest)
                wire.reset()
                cost = run(command, s3.environment(), chroma, Path(folder))
                assert cost.code == 0, f"{way} ended with {cost.code}"
                one = seen(chroma, newest, Path(folder), wire, cost, sum(map(len, files.values())))
                found[phase].append(one)
                row = " | ".join(f"{one.figures[name]:.1f}".removesuffix(".0") for name in COUNTED)
                print(
                    f"| {way} | {count} | {phase} | {row} | {one.peak_mb:.0f} | {one.records} "
                    f"| {one.missing} | {one.stale} |",
                    flush=True,
                )
        finally:
            chroma.stop()


def seen(
    chroma: ChromaServer,
    newest: dict[int, int],
    folder: Path,
    wire: WireProxy,
    cost: Cost,
    read: int,
) -> Measured:
    """Return what a phase has cost and left."""
    requests = wire.counts()
    records, missing, stale = look(chroma, newest)
    disk = sum(one.stat().st_size for one in chroma.path.rglob("*") if one.is_file())
    figures = {
        "cpu": cost.cpu,
        "chroma_cpu": cost.chroma_cpu,
        "texts": float(inferred((folder / "log").read_text(errors="replace"))),
        **{kind: float(requests.get(kind, 0)) for kind in ("LIST", "GET", "HEAD")},
    }
    return Measured(
        files=len(newest), figures=figures, records=records, peak_mb=cost.peak_mb,
        disk_mb=disk / 1e6, tokens_a_text=read / records / TOKEN_BYTES,
        missing=missing, stale=stale,
    )  # fmt: skip


def inferred(log: str) -> int:
    """Return how many texts a way had embedded, as it says itself."""
    told = re.findall(r'"embedded": (\d+)', log)
    assert told, log[-2000:]
    return int(told[-1])


def line(small: Measured, large: Measured, name: str) -> tuple[float, float]:
    """Return what a sync costs whatever its size, and what an object costs."""
    each = (large.figures[name] - small.figures[name]) / (large.files - small.files)
    return max(small.figures[name] - each * small.files, 0.0), each


def drawn_on(small: Measured, large: Measured, name: str) -> float:
    """Return what a million objects cost, if all goes on as between the two sizes."""
    once, each = line(small, large, name)
    return once + max(each, 0.0) * MILLION


def listing_cpu() -> float:
    """Return CPU-seconds of our listing for each key that did not change."""
    from benchmarks.engine.listing_server import made_up_bucket
    from benchmarks.engine.scale import Task, run_phase

    processes = multiprocessing.get_context("spawn")
    with made_up_bucket(LISTED) as bucket, TemporaryDirectory() as folder:
        for phase in ("first", "unchanged"):
            answers = processes.Queue()
            url = f"sqlite:///{folder}/catalog.db"
            task = Task(phase=phase, url=bucket.url, database_url=url)
            process = processes.Process(target=run_phase, args=(task, answers))
            process.start()
            told = answers.get()
            process.join()
    return told["cpu_seconds"] / LISTED


def chroma_memory(number: int) -> float:
    """Return the megabytes of a Chroma that has so many records, once it has answered from them."""
    import chromadb
    import numpy as np

    with TemporaryDirectory() as folder:
        server = start_chroma(Path(folder) / "chroma")
        try:
            chance = np.random.default_rng(1)
            collection = chromadb.HttpClient(port=server.port).create_collection(
                "docs", configuration={"hnsw": {"space": "cosine"}}
            )
            for start in range(0, number, PAGE):
                collection.add(
                    ids=[f"{start + n}" for n in range(PAGE)],
                    documents=[f"{start + n} " + "word " * 170 for n in range(PAGE)],
                    embeddings=chance.standard_normal((PAGE, 384), dtype=np.float32),
                )
            server.stop()
            server.restart()
            asked = chromadb.HttpClient(port=server.port).get_collection("docs")
            asked.query(query_embeddings=chance.standard_normal((1, 384), dtype=np.float32))
            return psutil.Process(server.process.pid).memory_info().rss / 1e6
        finally:
            server.stop()


def million(way: str, small: Measured, large: Measured, listing: float) -> dict[str, float]:
    """Return all figures of a million objects."""
    told = {name: drawn_on(small, large, name) for name in COUNTED}
    told["LIST"] = large.figures["LIST"] / math.ceil(large.files / PAGE) * MILLION / PAGE
    if way == "ours" and large.figures["GET"] < large.files:
        told["cpu"] += listing * MILLION
    return told


def tell(found: dict[str, dict[str, list[Measured]]], prices: dict[str, str]) -> None:
    """Print a million objects, a day, and what room they take."""
    of = {name: float(value) for name, value in prices.items()}
    listing = listing_cpu()
    print(f"\nOurs lists an unchanged key in {listing * 1e3:.3f} CPU-ms")
    print(f"\nA million objects, drawn on; money at {prices}\n")
    print(
        "| way | what | CPU hours | Chroma CPU hours | LIST | GET, HEAD | texts embedded | money |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for way, phases in found.items():
        for phase, (small, large) in phases.items():
            cpu, theirs, lists, gets, heads, texts = million(way, small, large, listing).values()
            money = (cpu + theirs) / 3600 * of["core"] + lists / 1000 * of["list"]
            money += (gets + heads) / 1000 * of["get"]
            money += texts * large.tokens_a_text / 1e6 * of["tokens"]
            print(
                f"| {way} | {phase} | {cpu / 3600:.2f} | {theirs / 3600:.2f} | {lists:,.0f} "
                f"| {gets + heads:,.0f} | {texts:,.0f} | {money:,.2f} |"
            )
    print("\n| way | records | Chroma CPU ms a record | KB a record on the disk |")
    print("|---|---|---|---|")
    for way, phases in found.items():
        for one in phases["first"]:
            print(
                f"| {way} | {one.records} | {one.figures['chroma_cpu'] / one.records * 1e3:.2f} "
                f"| {one.disk_mb / one.records * 1e3:.1f} |"
            )
    held = [chroma_memory(number) for number in VECTORS]
    each = (held[1] - held[0]) / (VECTORS[1] - VECTORS[0]) * 1e3
    print(f"\nChroma, started again and asked once: {held[0]:.0f} MB with {VECTORS[0]} vectors of "
          f"384 numbers, {held[1]:.0f} MB with {VECTORS[1]}: {each:.2f} KB a vector")  # fmt: skip
    print(json.dumps({way: {phase: [vars_of(one) for one in both] for phase, both in phases.items()}
                      for way, phases in found.items()}))  # fmt: skip


def vars_of(one: Measured) -> dict[str, float]:
    """Return all figures of a phase, for whoever wants to reckon otherwise."""
    return {"files": one.files, "records": one.records, "disk_mb": round(one.disk_mb, 1),
            **one.figures}  # fmt: skip


if __name__ == "__main__":
    main()
