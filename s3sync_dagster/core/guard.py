"""The guard: what a listing may remove without a person's word."""

GUARD_MINIMUM = 50
"""So many documents may always go, but never all of them."""
GUARD_SHARE = 0.2
"""Part of a source's documents that may go."""


def may_leave(total: int) -> float:
    """Return how many of a source's documents may go without a person's word, but never all."""
    return max(GUARD_MINIMUM, GUARD_SHARE * total)


def needs_approval(leaving: int, *, total: int) -> bool:
    """Return whether so many removals wait until a person approves them.

    Args:
        leaving: documents that would go.
        total: documents of the source, those included.
    """
    return leaving > may_leave(total) or 0 < leaving == total
