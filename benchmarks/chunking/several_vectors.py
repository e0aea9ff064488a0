"""Would several vectors for a chunk find more? Those of its sentences, beside that of the whole.

    python benchmarks/chunking/several_vectors.py [--folder CLONE] [--size 400]

The tasks are those of `weights.py`, cut and searched as the product does it with MiniLM; vectors
come from nowhere else. A piece is whole sentences or lines of a chunk, as many as fit. Printed are
recall@5 and MRR by the nearest vectors and by both rankings, and the differences to one vector,
paired, with their standard error.
"""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "chroma")]

import itertools

import public
from retrieval import embedder_of_runs
from search import folded, mean, numbers, score_words
from weights import Judged, all_judged

from s3sync_dagster.core.fusion import DEPTH, Scored, fuse

Matrix = np.ndarray
_ENDS = re.compile(r"(?<=[.!?])\s+|\n+")


def parts_of(text: str, size: int) -> list[str]:
    """Return pieces of up to ``size`` characters; a sentence that is longer stays whole."""
    pieces: list[str] = []
    for sentence in filter(str.strip, _ENDS.split(text)):
        if pieces and len(pieces[-1]) + len(sentence) < size:
            pieces[-1] += f" {sentence.strip()}"
        else:
            pieces.append(sentence.strip())
    return pieces or [text]


def ways_of(task: Judged, size: int, embed: Callable[[Sequence[str]], Matrix]) -> tuple[int, dict]:
    """Return how many pieces there are, and by each way the cosine of questions and chunks."""
    questions = embed(task.questions)
    whole = embed([piece.embedded for piece in task.pieces])
    cut = []
    for piece in task.pieces:
        context = piece.embedded.removesuffix(piece.text)
        cut.append([context + part for part in parts_of(piece.text, size)])
    parts = embed([part for one in cut for part in one])
    ends = np.cumsum([0, *map(len, cut)])
    of_parts = questions @ parts.T
    best = np.stack([of_parts[:, a:b].max(axis=1) for a, b in itertools.pairwise(ends)], axis=1)
    middle = np.array([_unit(parts[a:b].mean(axis=0)) for a, b in itertools.pairwise(ends)])
    of_whole = questions @ whole.T
    return len(parts), {
        "one vector": of_whole,
        "best of whole and pieces": np.maximum(of_whole, best),
        "mean of whole and pieces, one vector": questions
        @ np.apply_along_axis(_unit, 1, middle + whole).T,
    }


def _unit(vector: Matrix) -> Matrix:
    return vector / np.linalg.norm(vector)


def nearest(cosines: Matrix) -> list[list[Scored]]:
    """Return the best chunks of each question with their cosines."""
    order = np.argsort(-cosines, axis=1, kind="stable")[:, :DEPTH]
    return [
        [(f"d-{number}", float(row[number])) for number in best]
        for row, best in zip(cosines, order, strict=True)
    ]


def report(task: Judged, size: int, embed: Callable[[Sequence[str]], Matrix]) -> None:
    """Print a row for each way."""
    count, ways = ways_of(task, size, embed)
    words = score_words(task.pieces, task.questions)
    base: dict[str, list[tuple[float, float]]] = {}
    for name, cosines in ways.items():
        cells = []
        for ranking in ("dense", "hybrid"):
            found = [
                task.judge(number, folded(numbers(ordered), task.pieces))
                for number, ordered in enumerate(
                    near if ranking == "dense" else fuse(near, best, ceiling=ceiling)
                    for near, (best, ceiling) in zip(nearest(cosines), words, strict=True)
                )
            ]
            before = base.setdefault(ranking, found)
            cells.append(" / ".join(f"{mean(column)[0]:.1f}" for column in zip(*found)))
            gains = zip(*([a - b for a, b in zip(*pair)] for pair in zip(found, before)))
            cells.append(" / ".join("{:+.1f} ± {:.1f}".format(*mean(gain)) for gain in gains))
        head = f"{task.name} ({len(task.pieces)} chunks, {count} pieces)"
        print(f"| {head} | {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="a clone of the public benchmark")
    parser.add_argument("--size", type=int, default=400, help="characters of a piece")
    options = parser.parse_args()
    folder = options.folder or HERE / ".public"
    if not folder.exists():
        public.fetch(folder)
    embedder = embedder_of_runs()
    print("| task | vectors | dense | gain | hybrid | gain |\n|---|---|---|---|---|---|")
    for task in all_judged(folder, embedder):
        report(task, options.size, lambda texts: embedder.embed_documents(list(texts)))


if __name__ == "__main__":
    main()
