"""How much words and places weigh: chosen on one half of the questions, reported on the other.

    BENCHMARK_VECTORS=FILE python benchmarks/chunking/weights.py [--folder CLONE]

The tasks are the public benchmark (`public.py`), those of `retrieval.py` as the product cuts for
MiniLM, and docstrings and headings as in `benchmarks/chroma`. The worth of weights in a task is the
mean of recall@5 and MRR. Since half of the tasks ask in the very words of their answers, the mean
over all would choose words alone: chosen is what lags least behind the best of each task, in that
where it lags most.
"""

import argparse
import hashlib
import math
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

from s3sync_dagster.core import fusion
from s3sync_dagster.ports import word_index

SHARES = (0.0, 0.2, 0.3, 0.4, 0.6, 1.0)
"""Of words, where none of the question's fit; also tried as the share whatever fits."""
PLACES = (0.0, 1.0, 1.5)
PAIRS = 500
SHOWN = 30
"""Hits that are judged."""
OURS = (fusion.WORDS_LEAST, word_index.PLACE_WEIGHT)


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


@dataclass(frozen=True)
class Weights:
    """What is tried."""

    share: float
    grows: bool
    place: float

    def __str__(self) -> str:
        return f"{self.share}{' and more' if self.grows else ''}, places {self.place}"


WORDS_ALONE = Weights(1.0, False, 1.0)
DENSE_ALONE = Weights(0.0, False, 1.0)
TRIED = [
    Weights(share, grows, place)
    for place in PLACES
    for grows in (False, True)
    for share in SHARES
    if not (grows and share == 1.0)
]
Values = dict[Weights, list[tuple[float, float]]]
"""Recall@5 and reciprocal rank of each question."""


def measure(task: Judged, embedder) -> Values:
    """Return what all weights find."""
    dense = score_dense(task.pieces, task.questions, embedder)
    words = {}
    for place in PLACES:
        word_index.PLACE_WEIGHT = place
        words[place] = score_words(task.pieces, task.questions)
    values: Values = {}
    for weights in TRIED:
        fusion.WORDS_LEAST = weights.share
        values[weights] = []
        for number, (nearest, (found, ceiling)) in enumerate(
            zip(dense, words[weights.place], strict=True)
        ):
            fused = fusion.fuse(nearest, found, ceiling=ceiling if weights.grows else math.inf)
            ranking = folded(numbers(fused)[:SHOWN], task.pieces)
            values[weights].append(task.judge(number, ranking))
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

    def worth(at: int, weights: Weights, half: int) -> float:
        pairs = enumerate(measured[at][weights])
        return 50 * statistics.mean(sum(pair) for n, pair in pairs if tasks[at].half(n) == half)

    def lag(weights: Weights, half: int) -> float:
        return max(
            max(worth(at, other, half) for other in TRIED) - worth(at, weights, half)
            for at in range(len(tasks))
        )

    lags = {weights: lag(weights, 0) for weights in TRIED}
    print("\nLag in the worst task, first half; columns: weight of places\n")
    print("| share of words | " + " | ".join(str(place) for place in PLACES) + " |")
    print("|---" * (1 + len(PLACES)) + "|")
    for grows in (False, True):
        for share in SHARES:
            cells = [lags.get(Weights(share, grows, place)) for place in PLACES]
            if None not in cells:
                shown = " | ".join(f"{cell:.1f}" for cell in cells)
                print(f"| {share}{' and more' if grows else ''} | {shown} |")
    best = min(TRIED, key=lambda weights: lags[weights])
    kept = Weights(OURS[0], True, OURS[1])
    print(f"\nLeast: {best}. In use: {kept}; on the other half it lags {lag(kept, 1):.1f}.")
    print("\nThe other half, recall@5 / MRR:\n")
    print("| task | questions | dense | words | in use | minus dense | minus words |")
    print("|---" * 7 + "|")
    for task, values in zip(tasks, measured, strict=True):
        numbers_kept = [n for n in range(len(task.questions)) if task.half(n) == 1]
        dense, words, ours = (
            [values[weights][n] for n in numbers_kept]
            for weights in (DENSE_ALONE, WORDS_ALONE, kept)
        )
        cells = [
            " / ".join(f"{mean([one[at] for one in column])[0]:.1f}" for at in (0, 1))
            for column in (dense, words, ours)
        ]
        cells += [
            " / ".join(
                "{:+.1f} ± {:.1f}".format(
                    *mean([a[at] - b[at] for a, b in zip(ours, other, strict=True)])
                )
                for at in (0, 1)
            )
            for other in (dense, words)
        ]
        print(f"| {task.name} | {len(numbers_kept)} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
