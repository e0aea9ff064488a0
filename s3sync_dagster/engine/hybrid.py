"""Hybrid search: nearest vectors and best words, fused by rank.

Works over every Chroma: the words come from an index of our own that follows the collection. The
index only ranks; texts and metadata of the hits are always the collection's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from s3sync_dagster.core.filters import matches
from s3sync_dagster.model.document import Hit

if TYPE_CHECKING:
    from s3sync_dagster.engine.ports import CollectionPort, Embedder

RRF_K = 5
"""Dampens the first ranks. Chosen by measurement (docs/chroma.md): the method's authors take 60,
which finds fewer answers among the first ten with each of the local models."""
DEPTH = 50
"""Hits of each ranking that take part."""
CANDIDATES = 2000
"""Words' hits that are held against a filter at most."""
PAGE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentVersion:
    """What a word index has to know of a document to follow it."""

    document_id: str
    version: str | None
    """Changes whenever the text may have; None: it is being written, keep what is indexed."""
    count: int | None = None
    """Records ``{document_id}-{i}``; None: the document is a record of that very id."""

    def record_ids(self) -> list[str]:
        """Return the ids of its records."""
        if self.count is None:
            return [self.document_id]
        return [f"{self.document_id}-{index}" for index in range(self.count)]


class WordIndex(Protocol):
    """Record ids by words (``ports.word_index``)."""

    def search(self, text: str, *, limit: int, offset: int = 0) -> list[str]:
        """Return ids of records with words of ``text``, best first (BM25)."""
        ...


def hybrid_query(
    collection: CollectionPort,
    embedder: Embedder,
    index: WordIndex,
    text: str,
    *,
    limit: int = 10,
    where: Mapping[str, Any] | None = None,
) -> list[Hit]:
    """Return the best records by reciprocal rank fusion of vectors and words.

    Args:
        collection: what is searched.
        embedder: the collection's.
        index: words of the collection; what it has and the collection lacks is passed over.
        text: the question.
        limit: hits at most.
        where: Chroma's metadata filter; holds for both rankings.

    Raises:
        InvalidSetting: ``where`` is no filter of Chroma's.
    """
    depth = max(DEPTH, 2 * limit)
    nearest = collection.query(embedder.embed_query(text), limit=depth, where=where)
    known = {hit.id: hit for hit in nearest}
    if where is None:
        words = index.search(text, limit=depth)
    else:
        words = _filtered(collection, index, text, depth=depth, where=where, known=known)
    fused = fuse([[hit.id for hit in nearest], words])
    hits: list[Hit] = []
    for start in range(0, len(fused), limit):
        part = fused[start : start + limit]
        _fetch(collection, [name for name, _ in part], known)
        hits += [_scored(known[name], score) for name, score in part if name in known]
        if len(hits) >= limit:
            break
    return hits[:limit]


def fuse(rankings: Sequence[Sequence[str]]) -> list[tuple[str, float]]:
    """Return ids and scores, best first; an id earns 1 / (5 + rank) in each ranking it is in."""
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, name in enumerate(ranking, 1):
            scores[name] = scores.get(name, 0.0) + 1 / (RRF_K + rank)
    return sorted(scores.items(), key=lambda item: -item[1])


def versions_by_scan(collection: CollectionPort) -> Iterator[DocumentVersion]:
    """Yield every record as a document of its own, for collections that no catalog knows.

    The version is a digest of the metadata: a text that was changed under equal metadata is only
    seen where the writer leaves a trace there, as this project does with the etag.
    """
    for page in collection.scan():
        for record in page:
            trace = repr(sorted(record.metadata.items()))
            yield DocumentVersion(document_id=record.id, version=trace)


def _filtered(
    collection: CollectionPort,
    index: WordIndex,
    text: str,
    *,
    depth: int,
    where: Mapping[str, Any],
    known: dict[str, Hit],
) -> list[str]:
    """Return ids by words that meet the filter; adds what it had to look up to ``known``."""
    chosen: list[str] = []
    for offset in range(0, CANDIDATES, PAGE):
        page = index.search(text, limit=PAGE, offset=offset)
        _fetch(collection, page, known)
        chosen += [name for name in page if name in known and matches(known[name].metadata, where)]
        if len(chosen) >= depth or len(page) < PAGE:
            break
    return chosen[:depth]


def _fetch(collection: CollectionPort, ids: Sequence[str], known: dict[str, Hit]) -> None:
    """Add the records that ``known`` lacks and the collection has."""
    missing = [name for name in ids if name not in known]
    if missing:
        for name, record in collection.get(missing, documents=True).items():
            known[name] = Hit(id=name, document=record.document or "", metadata=record.metadata)


def _scored(hit: Hit, score: float) -> Hit:
    return Hit(id=hit.id, document=hit.document, metadata=hit.metadata, score=score)
