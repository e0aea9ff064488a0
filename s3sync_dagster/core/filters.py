"""Chroma's metadata filter: how large one may be, and what it means, decided without Chroma."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from s3sync_dagster.model.errors import InvalidSetting

MAX_PARTS = 500
"""Names and values, braces and brackets. Chroma compiles a filter recursively: 10,000 terms of
one ``$or`` are HTTP 500 on a single node, 30,000 end its process (measured)."""
MAX_DEPTH = 16
"""Braces and brackets within each other; each ``$and`` or ``$or`` opens two."""
MAX_CHARACTERS = 16_384
"""Of all names and texts together."""


def require_filter(where: Mapping[str, Any] | None) -> None:
    """Refuse what is no filter of Chroma's, and what costs the server of all tenants too much.

    Chroma's own refusals are not waited for: a ranking by words never asks it, and numbers that
    JSON does not have cannot be sent.

    Raises:
        InvalidSetting: too many parts, too deep, too long, or no filter (``invalid_filter``).
    """
    if where is not None:
        _require_bounded(where)
        require_shape(where)


def _require_bounded(where: Mapping[str, Any]) -> None:
    level: list[Any] = [where]
    parts = characters = depth = 0
    while level:
        within: list[Any] = []
        for value in level:
            if isinstance(value, Mapping):
                named = cast("Mapping[str, Any]", value)
                within += [*named.keys(), *named.values()]
            elif isinstance(value, list | tuple):
                within += cast("list[Any]", value)
            elif isinstance(value, str):
                characters += len(value)
        parts += len(within)
        # Level by level: what is too large is refused before the rest of it is walked.
        if parts > MAX_PARTS or characters > MAX_CHARACTERS or depth > MAX_DEPTH:
            raise InvalidSetting(
                f"a filter has at most {MAX_PARTS} names and values, {MAX_DEPTH} levels of "
                f"nesting and {MAX_CHARACTERS} characters",
                reason="invalid_filter",
            )
        level = within
        depth += 1


def require_shape(where: Any) -> None:
    """Refuse what is no filter of Chroma's, however large it may be.

    Raises:
        InvalidSetting: it is none (``invalid_filter``).
    """
    if not isinstance(where, Mapping) or len(cast("Mapping[Any, Any]", where)) != 1:
        raise _invalid("it has exactly one key; join several with $and")
    ((key, condition),) = cast("Mapping[Any, Any]", where).items()
    if key in _JOINING:
        if not isinstance(condition, list | tuple) or not condition:
            raise _invalid(f"{key} takes a list of filters, at least one")
        for part in cast("Sequence[Any]", condition):
            require_shape(part)
        return
    if not isinstance(key, str) or key.startswith("$") or key == _TEXT or not _encodable(key):
        raise _invalid("its keys are names of metadata, $and or $or")
    if not isinstance(condition, Mapping):
        condition = {"$eq": condition}
    operators = cast("Mapping[Any, Any]", condition)
    if len(operators) != 1 or next(iter(operators)) not in _OPERATORS:
        raise _invalid(f"a key has one operator of {', '.join(_OPERATORS)}")
    ((operator, wanted),) = operators.items()
    if operator in _LISTS:
        values: list[Any] = []
        if isinstance(wanted, list | tuple):
            values += cast("Sequence[Any]", wanted)
        if not values or any(type(one) is not type(values[0]) for one in values):
            raise _invalid(f"{operator} takes a list of values of one kind")
    else:
        values = [wanted]
    if not all(map(_is_value, values)):
        raise _invalid("its values are texts, numbers that JSON has, true and false")
    if operator in _NUMBERS and not all(map(_is_number, values)):
        raise _invalid(f"{operator} takes a number")


def matches(metadata: Mapping[str, Any], where: Mapping[str, Any]) -> bool:
    """Return whether metadata meets a filter that ``require_filter`` takes, as Chroma has it.

    3 is 3.0 and neither ``True`` nor ``"3"``; ``$contains`` looks into arrays only, and there 3 is
    not 3.0; what a record lacks differs from everything.
    """
    ((key, condition),) = where.items()
    if key in _JOINING:
        return _JOINING[key](matches(metadata, part) for part in condition)
    if not isinstance(condition, Mapping):
        condition = {"$eq": condition}
    ((operator, wanted),) = cast("Mapping[str, Any]", condition).items()
    return _OPERATORS[operator](metadata.get(key), wanted)


def _invalid(why: str) -> InvalidSetting:
    return InvalidSetting(f"this is no filter of Chroma's: {why}", reason="invalid_filter")


def _is_value(value: Any) -> bool:
    if isinstance(value, str):
        return _encodable(value)
    if isinstance(value, int):  # true and false too
        return -(2**63) <= value < 2**63
    return isinstance(value, float) and math.isfinite(value)


def _encodable(text: str) -> bool:
    """Tell whether UTF-8 can express a text: halves of surrogate pairs come over JSON."""
    return not any("\ud800" <= one <= "\udfff" for one in text)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _equal(value: Any, wanted: Any) -> bool:
    alike = type(value) is type(wanted) or (_is_number(value) and _is_number(wanted))
    return alike and not isinstance(value, list) and value == wanted


def _contains(value: Any, wanted: Any) -> bool:
    return isinstance(value, list) and any(
        type(item) is type(wanted) and item == wanted for item in cast("list[Any]", value)
    )


_JOINING: dict[str, Callable[[Iterable[bool]], bool]] = {"$and": all, "$or": any}
_TEXT = "#document"
"""Chroma's name of a record's text, which is no metadata and which words alone do not look up."""
_LISTS = ("$in", "$nin")
_NUMBERS = ("$gt", "$gte", "$lt", "$lte")
_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": _equal,
    "$ne": lambda value, wanted: not _equal(value, wanted),
    "$gt": lambda value, wanted: _is_number(value) and value > wanted,
    "$gte": lambda value, wanted: _is_number(value) and value >= wanted,
    "$lt": lambda value, wanted: _is_number(value) and value < wanted,
    "$lte": lambda value, wanted: _is_number(value) and value <= wanted,
    "$in": lambda value, wanted: any(_equal(value, one) for one in wanted),
    "$nin": lambda value, wanted: not any(_equal(value, one) for one in wanted),
    "$contains": _contains,
    "$not_contains": lambda value, wanted: not _contains(value, wanted),
}
