"""Filters are as large as questions need, and no larger."""

from typing import Any

import pytest

from s3sync_dagster.core.filters import MAX_CHARACTERS, MAX_DEPTH, MAX_PARTS, require_bounded
from s3sync_dagster.model.errors import InvalidSetting


def deep(levels: int) -> dict[str, Any]:
    """Return a filter with so many braces and brackets within each other."""
    made: Any = 1
    for level in reversed(range(levels)):
        made = [made] if level % 2 else {"$and": made}
    return made


@pytest.mark.parametrize(
    "where",
    [
        None,
        {},
        {"language": "python"},
        {"$and": [{"a": {"$gt": 1}}, {"$or": [{"b": True}, {"c": {"$in": ["x"] * 400}}]}]},
        {"a": "x" * (MAX_CHARACTERS - 1)},
        deep(MAX_DEPTH),
    ],
)
def test_filters_of_people_pass(where):
    require_bounded(where)


@pytest.mark.parametrize(
    "where",
    [
        {"$or": [{"a": 1}] * 40_000},
        {"a": {"$in": list(range(MAX_PARTS))}},
        {str(n): n for n in range(MAX_PARTS)},
        {"$or": [[]] * MAX_PARTS},
        {"a": "x" * MAX_CHARACTERS},
        {"a": {"$in": ["x" * 100] * 200}},
        deep(MAX_DEPTH + 1),
        deep(100_000),
    ],
)
def test_filters_that_cost_too_much_are_refused(where):
    with pytest.raises(InvalidSetting) as caught:
        require_bounded(where)
    assert caught.value.reason == "invalid_filter"
