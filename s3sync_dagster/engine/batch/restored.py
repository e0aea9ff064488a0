"""Documents of a restored catalog: what still is as it says is believed, and nothing is embedded.

The catalog is older than the collections. A document whose every record stands there as it was
written, by text and metadata, under the settings of now, is whole; whatever is not is read and
written as one that was never finished. A text that was embedded with its context is not proven:
what stood before it is kept nowhere. Append mode believes it still: it would not be had again. Nor
does that mode write over what is left of one that others spoilt, or that nobody could look at.

Who may read may have been said after the backup, and then records alone know of it: where they say
else than the catalog has it, a document is as one that was read back from records.
"""

from collections.abc import Sequence
from itertools import islice

from s3sync_dagster.core.facts import KeyFacts
from s3sync_dagster.core.kept_text import may_stand
from s3sync_dagster.core.state import (
    RESTORED,
    DocumentPhase,
    DocumentState,
    KnownCollection,
)
from s3sync_dagster.core.targets import told_documents
from s3sync_dagster.engine.as_written import as_written
from s3sync_dagster.engine.batch.found_text import texts_of
from s3sync_dagster.engine.batch.parts import BatchParts
from s3sync_dagster.engine.identity import look_at
from s3sync_dagster.engine.last_look import look_round, may_have_forgotten
from s3sync_dagster.engine.own_records import own_among
from s3sync_dagster.engine.ports import CollectionPort, StoredRecord
from s3sync_dagster.engine.readers_told import (
    hear_before,
    hear_own,
    restored_in,
    said_later,
    unheard,
)
from s3sync_dagster.model.document import Metadata
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.model.source import DeleteMode, Source

DOCUMENTS_AT_ONCE = 100


def believe_restored(
    parts: BatchParts, found: Sequence[KeyFacts]
) -> tuple[bool, dict[str, S3SyncError]]:
    """Make documents clean that are in their collection as they were written.

    Those whose records name other readers than the catalog does are for nobody with groups.

    Args:
        parts: the batch's.
        found: its keys.

    Returns:
        Whether any is either, of the source or of one in whose place it stands: what is known of
        the keys is to be read again; and of a source that says who may read, or of a mode that
        keeps, why keys are not to be worked on: nobody could look at their records, and what is
        written over them would not be what somebody said last, or would take a text away that is
        nowhere else.
    """
    unseen = dict[str, S3SyncError]()
    now = parts.source.fingerprint()
    reads = bool(parts.source.reader_keys)
    keeps = parts.source.mode is not DeleteMode.MIRROR
    waiting = [
        one
        for facts in found
        for one in facts.documents
        if one.phase is DocumentPhase.WRITING
        and (one.collection_id or "").startswith(RESTORED)
        and (reads or (keeps and one.never_whole) or may_stand(one, parts.source, fingerprint=now))
    ]
    if waiting:
        _look_round(parts)
    names = {one.collection_name for one in waiting}
    believed = left = 0
    closed = _hear_before(parts, found, unseen) if reads else 0
    for known in parts.catalog.collections.of_source(parts.source.id) if waiting else ():
        if known.collection_name not in names:
            continue
        of_it = [one for one in waiting if _is_in(one, known)]
        theirs = iter(of_it)
        try:
            looked = look_at(
                parts.source, known, catalog=parts.catalog, collections=parts.collections
            )
            while looked.port is not None and (some := list(islice(theirs, DOCUMENTS_AT_ONCE))):
                standing, said, spoilt = _compared(parts, some, looked.port)
                believed += parts.catalog.collections.trust_again(
                    parts.source.id,
                    looked.met,
                    [one for one in standing if may_stand(one, parts.source, fingerprint=now)],
                )
                closed += parts.catalog.collections.doubt(parts.source.id, looked.met, said)
                left += parts.catalog.collections.keep(parts.source.id, looked.met, spoilt)
        except S3SyncError as error:
            parts.log(f"{known.collection_name!r} could not be compared: {error.message}")
            if reads or keeps:
                unseen.update(dict.fromkeys((one.object_key for one in of_it), error))
    if believed:
        parts.log(f"{believed} documents stand as the restored catalog has them")
    if closed:
        parts.log(f"{closed} documents name other readers than the restored catalog has")
    if left:
        parts.log(f"{left} documents are not as the restored catalog has them: they stay so")
    return believed + closed + left > 0, unseen


