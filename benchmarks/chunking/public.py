"""Chroma's public benchmark of chunking: 472 questions with excerpts from 5 corpora, our search.

    python benchmarks/chunking/public.py [--folder CLONE] [--sizes default 2048]

The data is fetched by git at a pinned commit into `.public/`, which git ignores; `--folder` names a
clone that is there already. Its files are cut as Markdown, as they are named, into one collection,
and searched as the product does it with MiniLM. The measures are those of the benchmark's own code,
which counts characters: recall is the share of a question's excerpts within the first five hits;
MRR takes the first hit that holds half of an excerpt.
"""

import argparse
import csv
import io
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from retrieval import embedder_of_runs
from search import Piece, Ranking, folded, mean, rank_all

REPOSITORY = "https://github.com/brandonstarxel/chunking_evaluation"
COMMIT = "d451fc4cf56e417b755994b4ca5212fd5057c0d2"
DATA = "chunking_evaluation/evaluation_framework/general_evaluation_data"
CORPORA = ("chatlogs", "finance", "pubmed", "state_of_the_union", "wikitexts")
RETURNED = 4000
"""Characters within which cuts of different sizes are compared."""


@dataclass(frozen=True)
class Question:
    """A question and where its excerpts stand."""

    words: str
    corpus: str
    excerpts: tuple[tuple[int, int], ...]
    """First character and the one behind the last."""


def fetch(folder: Path, repository: str = REPOSITORY, commit: str = COMMIT) -> None:
    """Fetch the pinned commit into a new repository, which appears when it is complete."""
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for command in (
        ["init", "--quiet"],
        ["remote", "add", "origin", repository],
        # What is read of it comes when it is read: its databases are larger than its texts.
        ["fetch", "--quiet", "--depth", "1", "--filter=blob:none", "origin", commit],
    ):
        subprocess.run(["git", "-C", str(part), *command], check=True)
    part.rename(folder)


def read(folder: Path) -> tuple[dict[str, str], list[Question]]:
    """Return corpora by name, and the questions; each excerpt is held against its text."""

    def show(path: str) -> str:
        command = ["git", "-C", str(folder), "show", f"{COMMIT}:{DATA}/{path}"]
        return subprocess.run(command, check=True, capture_output=True).stdout.decode()

    corpora = {name: show(f"corpora/{name}.md") for name in CORPORA}
    questions = []
    for row in csv.DictReader(io.StringIO(show("questions_df.csv"))):
        excerpts = []
        for one in json.loads(row["references"]):
            start, end = one["start_index"], one["end_index"]
            if corpora[row["corpus_id"]][start:end] != one["content"]:
                raise ValueError(f"an excerpt is not in its text: {row['question']}")
            excerpts.append((start, end))
        questions.append(Question(row["question"], row["corpus_id"], tuple(excerpts)))
    return corpora, questions


def cut(corpora: dict[str, str], limits, size: int | None = None) -> list[Piece]:
    """Return the chunks of all corpora; positions in characters."""
    from s3sync_dagster.chunking import chunk_document
    from s3sync_dagster.model.document import Document
    from s3sync_dagster.model.source import ChunkingConfig

    pieces = []
    for name, text in corpora.items():
        data = text.encode()
        for chunk in chunk_document(
            Document(text=text, format="markdown"),
            object_key=f"{name}.md",
            config=ChunkingConfig(max_size_bytes=size),
            limits=limits,
        ):
            start = len(data[: chunk.start_byte].decode())
            end = start + len(data[chunk.start_byte : chunk.end_byte].decode())
            place = {"document_key": f"{name}.md", "heading_path": chunk.heading_path}
            embedded = chunk.context + chunk.text
            pieces.append(Piece(chunk.text, embedded, start, end, place))
    return pieces


def judge(
    ranking: Ranking, pieces: list[Piece], question: Question
) -> tuple[float, float, float, float]:
    """Return recall@5, recall@10, reciprocal rank and recall in 4,000 characters, 0 to 1."""
    key = f"{question.corpus}.md"
    total = len({at for start, end in question.excerpts for at in range(start, end)})
    seen: set[int] = set()
    by_rank = [0]
    within = returned = 0
    reciprocal = 0.0
    for rank, number in enumerate(ranking, 1):
        piece = pieces[number]
        cut_off = piece.start + max(0, RETURNED - returned)
        returned += piece.end - piece.start
        for start, end in question.excerpts if piece.metadata["document_key"] == key else ():
            found = range(max(start, piece.start), min(end, piece.end))
            within += len({at for at in found if at < cut_off} - seen)
            seen.update(found)
            if not reciprocal and 2 * len(found) >= end - start:
                reciprocal = 1 / rank
        by_rank.append(len(seen))
    at_five, at_ten = (by_rank[: n + 1][-1] for n in (5, 10))
    return at_five / total, at_ten / total, reciprocal, within / total


def main() -> None:
    """Print a table for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="a clone of the benchmark")
    parser.add_argument("--sizes", nargs="*", default=["default"], help="bytes, or 'default'")
    options = parser.parse_args()
    folder = options.folder or HERE / ".public"
    if not folder.exists():
        fetch(folder)
    corpora, questions = read(folder)
    embedder = embedder_of_runs()
    for size in options.sizes:
        pieces = cut(corpora, embedder.limits, None if size == "default" else int(size))
        report(size, pieces, questions, embedder)


def report(size: str, pieces: list[Piece], questions: list[Question], embedder) -> None:
    """Print what each way finds, over all and by corpus."""
    words = [question.words for question in questions]
    print(f"\n### {size}: {len(pieces)} chunks, {len(questions)} questions\n")
    names = " | ".join(f"{name} R@5 | MRR" for name in CORPORA)
    print(f"| search | recall@5 | recall@10 | MRR | in 4,000 | {names} |")
    print("|---" * (5 + 2 * len(CORPORA)) + "|")
    for way, rankings in rank_all(pieces, words, embedder).items():
        found = [
            judge(folded(ranking, pieces), pieces, question)
            for ranking, question in zip(rankings, questions, strict=True)
        ]
        cells = ["{:.1f} ± {:.1f}".format(*mean(column)) for column in zip(*found, strict=True)]
        for name in CORPORA:
            of = [
                one
                for one, question in zip(found, questions, strict=True)
                if question.corpus == name
            ]
            cells += [f"{mean([one[at] for one in of])[0]:.1f}" for at in (0, 2)]
        print(f"| {way} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
