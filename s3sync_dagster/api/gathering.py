"""Requests that come together are stored together: one transaction for all that wait."""

import logging
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any

from s3sync_dagster.api.writer_thread import WriterThread
from s3sync_dagster.catalog import Catalog
from s3sync_dagster.catalog.invocations import source_gone
from s3sync_dagster.model.errors import S3SyncError, Unavailable

_log = logging.getLogger(__name__)

MAX_ROWS = 1000
"""Of one transaction."""


class Gathering(WriterThread):
    """A thread that inserts rows. While it commits, the next ones gather.

    One writer instead of one for each request: a busy SQLite makes writers wait in turn.
    """

    def __init__(self, catalog: Catalog) -> None:
        super().__init__("gathering")
        self._catalog = catalog
        self._waiting: list[tuple[Mapping[str, Any], Future[None]]] = []

    def put(self, row: Mapping[str, Any]) -> Future[None]:
        """Take a row of ``Invocations.prepare``; the future is done when it is committed.

        Raises (in the future):
            NotFound: the source was deleted or moved in the meantime.
            Unavailable: the catalog does not answer, or the server is stopping.
        """
        future: Future[None] = Future()
        with self._changed:
            if self._stopping:
                raise Unavailable("The server is stopping.", reason="stopping")
            self._waiting.append((row, future))
            self._changed.notify()
        return future

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stopping)
                part, self._waiting = self._waiting[:MAX_ROWS], self._waiting[MAX_ROWS:]
            if not part:
                return
            # Whose client has left is not stored; from here on a future cannot be cancelled.
            kept = [(row, future) for row, future in part if future.set_running_or_notify_cancel()]
            if kept:
                self._store(kept)

    def _store(self, part: list[tuple[Mapping[str, Any], Future[None]]]) -> None:
        try:
            gone = self._catalog.invocations.insert([row for row, _ in part])
        except S3SyncError as error:
            self._fail(part, error)
        except Exception as error:  # noqa: BLE001  (every request has to be answered)
            _log.error("requests were not stored: %s", type(error).__name__)
            self._fail(part, S3SyncError("The request could not be stored.", reason="internal"))
        else:
            for row, future in part:  # of whatever tenants
                if row["source_id"] in gone:
                    future.set_exception(source_gone())
                else:
                    future.set_result(None)

    def _fail(self, part: list[tuple[Mapping[str, Any], Future[None]]], error: S3SyncError) -> None:
        for _, future in part:
            future.set_exception(error)
