"""What a worker says of a file in place of a value: one of few errors, in one sentence.

A worker that was taken over says what it likes. What it says of the file is believed, since the
file is its own; what only a service, a setting or a person can cause is not.
"""

import json
from typing import Any, cast

from s3sync_dagster.model.errors import (
    EmptyText,
    LimitExceeded,
    MissingEngine,
    S3SyncError,
    UnreadableFile,
    UnsupportedFile,
)
from s3sync_dagster.workers.replies import BrokenReply

BELIEVED: dict[type[S3SyncError], frozenset[str]] = {
    UnsupportedFile: frozenset({"unsupported_file", "binary"}),
    UnreadableFile: frozenset({"unreadable_file", "damaged", "encrypted"}),
    EmptyText: frozenset({"empty_text", "empty_file", "no_text", "javascript_only"}),
    LimitExceeded: frozenset(
        {
            *("limit_exceeded", "nested_too_deep", "out_of_memory", "output_too_large"),
            *("parse_budget", "too_many_cells", "too_many_pages", "too_many_pixels"),
            *("worker_crashed", "zip_bomb"),
        }
    ),
    MissingEngine: frozenset(
        {
            *("missing_language", "missing_models", "missing_package", "missing_program"),
            "tokenizer_unreadable",
        }
    ),
}
"""Errors of functions in workers, with their reasons. It is the worker's machine that lacks an
engine, so nobody else can say so; it is asked again, and removes nothing."""
MESSAGE_CHARACTERS = 1000
MAX_BYTES = 13 * MESSAGE_CHARACTERS
"""Of an error's bytes: no character takes more than 12 in JSON."""


def is_believed(error: S3SyncError) -> bool:
    """Return whether a worker may say this."""
    return error.reason in BELIEVED.get(type(error), ())


def broken_reply() -> LimitExceeded:
    """Return the error of a worker whose answer is none of a reader's."""
    return LimitExceeded("The worker sent a reply that cannot be read.", reason="worker_crashed")


def dump_error(error: S3SyncError) -> bytes:
    """Return the reply of an error that is believed."""
    told = [type(error).__name__, error.reason, error.message[:MESSAGE_CHARACTERS]]
    return json.dumps(told).encode()


def load_error(reply: bytes) -> S3SyncError:
    """Return the error that ``dump_error`` was given. Raises ``BrokenReply``."""
    try:
        told = cast("Any", json.loads(reply[: MAX_BYTES + 1]))
        name, reason, message = told
        if not (type(name) is type(reason) is type(message) is str):
            raise BrokenReply
        kind = _BY_NAME[name]
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it is no reply
        raise BrokenReply from None
    if reason not in BELIEVED[kind]:
        raise BrokenReply
    shown = "".join(one if one.isprintable() else " " for one in message[:MESSAGE_CHARACTERS])
    return kind(shown, reason=reason)


_BY_NAME = {kind.__name__: kind for kind in BELIEVED}
