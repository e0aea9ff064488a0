"""Filters are as large as questions need, and no larger."""

import math
from typing import Any

import pytest

from s3sync_dagster.core.filters import (
    MAX_CHARACTERS,
    MAX_DEPTH,
    MAX_PARTS,
    matches,
    require_filter,
)
from s3sync_dagster.model.errors import InvalidSetting


def deep(levels: int) -> dict[str, Any]:
    """Return a filter with so many braces and brackets within each other."""
    made: dict[str, Any] = {"a": 1} if levels % 2 else {"a": {"$eq": 1}}
    for _ in range((levels - 1) // 2):
        made = {"$and": [made]}
    return made


@pytest.mark.parametrize(
    "where",
    [
        None,
        {"language": "python"},
        {"$and": [{"a": {"$gt": 1}}, {"$or": [{"b": True}, {"c": {"$in": ["x"] * 400}}]}]},
        {"a": "x" * (MAX_CHARACTERS - 1)},
        deep(MAX_DEPTH),
    ],
)
def test_filters_of_people_pass(where):
    require_filter(where)


@pytest.mark.parametrize(
    "where",
    [
        {"$or": [{"a": 1}] * 40_000},
        {"a": {"$in": list(range(MAX_PARTS))}},
        {str(n): n for n in range(MAX_PARTS)},
        {"$or": [[]] * MAX_PARTS},
        {"a": "x" * MAX_CHARACTERS},
        {"a": {"$in": ["x" * 100] * 200}},
        {"$and": []},
        {"$or": [{"a": 1}, {"$and": []}]},
        deep(MAX_DEPTH + 1),
        deep(100_000),
    ],
)
def test_filters_that_cost_too_much_are_refused(where):
    with pytest.raises(InvalidSetting) as caught:
        require_filter(where)
    assert caught.value.reason == "invalid_filter"


@pytest.mark.parametrize(
    "where",
    [
        {"a": {"$in": list(range(MAX_PARTS - 4))}},
        {"a": "x" * (MAX_CHARACTERS - 1)},
        deep(MAX_DEPTH - 1),
    ],
)
def test_filters_as_large_as_they_may_be_pass(where):
    require_filter(where)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ([], "exactly one key"),
        ({}, "exactly one key"),
        ({"a": 1, "b": 2}, "exactly one key"),
        ({"$and": {"a": 1}}, "takes a list of filters"),
        ({"$or": [{"a": 1}, {"b": 1, "c": 1}]}, "exactly one key"),
        ({"$not": [{"a": 1}]}, "names of metadata"),
        ({"#document": "x"}, "names of metadata"),
        ({1: 1}, "names of metadata"),
        ({"half \ud800": 1}, "names of metadata"),
        ({"a": {}}, "one operator"),
        ({"a": {"$gt": 1, "$lt": 3}}, "one operator"),
        ({"a": {"$like": "x"}}, "one operator"),
        ({"a": {"$in": []}}, "values of one kind"),
        ({"a": {"$in": "x"}}, "values of one kind"),
        ({"a": {"$nin": [1, "x"]}}, "values of one kind"),
        ({"a": {"$gt": "x"}}, "takes a number"),
    ],
    ids=ascii,
)
def test_what_is_no_filter_is_refused_with_what_one_has(where, said):
    with pytest.raises(InvalidSetting, match=said) as caught:
        require_filter(where)
    assert caught.value.reason == "invalid_filter"


@pytest.mark.parametrize("number", [-(2**63), 2**63 - 1])
def test_integers_are_as_large_as_those_of_chroma(number):
    require_filter({"a": number})
    for beyond in (number - 1, number + 1):
        if abs(beyond) > abs(number):
            with pytest.raises(InvalidSetting):
                require_filter({"a": beyond})


RECORD = {"n": 3, "text": "blue", "tags": ["a", "b"], "yes": True}


@pytest.mark.parametrize(
    ("where", "met"),
    [
        ({"text": "blue"}, True),
        ({"n": {"$eq": 3.0}}, True),
        ({"n": {"$in": [3.0]}}, True),
        ({"n": {"$ne": 3.0}}, False),
        ({"n": "3"}, False),
        ({"yes": 1}, False),
        ({"n": {"$ne": 3}}, False),
        ({"lacks": {"$ne": 3}}, True),
        ({"n": {"$gt": 2}}, True),
        ({"n": {"$gt": 3}}, False),
        ({"n": {"$gte": 3}}, True),
        ({"n": {"$gte": 4}}, False),
        ({"n": {"$lt": 4}}, True),
        ({"n": {"$lt": 3}}, False),
        ({"n": {"$lte": 3}}, True),
        ({"n": {"$lte": 2}}, False),
        ({"yes": {"$gt": 0}}, False),
        ({"lacks": {"$lte": 3}}, False),
        ({"text": {"$in": ["red", "blue"]}}, True),
        ({"text": {"$in": ["red"]}}, False),
        ({"text": {"$nin": ["red"]}}, True),
        ({"text": {"$nin": ["red", "blue"]}}, False),
        ({"tags": {"$contains": "b"}}, True),
        ({"tags": {"$contains": "c"}}, False),
        ({"text": {"$contains": "b"}}, False),
        ({"tags": {"$not_contains": "b"}}, False),
        ({"tags": {"$not_contains": "c"}}, True),
        ({"$and": [{"n": 3}, {"text": "blue"}]}, True),
        ({"$and": [{"n": 3}, {"text": "red"}]}, False),
        ({"$or": [{"n": 4}, {"text": "blue"}]}, True),
        ({"$or": [{"n": 4}, {"text": "red"}]}, False),
    ],
)
def test_filters_hold_as_a_server_s_do(where, met):
    assert matches(RECORD, where) is met


@pytest.mark.parametrize(
    "where",
    [
        {},
        {"#document": {"$contains": "x"}},
        {"n": math.nan},
        {"n": {"$gt": math.inf}},
        {"n": {"$in": [1.0, -math.inf]}},
        {"n": "half \ud800"},
        {"half \udfff": 1},
        {"n": {5}},
        {5: 1},
    ],
)
def test_what_words_and_chroma_cannot_both_be_asked_is_refused(where):
    with pytest.raises(InvalidSetting) as caught:
        require_filter(where)
    assert caught.value.reason == "invalid_filter"
