"""Collections that are marked ``finished_ingest``: the contract refuses invocations for them."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from s3sync_dagster.model.errors import Conflict, Unavailable
from s3sync_dagster.model.source import Source

REMEMBER_SECONDS = 60.0
MAX_REMEMBERED = 10_000
Find = Callable[[str, str, str], Mapping[str, Any] | None]
"""Collection, tenant, database -> the collection as Chroma shows it."""


class FinishedCollections:
    """Asks Chroma once a minute and collection, so that requests do not wait for it."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._known: dict[tuple[str, str, str], tuple[bool, float]] = {}
        self._lock = threading.Lock()

    def refuse(self, source: Source, collection_name: str) -> None:
        """Raise ``Conflict`` for a finished collection; the run looks again before it writes."""
        place = (collection_name, source.tenant, source.database_name)
        now = time.monotonic()
        with self._lock:
            finished, until = self._known.get(place, (False, 0.0))
        if until <= now:
            finished = self._ask(place)
            with self._lock:
                if len(self._known) >= MAX_REMEMBERED:
                    self._known.clear()
                self._known[place] = (finished, now + REMEMBER_SECONDS)
        if finished:
            raise Conflict(
                f"The collection {collection_name!r} is marked finished_ingest: nothing is added "
                "to it any more. Name another one in target_collection_name.",
                reason="finished_ingest",
            )

    def _ask(self, place: tuple[str, str, str]) -> bool:
        try:
            found = self._find(*place)
        except Unavailable:
            return False  # an outage of Chroma is no reason to refuse work that can wait
        return ((found or {}).get("metadata") or {}).get("finished_ingest") is True
