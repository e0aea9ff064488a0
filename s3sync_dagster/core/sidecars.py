"""A sidecar's own key in a batch: what it asks for now, or why it cannot be followed."""

from collections.abc import Callable
from typing import Any

from s3sync_dagster.core.engine import Engine, KeyWork
from s3sync_dagster.core.selection import require_inside_prefix
from s3sync_dagster.core.sidecar import MAX_SIDECAR_BYTES, parse_sidecar
from s3sync_dagster.core.work import SidecarChange, SidecarState
from s3sync_dagster.model.errors import InvalidSidecar, NotFound


def read_sidecar(
    engine: Engine, work: KeyWork, *, retried: Callable[[Callable[[], Any]], Any]
) -> None:
    """Read a ``.meta.json`` and note what changes; its key ends as ``skipped: sidecar``.

    Raises:
        InvalidSidecar: it cannot be followed; what it asked for before stays as it is.
    """
    source, item = engine.source, work.item
    require_inside_prefix(source, item.key)
    try:
        body = retried(lambda: engine.store.read(item.key, max_size_bytes=MAX_SIDECAR_BYTES))
    except NotFound as error:
        if error.reason == "bucket_not_found":
            raise
        work.verdict = "gone"
        if item.own_sidecar is not None:
            work.sidecar = SidecarChange(sidecar_key=item.key, now=None, before=item.own_sidecar)
        return
    content = body.content if isinstance(body.content, bytes) else body.content.read_bytes()
    work.ref = body.ref
    parsed = parse_sidecar(content, source=source, key=item.key)
    now = SidecarState(
        sidecar_key=item.key,
        path=parsed.path,
        custom_id=parsed.custom_id,
        target_collection_name=parsed.target_collection_name,
        metadata=dict(parsed.metadata),
        etag=body.ref.etag,
    )
    work.verdict, work.reason = "sidecar", "sidecar"
    work.message = f"Describes {parsed.path!r}."
    if now != item.own_sidecar:
        work.sidecar = SidecarChange(sidecar_key=item.key, now=now, before=item.own_sidecar)


def apply_sidecar(engine: Engine, work: KeyWork) -> None:
    """Store what a sidecar asks for; of two that claim one key the first keeps it."""
    change = work.sidecar
    if change is None:
        return
    now = change.now
    for other in engine.catalog.work.claims_of(engine.source.id, now.path) if now else []:
        if (
            now is not None
            and other.sidecar_key != now.sidecar_key
            and other.target_collection_name == now.target_collection_name
        ):
            work.fail(
                InvalidSidecar(
                    f"sidecar {work.key!r}: {other.sidecar_key!r} claims {now.path!r} for the same "
                    "collection already; remove one of the two",
                    reason="already_claimed",
                )
            )
            return
    engine.catalog.work.apply_sidecar(engine.source.id, change)
