"""Faults of the program itself, kept from ending what has nothing to do with them."""

import logging
import traceback

from s3sync_dagster.model.errors import FixConfiguration, FixInput, S3SyncError, Unavailable

_log = logging.getLogger(__name__)


def unexpected_error(error: Exception, what: str) -> FixConfiguration:
    """Return an error of ours for one that nobody foresaw; the log names where it came from.

    Neither keeps the foreign text, which may hold parts of documents or secrets. As nothing is
    known of the cause, records stay, and the object is tried again later.
    """
    kind = _log_place(error, what)
    return FixConfiguration(
        f"{what}: a fault of this program ({kind}). The log names the place; please report it.",
        reason="unexpected_error",
    )


def batch_error(error: Exception) -> S3SyncError:
    """Return the error of a batch that cannot go on as a whole; no object is to blame for it.

    A foreign exception's text is not kept: its type is, and the log says where it was raised. It
    may pass by itself, as with a full disk or a database that was restarted.
    """
    if isinstance(error, FixInput):
        return FixConfiguration(error.message, reason=error.reason)
    if isinstance(error, S3SyncError):
        return error
    kind = _log_place(error, "a batch could not go on")
    return Unavailable(
        f"The run met a {kind}; the standard error of the run shows where.",
        reason="internal_error",
    )


def place_error(error: BaseException, what: str) -> Unavailable:
    """Return the error of a place whose code is another package's, for what it raised.

    No object is to blame for it, and it may pass by itself, as where a server is away.
    """
    kind = _log_place(error, what)
    return Unavailable(
        f"{what}: the package that brings this type of place raised a {kind}. The log says where.",
        reason="place_failed",
    )


def _log_place(error: BaseException, what: str) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    places = " < ".join(f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in frames[::-1])
    kind = type(error).__name__
    _log.error("%s: %s in %s", what, kind, places, extra={"cause": error})
    return kind
