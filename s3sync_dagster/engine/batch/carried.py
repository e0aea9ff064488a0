"""What the objects of a batch carry besides their bytes, for sources that ask for it."""

from dataclasses import replace
from typing import cast

from s3sync_dagster.core.carried import asks, differs, names_readers
from s3sync_dagster.core.decision import Decision, decide_key
from s3sync_dagster.core.deed import Deed
from s3sync_dagster.engine.batch.parts import BatchParts
from s3sync_dagster.engine.store_ports import CarryingStore, ObjectBody
from s3sync_dagster.model.document import Metadata
from s3sync_dagster.model.errors import ObjectChanged, S3SyncError, Unavailable


def unless_carried_else(parts: BatchParts, decision: Decision) -> Deed:
    """Return the decision to write a key after all where what it carries is another now.

    Only for keys that a batch takes up and would leave as they are: one look each, of which
    ``CarryingStore.carried`` tells the requests. Its bytes are read then, and none embedded.

    Raises:
        S3SyncError: the bucket could not be asked; the key fails, its records stay.
    """
    source, facts = parts.source, decision.facts
    if not asks(source) or not (decision.targets or names_readers(source)):
        return Deed(decision=decision)
    store = cast("CarryingStore", parts.store)
    now = parts.ask_bucket(lambda: store.carried(facts.key, wanted=source.place.carried))
    if now is None:
        return Deed(decision=decide_key(replace(facts, gone=True), source))
    if differs(facts, decision.targets or (), now):
        decision = replace(decision, verdict="write")
    return Deed(decision=decision, looked=now)


def looked_at(parts: BatchParts, deed: Deed) -> Deed:
    """Return a deed with what its object carries, where that says who may read what it has.

    For keys that end without having their records written: of an object that cannot be asked, or
    that a service did not answer for, it stays unknown (``core.closing``).
    """
    end = deed.end
    if (
        deed.looked is not None
        or deed.writing
        or end.verdict == "gone"
        or end.held_back
        or isinstance(end.error, Unavailable)
        or not (end.facts.documents or end.facts.before)
        or not names_readers(parts.source)
    ):
        return deed
    store = cast("CarryingStore", parts.store)
    try:
        now = parts.ask_bucket(lambda: store.carried(deed.key, wanted=parts.source.place.carried))
    except S3SyncError as error:
        parts.log(f"{deed.key!r}: what it carries is not known: {error.message}")
        return deed
    return replace(deed, looked=now)


def carried_with(parts: BatchParts, body: ObjectBody) -> Metadata:
    """Return what an object carries that was read.

    Raises:
        S3SyncError: the bucket could not be asked, or has something else there now.
    """
    source = parts.source
    if not asks(source):
        return {}
    store = cast("CarryingStore", parts.store)
    found = parts.ask_bucket(
        lambda: store.carried(
            body.ref.key, wanted=source.place.carried, read=body, exact=bool(source.reader_keys)
        )
    )
    if found is None:  # between the two requests: whoever looks next finds it gone
        raise ObjectChanged(f"object {body.ref.key!r} was removed while it was read")
    return found
