"""Ids that objects of one batch hand on to each other: each is free once its holder moves on."""

from collections.abc import Callable, Mapping
from typing import Literal

Turn = int | Literal["ring"] | None
"""When a key gets the id that it wants: behind so many others, with those of a ring, or never."""


def turns(
    wants: Mapping[str, str], holders: Mapping[str, str], may_take: Callable[[str], bool]
) -> dict[str, Turn]:
    """Return key -> when it gets the id that it wants, if all that can be is handed on.

    A document that is put in front of numbered ones has each take the id of the next: the last gets
    one that is free, and then the one before it. In a ring the last gets the first one's. What ends
    at an id that is refused gives up nothing.

    Args:
        wants: key -> the id that it is to have; at most one key wants an id.
        holders: id -> the key that has it, where it may be handed on.
        may_take: whether an id of nobody among the holders can be had as it stands.
    """
    found: dict[str, Turn] = {}
    for first in wants:
        way: list[str] = []
        on_way: set[str] = set()
        key = first
        while key in wants and key not in found and key not in on_way:
            way.append(key)
            on_way.add(key)
            holder = holders.get(wants[key], key)
            if holder == key:
                found[key] = 0 if may_take(wants[key]) else None
            key = holder
        # An id has one taker: a way that comes back to itself does so to its first key.
        turn: Turn = found.get(key, "ring" if key in on_way else None)
        for one in reversed(way):
            if one not in found:
                turn = turn + 1 if isinstance(turn, int) else turn
                found[one] = turn
    return found
