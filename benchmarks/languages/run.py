"""Words in six languages: 72 questions that ask in other forms than the passages answer in.

    python benchmarks/languages/run.py

`passages.json` was made for this project: German, French, Spanish, Russian, Japanese and Chinese,
twelve pairs of question and passage each, all in one collection. What is taken away: the pieces of
words, the pairs of unspaced scripts, and both.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "chunking"))

from retrieval import embedder_of_runs
from search import Piece, mean, rank_all

from s3sync_dagster.ports import word_forms, word_records


def main() -> None:
    """Print the mean reciprocal rank of each language."""
    passages = json.loads((HERE / "passages.json").read_text("utf-8"))
    asked = [(language, *pair) for language, pairs in passages.items() for pair in pairs]
    pieces = [Piece(text, text, 0, len(text)) for _, _, text in asked]
    questions = [question for _, question, _ in asked]
    print("| search | " + " | ".join(passages) + " | all |")
    print("|---" * (2 + len(passages)) + "|")

    def report(name: str, rankings: list[list[int]]) -> None:
        found = [
            1 / (ranking.index(number) + 1) if number in ranking else 0.0
            for number, ranking in enumerate(rankings)
        ]
        cells = []
        for language in passages:
            of = [v for v, (spoken, _, _) in zip(found, asked, strict=True) if spoken == language]
            cells.append(f"{mean(of)[0]:.1f}")
        print(f"| {name} | {' | '.join(cells)} | {mean(found)[0]:.1f} |", flush=True)

    for name, rankings in rank_all(pieces, questions, embedder_of_runs()).items():
        report(name, rankings)
    same: Callable[[str], str] = lambda text: text
    pairs = word_forms._pairs
    for name, without_pieces, without_pairs in (
        ("words, no pieces", True, False),
        ("words, no pairs", False, True),
        ("words, neither", True, True),
    ):
        word_records.long_words_of = (lambda _: "") if without_pieces else word_forms.long_words_of
        word_forms._pairs = (lambda run: same(run[0])) if without_pairs else pairs
        report(name, rank_all(pieces, questions, None)["words"])


if __name__ == "__main__":
    main()
