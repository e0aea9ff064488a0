"""The right to work on a batch: renewed while it works, checked before each write."""

import threading
from contextlib import AbstractContextManager

from s3sync_dagster.core.patience import LEASE_SECONDS, RENEW_SECONDS, WRITE_SECONDS
from s3sync_dagster.engine.catalog_port import CatalogPort
from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.engine.repeating import repeating
from s3sync_dagster.model.errors import LeaseLost, S3SyncError


class Lease:
    """The lease of one running batch."""

    def __init__(self, token: str, *, catalog: CatalogPort, clock: Clock) -> None:
        self.token = token
        self._catalog = catalog
        self._clock = clock
        self._until = clock.monotonic() + LEASE_SECONDS
        self._lost = False
        self._renewing = threading.Lock()

    def renew(self) -> None:
        """Renew now; a catalog that does not answer is asked again at the next turn."""
        with self._renewing:
            asked = self._clock.monotonic()
            try:
                granted = self._catalog.batches.renew(self.token)
            except S3SyncError:
                return  # the lease runs on; `require` stops the work before it ends
            if granted > 0:
                self._until = asked + granted
            else:
                self._lost = True

    def require(self, *, seconds: float = WRITE_SECONDS) -> None:
        """Raise ``LeaseLost`` unless the lease lasts ``seconds`` from now."""
        if not self._lost and self._until - self._clock.monotonic() < seconds + RENEW_SECONDS:
            self.renew()
        if self._lost or self._until - self._clock.monotonic() < seconds:
            raise LeaseLost("Another batch took over; this one stops before its next write.")

    def ask(self) -> None:
        """Raise ``LeaseLost`` unless the catalog says now that the batch is at work.

        For who is about to change records: an edit of the source ends a batch whose lease holds.
        """
        self.renew()
        self.require()

    def heartbeat(self) -> AbstractContextManager[None]:
        """Renew in a thread until the block ends."""
        return repeating(
            self.renew, every_seconds=RENEW_SECONDS, name="s3sync-heartbeat", patience_seconds=5
        )
