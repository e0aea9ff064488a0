"""Ids that objects of one batch hand on to each other: each is free once its holder moves on."""

from collections.abc import Callable, Mapping


def who_gets(
    wants: Mapping[str, str], holders: Mapping[str, str], may_take: Callable[[str], bool]
) -> dict[str, bool]:
    """Return key -> whether it gets the id that it wants, if all that can be is handed on.

    A document that is put in front of numbered ones has each take the id of the next: the last gets
    one that is free. In a ring the last gets the first one's. What ends at an id that is refused
    gives up nothing: its text would go and nothing come for it.

    Args:
        wants: key -> the id that it is to have; at most one key wants an id.
        holders: id -> the key that has it, where it may be handed on.
        may_take: whether an id of nobody among the holders can be had as it stands.
    """
    gets: dict[str, bool] = {}
    for first in wants:
        way: dict[str, None] = {}
        key = first
        while key in wants and key not in gets and key not in way:
            way[key] = None
            holder = holders.get(wants[key], key)
            if holder == key:
                gets[key] = may_take(wants[key])
            key = holder
        # An id has one taker: a way that comes back to itself does so to its first key.
        gets.update(dict.fromkeys(way, gets.get(key, key in way)))
    return gets
