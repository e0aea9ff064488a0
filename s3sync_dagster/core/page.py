"""One page of a listing against what is known of its keys: what is new, changed or missing."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from s3sync_dagster.core.news import BEYOND_LIMIT, Told, beyond_limit
from s3sync_dagster.core.selection import decide
from s3sync_dagster.core.sidecar import is_sidecar
from s3sync_dagster.core.state import ObjectState
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.source import AutoSync, DeleteMode, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class PageWindow:
    """What the catalog knows of a stretch of keys."""

    objects: dict[str, ObjectState]
    live: frozenset[str]
    """Keys with a pending or processing invocation."""
    waiting: frozenset[str] = frozenset()
    """Those of them with a pending one: their object will be looked at later than this page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageCommit:
    """One page's decisions, in one transaction."""

    cursor: str | None
    listed: int
    asked_at: float
    """Seconds since 1970 when the bucket was asked: what was told since is newer than the page."""
    new: int = 0
    changed: int = 0
    selected: int = 0
    missing: Sequence[str] = ()
    """Known keys of the stretch that the page does not have."""
    upserts: Sequence[Told] = ()
    """Objects whose row changes, with selection's verdict."""
    invoke: Sequence[str] = field(default_factory=list[str])


def reconcile_page(
    source: Source,
    refs: Sequence[ObjectRef],
    window: PageWindow,
    *,
    cursor: str | None,
    selected_before: int,
    asked_at: float,
) -> PageCommit:
    """Compare one page with what is known of its stretch of keys."""
    fingerprint = source.fingerprint()
    upserts: list[Told] = []
    invoke: list[str] = []
    new = changed = 0
    selected = selected_before
    for ref in refs:
        known = window.objects.get(ref.key)
        skip = decide(source, ref)
        reason = skip.reason if skip else None
        if reason is None:
            if beyond_limit(selected, source.document_limit):
                reason = BEYOND_LIMIT
            else:
                selected += 1
        differs = known is None or _differs(known, ref)
        new += known is None
        changed += known is not None and differs
        if known is None or differs or known.missed or known.skip_reason != reason:
            upserts.append((ref, reason))
        # Who works on a key now may have read it before it changed; who waits will see it.
        held = ref.key in window.waiting or (ref.key in window.live and not differs)
        if (
            not held
            and (reason is None or is_sidecar(ref.key))
            and needs_work(known, ref, source, fingerprint=fingerprint, now=asked_at)
        ):
            invoke.append(ref.key)
    there = {ref.key for ref in refs}
    return PageCommit(
        cursor=cursor,
        listed=len(refs),
        asked_at=asked_at,
        new=new,
        changed=changed,
        selected=selected - selected_before,
        missing=[key for key in window.objects if key not in there],
        upserts=upserts,
        invoke=invoke,
    )


def needs_work(
    known: ObjectState | None, ref: ObjectRef, source: Source, *, fingerprint: str, now: float
) -> bool:
    """Return whether a listed, selected object asks for an invocation.

    What its bytes caused is not tried again until etag or fingerprint change; what configuration
    or the weather caused is tried again when its time has come.
    """
    if known is None or known.outcome is None or known.outcome_etag != ref.etag:
        return True
    outdated = known.fingerprint is not None and known.fingerprint != fingerprint
    due = known.next_retry_at is None or known.next_retry_at <= now
    match known.outcome:
        case "failed":
            return outdated if known.retry_class == "input" else due
        case "skipped":
            return _selected_again(known, ref, source, outdated=outdated, due=due)
        case "indexed":
            return outdated and source.on_config_change == "reindex"


def _selected_again(
    known: ObjectState, ref: ObjectRef, source: Source, *, outdated: bool, due: bool
) -> bool:
    """Return whether what was skipped in this version has lost the reason for it."""
    if is_sidecar(ref.key):
        return False
    match known.reason:
        case "no_sidecar":
            return source.auto_sync is not AutoSync.METADATA
        case "changed_in_append_mode":
            return source.mode is not DeleteMode.APPEND
        case _ if known.retry_class == "input":
            return outdated
        case _:
            return due  # left out by selection, which takes it now, or by what a read met


def _differs(known: ObjectState, ref: ObjectRef) -> bool:
    """Return whether a listing tells something new; versions stand in no listing."""
    return (
        known.etag != ref.etag
        or known.size != ref.size
        or known.storage_class != ref.storage_class
        or (ref.version_id is not None and known.version_id != ref.version_id)
    )
