"""Turns of listings that outlast a tick: they go on beside it, in threads of their own.

A place may keep who lists it for a quarter of an hour, as the first fetch of a large repository
does. The code server has few threads for the ticks of all, and a tick that takes a minute is lost:
whoever holds some of them with what never ends would stop the work of everybody.
"""

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import copy_context
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, TypeVar

from s3sync_dagster.defs.slow_listings import SlowListings
from s3sync_dagster.engine.listing import ListingProgress
from s3sync_dagster.engine.listing_turns import GoesOnBeside, ListingParts, Waits
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.model.source import Source
from s3sync_dagster.wiring import Parts

_log = logging.getLogger(__name__)

PATIENCE_SECONDS = 5.0
"""A tick waits for a turn so much longer than its budget is: that is far from a minute."""
PER_TENANT = 3
"""Turns of a tenant that go on at once: with all of them its other sources wait, too ..."""
MOST = 16
"""... until there are as many of all; then each tenant has one: nobody fills the places of others.
"""

T = TypeVar("T")


class TurnsBeside:
    """Which sources are listed in this process, and for whom."""

    def __init__(self, *, per_tenant: int = PER_TENANT, most: int = MOST) -> None:
        self._per_tenant, self._most = per_tenant, most
        self._lock = threading.Lock()
        self._at_work: dict[str, str] = {}
        """Tenants, by the id of the source."""

    def hindrance(self, source: Source) -> str | None:
        """Return why no turn of a source may begin now; None: one may."""
        with self._lock:
            return self._hindrance(source)

    def take(
        self,
        source: Source,
        turn: Callable[[], T],
        *,
        seconds: float,
        kept: AbstractContextManager[None],
    ) -> T:
        """Return what a turn returns.

        Args:
            source: whose turn it is.
            turn: what is to be done.
            seconds: that it is waited for.
            kept: held until the turn has ended, however long after this call.

        Raises:
            Waits: it did not begin, since others go on.
            GoesOnBeside: it takes longer, and goes on.
        """
        with self._lock:
            hindrance = self._hindrance(source)
            if hindrance is not None:
                raise Waits(hindrance)
            self._at_work[source.id] = source.tenant
        inside = partial(copy_context().run, turn)
        taken = _Turn(source.name, inside, kept, partial(self._end, source.id))
        try:
            taken.start()
        except BaseException:  # no thread is to be had
            self._end(source.id)
            raise
        taken.join(max(0.0, seconds))
        if taken.is_left():
            raise GoesOnBeside("it takes longer than a tick, and goes on beside those that follow")
        taken.join()
        if taken.raised is not None:
            raise taken.raised
        return taken.result

    def _hindrance(self, source: Source) -> str | None:
        if source.id in self._at_work:
            return "it is still at what took longer than a tick"
        of_all, mine = len(self._at_work), [*self._at_work.values()].count(source.tenant)
        if mine >= (self._per_tenant if of_all < self._most else 1):
            return "it waits for other listings of its tenant, which take longer than a tick"
        return None

    def _end(self, source_id: str) -> None:
        with self._lock:
            del self._at_work[source_id]


class _Turn(threading.Thread):
    """Daemons end with the process, and what git does for them does, too."""

    result: Any = None
    raised: BaseException | None = None

    def __init__(
        self,
        source: str,
        turn: Callable[[], Any],
        kept: AbstractContextManager[None],
        ended: Callable[[], None],
    ) -> None:
        super().__init__(name="s3sync-turn", daemon=True)
        self._source, self._turn, self._kept, self._ended = source, turn, kept, ended
        self._lock = threading.Lock()
        self._left = self._over = False

    def run(self) -> None:
        try:
            with self._kept:
                self.result = self._turn()
        except BaseException as error:  # noqa: BLE001  (raised where it is waited for)
            self.raised = error
        with self._lock:
            self._over = True
        self._ended()
        if self._left and self.raised is not None:
            error = self.raised  # the listing's row says why, too
            told = error.message if isinstance(error, S3SyncError) else type(error).__name__
            _log.warning("%s could not be listed: %s", self._source, told)

    def is_left(self) -> bool:
        """Return whether it goes on; from then on nobody waits for it."""
        with self._lock:
            self._left = not self._over
            return self._left


TURNS = TurnsBeside()
"""Those of this process: definitions that are loaded again find what goes on."""


def beside_ticks(
    parts: ListingParts,
    of: Parts,
    *,
    budget_seconds: float,
    turns: TurnsBeside | None = None,
    slow: SlowListings | None = None,
) -> ListingParts:
    """Return the parts of a tick that begins now, which waits for no turn beyond its end.

    Args:
        parts: of the tick.
        of: what they are parts of: it stays open as long as a turn goes on.
        budget_seconds: of the tick.
        turns: those that go on; of this process when not given.
        slow: learns whose turns outlast a tick.
    """
    given = {one.name: getattr(parts, one.name) for one in fields(parts)}
    ends = parts.clock.monotonic() + budget_seconds + PATIENCE_SECONDS
    return _Beside(**given, of=of, turns=turns or TURNS, slow=slow or SlowListings(), ends=ends)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Beside(ListingParts):
    of: Parts
    turns: TurnsBeside
    slow: SlowListings
    ends: float

    def hindrance(self, source: Source) -> str | None:
        return self.turns.hindrance(source)

    def nothing_new(self, source: Source) -> str | None:
        return self._take(source, partial(ListingParts.nothing_new, self, source))

    def go_on(self, source: Source, **options: Any) -> ListingProgress | None:
        progress = self._take(source, partial(ListingParts.go_on, self, source, **options))
        self.slow.is_well(source.name, now=self.clock.monotonic())
        return progress

    def _take(self, source: Source, turn: Callable[[], T]) -> T:
        began = self.clock.monotonic()
        # What came before, such as a look at Chroma, may have taken the tick's time: an answer that
        # comes at once is waited for all the same.
        seconds, kept = max(self.ends - began, PATIENCE_SECONDS), self.of.in_use()
        try:
            return self.turns.take(source, turn, seconds=seconds, kept=kept)
        except GoesOnBeside:
            self.slow.outlasted(source.name, began=began, ended=self.clock.monotonic())
            raise
