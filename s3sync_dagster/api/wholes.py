"""Invocations of a whole commit or site: a listing that begins now, and all that it asks for.

A source follows one ref and has one collection, so that the contract's ``ref_identifier`` and
``target_collection_name`` have to be its own.
"""

from collections.abc import Sequence
from typing import cast
from uuid import UUID

from s3sync_dagster.api.access import Caller
from s3sync_dagster.api.context import Context
from s3sync_dagster.api.outside import waits_outside
from s3sync_dagster.api.wire_invocation import CreateInvocation, InvocationCreated
from s3sync_dagster.model.errors import InvalidSetting, NotPossible
from s3sync_dagster.model.invocation import Invocation
from s3sync_dagster.model.source import Source
from s3sync_dagster.places.git_store import GitStore


@waits_outside
def ask_whole(
    *, source_id: UUID, payload: CreateInvocation, caller: Caller, here: Context
) -> InvocationCreated:
    """Note the invocation and have the source listed.

    Raises:
        InvalidSetting: the payload is not that of a whole source.
        NotPossible: ``source_type_not_available``, another ref or collection than the source's.
        Conflict: the collection takes nothing more (``finished_ingest``).
    """
    source = here.source(source_id, caller)
    here.require_all_of(source.id, caller)
    if source.place.followed() is None and payload.ref_identifier is not None:
        raise InvalidSetting("ref_identifier is for GitHub sources only.")
    if not source.place.names_collection:
        raise InvalidSetting("object_key is required: the full key from the bucket root.")
    if payload.custom_id is not None or payload.metadata:
        raise InvalidSetting("custom_id and metadata are for single objects: name an object_key.")
    target = payload.target_collection_name
    if target not in (None, source.collection_name):
        raise NotPossible(
            f"The source {source.name!r} keeps the collection {source.collection_name!r} in step: "
            "name that one, or make a source with another collection.",
            reason="source_type_not_available",
        )
    ref = {} if source.place.followed() is None else _ref(here, source, payload)
    here.finished.refuse(source, source.collection_name)
    name = here.catalog.wholes.insert(source, ref=ref)
    here.backfills.start_or_follow(source)
    return InvocationCreated(invocation_id=UUID(name))


def _ref(here: Context, source: Source, payload: CreateInvocation) -> dict[str, str]:
    """Return the ref that was named, which has to be what the source follows now."""
    named = payload.ref_identifier
    asked = {} if named is None else named.model_dump(exclude_none=True)
    if len(asked) != 1:
        raise InvalidSetting("ref_identifier has to be either a sha or a branch.")
    ((kind, value),) = asked.items()
    followed = source.place.followed()
    if followed != (kind, value):
        commit, branch = cast("GitStore", here.parts.store_for(source)).named()
        if value not in ((commit,) if kind == "sha" else (branch,)):
            raise NotPossible(
                f"The source {source.name!r} follows {branch or 'HEAD'!r}, which is at {commit} "
                f"now, and not the {kind} {value[:100]!r}: make a source with that as its ref.",
                reason="source_type_not_available",
            )
    return asked


def merged(
    found: Sequence[Invocation],
    wholes: Sequence[Invocation],
    *,
    ascending: bool,
    limit: int,
    offset: int,
) -> list[Invocation]:
    """Return a page of both, by creation time.

    Args:
        found: of single objects, from as many before the page on as there are others.
        wholes: all others.
        ascending: oldest first.
        limit: of the page.
        offset: of the page.
    """
    if not wholes:
        return list(found)
    both = sorted([*found, *wholes], key=lambda one: one.created_at, reverse=not ascending)
    start = min(offset, len(wholes))
    return both[start : start + limit]
