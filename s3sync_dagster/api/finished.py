"""Collections that are marked ``finished_ingest``: the contract refuses invocations for them."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from s3sync_dagster.model.errors import Conflict, S3SyncError
from s3sync_dagster.model.source import Source

_log = logging.getLogger(__name__)

REMEMBER_SECONDS = 60.0
WAIT_SECONDS = 1.0
"""How long the first request for a collection waits for Chroma; later ones never do."""
MAX_REMEMBERED = 10_000
Find = Callable[[str, str, str], Mapping[str, Any] | None]
"""Collection, tenant, database -> the collection as Chroma shows it."""
_Place = tuple[str, str, str]


@dataclass(slots=True)
class _Known:
    finished: bool
    asked_at: float
    asking: Future[bool] | None


class FinishedCollections:
    """Asks Chroma once a minute and collection, beside the requests.

    An outage of Chroma is no reason to refuse work that can wait: what is not known in time
    counts as not finished. The run looks again before it writes.
    """

    def __init__(self, find: Find) -> None:
        self._find = find
        self._known: dict[_Place, _Known] = {}
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="finished")

    def refuse(self, source: Source, collection_name: str) -> None:
        """Raise ``Conflict`` for a finished collection."""
        place = (collection_name, source.tenant, source.database_name)
        if self._finished(place):
            raise Conflict(
                f"The collection {collection_name!r} is marked finished_ingest: nothing is added "
                "to it any more. Name another one in target_collection_name.",
                reason="finished_ingest",
            )

    def known(self, source: Source, collection_name: str) -> bool:
        """Return whether ``refuse`` answers without waiting for Chroma."""
        return (collection_name, source.tenant, source.database_name) in self._known

    def close(self) -> None:
        """Let questions that hang end by themselves."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _finished(self, place: _Place) -> bool:
        now = time.monotonic()
        with self._lock:
            known = self._known.get(place)
            first = known is None
            if known is None:
                if len(self._known) >= MAX_REMEMBERED:
                    self._known.clear()
                known = self._known[place] = _Known(False, now, self._ask(place))
            elif known.asking is not None and known.asking.done():
                known.finished, known.asking = known.asking.result(), None
            elif known.asking is None and now - known.asked_at > REMEMBER_SECONDS:
                known.asked_at, known.asking = now, self._ask(place)
            asking = known.asking
        if first and asking is not None:
            with suppress(TimeoutError):
                return asking.result(WAIT_SECONDS)
        return known.finished

    def _ask(self, place: _Place) -> Future[bool]:
        return self._threads.submit(self._look, place)

    def _look(self, place: _Place) -> bool:
        try:
            found = self._find(*place)
        except S3SyncError as error:
            _log.info("whether %s is finished is not known: %s", place[0], error.reason)
            return False
        return ((found or {}).get("metadata") or {}).get("finished_ingest") is True
