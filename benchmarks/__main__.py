"""The benchmarks one after the other: ``python -m benchmarks [--list] [NAME ...]``.

Each prints ratios within its own run: use a machine that does nothing else. Peers are measured
where an environment with them is given, as the module itself says. The figures are in ``docs/``.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
BENCHMARKS = {
    "chunking": "cuts, sizes and speed of the chunker (chunking/run.py)",
    "chunking.retrieval": "what is found again, by chunker",
    "chunking.public": "Chroma's public benchmark of chunking: dense, words, hybrid",
    "chunking.weights": "weights of search: chosen on one half, reported on the other",
    "chunking.several_vectors": "pieces of a chunk with vectors of their own beside one vector",
    "languages": "words in six languages",
    "extraction.pdf_quality": "reading order, tables and headings of PDFs",
    "extraction.formats": "words, headings and tables by format, beside docling",
    "extraction.gallery": "peak memory and time of the bad files",
    "extraction.throughput": "CPU per format beside docling",
    "chroma.throughput": "records per second beside Chroma's bare insert",
    "chroma.first_sync": "first sync of text files beside the bare insert; where its CPU goes",
    "chroma.peers": "first and later syncs of mixed files beside other ways",
    "chroma.search_speed": "a hybrid question as a collection grows",
    "chroma.retrieval": "recall of dense, BM25 and hybrid search",
    "chroma.price": "a million objects and a day of 1 % change, beside other ways",
    "embedding": "MiniLM by engine and precision: CPU, cosine, what is found (embedding/run.py)",
    "embedding.endpoints": "best batch and requests at once of an endpoint, and the product's own",
    "embedding.limits": "an endpoint that answers 429: requests on the wire and time",
    "engine.scale": "100,000 objects listed and reconciled",
    "engine.shards": "millions of objects in shards on Postgres: what a shard costs beside others",
    "orchestration.scale": "100,000 partitions: discovery, pages, restart",
    "orchestration.sources": "1, 20 and 200 sources: ticks, idle CPU, imports",
    "orchestration.latency": "from an event to a searchable record, by queue and by API",
    "orchestration.shards": "a source of one asset and of forty: CPU a key, definitions loaded",
    "orchestration.hosts": "1 to 8 hosts on one catalog, and one of them killed (redis-server)",
    "orchestration.two_versions": "a rolling upgrade with kills: both versions at work at once",
    "orchestration": "what Dagster costs beside the work (orchestration/run.py)",
    "places.repository": "a repository of 5,000 files: first, unchanged, 50 touched; beside peers",
    "places.crawl": "a site of 2,000 pages: first, by dates, by 304, 20 changed; beside peers",
    "api.load": "200 requests a second for a minute",
    "api.invocations": "a million invocations listed and filtered",
}


def command_of(name: str) -> list[str]:
    """Return the command that runs a benchmark."""
    path = HERE.joinpath(*name.split("."))
    script = path / "run.py" if path.is_dir() else path.with_suffix(".py")
    return [sys.executable, str(script)]


def main() -> int:
    """Run what was named, or all; returns 1 when one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], *BENCHMARKS])
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    chosen = parser.parse_args()
    if chosen.list:
        for name, what in BENCHMARKS.items():
            print(f"{name:<24} {what}")
        return 0
    failed = []
    for name in chosen.names or BENCHMARKS:
        print(f"\n== {name}: {BENCHMARKS[name]}", flush=True)
        paths = os.pathsep.join(filter(None, (str(HERE.parent), os.environ.get("PYTHONPATH"))))
        environ = {**os.environ, "PYTHONPATH": paths}
        if subprocess.run(command_of(name), check=False, env=environ).returncode:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
