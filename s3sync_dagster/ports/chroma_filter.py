"""A filter as Chroma is asked: numbers with a fraction mean what they say beside whole ones."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

_TAKES_MORE = {True: ("$gte", "$eq"), False: ("$lte", "$eq")}
_LEAVES_OUT = {True: ("$lt", "$ne"), False: ("$gt", "$ne")}
"""By whether the number is above 0: operators for which Chroma 1.5, which cuts the fraction off
where a record has a whole number, takes the number that is left, or leaves it out, in error."""


def as_chroma_is_asked(where: Mapping[str, Any]) -> dict[str, Any]:
    """Return a filter that has Chroma find what ``core.filters.matches`` says of this one.

    Args:
        where: a filter of the right shape; any other comes back as it is, for Chroma to refuse.
    """
    if len(where) != 1:
        return dict(where)
    ((key, condition),) = where.items()
    if key in ("$and", "$or"):
        if not isinstance(condition, list | tuple):
            return dict(where)
        parts = cast("Sequence[Any]", condition)
        if not all(isinstance(one, Mapping) for one in parts):
            return dict(where)
        return {key: [as_chroma_is_asked(one) for one in parts]}
    if not isinstance(condition, Mapping):
        condition = {"$eq": condition}
    operators = cast("Mapping[str, Any]", condition)
    if len(operators) != 1:
        return dict(where)
    ((operator, wanted),) = operators.items()
    if operator in ("$in", "$nin") and isinstance(wanted, list | tuple):
        return _listed(key, operator, cast("Sequence[Any]", wanted)) or dict(where)
    return _single(key, operator, wanted) or dict(where)


def _listed(key: str, operator: str, wanted: Sequence[Any]) -> dict[str, Any] | None:
    if not any(map(_has_fraction, wanted)):
        return None
    one, join = ("$eq", "$or") if operator == "$in" else ("$ne", "$and")
    parts = [_single(key, one, value) or {key: {one: value}} for value in wanted]
    return {join: parts} if len(parts) > 1 else parts[0]


def _single(key: str, operator: str, wanted: Any) -> dict[str, Any] | None:
    if not _has_fraction(wanted):
        return None
    asked = {key: {operator: wanted}}
    if operator in _TAKES_MORE[wanted > 0]:
        return {"$and": [asked, {key: {"$ne": int(wanted)}}]}
    if operator in _LEAVES_OUT[wanted > 0]:
        return {"$or": [asked, {key: {"$eq": int(wanted)}}]}
    return None


def _has_fraction(value: Any) -> bool:
    return isinstance(value, float) and not value.is_integer()
