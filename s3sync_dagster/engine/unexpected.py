"""Faults of the program itself, kept from ending what has nothing to do with them."""

import logging
import traceback

from s3sync_dagster.model.errors import FixConfiguration

_log = logging.getLogger(__name__)


def unexpected_error(error: Exception, what: str) -> FixConfiguration:
    """Return an error of ours for one that nobody foresaw; the log names where it came from.

    Neither keeps the foreign text, which may hold parts of documents or secrets. As nothing is
    known of the cause, records stay, and the object is tried again later.
    """
    frames = traceback.extract_tb(error.__traceback__)
    places = " < ".join(f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in frames[::-1])
    kind = type(error).__name__
    _log.error("%s: %s in %s", what, kind, places)
    return FixConfiguration(
        f"{what}: a fault of this program ({kind}). The log names the place; please report it.",
        reason="unexpected_error",
    )
