"""Statements that are built once: to build one costs more than to run it."""

from collections.abc import Callable
from functools import wraps
from inspect import Parameter, signature
from typing import Any, ParamSpec, TypeVar

import sqlalchemy as sa

P = ParamSpec("P")
S = TypeVar("S")


def built_once(build: Callable[P, S]) -> Callable[P, tuple[S, dict[str, Any]]]:
    """Let a statement be built at its first use, with a place for each of its values.

    Its caller gets what ``execute`` takes, the statement and the values of its places:
    ``tx.execute(*of_key(source_id, key))``. What comes by name shapes the statement: each shape is
    built once. A place is filled as any value is: it never says ``IS NULL``.
    """
    parameters = signature(build).parameters.values()
    # Not the names themselves: in an INSERT or UPDATE those of columns say what is set.
    places = [f"given_{one.name}" for one in parameters if one.kind is not Parameter.KEYWORD_ONLY]
    built: dict[tuple[tuple[str, Any], ...], S] = {}

    @wraps(build)
    def statement(*values: P.args, **shape: P.kwargs) -> tuple[S, dict[str, Any]]:
        known = built.get(key := tuple(shape.items()))
        if known is None:
            takes: Any = build
            known = built[key] = takes(*map(sa.bindparam, places), **shape)
        return known, dict(zip(places, values, strict=True))

    return statement
