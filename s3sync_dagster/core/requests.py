"""Requests for one document: which invocations are such, and what an owner or a member may say."""

from collections.abc import Sequence

from s3sync_dagster.core.facts import KeyFacts
from s3sync_dagster.core.state import Target
from s3sync_dagster.core.vouching import NOBODY
from s3sync_dagster.model.document import Metadata
from s3sync_dagster.model.invocation import Invocation, Trigger
from s3sync_dagster.model.source import Source


def adds_nothing(invocation: Invocation, source: Source) -> bool:
    """Return whether a sidecar's word stands beside a request.

    One that names nothing of its own, and once a source says who may read any that no owner is
    known to have made: the sidecar's readers would be a member's word then, or not be there.
    """
    if source.reader_keys and not invocation.vouched:
        return True
    return not (invocation.custom_id or invocation.metadata)


def is_answered(invocation: Invocation, source: Source, documents: Sequence[Target]) -> bool:
    """Return whether records name other readers than a request does that waited in a backup.

    It may have been done, and an owner have closed the document after it.
    """
    keys = source.reader_keys
    return invocation.restored and any(
        one.recovered and any(one.metadata.get(key) != invocation.metadata.get(key) for key in keys)
        for one in documents
    )


def asked_for(invocation: Invocation, source: Source, documents: Sequence[Target]) -> Metadata:
    """Return the metadata that a request gives: a member's takes no word on readers away.

    Nor does it make a copy that anybody reads: an owner's word is that on the other document.
    """
    if invocation.vouched:
        return invocation.metadata
    if source.reader_keys and not documents and _copies(invocation, source):
        return {**invocation.metadata, **dict.fromkeys(source.reader_keys, NOBODY)}
    stays = {
        key: value
        for one in documents
        for key, value in one.metadata.items()
        if key in source.reader_keys
    }
    return {**invocation.metadata, **stays}


def is_vouched(invocation: Invocation, metadata: Metadata, documents: Sequence[Target]) -> bool:
    """Return whether an owner gave the metadata of a request, or the same to the document."""
    return (
        invocation.vouched
        or not metadata
        or any(one.vouched and dict(one.metadata) == dict(metadata) for one in documents)
    )


def _copies(invocation: Invocation, source: Source) -> bool:
    return (invocation.target_collection_name or source.collection_name) != source.collection_name


def only_requests(item: KeyFacts) -> bool:
    """Return whether whoever asks for the key names what he asks for."""
    asking = [one for one in item.invocations if not one.trigger.automatic]
    return bool(asking) and all(map(is_request, asking))


def is_request(invocation: Invocation) -> bool:
    """An API call, or any other that names a target, an id or metadata, is taken literally."""
    if invocation.trigger.automatic or invocation.kind == "remove":
        return False
    if invocation.trigger is Trigger.API:
        return True
    return bool(invocation.target_collection_name or invocation.custom_id or invocation.metadata)
