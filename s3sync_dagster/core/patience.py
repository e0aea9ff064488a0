"""How failures are met that a person did not cause on purpose: who tries again, and when.

One policy for keys and for whole batches, and the times on which leases rest.
"""

import random
from dataclasses import dataclass

from s3sync_dagster.core.state import Outcome, RetryClass
from s3sync_dagster.model.errors import FixConfiguration, FixInput, S3SyncError, Unavailable

RESERVATION_SECONDS = 600.0
"""A reserved batch whose run has not begun for so long may be given back."""
LEASE_SECONDS = 120.0
"""A running batch whose worker is silent for so long may be taken over."""
RENEW_SECONDS = 15.0
"""Between two renewals of a lease."""
WRITE_SECONDS = 60.0
"""Timeout of one write to Chroma: the lease must outlive it."""
CONFIGURATION_RETRY_SECONDS = 900.0
TRANSIENT_RETRY_SECONDS = 3600.0
REREAD_SECONDS = 86_400.0
"""For what only a read finds out, such as an archive tier that no listing shows."""
CLOCKS_DIFFER_SECONDS = 60.0
"""Clocks that go right differ by less: a lease that another host has just taken is none of a
clock that goes wrong."""
LONGEST_BACKOFF_SECONDS = TRANSIENT_RETRY_SECONDS * 1.2
"""What one attempt may have to wait for the next, its jitter included."""
SCOUT_SECONDS = 60.0
"""Between two keys that see whether a service answers again."""
UNBEGUN_RUNS = 3
"""A host that goes down takes so many runs of a source along without any fault in its code."""
UNBEGUN_SECONDS = 20.0
LONGEST_UNBEGUN_SECONDS = 600.0
MOST_DOUBLED = 20
"""Beyond it a wait is the longest, and the number would be too large for a float one day."""
BUSY = "record_ids_busy"
"""Reason of a document whose record ids another one is about to give up."""
BUSY_RETRY_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How failures that pass by themselves are met."""

    tries: int = 3
    """Calls in this run, the first included."""
    first_wait_seconds: float = 0.5
    """Before the second call; doubled each time, with jitter."""
    attempts: int = 5
    """Attempts of an invocation over all runs, then it is failed."""
    backoff_seconds: float = 30.0
    """Before the second attempt; doubled each time up to an hour, with jitter."""
    final: bool = False
    """True for a one-shot sync, which hands nothing on to a later run."""

    def backoff(self, attempts: int, chance: random.Random) -> float:
        """Return the seconds until the next attempt after ``attempts`` of them."""
        longest = min(
            self.backoff_seconds * 2 ** min(max(attempts - 1, 0), MOST_DOUBLED),
            TRANSIENT_RETRY_SECONDS,
        )
        return longest * chance.uniform(0.8, 1.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """When something that failed is tried again."""

    by_itself: bool
    """True while its invocation stays pending; False: it is failed, and a listing tries again."""
    cause: RetryClass
    """What has to change, or pass."""
    at: float | None
    """POSIX seconds; None: not before the bytes or the settings change."""


def try_again(
    error: S3SyncError, *, attempts: int, patience: Patience, now: float, chance: random.Random
) -> Again:
    """Return when a failed key, or each key of a failed batch, is tried again.

    Args:
        error: what it failed of.
        attempts: how often it was tried, this time included.
        patience: of the run.
        now: POSIX seconds.
        chance: keeps many keys from coming back at once.
    """
    if isinstance(error, FixInput):
        return Again(by_itself=False, cause="input", at=None)
    if isinstance(error, FixConfiguration):
        return Again(by_itself=False, cause="configuration", at=now + CONFIGURATION_RETRY_SECONDS)
    tried = attempts >= patience.attempts
    # What is busy passes, and by events alone nobody would tell of it: a later run waits on.
    ends = tried and patience.final if error.reason == BUSY else tried or patience.final
    if ends:
        return Again(by_itself=False, cause="transient", at=now + TRANSIENT_RETRY_SECONDS)
    pause = patience.backoff(attempts, chance)
    if isinstance(error, Unavailable):
        pause = min(max(pause, error.retry_after_seconds), LONGEST_BACKOFF_SECONDS)
    return Again(by_itself=True, cause="transient", at=now + pause)


def scout_seconds(silent_seconds: float) -> float:
    """Return the seconds between two keys that see whether a service answers again.

    An eighth of the time that it has not answered, from a minute to an hour: an outage costs that
    share of its own length at most, and a key that fails for ever is not asked for ever.
    """
    return min(max(silent_seconds / 8, SCOUT_SECONDS), TRANSIENT_RETRY_SECONDS)


def unbegun_seconds(runs: int) -> float:
    """Return the seconds until the next run of a source, after the end of the last one.

    Args:
        runs: its last ones in a row that ended before they began: code that does not load, an
            image that is not there. No key has used up an attempt, so nothing else makes them rare.
    """
    if runs < UNBEGUN_RUNS:
        return 0.0
    return min(UNBEGUN_SECONDS * 2 ** (runs - UNBEGUN_RUNS), LONGEST_UNBEGUN_SECONDS)


def longest_wait(outcome: Outcome) -> float:
    """Return for how many seconds an object that ended so waits for the next try at most."""
    return REREAD_SECONDS if outcome == "skipped" else TRANSIENT_RETRY_SECONDS


def is_due(at: float | None, *, now: float, at_most: float) -> bool:
    """Return whether the time ``at`` has come.

    A time that lies further off than it can have been set, ``at_most`` seconds, is one of a clock
    that was put right since: it counts as now.
    """
    return at is None or at <= now or at > now + at_most + CLOCKS_DIFFER_SECONDS


def busy(message: str) -> Unavailable:
    """Return the error of a document whose record ids another one is about to give up."""
    return Unavailable(message, reason=BUSY, retry_after_seconds=BUSY_RETRY_SECONDS)
