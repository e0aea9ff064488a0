"""How a key ends in a batch, and what people are told of it."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from s3sync_dagster.core.carried import names_readers, next_look
from s3sync_dagster.core.closing import Closing, closing_of
from s3sync_dagster.core.decision import Decision
from s3sync_dagster.core.deed import Deed
from s3sync_dagster.core.facts import missed_by_unfinished_listing, told_ref
from s3sync_dagster.core.patience import BUSY, REREAD_SECONDS, Again, Patience, try_again
from s3sync_dagster.core.state import Outcome, RetryClass
from s3sync_dagster.core.targets import told_documents
from s3sync_dagster.model.errors import FixConfiguration, S3SyncError, Unavailable
from s3sync_dagster.model.invocation import InvocationStatus, Result
from s3sync_dagster.model.source import DeleteMode, Source

_STRENGTH = (Result.INDEXED, Result.UPDATED, Result.METADATA_UPDATED)


LACKS_AN_ID = ("record_ids_taken", "record_ids_busy")
"""Why an object has failed that lacks nothing but an id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOutcome:
    """How a key ended: what the catalog stores, and what partition, log and summary show."""

    key: str
    result: Result
    outcome: Outcome | None = None
    """What the object shows from now on; None with ``pending`` and for what is gone."""
    etag: str | None = None
    """Version that was looked at; None: unknown."""
    fingerprint: str | None = None
    reason: str | None = None
    error: str | None = None
    """Sentence for people."""
    retry_class: RetryClass | None = None
    next_at: float | None = None
    """Next attempt (pending), next try by a listing (failed) or next look (indexed), POSIX
    seconds."""
    gone: bool = False
    vanished: bool = False
    """True where a listing or an event had told of it, and it was gone when it was read."""
    lost_records: bool = False
    """True where records of it were taken away and nothing took their place."""
    known_gone: bool = False
    """Whether it was said to be gone before the batch began with it."""
    lacked_an_id: bool = False
    """Whether it had failed of an id before the batch began with it."""
    told_count: int | None = None
    """How often something had been told of the object when the batch began with it; None: what was
    told since is no matter."""
    unanswered: bool = False
    """True where a service did not answer, and that is news: the key had not failed so before."""
    refused: Mapping[str, str] = field(default_factory=dict[str, str])
    """Invocation id -> message, for targets that failed alone."""
    refused_ids: frozenset[tuple[str, str]] = frozenset()
    """Collection and id of documents that the catalog refused it: other documents had them."""
    closing: Closing = field(default_factory=Closing)
    """Its documents that readers with groups may not see from now on, or may again."""
    partition_key: str | None = None
    chunks: int = 0
    bytes: int = 0
    cut_off: int = 0
    """Chunks of which the embedding model does not read the end."""
    pages: int = 0
    ms: Mapping[str, float] = field(default_factory=dict[str, float])
    """Milliseconds per step."""

    @property
    def status(self) -> InvocationStatus:
        """What becomes of the key's invocations."""
        return self.result.status

    @property
    def state(self) -> str:
        """The word for people: ``indexed``, ``updated``, ``unchanged``, ``failed`` ..."""
        return self.result.shown


def outcome_of(
    deed: Deed,
    source: Source,
    *,
    fingerprint: str,
    patience: Patience,
    now: float,
    chance: random.Random,
) -> KeyOutcome:
    """Return how a key ends after all that was done for it.

    Args:
        deed: what was done.
        source: the batch's.
        fingerprint: the source's, made once for a batch: it costs more than all else here.
        patience: of the run.
        now: POSIX seconds.
        chance: for the time of the next attempt.
    """
    end, refused = deed.end, _refused_invocations(deed)
    told = replace(_told(deed, end), closing=closing_of(deed, source, fingerprint=fingerprint))
    error = _error(deed, end, refused)
    if error is not None:
        again = try_again(
            error, attempts=end.facts.attempt, patience=patience, now=now, chance=chance
        )
        told = replace(told, unanswered=_is_news(end, error))
        return _failed(told, end, error, again, fingerprint=fingerprint)
    mirror = source.mode is DeleteMode.MIRROR
    if end.verdict == "gone":
        result = Result.REMOVED if mirror else Result.SKIPPED
        seen = told_ref(end.facts) is not None and not missed_by_unfinished_listing(end.facts)
        return replace(told, result=result, gone=True, vanished=seen, reason=end.reason)
    etag = end.facts.etag
    if end.verdict in ("skip", "sidecar"):
        return replace(
            told,
            result=Result.REMOVED if deed.removed else Result.SKIPPED,
            outcome="skipped",
            etag=etag,
            fingerprint=fingerprint,
            reason=end.reason,
            error=end.message,
            retry_class=end.cause,
            next_at=_next_look_at_skipped(end, source, now=now),
        )
    return replace(
        told,
        result=next((one for one in _STRENGTH if one in deed.written.values()), Result.UNCHANGED),
        outcome="indexed",
        etag=etag,
        fingerprint=_oldest_fingerprint(end, source, fingerprint),
        next_at=next_look(source, now=now),
        refused=refused,
    )


