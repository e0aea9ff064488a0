"""Ids that objects of one batch hand on to each other, each once its holder is elsewhere."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from s3sync_dagster.core.deed import Deed
from s3sync_dagster.core.keys import document_id
from s3sync_dagster.core.state import DocumentPhase

Place = tuple[str, str]
"""Collection and document id."""


def places_to_come(deed: Deed, *, id_prefix: str) -> dict[str, Place]:
    """Return collection -> where a key's document there is still to be written."""
    return {
        one.collection_name: (
            one.collection_name,
            document_id(deed.key, custom_id=one.custom_id, id_prefix=id_prefix),
        )
        for one in (deed.open_targets if deed.writing else ())
    }


def places_given_up(deed: Deed, *, id_prefix: str) -> set[Place]:
    """Return what a key's documents have now and give up once what it is to have is whole.

    So does one on its way out while no successor of it is known to be whole: until then it may be
    its object's only text.
    """
    known = deed.decision.facts.documents
    whole = {one.collection_name for one in known if one.phase is DocumentPhase.CLEAN}
    to_come = places_to_come(deed, id_prefix=id_prefix) if known else {}
    removals = {one.id for one in deed.decision.removals}
    return {
        (one.collection_name, one.document_id)
        for one in known
        if to_come
        and (one.phase is not DocumentPhase.REMOVING or one.collection_name not in whole)
        and (one.id in removals or one.collection_name in to_come)
    } - set(to_come.values())


def id_aside(source_id: str, key: str) -> str:
    """Return the id under which a key steps aside: one of its own.

    That which it has without any custom id may be another source's, of an object of the same key.
    """
    return hashlib.sha256(f"aside {source_id} {key}".encode(errors="surrogatepass")).hexdigest()


class Turns:
    """The order in which keys of a batch are written, where some wait for the ids of others.

    A document that is put in front of numbered ones has each take the id of the next: the last
    gets one that is free, and then the one before it. Of each ring one key steps aside first: it is
    written under an id that nobody else wants, and what it had is free for the next.

    Args:
        waits: key -> keys that have what it is to have; each of them is to be elsewhere itself.
        sizes: of the objects, in bytes: who steps aside is written twice.
    """

    def __init__(
        self, waits: Mapping[str, Collection[str]], *, sizes: Mapping[str, int] | None = None
    ) -> None:
        self._left = {key: set(holders) for key, holders in waits.items() if holders}
        self._behind = defaultdict[str, list[str]](list)
        for key, holders in self._left.items():
            for holder in holders:
                self._behind[holder].append(key)
        self.aside = _one_of_each_ring(waits, sizes or {})
        """Keys that step aside, each before any other turn."""

    def waits(self, key: str) -> bool:
        """Return whether a key waits for another one still."""
        return key in self._left

    def after(self, gave_up: Iterable[str], *, stay: Iterable[str] = ()) -> list[str]:
        """Return whose turn it is now, each behind whom it waited for.

        Args:
            gave_up: keys that are elsewhere now.
            stay: keys that have kept what they had: all that are behind them, one way or another,
                wait in vain, and hear so in one turn.
        """
        ready: list[str] = []
        for holder in gave_up:
            for key in self._behind.pop(holder, ()):
                if key in self._left:
                    self._left[key].discard(holder)
                    ready += [] if self._left[key] else [key]
        for key in ready:
            del self._left[key]
        in_vain = list(stay)
        for holder in in_vain:
            behind = [one for one in self._behind.pop(holder, ()) if one in self._left]
            for key in behind:
                del self._left[key]
            ready += behind
            in_vain += behind
        return ready


def _one_of_each_ring(waits: Mapping[str, Collection[str]], sizes: Mapping[str, int]) -> list[str]:
    """Return keys without which none waits for itself by way of others.

    Each ring closes with a key that waits for one before it: the smaller of the two steps aside.
    """
    aside: dict[str, None] = {}
    done = set[str]()
    for first in waits:
        way = {first: iter(waits[first])} if first not in done else {}
        while way:
            key, holders = next(reversed(way.items()))
            holder = next(holders, None)
            if holder is None:
                way.popitem()
                done.add(key)
            elif holder in way:
                if not aside.keys() & {key, holder}:
                    aside[min(holder, key, key=lambda one: sizes.get(one, 0))] = None
            elif holder not in done:
                way[holder] = iter(waits.get(holder, ()))
    return list(aside)
