"""When a run ends in failure: a table of what happened to its keys."""

import pytest

from s3sync_dagster.core.alarm import is_news, is_repeated, run_fails
from s3sync_dagster.core.outcome import KeyOutcome
from s3sync_dagster.core.state import ObjectState
from s3sync_dagster.model.invocation import Result


def known(**values) -> ObjectState:
    plain = {"source_id": "one", "object_key": "a", "partition_key": "a", "etag": "2", "size": 1}
    return ObjectState(**plain, **values)


def ended(result=Result.FAILED, etag="2") -> KeyOutcome:
    return KeyOutcome(key="a", result=result, etag=etag)


@pytest.mark.parametrize(
    ("outcome", "before", "news"),
    [
        (ended(), None, True),
        (ended(), known(), True),
        (ended(), known(outcome="indexed", outcome_etag="1"), True),
        (ended(), known(outcome="indexed", outcome_etag="2"), True),
        (ended(), known(outcome="failed", outcome_etag="1"), True),
        (ended(), known(outcome="failed", outcome_etag="2"), False),
        (ended(Result.PENDING), None, False),
        (ended(Result.INDEXED), None, False),
        (ended(Result.INDEXED), known(outcome="failed", outcome_etag="2"), False),
    ],
)
def test_news_is_a_version_that_had_not_failed_before(outcome, before, news):
    assert is_news(outcome, before) is news


@pytest.mark.parametrize(
    ("result", "outcome", "etag", "before", "repeated"),
    [
        (Result.UNCHANGED, "indexed", "2", known(outcome="indexed", outcome_etag="2"), True),
        (Result.SKIPPED, "skipped", "2", known(outcome="skipped", outcome_etag="2"), True),
        (Result.SKIPPED, "skipped", "2", known(outcome="indexed", outcome_etag="2"), False),
        (Result.UNCHANGED, "indexed", "2", known(outcome="indexed", outcome_etag="1"), False),
        (Result.UNCHANGED, "indexed", "2", known(), False),
        (Result.UNCHANGED, "indexed", "2", None, False),
        (Result.UPDATED, "indexed", "2", known(outcome="indexed", outcome_etag="2"), False),
    ],
)
def test_what_ended_as_before_is_no_news_downstream(result, outcome, etag, before, repeated):
    ended = KeyOutcome(key="a", result=result, outcome=outcome, etag=etag)
    assert is_repeated(ended, before) is repeated


@pytest.mark.parametrize(
    ("asked", "done", "failed", "pending", "news", "limit", "fails"),
    [
        (False, 9, 0, 0, 0, 1, False),
        (False, 9, 1, 0, 1, 1, True),
        (False, 9, 1, 0, 0, 1, False),  # the damaged file that everybody knows
        (False, 0, 1, 0, 0, 1, False),
        (False, 9, 2, 0, 2, 3, False),
        (False, 9, 3, 0, 3, 3, True),
        (False, 0, 9, 0, 9, 0, False),
        (False, 9, 0, 1, 0, 1, False),  # it is tried again by itself
        (False, 0, 0, 5, 0, 1, True),  # an outage
        (False, 0, 0, 5, 0, 0, True),
        (True, 9, 1, 0, 0, 0, True),  # a person waits for just this partition
        (True, 9, 0, 1, 0, 0, True),
        (True, 9, 0, 0, 0, 1, False),
    ],
)
def test_a_run_fails_for_what_is_new_and_for_what_a_person_asked(
    asked, done, failed, pending, news, limit, fails
):
    told = run_fails(asked=asked, done=done, failed=failed, pending=pending, news=news, limit=limit)
    assert told is fails
