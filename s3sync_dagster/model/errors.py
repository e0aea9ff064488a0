"""The one tree of errors. What the operator does about it decides the branch.

    S3SyncError
    ├── FixInput                 the bytes or the name are the cause: no retry before they change
    │   ├── UnsupportedFile          no engine reads this kind of file
    │   ├── UnreadableFile           the bytes are damaged, encrypted or not what the suffix says
    │   ├── EmptyText                the file was read and holds no text
    │   ├── LimitExceeded            a limit of time, memory, size, pages or output
    │   ├── RecordRejected           a record would break a limit of Chroma
    │   ├── InvalidSidecar           a .meta.json that cannot be followed
    │   └── InvalidEvent             a message that is not an S3 event
    ├── FixConfiguration         a person changes something: retried with long back-off
    │   ├── InvalidSetting           a value breaks a rule; names the field and the rule
    │   ├── NotFound                 bucket, source, collection or object does not exist
    │   ├── AccessDenied             credentials are missing, wrong or not allowed
    │   ├── OutsidePrefix            a key that the source may not touch
    │   ├── Conflict                 another owner, source or process has it
    │   ├── EmbeddingMismatch        the collection has another model, space or dimension
    │   ├── NoRoom                   the tenant has all the objects that it may have
    │   ├── EmptyPlace               nothing is left in the place: is it mounted?
    │   ├── MissingEngine            a program, model or extra is not installed
    │   └── NotPossible              this server or backend cannot do that
    └── Unavailable              wait: network, server, lease; the only branch retried at once
        ├── Throttled                the other side asked for a pause
        ├── ObjectChanged            the object was overwritten while it was read
        └── LeaseLost                another batch owns the document now

Messages name the thing and the way out. They hold no secret and no text of a foreign exception.
"""

from collections.abc import Collection


class S3SyncError(Exception):
    """Base of all errors of this project.

    Attributes:
        reason: stable word for queries and counts, such as ``unreadable_file``.
        message: one sentence that names the thing and the way out.
    """

    reason = "error"

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if reason is not None:
            self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by message and attributes, so that errors cross worker processes whole."""
        return (_rebuild, (type(self), self.message, self.__dict__))


def _rebuild(kind: type[S3SyncError], message: str, attributes: dict[str, object]) -> S3SyncError:
    error = kind(message)
    error.__dict__.update(attributes)
    return error


class FixInput(S3SyncError):
    """The object's own bytes or name are the cause."""

    reason = "bad_input"


class UnsupportedFile(FixInput):
    """No engine reads this kind of file."""

    reason = "unsupported_file"


class UnreadableFile(FixInput):
    """The bytes are damaged, encrypted or not what the suffix says."""

    reason = "unreadable_file"


class EmptyText(FixInput):
    """The file was read and holds no text."""

    reason = "empty_text"


class LimitExceeded(FixInput):
    """A limit was met; ``reason`` names it, such as ``too_many_pages``."""

    reason = "limit_exceeded"


class RecordRejected(FixInput):
    """A record would break a limit of Chroma.

    Attributes:
        record_ids: the records that a server refused; those written beside them are in place.
    """

    reason = "record_rejected"
    record_ids: tuple[str, ...] = ()


class InvalidSidecar(FixInput):
    """A ``.meta.json`` that cannot be followed."""

    reason = "invalid_sidecar"


class InvalidEvent(FixInput):
    """A message that is not an S3 event."""

    reason = "invalid_event"


class FixConfiguration(S3SyncError):
    """A person has to change settings or permissions."""

    reason = "configuration"


class InvalidSetting(FixConfiguration):
    """A value breaks a rule; the message names the field and the rule."""

    reason = "invalid_setting"


class NotFound(FixConfiguration):
    """Something that was named does not exist."""

    reason = "not_found"


class AccessDenied(FixConfiguration):
    """Credentials are missing, wrong or not allowed to do this."""

    reason = "access_denied"


class OutsidePrefix(FixConfiguration):
    """A key that the source may not touch."""

    reason = "outside_prefix"


class Conflict(FixConfiguration):
    """Another owner, source or process has it already."""

    reason = "conflict"


class EmbeddingMismatch(FixConfiguration):
    """The collection holds vectors of another model, space or dimension."""

    reason = "embedding_mismatch"


class NoRoom(FixConfiguration):
    """What is new was not stored: the tenant has all the objects that it may have.

    Attributes:
        keys: those that were left out, where objects are stored.
    """

    reason = "too_many_objects"

    def __init__(self, message: str, *, keys: Collection[str] = ()) -> None:
        super().__init__(message)
        self.keys = frozenset(keys)


class EmptyPlace(FixConfiguration):
    """A key was asked for in a place where nothing is left at all: it may not be mounted."""

    reason = "folder_not_mounted"


class MissingEngine(FixConfiguration):
    """A program, model or extra that this needs is not installed."""

    reason = "missing_engine"


class NotPossible(FixConfiguration):
    """This server or backend cannot do what was asked."""

    reason = "not_possible"


class Unavailable(S3SyncError):
    """A network, server or lease problem that passes by itself.

    Attributes:
        retry_after_seconds: the pause the other side asked for, 0 when it did not.
    """

    reason = "unavailable"

    def __init__(
        self, message: str, *, reason: str | None = None, retry_after_seconds: float = 0.0
    ) -> None:
        super().__init__(message, reason=reason)
        self.retry_after_seconds = retry_after_seconds


class Throttled(Unavailable):
    """The other side asked for a pause."""

    reason = "throttled"


class ObjectChanged(Unavailable):
    """The object was overwritten while it was read."""

    reason = "object_changed"


class LeaseLost(Unavailable):
    """Another batch owns the document now."""

    reason = "lease_lost"
