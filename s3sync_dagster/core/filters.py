"""Chroma's metadata filter: how large one may be, and what it means, decided without Chroma."""

from collections.abc import Callable, Mapping
from typing import Any, cast

from s3sync_dagster.model.errors import InvalidSetting

MAX_PARTS = 500
"""Names and values, braces and brackets. Chroma compiles a filter recursively: 10,000 terms of
one ``$or`` are HTTP 500 on a single node, 30,000 end its process (measured)."""
MAX_DEPTH = 16
"""Braces and brackets within each other; each ``$and`` or ``$or`` opens two."""
MAX_CHARACTERS = 16_384
"""Of all names and texts together."""


def require_bounded(where: Mapping[str, Any] | None) -> None:
    """Refuse a filter that costs the server of all tenants more than a question may.

    Raises:
        InvalidSetting: too many parts, too deep, or too long (``invalid_filter``).
    """
    level: list[Any] = [] if where is None else [where]
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


def matches(metadata: Mapping[str, Any], where: Mapping[str, Any]) -> bool:
    """Return whether metadata meets a filter, by the rules of a Chroma server.

    Types are strict (1 is not 1.0 and no ``True``), ``$contains`` looks into arrays only, and
    what a record lacks differs from everything.

    Raises:
        InvalidSetting: the filter is not one that Chroma understands (``invalid_filter``).
    """
    if len(where) != 1:
        raise InvalidSetting(
            "a filter has exactly one key; join several with $and", reason="invalid_filter"
        )
    ((key, condition),) = where.items()
    if key in ("$and", "$or"):
        parts = [matches(metadata, part) for part in condition]
        return all(parts) if key == "$and" else any(parts)
    if not isinstance(condition, Mapping):
        condition = {"$eq": condition}
    operators = cast("Mapping[str, Any]", condition)
    if key.startswith("$") or len(operators) != 1 or next(iter(operators)) not in _OPERATORS:
        raise InvalidSetting(
            "the filter is not one that Chroma understands", reason="invalid_filter"
        )
    ((operator, wanted),) = operators.items()
    return _OPERATORS[operator](metadata.get(key), wanted)


def _equal(value: Any, wanted: Any) -> bool:
    return type(value) is type(wanted) and value == wanted


def _contains(value: Any, wanted: Any) -> bool:
    return isinstance(value, list) and any(
        _equal(item, wanted) for item in cast("list[Any]", value)
    )


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "$eq": _equal,
    "$ne": lambda value, wanted: not _equal(value, wanted),
    "$gt": lambda value, wanted: _number(value) and value > wanted,
    "$gte": lambda value, wanted: _number(value) and value >= wanted,
    "$lt": lambda value, wanted: _number(value) and value < wanted,
    "$lte": lambda value, wanted: _number(value) and value <= wanted,
    "$in": lambda value, wanted: any(_equal(value, one) for one in wanted),
    "$nin": lambda value, wanted: not any(_equal(value, one) for one in wanted),
    "$contains": _contains,
    "$not_contains": lambda value, wanted: not _contains(value, wanted),
}
