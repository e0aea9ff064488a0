"""Documents of a restored catalog: what still is as it says is believed, and nothing is embedded.

The catalog is older than the collections. A document whose every record stands there as it was
written, by text and metadata, under the settings of now, is whole; whatever is not is read and
written as one that was never finished. A text that was embedded with its context is not proven:
what stood before it is kept nowhere.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

from s3sync_dagster.core.facts import KeyFacts
from s3sync_dagster.core.plan import record_ids
from s3sync_dagster.core.state import RESTORED, DocumentPhase, DocumentState, KnownCollection
from s3sync_dagster.engine.batch.parts import BatchParts
from s3sync_dagster.engine.identity import look_at
from s3sync_dagster.engine.ports import CollectionPort
from s3sync_dagster.engine.rolling_check import as_written
from s3sync_dagster.model.errors import S3SyncError

DOCUMENTS_AT_ONCE = 100


def believe_restored(parts: BatchParts, found: Sequence[KeyFacts]) -> bool:
    """Make documents clean that are in their collection as they were written.

    Args:
        parts: the batch's.
        found: its keys.

    Returns:
        Whether any is: what is known of the keys is to be read again.
    """
    now = parts.source.fingerprint()
    waiting = [
        one
        for facts in found
        for one in facts.documents
        if one.phase is DocumentPhase.WRITING
        and (one.collection_id or "").startswith(RESTORED)
        and one.etag is not None
        and one.fingerprint == now  # else an order to write it anew would be taken as done
    ]
    names = {one.collection_name for one in waiting}
    believed = 0
    for known in parts.catalog.collections.of_source(parts.source.id) if waiting else ():
        if known.collection_name not in names:
            continue
        theirs = iter([one for one in waiting if _is_in(one, known)])
        try:
            looked = look_at(
                parts.source, known, catalog=parts.catalog, collections=parts.collections
            )
            while looked.port is not None and (some := list(islice(theirs, DOCUMENTS_AT_ONCE))):
                believed += parts.catalog.collections.trust_again(
                    parts.source.id, looked.met, list(_standing(some, looked.port))
                )
        except S3SyncError as error:
            parts.log(f"{known.collection_name!r} could not be compared: {error.message}")
    if believed:
        parts.log(f"{believed} documents stand as the restored catalog has them")
    return believed > 0


def _is_in(document: DocumentState, known: KnownCollection) -> bool:
    return (document.tenant, document.database_name, document.collection_name) == (
        known.tenant,
        known.database_name,
        known.collection_name,
    )


def _standing(
    documents: Sequence[DocumentState], collection: CollectionPort
) -> Iterator[DocumentState]:
    here = [one for one in documents if one.collection_id == f"{RESTORED}{collection.id}"]
    # One more than there should be: of a document that has grown since, it is there.
    wanted = {one.id: record_ids(one.document_id, 0, one.count + 1) for one in here}
    names = [name for ids in wanted.values() for name in ids]
    stored = collection.get(names, documents=True) if names else {}
    for one in here:
        *ids, beyond = wanted[one.id]
        if beyond not in stored and all(
            name in stored and as_written(one, place, stored[name], text=True)
            for place, name in enumerate(ids)
        ):
            yield one
