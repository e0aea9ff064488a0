"""Retrieval quality of dense, word and hybrid search, for the local models.

    python benchmarks/chroma/retrieval.py [--pairs N] [--cache FILE] [--model-dir FOLDER]

Prints one table as Markdown. Exact nearest neighbours, so that the models are compared and not an
index; questions and answers come from text that ships with Python and its packages.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from labelled import Pair, docstring_pairs, heading_pairs

from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.embedding.cache import VectorCache
from s3sync_dagster.engine.hybrid import DocumentVersion, Searcher
from s3sync_dagster.engine.ports import CollectionPort, Embedder
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster.ports.memory_chroma import MemoryCollections
from s3sync_dagster.ports.word_index import FtsWordIndex

DEPTH = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--model-dir", type=Path)
    options = parser.parse_args()
    cache = VectorCache(options.cache) if options.cache else None
    print("| task | pairs | model | search | recall@1 | recall@10 | MRR |")
    print("|---|---|---|---|---|---|---|")
    tasks = {
        "docstring to body": docstring_pairs(options.pairs),
        "heading to section": heading_pairs(options.pairs),
    }
    for task, pairs in tasks.items():
        for kind in ("minilm", "static"):
            embedder = open_embedder(
                EmbeddingConfig(kind=kind), model_dir=options.model_dir, cache=cache
            )
            for search, (first, tenth, mrr) in measure(pairs, embedder).items():
                print(
                    f"| {task} | {len(pairs)} | {kind} | {search} "
                    f"| {first:.3f} | {tenth:.3f} | {mrr:.3f} |",
                    flush=True,
                )
    if cache:
        cache.close()


def measure(pairs: Sequence[Pair], embedder: Embedder) -> dict[str, tuple[float, float, float]]:
    """Return recall@1, recall@10 and MRR of each way to search."""
    collection = fill(pairs, embedder)
    with tempfile.TemporaryDirectory() as folder:
        index = FtsWordIndex(Path(folder) / "words.db")
        index.follow(collection, [DocumentVersion(document_id="d", version="1", count=len(pairs))])
        # Questions are embedded at once, and each is looked up by its text.
        vectors = dict(
            zip(
                (pair.question for pair in pairs),
                embedder.embed_documents([pair.question for pair in pairs]),
                strict=True,
            )
        )
        known = _Known(embedder, vectors)
        searcher = Searcher(collection, known, index)
        measured = {
            ranking: _score(
                pairs,
                lambda question, ranking=ranking: [
                    hit.id for hit in searcher.search(question, ranking=ranking, limit=DEPTH)
                ],
            )
            for ranking in ("dense", "words", "hybrid")
        }
        index.close()
    return measured


def fill(pairs: Sequence[Pair], embedder: Embedder) -> CollectionPort:
    """Return a collection that holds every answer as the record ``d-{number}``."""
    collection = MemoryCollections().open("b", tenant="t", database="d", embedder=embedder)
    records = [
        Record(id=f"d-{n}", document=p.answer, embedding_text=p.answer, metadata={"n": n})
        for n, p in enumerate(pairs)
    ]
    collection.upsert(records, embedder.embed_documents([p.answer for p in pairs]))
    return collection


def _score(pairs: Sequence[Pair], search: Callable[[str], list[str]]) -> tuple[float, float, float]:
    ranks = []
    for n, pair in enumerate(pairs):
        found = search(pair.question)
        ranks.append(found.index(f"d-{n}") + 1 if f"d-{n}" in found else 0)
    count = len(ranks)
    first = sum(rank == 1 for rank in ranks) / count
    tenth = sum(0 < rank <= 10 for rank in ranks) / count
    return first, tenth, sum(1 / rank for rank in ranks if rank) / count


class _Known:
    """An embedder whose queries were embedded before."""

    def __init__(self, embedder, vectors):
        self._embedder, self._vectors = embedder, vectors

    def embed_query(self, text):
        return self._vectors[text]

    def __getattr__(self, name):
        return getattr(self._embedder, name)


if __name__ == "__main__":
    main()
