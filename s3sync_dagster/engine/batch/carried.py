"""What the objects of a batch carry besides their bytes, for sources that ask for it."""

from dataclasses import replace
from typing import cast

from s3sync_dagster.core.carried import asks, differs
from s3sync_dagster.core.decision import Decision, decide_key
from s3sync_dagster.engine.batch.parts import BatchParts
from s3sync_dagster.engine.ports import CarryingStore, ObjectBody
from s3sync_dagster.model.document import Metadata
from s3sync_dagster.model.errors import ObjectChanged


def unless_carried_else(parts: BatchParts, decision: Decision) -> Decision:
    """Return the decision to write a key after all where what it carries is another now.

    Only for keys that a batch takes up and would leave as they are: one look each, of which
    ``CarryingStore.carried`` tells the requests. Its bytes are read then, and none embedded.

    Raises:
        S3SyncError: the bucket could not be asked; the key fails, its records stay.
    """
    source, facts = parts.source, decision.facts
    if not decision.targets or not asks(source):
        return decision
    store = cast("CarryingStore", parts.store)
    now = parts.ask_bucket(lambda: store.carried(facts.key, wanted=source.place.carried))
    if now is None:
        return decide_key(replace(facts, gone=True), source)
    return replace(decision, verdict="write") if differs(facts, decision.targets, now) else decision


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
