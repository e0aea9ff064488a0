"""The story of a trial: choose, read, cut, embed and ask, as today and as tried."""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from s3sync_dagster.catalog.indexed import IndexedObject, indexed_objects, places_of
from s3sync_dagster.core.rights import EVERYTHING
from s3sync_dagster.evaluating import Question
from s3sync_dagster.model.errors import Conflict, InvalidSetting, NotFound
from s3sync_dagster.model.source import Source
from s3sync_dagster.search import opened as opened_search
from s3sync_dagster.trial.comparing import Outcome, ask, new_texts
from s3sync_dagster.trial.cutting import CutSample, cut_sample
from s3sync_dagster.trial.sample import Sample, choose, ends, keys_of_answers
from s3sync_dagster.trial.ways import Way, open_way, require_change
from s3sync_dagster.wiring import Parts

Place = tuple[str, str, str]
"""Tenant, database and collection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Today and tried, side by side."""

    questions: tuple[Question, ...]
    """That were asked."""
    left_out: int
    """Questions whose answer is in no object that was read."""
    sample: Sample
    today: Outcome
    tried: Outcome
    new_texts: float
    """Share of the tried records that have no vector yet, 0 to 1."""
    changes: tuple[tuple[Source, Source], ...]
    """Each source of the collection as it is and as it would be, whatever the sample has of it."""

    @property
    def kept_records(self) -> int:
        """Records of the sample that a mode keeps as they are; they take part in no ranking."""
        kept = self.today.kept | self.tried.kept
        return sum(one.chunks for one in self.sample.objects if (one.source_id, one.key) in kept)


def try_change(
    parts: Parts,
    collection: str,
    questions: Sequence[Question],
    *,
    change: Callable[[Source], Source],
    count: int,
    agreed: bool = False,
    tenant: str | None = None,
    database: str | None = None,
    note: Callable[[str], None] = lambda _line: None,
) -> Trial:
    """Try a change of settings on a sample of a collection.

    Reads the catalog, the collection and the objects, and changes none of them: what is made
    stands in memory and in a temporary folder.

    Args:
        parts: of this process.
        collection: its name.
        questions: with known answers; not empty.
        change: what is tried, for each source that fills the collection.
        count: objects that are drawn by hash, besides those that answer.
        agreed: a person agreed to what endpoints may cost.
        tenant: where several have a collection of that name.
        database: likewise.
        note: takes what is done next, for people.

    Raises:
        InvalidSetting: a setting breaks its rule, nothing would change, or the name is ambiguous.
        NotFound: no source here fills the collection, or no question can be asked.
        Conflict: an endpoint would be asked, and nobody agreed.
        S3SyncError: a model cannot be used.
    """
    place = _place(parts, collection, tenant=tenant, database=database)
    known = {one.id: one for one in parts.catalog.sources.all()}
    filling: set[str] = set()
    keys = _keys_of_answers(parts, place, questions)
    sample = choose(
        _noting_sources((one for one in _objects(parts, place) if one.source_id in known), filling),
        answers={key for each in keys for key in each},
        count=count,
    )
    if not sample.objects:
        raise _nobody_fills(collection)
    sources = [one for one in known.values() if one.id in filling or _fills(one, place)]
    sources.sort(key=lambda one: (one.id not in filling, one.id))  # the first one's model is asked
    changed = [change(one) for one in sources]
    require_change(sources, changed)
    # What is not at hand is told before anything is read.
    ways, reranker = (open_way(parts, sources), open_way(parts, changed)), parts.reranker
    if not agreed:
        _require_no_pictures(ways, sample)
    note(f"reading {len(sample.objects)} objects")
    in_place = not needs_new_collection(zip(sources, changed, strict=True))
    cuts = cut_sample(parts, collection, sample.objects, ways, in_place=in_place)
    asked = _answerable(questions, keys, cuts)
    if not agreed:
        _require_no_endpoint(ways, cuts, questions=len(asked))
    outcomes: list[Outcome] = []
    with tempfile.TemporaryDirectory(prefix="s3sync-trial-") as folder:
        for name, way, cut in zip(("today", "tried"), ways, cuts, strict=True):
            inner, told = Path(folder) / name, partial(_tell, note, name)
            outcomes.append(ask(way, cut, asked, reranker=reranker, folder=inner, note=told))
    return Trial(
        questions=tuple(asked),
        left_out=len(questions) - len(asked),
        sample=sample,
        today=outcomes[0],
        tried=outcomes[1],
        new_texts=new_texts((ways[0], cuts[0]), (ways[1], cuts[1])),
        changes=tuple(zip(sources, changed, strict=True)),
    )


