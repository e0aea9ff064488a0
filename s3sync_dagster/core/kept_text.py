"""What append mode keeps of a document: one rule for batches, rebuilds and restored catalogs.

A text that was written whole stays; what its object has by now is written over nothing. Which
settings it was written under is no matter. What was never whole, or was written over in part, is
no text of anything: it is written whole, of the bytes that the object has.
"""

from enum import StrEnum

from s3sync_dagster.core.state import RESTORED, DocumentPhase, DocumentState
from s3sync_dagster.model.source import DeleteMode, Source


class Held(StrEnum):
    """Where the text of a document is to be had."""

    NOWHERE = "nowhere"
    """It never was whole, was written over in part, or is on its way out."""
    AT_HAND = "at hand"
    """Its object has these bytes still: what lost its trust is written again and says the same."""
    ALONE = "alone"
    """In its records alone: the object has other bytes, is gone, or nobody knows what it has."""


def held(document: DocumentState, etag: str | None) -> Held:
    """Return where the text is to be had that append mode keeps.

    Args:
        document: the document.
        etag: of its object by now; empty: not known; None: it is gone.
    """
    if not (was_whole(document) and _is_untouched(document)):
        return Held.NOWHERE
    return Held.AT_HAND if etag and document.etag == etag else Held.ALONE


def is_left_alone(document: DocumentState, etag: str | None) -> bool:
    """Return whether automatic work of append mode neither writes nor removes a document.

    What an owner asked of it in vain is written still.
    """
    if document.said is not None:
        return False
    return document.phase is DocumentPhase.CLEAN or held(document, etag) is Held.ALONE


def is_earlier(document: DocumentState, etag: str) -> bool:
    """Return whether a document of a source before a moved one has what its key has no more."""
    if document.said is not None or document.etag in ("", etag):
        return False
    return is_whole_before(document)


def is_whole_before(document: DocumentState) -> bool:
    """Return whether a document of a source before a moved one has a text of known bytes.

    Nobody looks at the records of those once a catalog was put back from a copy: it is believed.
    """
    restored = (document.collection_id or "").startswith(RESTORED)
    return was_whole(document) and (restored or _is_untouched(document))


def may_stand(document: DocumentState, source: Source, *, fingerprint: str) -> bool:
    """Return whether a restored catalog is believed of a document whose records are as it says.

    Under another fingerprint an order to write it anew would be taken as done, but append mode
    would lose its text, where the object has other bytes by now.
    """
    return was_whole(document) and (
        source.mode is DeleteMode.APPEND or document.fingerprint == fingerprint
    )


def was_whole(document: DocumentState) -> bool:
    """Return whether a text of known bytes was written whole, and is not on its way out."""
    if document.phase is DocumentPhase.WRITING:
        return bool(document.etag)
    return document.phase is DocumentPhase.CLEAN


def _is_untouched(document: DocumentState) -> bool:
    """Return whether nothing was written over it since it was whole.

    What was read back from records, or lost its trust in a rebuild, has no fingerprint; the first
    write over it forgets of which bytes it was.
    """
    read_back = document.fingerprint is None and document.high_water > 0
    return document.phase is DocumentPhase.CLEAN or read_back
