"""A sidecar's own key in a batch: what it asks for now, or why it cannot be followed."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from s3sync_dagster.core.decision import Decision, not_there
from s3sync_dagster.core.deed import Deed
from s3sync_dagster.core.facts import KeyFacts, SidecarChange, SidecarState, listed_as_gone
from s3sync_dagster.core.sidecar import MAX_SIDECAR_BYTES, parse_sidecar
from s3sync_dagster.core.sidecar_owners import collection_of
from s3sync_dagster.engine.batch.parts import BatchParts
from s3sync_dagster.engine.pages import expect
from s3sync_dagster.model.errors import EmptyPlace, InvalidSidecar, LimitExceeded, S3SyncError
from s3sync_dagster.model.source import AutoSync, Source


def read_sidecar(parts: BatchParts, decision: Decision) -> Deed:
    """Read a sidecar and note what changes; its key ends as ``skipped: sidecar``.

    Where it cannot be followed the deed has the error (``InvalidSidecar``), and what it asked
    for before stays as it is.
    """
    facts, source = decision.facts, parts.source
    expect(parts.store, facts.key, facts.object.etag if facts.object is not None else "")
    try:
        body = parts.ask_bucket(
            lambda: parts.store.read(facts.key, max_size_bytes=MAX_SIDECAR_BYTES)
        )
    except LimitExceeded:
        raise InvalidSidecar(
            f"sidecar {facts.key!r} cannot be followed: at most {MAX_SIDECAR_BYTES} bytes are read",
            reason="too_large",
        ) from None
    except EmptyPlace:
        if not listed_as_gone(facts):
            raise
        body = None  # just that has a person approved
    if body is None:
        if facts.own_sidecar is None or not_there(facts).held_back:
            return Deed(decision=decision, gone=True)
        change = SidecarChange(sidecar_key=facts.key, now=None, before=facts.own_sidecar)
        return Deed(decision=decision, gone=True, sidecar=change)
    content = body.content if isinstance(body.content, bytes) else body.content.read_bytes()
    decision = replace(decision, facts=replace(facts, ref=body.ref), reason="sidecar")
    try:
        parsed = parse_sidecar(content, source=source, key=facts.key)
    except S3SyncError as error:
        return Deed(decision=decision, error=error)
    now = SidecarState(
        sidecar_key=facts.key,
        path=parsed.path,
        custom_id=parsed.custom_id,
        target_collection_name=parsed.target_collection_name,
        metadata=dict(parsed.metadata),
        etag=body.ref.etag,
    )
    return Deed(
        decision=replace(decision, message=f"Describes {parsed.path!r}."),
        sidecar=SidecarChange(sidecar_key=facts.key, now=now, before=facts.own_sidecar),
    )


def end_sidecars(parts: BatchParts, token: str, found: Sequence[KeyFacts]) -> bool:
    """Forget what objects asked for that are no sidecars to the source any more, by its settings.

    Only where the source takes objects by itself: elsewhere documents would go without evidence.
    Returns whether there were any.
    """
    source = parts.source
    if source.auto_sync is not AutoSync.DIRECT:
        return False
    ended = [
        SidecarChange(sidecar_key=one.key, now=None, before=one.own_sidecar)
        for one in found
        if one.own_sidecar is not None and not one.describes(source)
    ]
    if ended:
        held = [one.key for one in found]
        parts.catalog.work.apply_sidecars(token, source.id, ended, held=held)
    return bool(ended)


def apply_sidecars(
    parts: BatchParts, token: str, deeds: Sequence[Deed], *, held: Collection[str] = ()
) -> list[Deed]:
    """Store what the sidecars of a batch ask for; of several that claim one key, one has it.

    That is the one with the smallest key, in whatever order they came: the others show the
    error, and are looked at again when it changes or goes.

    Args:
        parts: the batch's.
        token: of the batch.
        deeds: its sidecars, read.
        held: keys of the batch, which are looked at here or after this.

    Raises:
        LeaseLost: another batch took over, which may have read newer sidecars.
    """
    source, catalog = parts.source, parts.catalog.work
    changes = [one.sidecar for one in deeds if one.sidecar is not None]
    changed = [change for change in changes if change.now != change.before]
    catalog.apply_sidecars(token, source.id, changed, held=held)
    paths = {change.now.path for change in changes if change.now is not None}
    claims = catalog.claims_of(source.id, paths) if paths else {}
    return [_unless_claimed(source, deed, claims) for deed in deeds]


def _unless_claimed(source: Source, deed: Deed, claims: dict[str, list[SidecarState]]) -> Deed:
    now = deed.sidecar.now if deed.sidecar is not None else None
    if now is None:
        return deed
    winner = min(
        (
            one.sidecar_key
            for one in claims.get(now.path, [])
            if collection_of(one, source) == collection_of(now, source)
        ),
        default=now.sidecar_key,
    )
    if winner == now.sidecar_key:
        return deed
    return replace(
        deed,
        error=InvalidSidecar(
            f"sidecar {now.sidecar_key!r}: {winner!r} claims {now.path!r} for the same "
            "collection already; remove one of the two",
            reason="already_claimed",
        ),
    )
