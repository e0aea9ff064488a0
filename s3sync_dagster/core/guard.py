"""The guard: what a listing may remove without a person's word."""

GUARD_MINIMUM = 50
"""So many documents may always go, but never all of them."""
FEW_DOCUMENTS = 10
"""Fewer than so many that a person or a request finds missing go, were they all there are."""
GUARD_SHARE = 0.2
"""Part of a source's documents that may go."""
HEADS_SECONDS = 86_400.0
"""Removals that HEADs alone tell are one number for so long, or until a listing is complete: in
many small batches they would go round the guard."""


def needs_approval(leaving: int, *, total: int) -> bool:
    """Return whether so many removals wait until a person approves them.

    Args:
        leaving: documents that would go.
        total: documents of the source, those included.
    """
    return leaving > max(GUARD_MINIMUM, GUARD_SHARE * total) or 0 < total <= leaving


def heads_need_approval(keys: int, *, documents: int, before: int, total: int) -> bool:
    """Return whether removals of which nothing but HEADs tells wait for a listing.

    Args:
        keys: objects that were missing.
        documents: of them, that would go.
        before: documents that went like that lately.
        total: documents of the source that are there, those that would go included.
    """
    return keys + before >= FEW_DOCUMENTS and needs_approval(
        before + min(documents, total), total=before + total
    )
