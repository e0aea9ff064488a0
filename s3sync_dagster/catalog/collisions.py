"""Transactions that the database ended because of another one: they are done again."""

import functools
import time
from collections.abc import Callable
from typing import Any, TypeVar

from s3sync_dagster.catalog.database import Collided

TRIES = 6
FIRST_PAUSE_SECONDS = 0.01

C = TypeVar("C")


def again_after_collisions(door: type[C]) -> type[C]:
    """Let each public method of a door be done again when its transaction has met another one.

    Each of them is one transaction, or several of which each is whole: what the database has
    rolled back may be done again as if it had never begun. In the end ``Unavailable`` leaves.
    """
    for name, method in list(vars(door).items()):
        if callable(method) and not name.startswith("_"):
            setattr(door, name, _again(method))
    return door


def _again(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*arguments: Any, **options: Any) -> Any:
        for attempt in range(1, TRIES):
            try:
                return method(*arguments, **options)
            except Collided as error:
                if error.given_up:
                    raise
                time.sleep(FIRST_PAUSE_SECONDS * 2**attempt)
        try:
            return method(*arguments, **options)
        except Collided as error:
            error.given_up = True  # who called this method from another one does not begin again
            raise

    return call
