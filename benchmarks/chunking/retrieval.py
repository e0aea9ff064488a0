"""Does the cut find it again? Words, MiniLM and both, for ours and the peers, at 1,024 bytes.

    .venv/bin/python benchmarks/chunking/retrieval.py [--no-dense] [--chunkers ours ...]

Peers cut in their own environment (`.peers`); all texts are searched as the product does it, each
chunk with what its chunker knows of it: of peers' chunks that is the path alone.
"""

import argparse
import base64
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from chunkers import OURS, PEERS
from search import Piece, grade, rank_all
from tasks import Task, all_tasks

LIMIT = 1024
VECTORS = os.environ.get("BENCHMARK_VECTORS")
"""File that keeps vectors between runs; None: a new one each time."""
OUR_VARIANTS = ("ours", "ours, context", "ours, bytes")
"""As the product cuts for MiniLM (tokens count too), with the context prefix, and bytes alone."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-dense", action="store_true")
    parser.add_argument("--chunkers", nargs="*")
    parser.add_argument("--share", type=float, default=1.0, help="of the corpus; MiniLM is slow")
    parser.add_argument("--limit", type=int, default=LIMIT, help="bytes; ours follow the model")
    parser.add_argument("--tasks", nargs="*", help="beginnings of names")
    parser.add_argument("--cut", help=argparse.SUPPRESS)  # one peer: documents in, spans out
    options = parser.parse_args()
    if options.cut:
        _serve_cuts(options.cut, options.limit)
        return
    others = ["cAST baseline", "whole lines, greedy", "lines (10 lines)"]
    if (HERE / ".peers").exists():
        others = [*PEERS, *others]
    names = options.chunkers or [*OUR_VARIANTS, *others]
    embedder = None if options.no_dense else embedder_of_runs()
    for task in all_tasks(options.share):
        if options.tasks and not task.name.startswith(tuple(options.tasks)):
            continue
        print(f"\n### {task.name}: {len(task.queries)} queries, {len(task.documents)} documents\n")
        ways = ["words"] if embedder is None else ["words", "dense", "hybrid"]
        print(
            "| chunker | chunks | by chance | unread | "
            + " | ".join(f"{w} MRR | R@10 | 8 KB" for w in ways)
            + " |"
        )
        print("|---" * (4 + 3 * len(ways)) + "|", flush=True)
        for name in names:
            cuts = _cuts(name, task, options.limit)
            if cuts is None:
                continue
            print(_row(name, task, cuts, embedder), flush=True)


def _row(name: str, task: Task, cuts: list[list[Piece]], embedder) -> str:
    pieces, relevant = searched(task, cuts)
    rankings = rank_all(pieces, [words for words, _, _ in task.queries], embedder)
    sizes = [len(piece.text.encode()) for piece in pieces]
    cells = [
        f"{grades[measure][0]:.1f} ± {grades[measure][1]:.1f}"
        for grades in (grade(ranking, relevant, sizes) for ranking in rankings.values())
        for measure in ("MRR", "R@10", "8 KB")
    ]
    chance = _by_chance([len(cuts[document]) for _, document, _ in task.queries])
    head = f"| {name} | {len(pieces)} | {chance:.1f} | {_unread(task, cuts):.0f} | "
    return head + " | ".join(cells) + " |"


def searched(task: Task, cuts: list[list[Piece]]) -> tuple[list[Piece], list[set[int]]]:
    """Return all pieces, and of each query the numbers of those that hold what it wants."""
    pieces: list[Piece] = []
    numbered: list[list[tuple[int, Piece]]] = []
    for document in cuts:
        numbered.append(list(enumerate(document, len(pieces))))
        pieces += document
    relevant = [
        {number for number, piece in numbered[document] if piece.start <= position < piece.end}
        for _, document, position in task.queries
    ]
    return pieces, relevant


def _by_chance(chunks: list[int]) -> float:
    """Return the MRR in percent where the document is found first, and its chunks in any order."""
    return 100 * statistics.mean(sum(1 / k for k in range(1, n + 1)) / n for n in chunks)


def _unread(task: Task, cuts: list[list[Piece]]) -> float:
    """Return how many of the places asked for, in percent, begin behind what MiniLM reads."""
    from s3sync_dagster.chunking.budget import count_tokens

    limits = embedder_of_runs().limits
    before: list[bytes] = []
    for _, document, position in task.queries:
        for piece in cuts[document]:
            if piece.start <= position < piece.end:
                text = piece.embedded.encode()
                before.append(text[: len(text) - (piece.end - position)])
                break
        else:
            before.append(b"")
    counts = count_tokens(limits.tokenizer_file, before)
    return 100 * sum(count >= limits.max_tokens - 2 for count in counts) / len(counts)


def _cuts(name: str, task: Task, limit: int) -> list[list[Piece]] | None:
    if name in OUR_VARIANTS:
        return [our_cuts(name, *document, limit=limit) for document in task.documents]
    documents = [
        (kind, path, base64.b64encode(data).decode()) for kind, path, data in task.documents
    ]
    python = sys.executable if name in OURS else str(HERE / ".peers" / "bin" / "python")
    done = subprocess.run(
        [python, __file__, "--cut", name, "--limit", str(limit)],
        input=json.dumps(documents),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(f"{name}: failed\n{done.stderr[-400:]}", file=sys.stderr)
        return None
    spans = json.loads(done.stdout.splitlines()[-1])
    return [
        [_peers_piece(path, data, start, end) for start, end in found]
        for (_, path, data), found in zip(task.documents, spans, strict=True)
    ]


def _peers_piece(path: str, data: bytes, start: int, end: int) -> Piece:
    text = data[start:end].decode(errors="replace")
    return Piece(text, text, start, end, {"document_key": path})


def _serve_cuts(name: str, limit: int) -> None:
    chunkers: dict[str, object] = {}
    found = []
    for language, path, encoded in json.load(sys.stdin):
        known = "markdown" if language == "csv" else language  # peers have no form for rows
        if known not in chunkers:
            chunkers[known] = (OURS | PEERS)[name](limit, known)
        found.append([list(span) for span in chunkers[known](path, base64.b64decode(encoded))])
    print(json.dumps(found))


def our_cuts(name: str, language: str, path: str, data: bytes, *, limit: int) -> list[Piece]:
    """Return the pieces of a document as one of our variants cuts it."""
    from s3sync_dagster.chunking import chunk_document
    from s3sync_dagster.model.document import Document
    from s3sync_dagster.model.source import ChunkingConfig

    form = language if language in ("markdown", "csv") else "code"
    chunks = chunk_document(
        Document(text=data.decode(), format=form, language=language if form == "code" else None),
        object_key=path,
        config=ChunkingConfig(
            context=name == "ours, context",
            max_size_bytes=limit if name == "ours, bytes" else None,
        ),
        limits=embedder_of_runs().limits,
    )
    return [
        Piece(
            chunk.text,
            chunk.context + chunk.text,
            chunk.start_byte,
            chunk.end_byte,
            {
                "document_key": path,
                "heading_path": chunk.heading_path,
                "symbol": chunk.symbol,
            },
        )
        for chunk in chunks
    ]


@functools.cache
def embedder_of_runs():
    """Return MiniLM with the vectors of earlier runs."""
    from s3sync_dagster.embedding import open_embedder
    from s3sync_dagster.embedding.cache import VectorCache
    from s3sync_dagster.model.source import EmbeddingConfig

    file = VECTORS or Path(tempfile.mkdtemp(prefix="vectors-"), "vectors.db")
    return open_embedder(EmbeddingConfig(), cache=VectorCache(file))


if __name__ == "__main__":
    main()
