"""Whose fault a refusal is: a document's only where the service takes another one beside it.

A bill that is unpaid, a gateway that knows another version or a model that was swapped refuse
every document alike; nothing is removed for that, and all of it is tried again.
"""

from s3sync_dagster.engine.batch.groups import WriteGroup
from s3sync_dagster.engine.batch.parts import BatchParts
from s3sync_dagster.engine.ports import Vector
from s3sync_dagster.engine.unexpected import unexpected_error
from s3sync_dagster.model.errors import FixConfiguration, FixInput, S3SyncError


def beside_the_bytes(error: S3SyncError) -> S3SyncError:
    """Return the error of a call that holds no text: whatever it says, no bytes are at fault."""
    if isinstance(error, FixInput):
        return FixConfiguration(error.message, reason=error.reason)
    return error


def refusal_of_model(parts: BatchParts, error: FixInput) -> S3SyncError:
    """Return the error of a text that the model refused, after asking it for another one."""
    # A text of its own: one that was asked before would come from the vector cache.
    answer = _ask_model(parts, f"Is a text taken? {parts.clock.uuid()}", error)
    return answer if isinstance(answer, S3SyncError) else error


def refusal_of_collection(parts: BatchParts, group: WriteGroup, error: FixInput) -> S3SyncError:
    """Return the error of records that a collection refused, after writing another one to it.

    That one has a vector of its own: the refused record's may be what is wrong with it.
    """
    text = "a probe of s3sync"
    vector = _ask_model(parts, text, error)
    if isinstance(vector, S3SyncError):
        return vector
    collection, name = group.collection, f"s3sync-probe-{parts.clock.uuid()}"
    try:
        collection.probe(vector, source_id=parts.source.id, name=name)
    except S3SyncError as refused:
        what = f"The collection {collection.name!r}"
        return _refuses_all(what, error, refused, reason="collection_refuses")
    except Exception as fault:  # noqa: BLE001  (nothing is proven, and no other document fails)
        return unexpected_error(fault, "a probe of the collection could not be written")
    return error


def _ask_model(parts: BatchParts, text: str, error: FixInput) -> Vector | S3SyncError:
    """Return the vector of a text of ours, or what speaks against the model."""
    try:
        return parts.embedder.embed_documents([text])[0]
    except S3SyncError as refused:
        what = f"The model {parts.embedder.name!r}"
        return _refuses_all(what, error, refused, reason="model_refuses")
    except Exception as fault:  # noqa: BLE001  (nothing is proven, and no other document fails)
        return unexpected_error(fault, "a probe of the model could not be embedded")


def _refuses_all(what: str, error: FixInput, refused: S3SyncError, *, reason: str) -> S3SyncError:
    if not isinstance(refused, FixInput | FixConfiguration):
        return refused  # it does not answer now: the next attempt tells
    return FixConfiguration(
        f"{what} refuses every text now, not this one alone ({error.reason}): {refused.message}",
        reason=reason,
    )
