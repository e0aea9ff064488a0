"""How much vectors and places weigh: chosen on one half of the questions, reported on the other.

    BENCHMARK_VECTORS=FILE python benchmarks/chunking/weights.py [--folder CLONE]

The tasks are the public benchmark (`public.py`), those of `retrieval.py` as the product cuts for
MiniLM, and docstrings and headings as in `benchmarks/chroma`. A task counts as much as any other;
what is chosen is the mean of recall@5 and MRR over all of them.
"""

import argparse
import hashlib
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent / "chroma")]

import public
from labelled import docstring_pairs, heading_pairs
from retrieval import LIMIT, embedder_of_runs, our_cuts, searched
from search import Piece, Ranking, folded, mean, numbers, score_dense, score_words
from tasks import all_tasks

from s3sync_dagster.core import hybrid
from s3sync_dagster.ports import word_index

DENSE = (0.0, 0.2, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6, 1.0)
PLACES = (0.0, 0.3, 0.6, 1.0, 1.5)
PAIRS = 500


@dataclass
class Judged:
    """Chunks, questions, and what a ranking of one question is worth."""

    name: str
    pieces: list[Piece]
    questions: list[str]
    judge: Callable[[int, Ranking], tuple[float, float]]
    """Number of the question and ranking -> recall@5 and reciprocal rank, 0 to 1."""

    def half(self, number: int) -> int:
        """Return to which half a question belongs: that does not change with the others."""
        return hashlib.sha256(self.questions[number].encode()).digest()[0] % 2


def all_judged(folder: Path, embedder) -> list[Judged]:
    """Return all tasks."""
    found = [_public(folder, embedder)]
    for task in all_tasks():
        cuts = [our_cuts("ours", *document, limit=LIMIT) for document in task.documents]
        pieces, relevant = searched(task, cuts)
        found.append(_by_number(task.name, pieces, [q for q, _, _ in task.queries], relevant))
    for name, pairs in (
        ("docstring -> body", docstring_pairs(PAIRS)),
        ("heading -> text", heading_pairs(PAIRS)),
    ):
        pieces = [Piece(pair.answer, pair.answer, 0, len(pair.answer)) for pair in pairs]
        alone = [{number} for number in range(len(pairs))]
        found.append(_by_number(name, pieces, [pair.question for pair in pairs], alone))
    return found


def _public(folder: Path, embedder) -> Judged:
    corpora, questions = public.read(folder)
    pieces = public.cut(corpora, embedder.limits)

    def judge(number: int, ranking: Ranking) -> tuple[float, float]:
        at_five, _, reciprocal, _ = public.judge(ranking, pieces, questions[number])
        return at_five, reciprocal

    return Judged("public", pieces, [one.words for one in questions], judge)


def _by_number(
    name: str, pieces: list[Piece], questions: list[str], relevant: list[set[int]]
) -> Judged:
    def judge(number: int, ranking: Ranking) -> tuple[float, float]:
        wanted = relevant[number]
        rank = next((at for at, one in enumerate(ranking, 1) if one in wanted), 0)
        return float(0 < rank <= 5), 1 / rank if rank else 0.0

    return Judged(name, pieces, questions, judge)


Values = dict[tuple[float, float], list[tuple[float, float]]]
"""Weights of vectors and places -> recall@5 and reciprocal rank of each question."""


def measure(task: Judged, embedder) -> Values:
    """Return what each pair of weights finds."""
    dense = score_dense(task.pieces, task.questions, embedder)
    values: Values = {}
    for place in PLACES:
        word_index.PLACE_WEIGHT = place
        words = score_words(task.pieces, task.questions)
        for weight in DENSE:
            hybrid.DENSE_WEIGHT = weight
            values[weight, place] = [
                task.judge(number, folded(numbers(hybrid.fuse(*pair)), task.pieces))
                for number, pair in enumerate(zip(dense, words, strict=True))
            ]
    return values


def main() -> None:
    """Print the choice and what it is worth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=HERE / ".public")
    folder = parser.parse_args().folder
    if not folder.exists():
        public.fetch(folder)
    embedder = embedder_of_runs()
    tasks = all_judged(folder, embedder)
    measured = [measure(task, embedder) for task in tasks]

    def worth(weights: tuple[float, float], half: int) -> float:
        return statistics.mean(
            statistics.mean(
                sum(pair) / 2
                for number, pair in enumerate(values[weights])
                if task.half(number) == half
            )
            for task, values in zip(tasks, measured, strict=True)
        )

    print("\nMean of recall@5 and MRR over the tasks, first half; rows: dense, columns: places\n")
    print("| dense | " + " | ".join(str(place) for place in PLACES) + " |")
    print("|---" * (1 + len(PLACES)) + "|")
    for weight in DENSE:
        cells = [f"{100 * worth((weight, place), 0):.1f}" for place in PLACES]
        print(f"| {weight} | {' | '.join(cells)} |")
    best = max(measured[0], key=lambda weights: worth(weights, 0))
    print(f"\nChosen: vectors {best[0]}, places {best[1]}. The other half, recall@5 and MRR:\n")
    print("| task | questions | dense | words | words, no places | chosen | chosen minus dense |")
    print("|---" * 7 + "|")
    for task, values in zip(tasks, measured, strict=True):
        kept = [number for number in range(len(task.questions)) if task.half(number) == 1]
        columns = [
            [values[weights][number] for number in kept]
            for weights in ((1.0, 0.0), (0.0, best[1]), (0.0, 0.0), best)
        ]
        shown = [
            " / ".join(f"{mean([one[at] for one in column])[0]:.1f}" for at in (0, 1))
            for column in columns
        ]
        gained = " / ".join(
            "{:+.1f} ± {:.1f}".format(
                *mean([a[at] - b[at] for a, b in zip(columns[3], columns[0], strict=True)])
            )
            for at in (0, 1)
        )
        print(f"| {task.name} | {len(kept)} | {' | '.join(shown)} | {gained} |")


if __name__ == "__main__":
    main()
