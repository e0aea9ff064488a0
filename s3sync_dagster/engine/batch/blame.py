"""Whose fault a refusal is: a document's only where the service takes what is as large as it.

A bill that is unpaid, a gateway that takes less than before, a model with a smaller context or a
lowered quota refuse every document of a kind alike, whatever it says; nothing is removed for that,
and all of it is tried again.
"""

from collections.abc import Sequence

from s3sync_dagster.core.deed import Deed
from s3sync_dagster.core.neutral import largest_records, largest_texts, neutral_text
from s3sync_dagster.core.state import Target
from s3sync_dagster.engine.batch.cut import cut_document
from s3sync_dagster.engine.batch.enrich import failed_by_function
from s3sync_dagster.engine.batch.groups import Write, WriteGroup, build_write
from s3sync_dagster.engine.batch.parts import BatchParts
from s3sync_dagster.engine.ports import Vectors
from s3sync_dagster.engine.unexpected import unexpected_error
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.errors import (
    FixConfiguration,
    FixInput,
    RecordRejected,
    S3SyncError,
)

TINY = "Is a text taken?"


def beside_the_bytes(error: S3SyncError) -> S3SyncError:
    """Return the error of a call that holds no text: whatever it says, no bytes are at fault."""
    if isinstance(error, FixInput):
        return FixConfiguration(error.message, reason=error.reason)
    return error


def fault_of_text(parts: BatchParts, deed: Deed, target: Target, error: S3SyncError) -> S3SyncError:
    """Return the error of a text that cannot be cut or made records of.

    Where the source's own function made the text, the bytes are at fault only where the text that
    it was given fails as well.
    """
    if not isinstance(error, FixInput) or deed.given is None:
        return error
    plain = _before_function(parts, deed, target)
    return plain if isinstance(plain, S3SyncError) else _fault_of_function(parts, error)


def fault_of_refused(parts: BatchParts, group: WriteGroup, error: S3SyncError) -> S3SyncError:
    """Return the error of one document that the model or the collection refused.

    As with what cannot be cut. What a collection says of the text before is not asked: it would
    have to be written.
    """
    (one,) = group.writes
    if not isinstance(error, FixInput) or one.deed.given is None:
        return error
    plain = _before_function(parts, one.deed, one.target)
    if isinstance(plain, S3SyncError):
        return plain
    try:
        parts.embedder.embed_documents([record.embedding_text for record in plain.records])
    except FixInput as refused:
        return refusal_of_model(parts, group, refused)
    except S3SyncError as other:
        return other
    except Exception as fault:  # noqa: BLE001  (nothing is proven, and no other document fails)
        return unexpected_error(fault, f"{one.key!r} could not be embedded as it was read")
    return _fault_of_function(parts, error)


def _before_function(parts: BatchParts, deed: Deed, target: Target) -> Write | S3SyncError:
    """Return what would be written of a document as it was read, or why nothing can be."""
    assert deed.given is not None, "the function changed nothing"
    try:
        cut = cut_document(parts, deed.key, deed.given)
        return build_write(parts.source, deed, target, cut.chunks)
    except S3SyncError as error:
        return error
    except Exception as fault:  # noqa: BLE001  (a fault must not end the batch)
        return unexpected_error(fault, f"{deed.key!r} could not be cut as it was read")


def _fault_of_function(parts: BatchParts, error: FixInput) -> FixConfiguration:
    return failed_by_function(parts, f"left a text that cannot be indexed ({error.reason})")


def refusal_of_model(parts: BatchParts, group: WriteGroup, error: FixInput) -> S3SyncError:
    """Return the error of a text that the model refused, after asking it for another one.

    Of several documents nobody knows which one is refused, and a tiny text tells whether any is
    taken; one alone is compared with neutral texts of its own size.
    """
    alone = len(group.writes) == 1
    texts = [record.embedding_text for record in group.upserts()] if alone else []
    answer = _ask_model(parts, largest_texts(texts) or [TINY], error)
    return answer if isinstance(answer, S3SyncError) else error


def refusal_of_collection(parts: BatchParts, group: WriteGroup, error: FixInput) -> S3SyncError:
    """Return the error of records that a collection refused, after writing others to it.

    As with the model: a tiny one for several documents, for one alone some that have the size and
    the keys of the refused. They have vectors of their own: the refused record's may be what is
    wrong with it.
    """
    likes = largest_records(_refused(group, error) if len(group.writes) == 1 else ())
    if not likes:
        metadata = {"s3sync_source": parts.source.id}
        likes = [Record(id="", document=TINY, embedding_text=TINY, metadata=metadata)]
    vectors = _ask_model(parts, [like.embedding_text for like in likes], error)
    if isinstance(vectors, S3SyncError):
        return vectors
    collection = group.collection
    try:
        for like, vector in zip(likes, vectors, strict=True):
            name = f"s3sync-probe-{parts.clock.uuid()}"
            collection.probe(like, vector, source_id=parts.source.id, name=name)
    except S3SyncError as refused:
        what = f"The collection {collection.name!r}"
        return _refuses_all(what, error, refused, reason="collection_refuses")
    except Exception as fault:  # noqa: BLE001  (nothing is proven, and no other document fails)
        return unexpected_error(fault, "a probe of the collection could not be written")
    return error


def _refused(group: WriteGroup, error: FixInput) -> list[Record]:
    """Return the records that may have been refused: those that the error names, or all."""
    plans = [one.plan for one in group.writes if one.plan]
    records = [record for plan in plans for record in (*plan.upsert, *plan.update)]
    names = error.record_ids if isinstance(error, RecordRejected) else ()
    return [record for record in records if record.id in names] or records


def _ask_model(parts: BatchParts, likes: Sequence[str], error: FixInput) -> Vectors | S3SyncError:
    """Return the vectors of neutral texts of those sizes, or what speaks against the model."""
    texts = [neutral_text(like, seed=parts.clock.uuid()[:8]) for like in likes]
    try:
        return parts.embedder.embed_documents(texts)
    except S3SyncError as refused:
        what = f"The model {parts.embedder.name!r}"
        return _refuses_all(what, error, refused, reason="model_refuses")
    except Exception as fault:  # noqa: BLE001  (nothing is proven, and no other document fails)
        return unexpected_error(fault, "a probe of the model could not be embedded")


def _refuses_all(what: str, error: FixInput, refused: S3SyncError, *, reason: str) -> S3SyncError:
    if not isinstance(refused, FixInput | FixConfiguration):
        return refused  # it does not answer now: the next attempt tells
    return FixConfiguration(
        f"{what} now refuses any text of this size and shape, not this one alone "
        f"({error.reason}): {refused.message}",
        reason=reason,
    )
