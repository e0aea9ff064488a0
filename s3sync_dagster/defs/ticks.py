"""Chroma as a tick of a sensor meets it: asked once whether it answers, and not waited for.

Dagster's daemon evaluates its sensors one after another: a tick that is patient with a server that
is away keeps those of the whole team waiting.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from s3sync_dagster.model.errors import S3SyncError, Unavailable

if TYPE_CHECKING:
    from s3sync_dagster.engine.listing_turns import ListingParts
    from s3sync_dagster.engine.ports import Collections
    from s3sync_dagster.wiring import Parts

ANSWER_SECONDS = 3.0
"""Refused connections tell in a millisecond; this is for what takes one and says nothing."""
SILENT_SECONDS = 15.0
"""For so long no other tick of this process waits for what has said nothing."""

_silent: dict[str | None, tuple[float, Unavailable]] = {}
"""By address: until when, in monotonic seconds, and what was said."""


class TickChroma:
    """The Chroma of one tick, which is looked for at the first use."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._answers = False
        self.hindrance: str | None = None
        """Why it could not be used, once it was asked."""

    def open(self) -> Collections:
        """Return the collections, of a Chroma that has answered in this tick.

        Raises:
            S3SyncError: none is named, or it does not answer.
        """
        try:
            opened = self._parts.collections
            if not self._answers:
                _ask(self._parts.chroma_address, opened)
        except S3SyncError as error:
            self.hindrance = error.message
            raise
        self._answers = True
        return opened

    def listing(self) -> ListingParts:
        """Return what listings work with in this tick."""
        return replace(self._parts.listing, collections=self.open)

    def told(self, text: str) -> str:
        """Return what a tick says, with why nothing of Chroma was believed in it."""
        return text if self.hindrance is None else f"{text}; {self.hindrance}"


def _ask(address: str | None, collections: Any) -> None:
    until, said = _silent.get(address, (0.0, None))
    began = time.monotonic()
    if said is not None and began < until:
        raise Unavailable(said.message, reason=said.reason)
    _silent.pop(address, None)
    try:
        collections.heartbeat(within=ANSWER_SECONDS)
    except Unavailable as error:
        now = time.monotonic()
        if now - began >= ANSWER_SECONDS / 2:
            _silent[address] = (now + SILENT_SECONDS, error)
        raise
