"""What changed so shortly before it was looked at that another change may leave the same time."""

from datetime import datetime

FRESH_SECONDS = 10.0
"""What changed so shortly before it was looked at may change again within the same second, which is
all that some servers tell: it is looked at, or read, once more."""
AHEAD_SECONDS = 300.0
"""So far a server's clock, or its disk's, may be ahead."""


def is_fresh(modified: datetime | None, *, at: float) -> bool:
    """Return whether a time in whole seconds may stand for two versions.

    Args:
        modified: of the last change; None: it is not told.
        at: when it was looked at, in seconds since 1970.
    """
    if modified is None or modified.microsecond:
        return False
    return -AHEAD_SECONDS < at - modified.timestamp() < FRESH_SECONDS
