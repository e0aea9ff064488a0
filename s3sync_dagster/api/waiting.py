"""How many requests of a tenant may wait to be worked on: each is a row that is kept."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from s3sync_dagster.api.errors import TooMany

FRESH_SECONDS = 5.0
"""How long a count holds; what this process has taken since is added to it."""


@dataclass(slots=True)
class _Count:
    number: int
    until: float


@dataclass(slots=True, kw_only=True)
class Waiting:
    """Counts what waits of each tenant. Safe for several threads."""

    most: int
    count: Callable[[str], int]
    """Asks the catalog how many requests of a tenant wait."""
    _counts: dict[str, _Count] = field(default_factory=dict[str, _Count])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def known(self, tenant: str) -> bool:
        """Return whether ``take`` asks nothing of the catalog."""
        found = self._counts.get(tenant)
        return found is not None and time.monotonic() < found.until

    def take(self, tenant: str) -> None:
        """Count one more. Raises ``TooMany`` where as many wait as a tenant may have."""
        if not self.known(tenant):
            number = self.count(tenant)
            with self._lock:
                if self.known(tenant):  # others have counted meanwhile, and taken since
                    number = max(number, self._counts[tenant].number)
                self._counts[tenant] = _Count(number, time.monotonic() + FRESH_SECONDS)
        with self._lock:
            found = self._counts[tenant]
            if found.number >= self.most:
                raise TooMany(
                    f"{self.most:,} requests of the tenant wait to be worked on: ask again when "
                    "some are done (S3SYNC_API_WAITING_PER_TENANT).",
                    retry_after_seconds=60.0,
                )
            found.number += 1
