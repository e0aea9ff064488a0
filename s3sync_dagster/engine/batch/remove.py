"""Records whose document lost its reason: taken away last, when all else of the batch is done."""

from collections.abc import Sequence

from s3sync_dagster.core.facts import told_by_head_alone
from s3sync_dagster.core.plan import possible_ids, split_record_id
from s3sync_dagster.core.state import RESTORED, DocumentPhase, DocumentState, KnownCollection
from s3sync_dagster.engine.batch.blame import beside_the_bytes
from s3sync_dagster.engine.batch.lease import Lease
from s3sync_dagster.engine.batch.ledger import Ledger
from s3sync_dagster.engine.batch.parts import BatchParts
from s3sync_dagster.engine.own_records import (
    delete_in_steps,
    ids_to_delete,
    known_at,
    of_no_document,
    records_naming,
)
from s3sync_dagster.engine.ports import CollectionPort
from s3sync_dagster.model.errors import LeaseLost, NotFound, S3SyncError
from s3sync_dagster.model.source import DeleteMode

DOCUMENTS_AT_ONCE = 200
REMOVING = DocumentPhase.REMOVING


def remove_doomed(parts: BatchParts, lease: Lease, ledger: Ledger) -> None:
    """Take records away whose document lost its reason, and settle the keys they kept open.

    Raises:
        LeaseLost: another batch took over.
    """
    _claim_told_by_heads(parts, lease, ledger)
    by_collection: dict[str, list[tuple[str, DocumentState]]] = {}
    keys: dict[str, S3SyncError | None] = {}
    for deed in ledger.deeds():
        if deed.writing and deed.open_targets:
            continue  # not whole: the next attempt removes
        for document in ledger.doomed(deed.key):
            keys[deed.key] = None
            by_collection.setdefault(document.collection_name, []).append((deed.key, document))
    for name, pairs in by_collection.items():
        for start in range(0, len(pairs), DOCUMENTS_AT_ONCE):
            part = pairs[start : start + DOCUMENTS_AT_ONCE]
            try:
                remove_documents(parts, lease, ledger, name, [document for _, document in part])
            except LeaseLost:
                raise
            except S3SyncError as error:
                keys.update({key: beside_the_bytes(error) for key, _ in part})
    for key, error in keys.items():
        ledger.settle_removed(key, error)


def _claim_told_by_heads(parts: BatchParts, lease: Lease, ledger: Ledger) -> None:
    """Claim what nothing but HEADs told to be gone; all of it stays where that is too much.

    The batch has looked at that when it read its keys; others may have removed as much since.
    """
    going = {
        deed.key: [one for one in ledger.doomed(deed.key) if one.phase is not REMOVING]
        for deed in ledger.deeds()
        if deed.end.verdict == "gone" and told_by_head_alone(deed.end.facts)
    }
    documents = [one for of_key in going.values() for one in of_key]
    if not documents or parts.catalog.documents.claim_told_by_heads(
        lease.token, parts.source.id, documents
    ):
        return
    parts.log(f"{len(documents)} documents stay: too many were found missing one by one lately")
    for key, of_key in going.items():
        if of_key:
            ledger.hold_back(key)


def remove_documents(
    parts: BatchParts,
    lease: Lease,
    ledger: Ledger,
    collection_name: str,
    documents: Sequence[DocumentState],
) -> None:
    """Take the records of documents of a collection away, and forget them.

    Raises:
        LeaseLost: another batch took over.
        S3SyncError: Chroma does not do it; they are on their way out all the same.
    """

    def before() -> None:
        lease.ask()
        parts.at("before_remove")
        ledger.begin(held)

    def deleted(number: int) -> None:
        parts.tally.chunks_deleted += number
        parts.at("removed")

    held = parts.catalog.documents.claim_removal(lease.token, parts.source.id, documents)
    parts.at("claimed_removal")
    collection = _open(parts, collection_name)
    if collection is not None:
        gone = {one.key: parts.source for one in ledger.deeds() if one.end.verdict == "gone"}
        ids = ids_to_delete(collection, held, catalog=parts.catalog, lost=gone)
        lost = [one for one in held if one.object_key in gone]
        if beside := _forgotten_beside(parts, collection, lost):
            delete_in_steps(collection, beside, before=before, deleted=deleted)
            # Nobody claims them: a document may have got such an id meanwhile.
            names = sorted({split_record_id(one)[0] for one in beside})
            met = parts.catalog.collections.holders(_known(parts, collection), names)
            parts.catalog.documents.distrust(met)
        # Of what was only begun most was never there: it is asked, or a text that the model
        # refuses would be told as one that was deleted.
        begun = {name for one in held if one.never_whole for name in possible_ids(one)}
        asked = [name for name in ids if name in begun]
        absent = set(asked).difference(collection.get(asked)) if asked else set[str]()
        there = [name for name in ids if name not in absent]
        delete_in_steps(collection, there, before=before, deleted=deleted)
        delete_in_steps(collection, sorted(absent), before=before)
    ledger.removed(held)


def _forgotten_beside(
    parts: BatchParts, collection: CollectionPort, documents: Sequence[DocumentState]
) -> list[str]:
    """Return the ids of what objects that are gone have beside documents of a restored catalog.

    They had another id after the backup, by a sidecar or a request. A mode that keeps texts keeps
    these as well.
    """
    restored = [one for one in documents if (one.collection_id or "").startswith(RESTORED)]
    if not restored or parts.source.mode is not DeleteMode.MIRROR:
        return []
    known = _known(parts, collection)
    keys = sorted({one.object_key for one in restored})
    return [
        record.id
        for records in records_naming(collection, keys, source_id=parts.source.id)
        for record in of_no_document(records, known, parts.catalog)
    ]


def _known(parts: BatchParts, collection: CollectionPort) -> KnownCollection:
    return known_at(collection, (parts.source.tenant, parts.source.database_name, collection.name))


def _open(parts: BatchParts, name: str) -> CollectionPort | None:
    """Return a collection; None when it is gone, and the records with it."""
    try:
        return parts.collections.open(
            name,
            tenant=parts.source.tenant,
            database=parts.source.database_name,
            embedder=None,  # deleted by id, whichever model made the vectors
            create=False,
        )
    except NotFound:
        return None
