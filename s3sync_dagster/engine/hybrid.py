"""Search: nearest vectors and best words, fused by their scores.

Works over every Chroma: the words come from an index of our own that follows the collection. The
index only ranks; texts and metadata of the hits are always the collection's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

from s3sync_dagster.core.filters import matches
from s3sync_dagster.core.fusion import DEPTH, Scored, fuse, ties, words_share
from s3sync_dagster.core.rights import WHOLE, Rights
from s3sync_dagster.model.document import Hit
from s3sync_dagster.model.errors import InvalidSetting

if TYPE_CHECKING:
    from s3sync_dagster.engine.ports import Embedder, RecordReader

Ranking = Literal["hybrid", "dense", "words"]
"""What orders the hits: vectors and words together, vectors alone, words alone."""

NEAREST = 100
"""Nearest records that are asked for, also where people want fewer: an approximate index gives
other ones first to who asks for more, and the first of many shall be the first of few."""
MAX_DEPTH = 800
"""Hits of each ranking that are asked for where copies of the same text fill the first ones."""
RERANKED = 50
"""First hits of a hybrid ranking that a reranker looks at; more where more are asked for."""
CANDIDATES = 2000
"""Words' hits that are held against a filter before the collection is asked who meets it."""
MOST_MEETING = 10_000
"""Records that meet a filter whose ids are asked for. Of more, the best by words are soon met."""
PAGE = 200
FARTHEST = 20_000
"""Words' hits that are held against a filter that more records meet; behind them nothing is."""
NOT_WALKED = (
    f"By words, only the best {FARTHEST:,} records were held against the filter: of so many that "
    "meet it, others may have these words too. A narrower filter or rarer words find them."
)
NOT_DEEPER = (
    f"Copies of few texts take the first {MAX_DEPTH} places: what stands behind them was not "
    "looked at. A filter that leaves them out finds it."
)
NOT_NEARER = (
    "Chroma is asked for the {:,} nearest records and no more: what stands behind them was not "
    "looked at. A filter that leaves some of them out finds it."
)
NOT_REACHED = (
    "Chroma's index has led to {:,} records and not to the others, as it does among very many "
    "copies of few texts. A filter that leaves these out finds them, and so do words."
)
READ = 1000
"""Records whose metadata are held against a filter at once, far down a ranking."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentVersion:
    """What a word index has to know of a document to follow it."""

    document_id: str
    version: str | None
    """Changes whenever the text may have; None: it is being written, keep what is indexed."""
    count: int | None = None
    """Records ``{document_id}-{i}``; None: the document is a record of that very id."""
    part: int | None = None
    """Of the collection, which is looked at by its parts; None: it is looked at as a whole."""

    def record_ids(self) -> list[str]:
        """Return the ids of its records."""
        if self.count is None:
            return [self.document_id]
        return [f"{self.document_id}-{index}" for index in range(self.count)]


class WordIndex(Protocol):
    """Record ids by words (``ports.word_index``)."""

    def search(self, text: str, *, limit: int, among: Sequence[str] | None = None) -> list[Scored]:
        """Return ids of records with words of ``text`` and their BM25, best first.

        Equal ones stand in an order of their own, which the limit does not change.

        Args:
            text: the question.
            limit: records at most.
            among: the only records that are ranked; None: all.
        """
        ...

    def scores(self, text: str, ids: Sequence[str]) -> list[Scored]:
        """Return those of these records that have words of ``text``, with their BM25."""
        ...

    def known(self, ids: Sequence[str]) -> set[str]:
        """Return those of these records whose words are indexed."""
        ...

    def ceiling(self, text: str) -> float:
        """Return the BM25 of a record that is full of all words of ``text``; 0 without words."""
        ...


class Reranker(Protocol):
    """Reads a question and a text together (``embedding.reranker``)."""

    def score(self, question: str, texts: Sequence[str]) -> Sequence[float]:
        """Return how well each text answers, 0 to 1."""
        ...


@dataclass(frozen=True, slots=True)
class Searcher:
    """One collection and what ranks its records."""

    collection: RecordReader
    embedder: Embedder
    index: WordIndex | None = None
    """Of what may be seen by who asks. What it has and the collection lacks is passed over. Not
    asked for a dense ranking."""
    reranker: Reranker | None = None
    """Orders the first hits of a hybrid ranking anew."""
    rights: Rights = WHOLE
    """Of who asks: the nearest are ranked without what is kept from them."""

    def search(
        self,
        text: str,
        *,
        ranking: Ranking = "hybrid",
        limit: int = 10,
        where: Mapping[str, Any] | None = None,
        lacks: list[str] | None = None,
    ) -> list[Hit]:
        """Return the best records; those of equal text are one hit that names its copies.

        The first hits of many are the hits of who asks for few. A hybrid ranking is ordered anew
        by the reranker, where there is one.

        Args:
            text: the question.
            ranking: what orders them.
            limit: hits at most.
            where: Chroma's metadata filter; holds for both rankings.
            lacks: gains a sentence for people on what was not looked at, if anything.

        Raises:
            InvalidSetting: ``where`` is no filter of Chroma's, or ``ranking`` none.
        """
        require_ranking(ranking)
        lacks = [] if lacks is None else lacks
        if self.reranker is None or ranking != "hybrid":
            return self._ranked(text, ranking=ranking, limit=limit, where=where, lacks=lacks)
        most = max(limit, RERANKED)
        first = self._ranked(text, ranking=ranking, limit=most, where=where, lacks=lacks)
        return rerank(self.reranker, text, first)[:limit]

    def _ranked(
        self,
        text: str,
        *,
        ranking: Ranking,
        limit: int,
        where: Mapping[str, Any] | None,
        lacks: list[str],
    ) -> list[Hit]:
        """Look deeper until there are enough different texts; each look adds behind the one before.

        How deep the looks go does not depend on the limit, or the order would.
        """
        vector = None if ranking == "words" else self.embedder.embed_query(text)
        seen = self.rights.narrowed(where)
        depth = NEAREST
        found: dict[str, list[Hit]] = {}
        while True:
            known: dict[str, Hit] = {}
            nearest: list[Scored] = []
            words: list[Scored] = []
            full = False
            floor = 0.0
            if vector is not None:
                known = {
                    hit.id: hit for hit in self.collection.query(vector, limit=depth, where=seen)
                }
                nearest = sorted(
                    ((hit.id, hit.score) for hit in known.values()),
                    key=lambda one: (-one[1], _in_document(one[0])),  # a graph's order is any
                )
                if ranking == "hybrid" and ties(nearest) and depth < MAX_DEPTH:
                    depth = MAX_DEPTH  # which of the equal ones come first says nothing
                    continue
            if self.index is not None and ranking != "dense":
                asked = depth if depth > NEAREST else DEPTH
                if ranking == "words":  # a shorter list is the beginning of a longer one
                    asked = max(asked, 2 * limit)
                words = self._by_words(
                    self.index, text, depth=asked, where=where, known=known, lacks=lacks
                )
                full = len(words) == asked
            nearest_at_most = min(depth, self.collection.most_nearest)
            full = full or len(nearest) >= nearest_at_most
            if ranking == "hybrid":
                ceiling = self.index.ceiling(text) if self.index is not None and words else 0.0
                if self.index is not None and ties(words):
                    floor = words_share(words, ceiling)  # of what stands behind those, unseen
                    listed = dict(words)
                    cut = [name for name, _ in nearest if name not in listed]
                    words = [*words, *self.index.scores(text, cut)]
                names = [name for name, _ in nearest]
                known_words = set(names) if self.index is None else self.index.known(names)
                alone = set(names) - known_words
                ordered = fuse(nearest, words, ceiling=ceiling, alone=alone)
                if full and depth < MAX_DEPTH:
                    ordered = [one for one in ordered if one[1] >= floor]
            else:
                ordered = nearest or words
            self._add_texts(found, ordered, dict(nearest), dict(words), known, limit=limit)
            if len(found) == limit or not full or depth >= max(MAX_DEPTH, limit):
                if full and len(found) < limit:
                    capped = len(nearest) == nearest_at_most < depth
                    lacks.append(NOT_NEARER.format(nearest_at_most) if capped else NOT_DEEPER)
                elif ranking == "dense" and len(found) < limit and self._has_more(nearest, seen):
                    lacks.append(NOT_REACHED.format(len(nearest)))
                return [replace(first, copies=tuple(rest)) for first, *rest in found.values()]
            # Copies took the places of what stands behind them, or many are asked for.
            depth = 4 * depth if depth >= MAX_DEPTH else min(4 * depth, MAX_DEPTH)

    def _has_more(self, nearest: Sequence[Scored], where: Mapping[str, Any] | None) -> bool:
        """Return whether records that may be found are more than those that the graph led to."""
        if where is not None:
            return self.collection.ids_meeting(where, most=len(nearest)) is None
        page = next(iter(self.collection.scan(page_size=len(nearest) + 1)), None)
        return page is not None and len(page) > len(nearest)

    def _by_words(
        self,
        index: WordIndex,
        text: str,
        *,
        depth: int,
        where: Mapping[str, Any] | None,
        known: dict[str, Hit],
        lacks: list[str],
    ) -> list[Scored]:
        """Return the best by words that meet the filter; ``known`` gains what was looked up."""
        if where is None:
            return index.search(text, limit=depth)
        for candidates in (PAGE, CANDIDATES):
            ranked = index.search(text, limit=candidates)
            chosen: list[Scored] = []  # anew: others may have written in between
            for start in range(0, len(ranked), PAGE):
                page = ranked[start : start + PAGE]
                self._fetch([name for name, _ in page], known)
                chosen += [
                    (name, score)
                    for name, score in page
                    if name in known and matches(known[name].metadata, where)
                ]
                if len(chosen) >= depth:
                    return chosen[:depth]
            if len(ranked) < candidates:
                return chosen
        meeting = self.collection.ids_meeting(where, most=MOST_MEETING)
        if meeting is not None:
            return index.search(text, limit=depth, among=meeting)
        return self._far_down(index, text, depth=depth, where=where, lacks=lacks)

    def _far_down(
        self,
        index: WordIndex,
        text: str,
        *,
        depth: int,
        where: Mapping[str, Any],
        lacks: list[str],
    ) -> list[Scored]:
        """Return the best by words that meet a filter, which many records do, but not the best."""
        ranked = index.search(text, limit=FARTHEST)
        chosen: dict[str, float] = {}
        for start in range(0, len(ranked), READ):
            page = ranked[start : start + READ]
            # Without their texts: most of these are no hits.
            found = self.collection.get([name for name, _ in page])
            chosen |= {
                name: score
                for name, score in page
                if name in found and matches(found[name].metadata, where)
            }
            if len(chosen) >= depth:
                return list(chosen.items())[:depth]
        if len(ranked) == FARTHEST and NOT_WALKED not in lacks:
            lacks.append(NOT_WALKED)
        return list(chosen.items())

    def _add_texts(
        self,
        found: dict[str, list[Hit]],
        ordered: Sequence[Scored],
        nearest: Mapping[str, float],
        words: Mapping[str, float],
        known: dict[str, Hit],
        *,
        limit: int,
    ) -> None:
        """Add different texts up to ``limit``, and to each the others that equal it."""
        there = {hit.id for equal in found.values() for hit in equal}
        ordered = [one for one in ordered if one[0] not in there]
        for start in range(0, len(ordered), PAGE):
            part = ordered[start : start + PAGE]
            self._fetch([name for name, _ in part], known)
            for name, score in part:
                if name not in known:
                    continue
                hit = replace(
                    known[name], score=score, dense=nearest.get(name), words=words.get(name)
                )
                text = " ".join(hit.document.split()) or name
                if text in found or len(found) < limit:
                    found.setdefault(text, []).append(hit)

    def _fetch(self, ids: Sequence[str], known: dict[str, Hit]) -> None:
        """Add the records that ``known`` lacks and the collection has."""
        missing = [name for name in ids if name not in known]
        if missing:
            known.update(fetch_hits(self.collection, missing))


def require_ranking(ranking: str) -> None:
    """Refuse with ``InvalidSetting`` a word that is no ranking."""
    if ranking not in get_args(Ranking):
        known = ", ".join(map(repr, get_args(Ranking)))
        raise InvalidSetting(f"ranking {str(ranking)[:100]!r} is none of {known}")


def _in_document(name: str) -> tuple[str, int, str]:
    """Order equal records by their documents' ids, and those of one as they stand in it."""
    document, _, place = name.rpartition("-")
    return document, len(place), place