def _next_look_at_skipped(end: Decision, source: Source, *, now: float) -> float | None:
    reread = now + REREAD_SECONDS if end.cause == "transient" else None
    look = next_look(source, now=now)
    if look is None or end.reason != "archived" or not names_readers(source):
        return reread
    return look if reread is None else min(look, reread)


def _told(deed: Deed, end: Decision) -> KeyOutcome:
    """Return what is shown of a key, however it ends."""
    facts = end.facts
    return KeyOutcome(
        key=facts.key,
        result=Result.UNCHANGED,
        partition_key=facts.partition_key,
        chunks=deed.chunks or sum(one.count for one in facts.documents),
        bytes=facts.ref.size if facts.ref else 0,
        cut_off=deed.cut_off,
        pages=deed.document.page_count if deed.document else 0,
        etag=facts.etag,
        lost_records=deed.removed,
        known_gone=facts.object is not None and facts.object.gone,
        lacked_an_id=facts.object is not None and facts.object.reason in LACKS_AN_ID,
        told_count=facts.object.told_count if facts.object else 0,
        ms=deed.ms,
    )


def _failed(
    told: KeyOutcome, end: Decision, error: S3SyncError, again: Again, *, fingerprint: str
) -> KeyOutcome:
    if again.by_itself:
        return replace(
            told,
            result=Result.PENDING,
            reason=error.reason,
            error=error.message,
            next_at=again.at,
            closing=replace(told.closing, said={}, begun=()),  # it is asked for still
        )
    return replace(
        told,
        result=Result.FAILED,
        outcome="failed",
        etag=end.facts.etag or None,
        fingerprint=fingerprint,
        reason=error.reason,
        error=error.message,
        retry_class=again.cause,
        next_at=again.at,
    )


def _is_news(end: Decision, error: S3SyncError) -> bool:
    """Return whether a key's failure tells that a service does not answer.

    One that fails again and again, among others that do not, tells of itself alone.
    """
    known = end.facts.object
    failed_before = (
        known is not None and known.outcome == "failed" and known.retry_class == "transient"
    )
    return (
        isinstance(error, Unavailable)
        and error.reason != BUSY
        and end.facts.attempt == 1
        and not failed_before
    )


def _refused_invocations(deed: Deed) -> dict[str, str]:
    """Return why invocations lost their target: invocation id -> message."""
    return {
        invocation: deed.refused[collection]
        for invocation, collection in deed.decision.asked.items()
        if collection in deed.refused
    }


def _error(deed: Deed, end: Decision, refused: Mapping[str, str]) -> S3SyncError | None:
    """Return what the key fails of; a refused target counts where no invocation asked for it."""
    if not deed.refused or isinstance(end.error, Unavailable):
        # Another target may still have to be written: the next attempt tells of both.
        return end.error
    asked = {deed.decision.asked[invocation] for invocation in refused}
    others = [message for name, message in deed.refused.items() if name not in asked]
    if others or not deed.written:
        message = others[0] if others else next(iter(deed.refused.values()))
        return FixConfiguration(message, reason="record_ids_taken")
    return end.error


def _oldest_fingerprint(end: Decision, source: Source, current: str) -> str:
    """Return what the object's documents were written under: one older one makes it outdated.

    Not one that a mode keeps and nobody asks for any more: nothing writes it anew.
    """
    if end.verdict != "unchanged":
        return current
    asked, _ = told_documents(end.facts, source)
    known = {one.fingerprint for one in end.facts.documents if one.collection_name in asked}
    return min((one for one in known - {current, None} if one), default=current)
