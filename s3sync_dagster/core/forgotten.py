"""What a catalog has forgotten of an object that is there: whether its records are over."""

from collections.abc import Collection, Sequence

from s3sync_dagster.core.news import BEYOND_LIMIT
from s3sync_dagster.core.selection import KEEPS_RECORDS, decide
from s3sync_dagster.core.state import DocumentPhase, DocumentState, ObjectState
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.source import AutoSync, Source

_ENDED_WITHOUT_TEXT = "no_sidecar"


def is_over(
    known: ObjectState | None,
    documents: Sequence[DocumentState],
    *,
    source: Source,
    collection_name: str,
    etags: Collection[str],
    sidecars_known: bool,
    restored: bool,
) -> bool:
    """Return whether records that no document has may go in mode ``mirror``.

    They are all that there is of an object that is there, in a collection. They go where the source
    leaves it out, or where they are of other bytes than it has now and these have come to an end
    without a document there: they cannot be indexed, or nothing asks for one. Who asked for records
    of the bytes of now is not known any more, so that they stay.

    Args:
        known: of the object; None: nothing is.
        documents: of the object, in all collections.
        source: as it is now: what was settled under other settings is no evidence.
        collection_name: where the records are.
        etags: of the bytes that they were made of; an empty one: they do not say it.
        sidecars_known: whether all that sidecars of the source ask for is known.
        restored: whether the catalog may have forgotten who asked for something there: it was put
            back from a copy.
    """
    if known is None:
        return False
    if known.skip_reason is not None:
        return known.skip_reason not in KEEPS_RECORDS and _is_left_out(known, source)
    if known.outcome is None or not known.etag or known.outcome_etag != known.etag:
        return False  # nothing has come to an end of these bytes
    beside = any(one.collection_name == collection_name for one in documents)
    if known.outcome == "indexed" and not restored:
        return sidecars_known and bool(documents) and _all_clean(documents) and not beside
    if known.etag in etags or "" in etags:
        return False
    if known.retry_class == "input":
        return known.reason != "enrichment_failed" and known.fingerprint == source.fingerprint()
    if not sidecars_known or beside:
        return False
    if known.outcome == "indexed":
        own = source.auto_sync is AutoSync.DIRECT and collection_name == source.collection_name
        return bool(documents) and _all_clean(documents) and not own
    return known.reason == _ENDED_WITHOUT_TEXT and source.auto_sync is AutoSync.METADATA


def _all_clean(documents: Sequence[DocumentState]) -> bool:
    return all(one.phase is DocumentPhase.CLEAN for one in documents)


def _is_left_out(known: ObjectState, source: Source) -> bool:
    """Return whether the source of now leaves an object out that was left out before."""
    told = ObjectRef(
        key=known.object_key,
        etag=known.etag,
        size=known.size,
        storage_class=known.storage_class,
    )
    skip = decide(source, told)
    if skip is None:
        return known.skip_reason == BEYOND_LIMIT and source.document_limit is not None
    return skip.reason not in KEEPS_RECORDS