def fetch_hits(collection: RecordReader, ids: Sequence[str]) -> dict[str, Hit]:
    """Return the records of these ids that exist, as hits without a score."""
    return {
        name: Hit(id=name, document=record.document or "", metadata=record.metadata)
        for name, record in collection.get(ids, documents=True).items()
    }


def rerank(reranker: Reranker, text: str, hits: Sequence[Hit]) -> list[Hit]:
    """Return the hits in the reranker's order; equal scores stay as they were."""
    scores = reranker.score(text, [hit.document for hit in hits])
    scored = [
        replace(hit, score=float(score), reranked=float(score))
        for hit, score in zip(hits, scores, strict=True)
    ]
    return sorted(scored, key=lambda hit: -hit.score)


def reasons_of(hit: Hit) -> str:
    """Return why a hit stands where it does: ``dense 0.655, words 7.1``."""
    told = [] if hit.reranked is None else [f"reranked {hit.reranked:.3f}"]
    told += [] if hit.dense is None else [f"dense {hit.dense:.3f}"]
    told += [] if hit.words is None else [f"words {shown_words(hit.words)}"]
    return ", ".join(told)


def shown_words(score: float) -> str:
    """Return a BM25 for people.

    Words that most records have weigh next to nothing; ``0.0`` would say that none was found.
    """
    return "<0.1" if 0 < score < 0.1 else f"{score:.1f}"


def versions_by_scan(collection: RecordReader) -> Iterator[DocumentVersion]:
    """Yield every record as a document of its own, for collections that no catalog knows.

    The version is a digest of the metadata: a text that was changed under equal metadata is only
    seen where the writer leaves a trace there, as this project does with the etag.
    """
    for page in collection.scan():
        for record in page:
            trace = repr(sorted(record.metadata.items()))
            yield DocumentVersion(document_id=record.id, version=trace)
