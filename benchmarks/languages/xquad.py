"""XQuAD: 1,190 questions on 240 paragraphs in each of six languages, all in one collection.

    BENCHMARK_VECTORS=FILE python benchmarks/languages/xquad.py [--folder CLONE] [--no-dense]

The data is fetched by git at a pinned commit into `.xquad/`, which git ignores; `--folder` names a
clone that is there already. A question is answered by its own paragraph. Rows: the product; without
pieces of words; with compounds taken apart at words of the collection itself, beside the pieces and
in their place; and what questions find that are words alone, without those that tell a language.
"""

import argparse
import functools
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "chunking"))

import public
from retrieval import embedder_of_runs
from search import Piece, mean, numbers, score_dense, score_words

from s3sync_dagster.core.fusion import fuse
from s3sync_dagster.ports import word_forms, word_index, word_records

REPOSITORY = "https://github.com/google-deepmind/xquad"
COMMIT = "7d30520c717524000f0d9d2f9c10a069acd9d285"
LANGUAGES = ("de", "es", "ru", "en", "tr", "zh")
LINKS = ("", "s", "es", "n", "en", "er", "e")
"""What stands between the parts of a German compound."""
LEAST_PART = 4
Asked = tuple[str, str, int]
"""Language, question, number of its paragraph."""


def read(folder: Path) -> tuple[list[Piece], list[Asked]]:
    """Return all paragraphs and all questions."""
    pieces: list[Piece] = []
    asked: list[Asked] = []
    for language in LANGUAGES:
        command = ["git", "-C", str(folder), "show", f"{COMMIT}:xquad.{language}.json"]
        data = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        for article in data["data"]:
            for paragraph in article["paragraphs"]:
                text = paragraph["context"]
                pieces.append(Piece(text, text, 0, len(text)))
                asked += [(language, one["question"], len(pieces) - 1) for one in paragraph["qas"]]
    return pieces, asked


class Compounds:
    """Words taken apart in two that both stand in the collection, the most frequent ones."""

    def __init__(self, pieces: list[Piece]) -> None:
        self.counts = Counter(word for one in pieces for word in {*self.words(one.text)})
        self.parts = functools.cache(self._parts)

    @staticmethod
    def words(text: str) -> list[str]:
        return word_forms._LETTERS.findall(word_forms.folded(text).casefold())

    def of(self, text: str) -> list[str]:
        """Return the parts of all compounds of a text."""
        return [part for word in self.words(text) for part in self.parts(word)]

    def _parts(self, word: str) -> tuple[str, ...]:
        found: list[tuple[int, str, str]] = []
        for end in range(LEAST_PART, len(word) - LEAST_PART + 1):
            for link in LINKS:
                head, tail = word[:end].removesuffix(link), word[end:]
                if len(head) >= LEAST_PART and word[:end] == head + link:
                    found.append((min(self.counts[head], self.counts[tail]), head, tail))
        best = max(found, default=(0, "", ""))
        return best[1:] if best[0] else ()


def main() -> None:
    """Print the mean reciprocal rank of each language."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=HERE / ".xquad")
    parser.add_argument("--no-dense", action="store_true")
    options = parser.parse_args()
    if not options.folder.exists():
        public.fetch(options.folder, REPOSITORY, COMMIT)
    pieces, asked = read(options.folder)
    questions = [question for _, question, _ in asked]
    dense = None if options.no_dense else score_dense(pieces, questions, embedder_of_runs())
    print("| search | " + " | ".join(LANGUAGES) + " | all |")
    print("|---" * (2 + len(LANGUAGES)) + "|")

    def row(name: str, rankings: list[list[int]]) -> None:
        found = [
            1 / (ranking.index(number) + 1) if number in ranking else 0.0
            for ranking, (_, _, number) in zip(rankings, asked, strict=True)
        ]
        cells = [
            f"{mean([v for v, one in zip(found, asked, strict=True) if one[0] == language])[0]:.1f}"
            for language in LANGUAGES
        ]
        print(f"| {name} | {' | '.join(cells)} | {mean(found)[0]:.1f} |", flush=True)

    def rows(name: str, questions: list[str]) -> None:
        words = score_words(pieces, questions)
        row(f"words{name}", [numbers(found) for found, _ in words])
        if dense is not None and questions is not keywords:
            both = zip(dense, words, strict=True)
            fused = [fuse(near, found, ceiling=ceiling) for near, (found, ceiling) in both]
            row(f"hybrid{name}", [numbers(one) for one in fused])

    tell = word_forms._OTHERS | word_forms._ENGLISH
    keywords = [
        " ".join(word for word in word_forms._WORD.findall(one) if word.casefold() not in tell)
        for one in questions
    ]
    if dense is not None:
        row("dense", [numbers(one) for one in dense])
    rows("", questions)
    rows(", questions of words alone", keywords)
    plain_text, plain_words = word_records.searchable, word_index.match_words
    compounds = Compounds(pieces)

    def text_with_parts(text: str) -> str:
        return f"{plain_text(text)}\n{' '.join(compounds.of(text))}"

    def words_with_parts(question: str) -> list[str]:
        parts = word_forms._quoted(compounds.of(question))
        return list(dict.fromkeys([*plain_words(question), *parts]))

    word_records.searchable, word_index.match_words = text_with_parts, words_with_parts
    rows(", compounds taken apart too", questions)
    word_index.asked_by_pieces = lambda _question: ("", 0.0)
    rows(", compounds taken apart, no pieces", questions)
    word_records.searchable, word_index.match_words = plain_text, plain_words
    rows(", no pieces", questions)


if __name__ == "__main__":
    main()
