"""A cheap check that goes round: each look holds some records of a collection against the catalog.

What others deleted or changed there shows in nothing that the bucket tells. Nobody has to launch
it: a few thousand records a day are looked up by their ids, and what is found is written again by
the ordinary work, but for what append mode keeps and its object has no more. A document that lost
its trust and that no work can write again, since its mode keeps it and its object is gone, or has
other bytes, gets it back where all its records are as they were written.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from s3sync_dagster.core.kept_text import was_whole
from s3sync_dagster.core.plan import possible_ids
from s3sync_dagster.core.state import CheckCursor, DocumentPhase, DocumentState, KnownCollection
from s3sync_dagster.engine.as_written import as_written, texts_told
from s3sync_dagster.engine.catalog_port import CatalogPort
from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.engine.identity import look_at, meet
from s3sync_dagster.engine.last_look import look_round
from s3sync_dagster.engine.own_records import own_among
from s3sync_dagster.engine.ports import CollectionPort, Collections
from s3sync_dagster.engine.restore_end import end_restore
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.model.source import DeleteMode, Source

DAY_SECONDS = 86_400.0
RECORDS_A_LOOK = 500
DOCUMENTS_A_LOOK = 500
LEAST_SECONDS = 60.0
"""Between two looks at a collection; more records a day make looks larger, not more frequent."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How many records a look takes, and how far looks lie apart."""

    records: int
    seconds: float


def pace_of(records_per_day: int) -> Pace:
    """Return the pace that looks at so many records a day, at least one."""
    smallest_look = round(records_per_day * LEAST_SECONDS / DAY_SECONDS)
    records = min(records_per_day, max(RECORDS_A_LOOK, smallest_look))
    return Pace(records=records, seconds=DAY_SECONDS * records / records_per_day)


def check_some(
    source: Source,
    *,
    catalog: CatalogPort,
    collections: Callable[[], Collections],
    clock: Clock,
    records_per_day: int,
    log: Callable[[str], None],
) -> int:
    """Look at some records of each collection of a source whose time has come.

    Two requests a look (more where the server answers with few records at once): which collection
    it is, and the records. Where a look found something the next one does not wait.

    Args:
        source: whose records are looked at.
        catalog: what they should be.
        collections: opens Chroma; not called where nothing is due.
        clock: time.
        records_per_day: of each collection, at least 1.
        log: takes a sentence for each look that found something.

    Returns:
        How many documents are written again.

    Raises:
        S3SyncError: Chroma or the catalog does not answer; the look is due again.
    """
    pace, found = pace_of(records_per_day), 0
    append = source.mode is DeleteMode.APPEND
    if catalog.sources.looked_through(source.id) == []:
        try:
            look_round(source, catalog=catalog, collections=collections(), log=log)
        except S3SyncError as error:  # it may be allowed to read those that it knows
            log(f"collections could not be looked through: {error.message}")
    due = catalog.collections.due_for_check(source.id, interval_seconds=pace.seconds)
    try:
        # All records are read for it, so no oftener than the check itself reads them.
        begins = any(cursor == CheckCursor() for _, cursor in due)
        end_restore(source, catalog=catalog, collections=collections, due=begins, log=log)
    except S3SyncError as error:
        log(f"collections could not be looked through: {error.message}")
    for known, cursor in due:
        looked = look_at(source, known, catalog=catalog, collections=collections())
        elsewhere = meet(source, looked, catalog=catalog, log=log)
        if elsewhere or looked.port is None:
            found += elsewhere
            continue
        known = looked.met
        slices, following = _next_records(
            source, known, cursor, catalog=catalog, limit=pace.records
        )
        damaged, whole, untold, emptied = _compare(source, looked.port, slices)
        etags = {one.id: etag for one, etag in whole if not one.etag}
        if emptied and looked.port.count() == 0:
            found += meet(source, replace(looked, emptied=True), catalog=catalog, log=log)
            continue
        damaged = [one for one in damaged if _as_it_was(one, slices, catalog.documents.of_key)]
        if damaged:
            gone = [one for one in damaged if append and not _is_left(one, looked.port, catalog)]
            catalog.documents.distrust([one for one in damaged if one not in gone], spoilt=True)
            catalog.documents.distrust(gone)
            log(
                f"{len(damaged)} documents of {source.name} have lost or changed records in the "
                f"collection {known.collection_name!r}: they are written again{_but(source)}"
            )
        found += len(damaged)
        lost = [one for one in untold if append and not _is_left(one, looked.port, catalog)]
        found += catalog.documents.forget_texts(source.id, lost) if lost else 0
        trusted = 0
        if whole:
            again = [one for one, _ in whole]
            trusted = catalog.collections.trust_again(source.id, known, again, etags=etags)
        if trusted:
            log(f"{trusted} documents of {source.name} are in {known.collection_name!r} as written")
        at = 0.0 if damaged else clock.now().timestamp()
        catalog.collections.checked(source.id, known, following, at=at)
    return found


