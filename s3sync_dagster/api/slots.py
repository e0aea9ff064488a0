"""How many uploads, searches or the like a tenant may have in flight."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from s3sync_dagster.api.errors import TooMany


class Slots:
    """What is in flight of each tenant."""

    def __init__(self, limit: int, *, what: str, reason: str, in_all: int | None = None) -> None:
        """Count something of which people know as ``what``; ``reason`` names its refusal.

        Args:
            limit: of one tenant.
            what: for the message, as in "4 uploads".
            reason: of the refusal.
            in_all: of all tenants together; None: any number.
        """
        self._limit = limit
        self._in_all = in_all
        self._what = what
        self._reason = reason
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def taken(self, tenant: str) -> Iterator[int]:
        """Hold a slot, beside so many others of the tenant's.

        Raises:
            TooMany: the tenant has none left.
        """
        with self._lock:
            full = self._in_all is not None and self._taken.total() >= self._in_all
            if full or self._taken[tenant] >= self._limit:
                most = self._in_all if full else self._limit
                raise TooMany(
                    f"{most} {self._what} are in flight already; wait until one has ended.",
                    reason=self._reason,
                    retry_after_seconds=5.0,
                )
            others = self._taken[tenant]
            self._taken[tenant] += 1
        try:
            yield others
        finally:
            with self._lock:
                self._taken[tenant] -= 1
                if not self._taken[tenant]:
                    del self._taken[tenant]
