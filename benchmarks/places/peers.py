"""What both comparisons ask of who runs them, and how the libraries are run."""

import argparse
import sys
from pathlib import Path

from benchmarks.chroma.measured import adopt_orphans, lend_packages
from benchmarks.places.comparison import COLLECTION, OURS, Way

HERE = Path(__file__).parent
PEERS = {
    "hand-written": "hand_written.py",
    "langchain": "with_langchain.py",
    "llama-index": "with_llama_index.py",
    "cocoindex": "with_cocoindex.py",
}


def options_of(doc: str | None, **sizes: int) -> argparse.Namespace:
    """Return what was asked for; ``names`` are the ways that can be run here.

    Args:
        doc: what the comparison is.
        sizes: its numbers by name, as they are unless somebody says else.
    """
    parser = argparse.ArgumentParser(description=doc)
    for name, number in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=number)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--ways", default=",".join([OURS, *PEERS]))
    parser.add_argument("--peers-python", type=Path, default=HERE / ".peers" / "bin" / "python")
    options = parser.parse_args()
    options.names = _known_ways(options.ways.split(","), options.peers_python)
    adopt_orphans()
    return options


def _known_ways(named: list[str], python: Path) -> list[str]:
    if python.exists():
        lend_packages(python)
        return named
    print("No environment of the peers (--peers-python): without the libraries.")
    return [name for name in named if name in (OURS, "hand-written")]


def peer_command(way: Way, kind: str, url: str, python: Path) -> list[str]:
    """Return how a way that is not ours reads a ``repository`` or ``site``."""
    run_by = sys.executable if way.name == "hand-written" else str(python)
    script = str(HERE / PEERS[way.name])
    return [run_by, script, kind, url, str(way.home), str(way.chroma.port), COLLECTION]