def needs_new_collection(changes: Iterable[tuple[Source, Source]]) -> bool:
    """Tell whether sources, each as it is and as it would be, get another model."""
    return any(before.embedding != after.embedding for before, after in changes)


def _tell(note: Callable[[str], None], name: str, line: str) -> None:
    note(f"{name}: {line}")


def _place(parts: Parts, collection: str, *, tenant: str | None, database: str | None) -> Place:
    places = [
        (owner, name)
        for owner, name in places_of(parts.catalog.database, collection)
        if tenant in (None, owner) and database in (None, name)
    ]
    if not places:
        raise _nobody_fills(collection)
    if len(places) > 1:
        shown = ", ".join(f"{name!r} of {owner!r}" for owner, name in places)
        raise InvalidSetting(
            f"Several databases have a collection {collection!r} ({shown}): name the database and "
            "the tenant."
        )
    return (*places[0], collection)


def _nobody_fills(collection: str) -> NotFound:
    return NotFound(
        f"No source here has an object in the collection {collection!r}: a trial reads objects "
        "anew, and there are none to read."
    )


def _objects(parts: Parts, place: Place) -> Iterable[IndexedObject]:
    tenant, database, collection = place
    return indexed_objects(
        parts.catalog.database,
        tenant=tenant,
        database_name=database,
        collection_name=collection,
    )


def _noting_sources(objects: Iterable[IndexedObject], filling: set[str]) -> Iterator[IndexedObject]:
    """Yield the objects; ``filling`` gains the ids of their sources, in the sample or not."""
    for one in objects:
        filling.add(one.source_id)
        yield one


def _fills(source: Source, place: Place) -> bool:
    """Tell whether it is the source's own collection, also where nothing of it is there yet."""
    return (source.tenant, source.database_name, source.collection_name) == place


def _keys_of_answers(parts: Parts, place: Place, questions: Sequence[Question]) -> list[list[str]]:
    """Return where answers stand; the collection itself is asked only where no key is named."""
    if all(one.key is not None for one in questions):
        return keys_of_answers(questions, None)
    tenant, database, collection = place
    with opened_search(
        parts, collection, reader=EVERYTHING, tenant=tenant, database=database
    ) as searcher:
        return keys_of_answers(questions, searcher)


def _answerable(
    questions: Sequence[Question], keys: Sequence[Sequence[str]], cuts: Sequence[CutSample]
) -> list[Question]:
    """Return the questions with an answer in an object that was read in one of the ways."""
    read = {end for cut in cuts for _, key in cut.names for end in ends(key)}
    asked = [one for one, wanted in zip(questions, keys, strict=True) if read.intersection(wanted)]
    if not asked:
        told = {reason: sentence for cut in cuts for reason, sentence in cut.told.items()}
        counts = Counter(cuts[0].failed) | Counter(cuts[1].failed)
        why = "".join(
            f"\n{count} gave no text ({reason}): {told[reason]}"
            for reason, count in counts.most_common()
        )
        raise NotFound(f"No object that was read answers one of the questions.{why}")
    return asked


def _require_no_pictures(ways: Sequence[Way], sample: Sample) -> None:
    if any(way.described for way in ways):
        raise Conflict(
            f"Pictures in up to {len(sample.objects)} objects would go to the endpoint that "
            "describes them, which may cost money. Nothing was sent; --yes agrees to it."
        )


def _require_no_endpoint(ways: Sequence[Way], cuts: Sequence[CutSample], *, questions: int) -> None:
    asked = [(way, list(cut.texts())) for way, cut in zip(ways, cuts, strict=True) if not way.local]
    if not asked:
        return
    texts = sum(len(texts) for _, texts in asked)
    size = sum(len(text.encode()) for _, texts in asked for text in texts)
    names = " and ".join(sorted({way.embedding.kind for way, _ in asked}))
    raise Conflict(
        f"Up to {texts} texts of {size / 1e6:.1f} MB and {questions} questions would go to the "
        f"endpoint of {names}, which may cost money. Nothing was sent; --yes agrees to it."
    )
