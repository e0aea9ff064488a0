"""What a catalog has forgotten of an object that is there: whether its records are over."""

from collections.abc import Sequence

from s3sync_dagster.core.selection import KEEPS_RECORDS
from s3sync_dagster.core.state import DocumentPhase, DocumentState, ObjectState


def is_over(known: ObjectState | None, documents: Sequence[DocumentState]) -> bool:
    """Return whether records that no document has may go in mode ``mirror``.

    They are all that there is of an object that is there, in a collection. They may go on the
    evidence on which those of a document go: it is not selected any more, its newest version cannot
    be indexed because of its bytes, nothing asks for it, or all its documents are whole. Until then
    the ordinary work writes or removes them.

    Args:
        known: of the object; None: nothing is.
        documents: of the object, in all collections.
    """
    if known is None:
        return False
    if known.skip_reason is not None:
        return known.skip_reason not in KEEPS_RECORDS
    if known.outcome is None or not known.etag or known.outcome_etag != known.etag:
        return False  # nothing has come to an end of these bytes
    if known.outcome == "indexed":
        return bool(documents) and all(one.phase is DocumentPhase.CLEAN for one in documents)
    if known.retry_class == "input":
        return known.reason != "enrichment_failed"
    return known.reason == "no_sidecar"
