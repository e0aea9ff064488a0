"""Which objects are read: those that answer the questions, and some others by their hash."""

import hashlib
import heapq
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from s3sync_dagster.catalog.indexed import IndexedObject
from s3sync_dagster.engine.hybrid import Searcher
from s3sync_dagster.evaluating import REACH, Question

Named = tuple[str, str]
"""Source id and object key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Objects of a collection that stand for all of them."""

    objects: tuple[IndexedObject, ...]
    """Each once, by source and key."""
    drawn: frozenset[Named]
    """Those that the hash chose, whether they answer or not."""
    answering: frozenset[Named]
    """Those that were taken because they answer."""
    population: int
    """Objects of the collection."""
    records: int
    """Of the collection."""

    @property
    def whole(self) -> bool:
        """Whether it is the collection itself."""
        return len(self.objects) == self.population


def choose(objects: Iterable[IndexedObject], *, answers: Collection[str], count: int) -> Sample:
    """Return what answers, and ``count`` by hash whether they answer or not.

    The same collection gives the same objects: two changes can be compared with each other.

    Args:
        objects: all of the collection.
        answers: keys, or ends of keys behind a slash.
        count: of those by hash.
    """
    heap: list[tuple[int, int, IndexedObject]] = []  # the farthest first
    answering: dict[Named, IndexedObject] = {}
    population = records = 0
    for number, one in enumerate(objects):
        population += 1
        records += one.chunks
        if any(end in answers for end in ends(one.key)):
            answering[one.source_id, one.key] = one
        far = int.from_bytes(hashlib.sha256(f"{one.source_id}\n{one.key}".encode()).digest())
        heapq.heappush(heap, (-far, number, one))
        if len(heap) > count:
            heapq.heappop(heap)
    drawn = {(one.source_id, one.key): one for _, _, one in heap}
    chosen = answering | drawn
    return Sample(
        objects=tuple(chosen[name] for name in sorted(chosen)),
        drawn=frozenset(drawn),
        answering=frozenset(answering),
        population=population,
        records=records,
    )


def ends(key: str) -> Iterator[str]:
    """Yield the key and what stands behind each of its slashes, as questions name it."""
    yield key
    place = key.find("/")
    while place >= 0:
        yield key[place + 1 :]
        place = key.find("/", place + 1)


def keys_of_answers(questions: Iterable[Question], searcher: Searcher | None) -> list[list[str]]:
    """Return for each question the keys, or ends of keys, of what answers it.

    Where a question has an excerpt alone, they are those of the hits that hold it today. None
    within reach: the object is not known, and the list is empty.

    Args:
        questions: with known answers.
        searcher: of the collection as it is; None where each question names its key.
    """
    return [_keys(question, searcher) for question in questions]


def _keys(question: Question, searcher: Searcher | None) -> list[str]:
    if question.key is not None or searcher is None:
        return [] if question.key is None else [question.key]
    hits = searcher.search(question.question, limit=REACH)
    places = (place for hit in hits for place in (hit, *hit.copies))
    keys = (hit.metadata.get("document_key") for hit in places if question.answered_by(hit))
    return sorted({key for key in keys if isinstance(key, str)})