def _hear_before(
    parts: BatchParts, found: Sequence[KeyFacts], unseen: dict[str, S3SyncError]
) -> int:
    """Have known what forgotten records, and those of the sources before, say of readers.

    Returns of how many documents.

    Args:
        parts: the batch's.
        found: its keys.
        unseen: gets why those are not to be worked on whose records nobody could look at.
    """
    heard = _hear_own(parts, found, unseen)
    for before in reversed(parts.catalog.moves.left_by(parts.source.id)):  # the newest first
        unknown, restored = unheard(before, found)
        found = [one for one in found if not one.inherited or one.inherited.source_id != before.id]
        try:
            heard += hear_before(
                before.with_changes(reader_keys=parts.source.reader_keys),
                unknown,
                restored,
                catalog=parts.catalog,
                collections=parts.collections,
            )
        except S3SyncError as error:
            parts.log(f"{before.collection_name!r} could not be compared: {error.message}")
            unseen.update(dict.fromkeys((one.object_key for one in restored), error))
            if may_have_forgotten(before, catalog=parts.catalog):
                unseen.update(dict.fromkeys((one.key for one in unknown), error))
    return heard


def _hear_own(parts: BatchParts, found: Sequence[KeyFacts], unseen: dict[str, S3SyncError]) -> int:
    if not may_have_forgotten(parts.source, catalog=parts.catalog):
        return 0
    source, keys = parts.source, [one.key for one in found]
    try:
        heard, unheard_in = hear_own(
            source,
            keys,
            catalog=parts.catalog,
            collections=parts.collections,
            log=parts.log,
        )
    except S3SyncError as error:
        parts.log(f"{source.collection_name!r} could not be compared: {error.message}")
        unseen.update(dict.fromkeys(keys, error))
        return 0
    for name, error in unheard_in.items():
        parts.log(f"{name!r} could not be compared: {error.message}")
        # A sidecar that is read after this may ask for a document anywhere.
        all_of_it = any(one.describes(source) for one in found)
        concerned = [one.key for one in found if all_of_it or name in _places_of(one, source)]
        unseen.update(dict.fromkeys(concerned, error))
    return heard


def _places_of(facts: KeyFacts, source: Source) -> set[str]:
    """Return the collections in which a key has documents, or is to have some."""
    return {
        source.collection_name,
        *(one.collection_name for one in facts.documents),
        *told_documents(facts, source)[0],
    }


def _look_round(parts: BatchParts) -> None:
    try:
        look_round(
            parts.source, catalog=parts.catalog, collections=parts.collections, log=parts.log
        )
    except S3SyncError as error:
        parts.log(f"collections could not be looked through: {error.message}")


def _is_in(document: DocumentState, known: KnownCollection) -> bool:
    return (document.tenant, document.database_name, document.collection_name) == (
        known.tenant,
        known.database_name,
        known.collection_name,
    )


def _compared(
    parts: BatchParts, documents: Sequence[DocumentState], collection: CollectionPort
) -> tuple[
    list[DocumentState], list[tuple[DocumentState, Metadata]], list[tuple[DocumentState, str]]
]:
    """Return what is there as it was written, whose records name other readers, and what is left.

    The second with the metadata that say what the records do; the last of append mode alone, with
    the one version that all records of it are of.
    """
    source = parts.source
    appends = source.mode is DeleteMode.APPEND
    untold = appends and source.chunking.context
    here = restored_in(collection, documents)
    standing: list[DocumentState] = []
    said: list[tuple[DocumentState, Metadata]] = []
    spoilt: list[tuple[DocumentState, str]] = []
    for one, records in here:
        *own, beyond = records
        # What others spoilt, maybe its text alone, is not trusted again by less than its text.
        text = one.fingerprint is None or not untold
        if beyond is None and all(
            record is not None and as_written(one, place, record, text=text)
            for place, record in enumerate(own)
        ):
            standing.append(one)
            continue
        if later := said_later(one, source, records):
            said.append((one, {**one.metadata, **later}))
        if appends and not one.never_whole and (etag := _left_of(parts, one, records)):
            spoilt.append((one, etag))
    if source.mode is not DeleteMode.MIRROR:
        # What was only begun at the time of the backup may have been written since.
        begun = {one.document_id: one for one, _ in here if one.never_whole}
        for name, text in texts_of(parts, collection, begun).items():
            if text.object_key == begun[name].object_key:
                spoilt.append((begun[name], text.etag))
    return standing, said, spoilt


def _left_of(
    parts: BatchParts, document: DocumentState, records: Sequence[StoredRecord | None]
) -> str | None:
    """Return of which bytes a document's own records are; None: none is there, or of several."""
    own = own_among(document, [one for one in records if one is not None], parts.catalog)
    etags = {str(one.metadata.get("s3sync_etag") or "") for one in own}
    return etags.pop() if len(etags) == 1 else None