@dataclass(frozen=True, slots=True)
class _Slice:
    """Records of one document."""

    document: DocumentState
    start: int
    stop: int

    def ids(self) -> list[str]:
        name = self.document.document_id
        return [f"{name}-{place}" for place in range(self.start, self.stop)]


def _next_records(
    source: Source,
    known: KnownCollection,
    cursor: CheckCursor,
    *,
    catalog: CatalogPort,
    limit: int,
) -> tuple[list[_Slice], CheckCursor]:
    """Return what this look takes, and where the next begins: behind the last, at the first."""
    slices: list[_Slice] = []
    left, at_once = limit, min(limit, DOCUMENTS_A_LOOK)
    found = catalog.collections.to_check(source.id, known, from_id=cursor.document, limit=at_once)
    for document in found:
        if document.phase is DocumentPhase.WRITING:  # seen whole, or not at all
            if slices and document.high_water > left:
                return slices, CheckCursor(document=document.id)
            slices.append(_Slice(document, 0, document.high_water))
            left -= document.high_water
        else:
            start = cursor.record if document.id == cursor.document else 0
            stop = min(document.count, start + left)
            if start < stop:
                slices.append(_Slice(document, start, stop))
                left -= stop - start
            if stop < document.count:
                return slices, CheckCursor(document=document.id, record=stop)
        if left <= 0:
            return slices, CheckCursor(document=document.id + 1)
    if len(found) < at_once:
        return slices, CheckCursor()
    return slices, CheckCursor(document=found[-1].id + 1)


def _compare(
    source: Source, collection: CollectionPort, slices: Sequence[_Slice]
) -> tuple[list[DocumentState], list[tuple[DocumentState, str]], list[DocumentState], bool]:
    """Return what is damaged; what is as it was written though not trusted; what nothing tells of.

    The second with the etag of its bytes as its records name it, which the catalog may have
    forgotten: their digests prove it.

    Nothing under the source's own name, that is, of a text that is not trusted. The last is true
    where not one record of trusted documents is there.
    """
    wanted = [name for one in slices for name in one.ids()]
    if not wanted:
        return [], [], [], False
    stored = collection.get(wanted, documents=True)
    damaged: list[DocumentState] = []
    mended: list[tuple[DocumentState, str]] = []
    untold: list[DocumentState] = []
    tells = texts_told(source)
    for one in slices:
        told = tells(one.document)
        met: set[str] = set()
        # What others spoilt, maybe its text alone, is not trusted again by less than its text.
        whole = told or one.document.fingerprint is not None
        for place, name in enumerate(one.ids(), start=one.start):
            record = stored.get(name)
            if place >= one.document.count:  # of a document that is not trusted
                whole = whole and record is None
            elif record is None or not as_written(one.document, place, record, text=told):
                whole = False
                met |= set(record.metadata) if record is not None else set()
        if one.document.phase is DocumentPhase.WRITING:
            here = [stored[name].metadata for name in one.ids() if name in stored]
            if whole and here:
                mended.append((one.document, str(here[0].get("s3sync_etag", ""))))
            named = any(said.get("s3sync_source") == source.id for said in here)
            if was_whole(one.document) and not named:
                untold.append(one.document)
        elif not whole:
            # Who writes it next clears the metadata keys that do not belong there.
            keys = tuple(sorted({*one.document.metadata_keys, *met}))
            damaged.append(replace(one.document, metadata_keys=keys))
    return damaged, mended, untold, bool(damaged) and not stored


def _is_left(document: DocumentState, collection: CollectionPort, catalog: CatalogPort) -> bool:
    """Return whether any record of a document is there, whichever name it bears."""
    stored = collection.get(possible_ids(document))
    return bool(own_among(document, stored.values(), catalog))


def _but(source: Source) -> str:
    if source.mode is not DeleteMode.APPEND:
        return ""
    return (
        ", but for texts that their objects do not have any more: append mode keeps what is left "
        "of these, and does not trust it"
    )


def _as_it_was(
    found: DocumentState,
    slices: Sequence[_Slice],
    of_key: Callable[[str, str], list[DocumentState]],
) -> bool:
    """Return whether nobody worked on a document meanwhile, which would explain what was found."""
    before = next(one.document for one in slices if one.document.id == found.id)
    return before in of_key(found.source_id, found.object_key)
