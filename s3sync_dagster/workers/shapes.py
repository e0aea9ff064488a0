"""Whether a value is of a type, as deep as the type says.

For values that a worker has sent: nothing of them is what its annotation says before this was
asked.
"""

import functools
from collections.abc import Callable
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

MOST = 2**31 - 1
"""Greatest number that a worker may name: a place in a document, a count of pages."""

Check = Callable[[Any], bool]


def is_of(value: object, hint: object) -> bool:
    """Return whether a value is exactly of a type: no subclass, no number too large."""
    return check_of(hint)(value)


@functools.cache
def check_of(hint: Any) -> Check:
    """Return what tells for one type. Raises ``TypeError`` for types that no reply has."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is int:
        return lambda value: type(value) is int and 0 <= value <= MOST
    if hint in (None, NoneType):
        return lambda value: value is None
    if isinstance(hint, type) and origin is None:
        return lambda value: type(value) is hint
    if origin in (Union, UnionType):
        return _any_of([check_of(one) for one in inner])
    if origin is Literal:
        return lambda value: type(value) is str and value in inner
    if origin is tuple and inner[1:] != (...,):
        return _row([check_of(one) for one in inner])
    if origin in (tuple, list, frozenset, set):
        return _many(origin, inner[0])
    if origin is dict:
        keys, values = map(check_of, inner)
        return lambda value: (
            type(value) is dict and all(keys(key) and values(of) for key, of in value.items())
        )
    raise TypeError(f"No reply holds {hint!r}.")


def _any_of(checks: list[Check]) -> Check:
    return lambda value: any(check(value) for check in checks)


def _row(checks: list[Check]) -> Check:
    return lambda value: (
        type(value) is tuple
        and len(value) == len(checks)
        and all(check(one) for check, one in zip(checks, value, strict=True))
    )


def _many(kind: type, hint: Any) -> Check:
    if isinstance(hint, type) and get_origin(hint) is None and hint is not int:
        only = {hint}
        return lambda value: type(value) is kind and only.issuperset(map(type, value))
    check = check_of(hint)
    return lambda value: type(value) is kind and all(map(check, value))
