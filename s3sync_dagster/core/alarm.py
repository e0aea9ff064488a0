"""Whether a run ends in failure: for what is new, not for what is known to be bad.

A real bucket always has a damaged file. Runs that fail for it each time would tell nobody anything;
its own partition, a check and the catalog tell of it all the time.
"""

from s3sync_dagster.core.outcome import KeyOutcome
from s3sync_dagster.core.state import ObjectState
from s3sync_dagster.model.invocation import Result


def is_news(outcome: KeyOutcome, known: ObjectState | None) -> bool:
    """Return whether a key has failed for good that had not, in this version of its object.

    Args:
        outcome: how it ended in this batch.
        known: the object as the batch found it; None: it was not known.
    """
    if outcome.result is not Result.FAILED:
        return False
    return known is None or known.outcome != "failed" or known.outcome_etag != outcome.etag


def is_repeated(outcome: KeyOutcome, known: ObjectState | None) -> bool:
    """Return whether a key ended as it had ended before, so that nothing was made."""
    if outcome.result not in (Result.UNCHANGED, Result.SKIPPED) or known is None:
        return False
    return known.outcome == outcome.outcome and known.outcome_etag == outcome.etag


def run_fails(*, asked: bool, done: int, failed: int, pending: int, news: int, limit: int) -> bool:
    """Return whether a run ends in failure.

    Args:
        asked: a person or a backfill launched it for partitions; each of them counts.
        done: keys that ended well.
        failed: keys that failed for good.
        pending: keys that are tried again by themselves.
        news: those of ``failed`` that had not failed before.
        limit: so many news and more fail a run (``Source.run_fails_from``); 0: none does.
    """
    if asked:
        return failed + pending > 0
    if pending and not done:
        return True  # whatever all need does not answer
    return limit > 0 and news >= limit
