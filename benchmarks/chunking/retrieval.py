"""Does the cut find it again? BM25, MiniLM and both, for ours and the peers, at 1,024 bytes.

    .venv/bin/python benchmarks/chunking/retrieval.py [--no-dense] [--chunkers ours ...]

Peers cut in their own environment (`.peers`); all texts are searched by the same code here.
"""

import argparse
import base64
import json
import statistics
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from chunkers import OURS, PEERS
from search import fuse, grade, rank_bm25, rank_dense
from tasks import Task, all_tasks

LIMIT = 1024
OUR_VARIANTS = ("ours", "ours, context", "ours, bytes")
"""As the product cuts for MiniLM (tokens count too), with the context prefix, and bytes alone."""

Cut = tuple[str, int, int]
"""What is embedded, begin, end."""


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
    model = None if options.no_dense else _minilm()
    for task in all_tasks(options.share):
        if options.tasks and not task.name.startswith(tuple(options.tasks)):
            continue
        print(f"\n### {task.name}: {len(task.queries)} queries, {len(task.documents)} documents\n")
        ways = ["BM25"] if model is None else ["BM25", "dense", "hybrid"]
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
            print(_row(name, task, cuts, model), flush=True)


def _row(name: str, task: Task, cuts: list[list[Cut]], model) -> str:
    texts: list[str] = []
    places: list[list[tuple[int, int, int]]] = []
    for document in cuts:
        places.append([(start, end, len(texts) + i) for i, (_, start, end) in enumerate(document)])
        texts += [text for text, _, _ in document]
    relevant = [
        {index for start, end, index in places[document] if start <= position < end}
        for _, document, position in task.queries
    ]
    queries = [words for words, _, _ in task.queries]
    rankings = [rank_bm25(texts, queries)]
    if model is not None:
        rankings.append(rank_dense(texts, queries, model, _vectors))
        rankings.append(fuse(*rankings))
    sizes = [len(text.encode()) for text in texts]
    cells = [
        f"{grades[measure][0]:.1f} ± {grades[measure][1]:.1f}"
        for grades in (grade(ranking, relevant, sizes) for ranking in rankings)
        for measure in ("MRR", "R@10", "8 KB")
    ]
    chance = _by_chance([len(cuts[document]) for _, document, _ in task.queries])
    head = f"| {name} | {len(texts)} | {chance:.1f} | {_unread(task, cuts):.0f} | "
    return head + " | ".join(cells) + " |"


def _by_chance(chunks: list[int]) -> float:
    """Return the MRR in percent where the document is found first, and its chunks in any order."""
    return 100 * statistics.mean(sum(1 / k for k in range(1, n + 1)) / n for n in chunks)


def _unread(task: Task, cuts: list[list[Cut]]) -> float:
    """Return how many of the places asked for, in percent, begin behind what MiniLM reads."""
    from s3sync_dagster.chunking.budget import count_tokens

    limits = _minilm().limits
    before: list[bytes] = []
    for _, document, position in task.queries:
        found = (cut for cut in cuts[document] if cut[1] <= position < cut[2])
        text, _, end = next(found, ("", 0, position))
        before.append(text.encode()[: len(text.encode()) - (end - position)])
    counts = count_tokens(limits.tokenizer_file, before)
    return 100 * sum(count >= limits.max_tokens - 2 for count in counts) / len(counts)


def _cuts(name: str, task: Task, limit: int) -> list[list[Cut]] | None:
    if name in OUR_VARIANTS:
        return [_our_cuts(name, *document, limit=limit) for document in task.documents]
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
        [(data[start:end].decode(errors="replace"), start, end) for start, end in found]
        for (_, _, data), found in zip(task.documents, spans, strict=True)
    ]


def _serve_cuts(name: str, limit: int) -> None:
    chunkers: dict[str, object] = {}
    found = []
    for language, path, encoded in json.load(sys.stdin):
        known = "markdown" if language == "csv" else language  # peers have no form for rows
        if known not in chunkers:
            chunkers[known] = (OURS | PEERS)[name](limit, known)
        found.append([list(span) for span in chunkers[known](path, base64.b64decode(encoded))])
    print(json.dumps(found))


def _our_cuts(name: str, language: str, path: str, data: bytes, *, limit: int) -> list[Cut]:
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
        limits=_minilm().limits,
    )
    return [(chunk.context + chunk.text, chunk.start_byte, chunk.end_byte) for chunk in chunks]


def _minilm():
    from s3sync_dagster.embedding.minilm import MiniLmModel
    from s3sync_dagster.embedding.minilm_files import find_minilm

    global _model
    if _model is None:
        _model = MiniLmModel(find_minilm(None, download=False), workers=1)
    return _model


_model = None
_vectors: dict = {}

if __name__ == "__main__":
    main()
