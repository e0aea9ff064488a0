"""What a way finds in the sample and what that costs; two of them side by side."""

import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from s3sync_dagster.engine.batch.groups import WriteGroup, fill_groups
from s3sync_dagster.engine.hybrid import DocumentVersion, Reranker, Searcher
from s3sync_dagster.engine.ports import CollectionPort, Embedder
from s3sync_dagster.evaluating import Measured, Question, measure
from s3sync_dagster.model.errors import LimitExceeded
from s3sync_dagster.ports.memory_chroma import MemoryCollections
from s3sync_dagster.ports.word_index import FtsWordIndex
from s3sync_dagster.trial.cutting import CutSample
from s3sync_dagster.trial.sample import Named, Sample
from s3sync_dagster.trial.ways import Way

NUMBER_BYTES = 4
"""Of a number in a vector, in Chroma as here."""
TOLD_SECONDS = 10.0
"""Between two words on how far the embedding is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a way came to on the sample."""

    measured: tuple[Measured, ...]
    counts: Mapping[Named, int]
    """Records of each object that gave a text."""
    failed: tuple[str, ...]
    """Why objects gave no text."""
    kept: frozenset[Named]
    """Of these, objects whose records stay as they are."""
    text_bytes: int
    """Of all texts that were cut."""
    texts: int
    """That the model read; equal ones once, and none whose vector was known."""
    cpu_seconds: float | None
    """That it took for them; None: an endpoint's, nobody here knows."""
    dimension: int
    """Numbers of a vector."""

    @property
    def records(self) -> int:
        """Of all objects that were read."""
        return sum(self.counts.values())

    @property
    def chunks_a_megabyte(self) -> float:
        """Records to a million bytes of text."""
        return 1e6 * self.records / max(self.text_bytes, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """What a way would come to on the whole collection, by the objects that the hash chose."""

    records: int
    written: int
    """Of these, those that the change would write: append mode keeps others."""
    vector_bytes: int
    cpu_seconds: float | None
    """Of embedding all records; None as in ``Outcome``."""


@dataclass(frozen=True, slots=True)
class Difference:
    """Tried minus today, question by question."""

    mean: float
    error: float | None
    """Standard error of the mean, paired; None: one question tells none."""


def ask(
    way: Way,
    cut: CutSample,
    questions: Sequence[Question],
    *,
    reranker: Reranker | None,
    folder: Path,
    note: Callable[[str], None] = lambda _line: None,
) -> Outcome:
    """Embed a way's records and ask it all questions, in this process and in ``folder`` alone.

    Args:
        way: settings and model.
        cut: what it made of the sample; not empty.
        questions: not empty.
        reranker: as searches have it.
        folder: an empty one, for the index of words; the caller's to delete.
        note: takes how far it is, for people, at most every ten seconds.

    Raises:
        S3SyncError: the model cannot be used.
    """
    embedder, cpu_seconds = way.embedder, 0.0
    collection = MemoryCollections().open("trial", tenant="", database="", embedder=embedder)
    if way.local:
        embedder.embed_query(questions[0].question)  # loads the weights, which no text is to pay
    inferred, done = embedder.inferred, 0
    total = sum(len(one.records) for one in cut.writes)
    told_at = -math.inf
    refused: dict[str, str] = {}
    for group in fill_groups(collection, cut.writes):
        if time.monotonic() - told_at >= TOLD_SECONDS:
            told_at = time.monotonic()
            note(f"embedding, {done} of {total} chunks")
        done += sum(len(one.records) for one in group.writes)
        started = time.process_time()
        refused |= _embed(embedder, collection, group)
        cpu_seconds += time.process_time() - started
    note(f"asking {len(questions)} questions of {total} chunks")
    index = FtsWordIndex(folder / "words.db")
    try:
        versions = (
            DocumentVersion(document_id=one.document_id, version="", count=len(one.records))
            for one in cut.writes
            if one.document_id not in refused
        )
        index.follow(collection, versions)
        measured = measure(Searcher(collection, embedder, index, reranker), questions)
    finally:
        index.close()
    return Outcome(
        measured=tuple(measured),
        counts={
            name: len(one.records)
            for name, one in zip(cut.names, cut.writes, strict=True)
            if one.document_id not in refused
        },
        failed=(*cut.failed, *refused.values()),
        kept=cut.kept,
        text_bytes=cut.text_bytes,
        texts=embedder.inferred - inferred,
        cpu_seconds=cpu_seconds if way.local else None,
        dimension=embedder.dimension,
    )


def _embed(embedder: Embedder, collection: CollectionPort, group: WriteGroup) -> dict[str, str]:
    """Embed and keep a group; returns why which documents hold a text that the model refuses."""
    records = [record for one in group.writes for record in one.records]
    try:
        vectors = embedder.embed_documents([record.embedding_text for record in records])
    except LimitExceeded as error:
        if len(group.writes) == 1:
            return {group.writes[0].document_id: error.reason}
        refused: dict[str, str] = {}
        for alone in group.one_by_one():
            refused |= _embed(embedder, collection, alone)
        return refused
    collection.upsert(records, vectors)
    return {}


def whole(sample: Sample, outcome: Outcome, other: Outcome) -> Whole | None:
    """Return the figures of the whole collection; None where the sample does not tell.

    What was read is counted. What was not has as many more or fewer records than the catalog says
    as the objects that only the hash chose: those that answer are seldom like the others. What a
    mode keeps as it is has the records that the catalog says. Other objects that gave no text in
    one of the two ways say nothing of it: a place that does not answer for a moment would make the
    whole collection smaller.

    Args:
        sample: what was read.
        outcome: of the way whose figures are wanted.
        other: of the way beside it.
    """
    known = {(one.source_id, one.key): one.chunks for one in sample.objects}
    rest = sample.records - sum(known.values())
    stays = {name: known[name] for name in outcome.kept}
    counts, others = {**outcome.counts, **stays}, {**other.counts, **stays}
    alike = sample.drawn - sample.answering or known.keys()
    alike = alike & counts.keys() & others.keys()
    before = sum(known[name] for name in alike)
    if rest and not before:
        return None
    after = sum(counts[name] for name in alike)
    counted = sum(counts.values())
    records = counted + (round(rest * after / before) if rest else 0)
    written = round(records * outcome.records / counted) if counted else 0
    cpu_seconds = None
    if outcome.cpu_seconds is not None and outcome.records:
        cpu_seconds = outcome.cpu_seconds * written / outcome.records
    return Whole(
        records=records,
        written=written,
        vector_bytes=records * outcome.dimension * NUMBER_BYTES,
        cpu_seconds=cpu_seconds,
    )


def new_texts(today: tuple[Way, CutSample], tried: tuple[Way, CutSample]) -> float:
    """Return the share of what is tried that has no vector from today, 0 to 1."""
    (before, had), (after, cut) = today, tried
    if before.embedder.cache_key() != after.embedder.cache_key():
        return 1.0
    known, texts = set(had.texts()), list(cut.texts())
    return sum(text not in known for text in texts) / max(len(texts), 1)


def recalled(ranks: Sequence[int | None], k: int) -> list[float]:
    """Return 1 for each question that is answered among the first ``k``, else 0."""
    return [float(rank is not None and rank <= k) for rank in ranks]


def reciprocal(ranks: Sequence[int | None]) -> list[float]:
    """Return 1 over the rank of each question's answer, 0 where it is not in reach."""
    return [1 / rank if rank else 0.0 for rank in ranks]


def difference(today: Sequence[float], tried: Sequence[float]) -> Difference:
    """Return the mean of ``tried`` minus ``today``, with its standard error."""
    pairs = [after - before for before, after in zip(today, tried, strict=True)]
    error = statistics.stdev(pairs) / math.sqrt(len(pairs)) if len(pairs) > 1 else None
    return Difference(statistics.mean(pairs), error)
