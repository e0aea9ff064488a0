"""One page of a listing against what is known of its keys: what is new, changed or missing."""

from collections.abc import Sequence
from dataclasses import dataclass

from s3sync_dagster.core.carried import is_look_due, names_readers
from s3sync_dagster.core.news import BEYOND_LIMIT, Told, beyond_limit
from s3sync_dagster.core.patience import is_due, longest_wait
from s3sync_dagster.core.selection import ARCHIVE_CLASSES, decide
from s3sync_dagster.core.sidecar import is_sidecar
from s3sync_dagster.core.state import ObjectState
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.source import AutoSync, DeleteMode, Source


@dataclass(frozen=True, slots=True, kw_only=True)
class PageWindow:
    """What the catalog knows of a stretch of keys."""

    objects: dict[str, ObjectState]
    until: str | None = None
    """The last of them where more are known in the stretch; None: these are all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageCommit:
    """One page's decisions, in one transaction."""

    cursor: str | None
    listed: int
    asked: int
    """Number of the page when the bucket was asked: what was told since is newer than the page."""
    new: int = 0
    changed: int = 0
    selected: int = 0
    seen: Sequence[str] = ()
    """Keys of objects that the bucket has told of just now: what waits as an event's removal of
    one is no evidence any more."""
    missing: Sequence[str] = ()
    """Known keys of the stretch that the page does not have."""
    upserts: Sequence[Told] = ()
    """Objects whose row changes, with selection's verdict."""
    invoke: Sequence[str] = ()
    """Keys that need work, unless those hold them who work on them or wait (``is_held``)."""
    differing: frozenset[str] = frozenset()
    """Those of them whose object is not the one that is known."""
    tells_missing: bool | None = None
    """Whether what it does not name is not there; None: it is no page, but on the way to one."""
    reindex: bool = False
    """A person orders that what is outdated is indexed again: also keys that wait, or that are
    worked on, are asked for with this mark, since whoever has them may not know of the order."""


def reconcile_page(
    source: Source,
    refs: Sequence[ObjectRef],
    window: PageWindow,
    *,
    cursor: str | None,
    selected_before: int,
    asked: int,
    now: float,
) -> PageCommit:
    """Compare one page with what is known of its stretch of keys.

    Args:
        source: the source.
        refs: the page, in order.
        window: what is known of its stretch.
        cursor: where the stretch ends.
        selected_before: objects that the pages before have selected.
        asked: number of the page when the bucket was asked.
        now: seconds since 1970, which decides what is due again.
    """
    fingerprint = source.fingerprint()
    upserts: list[Told] = []
    invoke: list[str] = []
    differing: set[str] = set()
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
        if (
            _held_back(known)
            or (reason is not None and _says_who_reads(known, reason, source, now=now))
            or (
                (reason is None or is_sidecar(ref.key, bedrock=source.bedrock_sidecars))
                and needs_work(known, ref, source, fingerprint=fingerprint, now=now)
            )
        ):
            invoke.append(ref.key)
            if differs:
                differing.add(ref.key)
    there = {ref.key for ref in refs}
    return PageCommit(
        cursor=cursor,
        listed=len(refs),
        asked=asked,
        new=new,
        changed=changed,
        selected=selected - selected_before,
        seen=[ref.key for ref in refs],
        missing=[key for key in window.objects if key not in there],
        upserts=upserts,
        invoke=invoke,
        differing=frozenset(differing),
    )


def is_held(status: str | None, *, differs: bool) -> bool:
    """Return whether a key needs no invocation of its own because of one that it has.

    Who works on a key now may have read it before it changed; who waits will see it.

    Args:
        status: ``pending``, ``processing`` or None, at the time of the page's commit: a key that
            waited when the page was compared may have been looked at, as it was, since.
        differs: whether its object is another than the one that is known.
    """
    return status == "pending" or (status is not None and not differs)


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
    due = is_due(known.next_retry_at, now=now, at_most=longest_wait(known.outcome))
    match known.outcome:
        case "failed":
            return outdated if known.retry_class == "input" else due
        case "skipped":
            return _selected_again(known, ref, source, outdated=outdated, due=due)
        case "indexed":
            if is_sidecar(ref.key, bedrock=source.bedrock_sidecars):
                return True  # what was a document describes another one now
            return (outdated and source.renews_outdated) or is_look_due(known, source, now=now)


def contradicts(known: ObjectState, ref: ObjectRef, source: Source) -> bool:
    """Return whether an answer that may be old says something else than what is known now.

    Also where it would end what stands about an object that is missing, or call one archived that
    was restored; whether one was restored since, it does not tell.
    """
    if known.missed or _held_back(known) or _differs(known, ref):
        return True
    if ref.storage_class not in ARCHIVE_CLASSES:
        return False
    skip = decide(source, ref)
    return skip is not None and skip.reason == "archived"


def _held_back(known: ObjectState | None) -> bool:
    """Return whether a removal was held back, which ends now that a listing has seen the object.

    Also where selection leaves it out: what was on its way out then has nobody else to end it.
    """
    return known is not None and known.outcome == "skipped" and known.reason == "removal_blocked"


def _says_who_reads(known: ObjectState | None, reason: str, source: Source, *, now: float) -> bool:
    """Return whether it is due to look who may read what was made of an object that is not read.

    What is archived carries something still; of what is left out only sidecars and settings tell.
    """
    if known is None or not source.reader_keys:
        return False
    if reason != "archived" and names_readers(source):
        return False
    if known.fingerprint == "":  # kept back, see ``catalog.doubted``
        return True
    looked_at = known.outcome is not None  # else nothing may have been made of it
    return looked_at and names_readers(source) and is_look_due(known, source, now=now)


def _selected_again(
    known: ObjectState, ref: ObjectRef, source: Source, *, outdated: bool, due: bool
) -> bool:
    """Return whether what was skipped in this version has lost the reason for it."""
    if is_sidecar(ref.key, bedrock=source.bedrock_sidecars):
        return False
    match known.reason:
        case "no_sidecar":
            return source.auto_sync is not AutoSync.METADATA
        case "changed_in_append_mode":
            return source.mode is not DeleteMode.APPEND
        case "archived" if known.retry_class != "transient":
            return True  # it is restored: its time is that of the next look at what it carries
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
