"""What is told of objects, weighed against what is known of them."""

import pytest

from s3sync_dagster.core.news import (
    beyond_limit,
    doubted,
    limited,
    outdated_news,
    unchanged_since,
)
from s3sync_dagster.core.state import ObjectState
from s3sync_dagster.model.object import ObjectRef


def known(key="a", **values):
    start = {"etag": "e1", "size": 1}
    return ObjectState(source_id="s", object_key=key, partition_key=key, **{**start, **values})


def ref(key="a", etag="e1", **values):
    return ObjectRef(key=key, etag=etag, size=7, **values)


@pytest.mark.parametrize(
    ("before", "sequencer", "old"),
    [
        ("00B2", "00B1", True),
        ("00B1", "00B1", False),
        ("00B1", "00B2", False),
        ("0B2", "00B1", False),  # AWS has said different things of unequal lengths
        ("00b2", "00B1", True),
        ("zzz2", "zzz1", False),  # no hexadecimal number: not to be compared
        ("", "00B1", False),
        (None, "00B1", False),
        (None, "", False),
        ("", "", False),
    ],
)
def test_an_event_is_old_news_when_a_later_one_was_told(before, sequencer, old):
    found = outdated_news({"a": known(sequencer=before)}, {"a": sequencer})
    assert found == ({"a"} if old else set())


def test_of_what_is_not_known_nothing_is_old():
    assert outdated_news({"b": known("b", sequencer="FF")}, {"a": "00"}) == set()


@pytest.mark.parametrize(
    ("state", "told", "doubt"),
    [
        (known(), ref(), False),
        (known(etag="e0"), ref(), True),
        (known(etag="e0", outcome="failed", outcome_etag="e0"), ref(), True),
        (known(etag="e0", outcome="indexed", outcome_etag="older"), ref(), True),
        (known(etag="e0", outcome="indexed", outcome_etag="e0"), ref(), False),
        (known(gone=True), ref(), True),
        (known(gone=True, outcome="indexed", outcome_etag="e1"), ref(), True),
        (known("b", etag="e0"), ref(), False),
    ],
)
def test_an_etag_that_something_contradicts_is_asked_for_again(state, told, doubt):
    [(found, skip)] = doubted({state.object_key: state}, [(told, "too_large")])
    assert skip == "too_large"
    assert found == (ObjectRef(key="a", etag="", size=-1) if doubt else told)


def test_what_was_told_of_another_key_stays_as_it_is():
    told = [(ref("b", "e9"), None), (ref("a", "e9"), None)]
    assert doubted({"b": known("b")}, told) == [
        (ObjectRef(key="b", etag="", size=-1), None),
        told[1],
    ]


@pytest.mark.parametrize(
    ("now", "asked", "stored"),
    [
        (known(), known(), True),
        (known(), known(etag="e0"), False),  # older news came meanwhile
        (known(etag="", told_count=2), known(etag="", told_count=1), False),  # newer news
        (known(), None, False),  # it was made meanwhile
        (known(gone=True), known(), False),  # it went meanwhile
        (known(gone=True), known(gone=True), True),
        (known(gone=True, told_count=2), known(gone=True), False),  # it came and went
        (known(gone=True), None, False),
        (None, None, True),
        (None, known(), False),
        (None, known(gone=True), True),  # forgotten meanwhile
    ],
)
def test_an_answer_is_stored_where_nothing_was_told_since_the_question(now, asked, stored):
    told = [(ref(etag="answer"), None)]
    found = unchanged_since({} if now is None else {"a": now}, told, {"a": asked})
    assert found == (told if stored else [])


def test_a_key_that_was_not_asked_for_counts_as_not_known():
    assert unchanged_since({}, [(ref(), None)], {}) == [(ref(), None)]
    assert unchanged_since({"a": known()}, [(ref(), None)], {}) == []


@pytest.mark.parametrize(
    ("before", "limit", "beyond"),
    [(0, None, False), (10**9, None, False), (2, 3, False), (3, 3, True), (4, 3, True)],
)
def test_a_limit_takes_the_first_so_many(before, limit, beyond):
    assert beyond_limit(before, limit) is beyond


def test_only_what_selection_takes_is_left_out_by_the_limit():
    told = [(ref("a"), None), (ref("b"), "too_large"), (ref("c"), None), (ref("d"), None)]
    found = limited(told, limit=2, before={"a": 1, "b": 5, "c": 2})
    assert found == [
        (ref("a"), None),
        (ref("b"), "too_large"),
        (ref("c"), "document_limit"),
        (ref("d"), None),
    ]
    assert limited(told, limit=None, before={"c": 9}) == told
