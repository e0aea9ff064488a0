"""A sidecar's own key in a batch: what it asks for now, or why it cannot be followed."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from s3sync_dagster.core.selection import require_inside_prefix
from s3sync_dagster.core.sidecar import MAX_SIDECAR_BYTES, parse_sidecar
from s3sync_dagster.core.work import SidecarChange, SidecarState
from s3sync_dagster.engine.batch.parts import Engine, KeyWork
from s3sync_dagster.model.errors import InvalidSidecar, LimitExceeded, NotFound
from s3sync_dagster.model.source import Source


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
    except LimitExceeded:
        raise InvalidSidecar(
            f"sidecar {item.key!r} cannot be followed: at most {MAX_SIDECAR_BYTES} bytes are read",
            reason="too_large",
        ) from None
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
    work.sidecar = SidecarChange(sidecar_key=item.key, now=now, before=item.own_sidecar)


def apply_sidecars(engine: Engine, works: Sequence[KeyWork], *, held: Collection[str] = ()) -> None:
    """Store what the sidecars of a batch ask for; of several that claim one key, one has it.

    That is the one with the smallest key, in whatever order they came: the others show the
    error, and are looked at again when it changes or goes.

    Args:
        engine: the batch's.
        works: its sidecars, read.
        held: keys of the batch, which are looked at here or after this.
    """
    source, catalog = engine.source, engine.catalog.work
    changes = [
        work.sidecar
        for work in works
        if work.sidecar is not None and work.sidecar.now != work.sidecar.before
    ]
    catalog.apply_sidecars(source.id, changes, held=held)
    followed = [work for work in works if work.verdict == "sidecar" and work.sidecar is not None]
    paths = {work.sidecar.now.path for work in followed if work.sidecar and work.sidecar.now}
    claims = catalog.claims_of(source.id, paths) if paths else {}
    for work in followed:
        now = work.sidecar.now if work.sidecar else None
        if now is None:
            continue
        rival = _winner(source, now, claims.get(now.path, []))
        if rival != now.sidecar_key:
            work.fail(
                InvalidSidecar(
                    f"sidecar {work.key!r}: {rival!r} claims {now.path!r} for the same "
                    "collection already; remove one of the two",
                    reason="already_claimed",
                )
            )


def _winner(source: Source, now: SidecarState, claims: Sequence[SidecarState]) -> str:
    def target(one: SidecarState) -> str:
        return one.target_collection_name or source.collection_name

    return min(
        (one.sidecar_key for one in claims if target(one) == target(now)),
        default=now.sidecar_key,
    )
