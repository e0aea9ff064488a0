"""Two operations on one real Postgres, held at each statement: every order of their steps.

Who goes next is the schedule's decision. A statement that waits for a lock of the other one is
seen in the server's own list of locks; the other one goes on then.

Of the orders with two switches (some steps of the one, some of the other, the rest of the one, the
rest) those are left out that cannot differ from one that was played, by what the steps of that very
play have touched (``Step.meets``):

* The last step before the first switch, where it meets nothing that the other one did then: it may
  as well come after that. So may the other one's last step before the second switch, where it meets
  nothing of the rest. Reads of what the other one never writes are such steps, and all of two
  operations that share no table: of those the two serial orders are left.
* More steps of the other one than it can do: it came to a lock, or to its end, and would again.
* More steps of the one, or of the other, while somebody waits for a lock that it holds: who waits
  goes on when the transaction ends, however far that had come, and has seen no more of it before.
* All steps of the other one at once: with the two exchanged it is in the first row of their orders.

Postgres answers under READ COMMITTED: a statement sees what was committed before it began, so that
what another one has written, and not committed, is met by locks alone.
"""

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from math import inf
from time import monotonic
from typing import Any

import psycopg2
import sqlalchemy as sa

from s3sync_dagster.catalog import Catalog, open_catalog
from s3sync_dagster_tests.catalog.steps import TABLES, Step, step_of
from s3sync_dagster_tests.conftest_catalog import HandClock, fresh_postgres_catalog

QUIET_SECONDS = 0.006
"""Until an operation whose statement is not answered is looked for among those that wait."""
PATIENCE_SECONDS = 60.0
ALL = 1_000_000
RESETS_A_VACUUM = 200
_TOUCHED = "s3sync_tests_touched"

Operation = Callable[[Catalog], Any]


class Actor:
    """One process with a catalog of its own, whose operation can stop before each step."""

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self.catalog = open_catalog(url, clock=HandClock(seed=hash(name) % 1000), migrate=False)
        self.catalog.database.now()
        self.did: list[Step] = []
        """What it has begun with."""
        self.waited = False
        """Whether it ever came to a lock of the other one."""
        self.answer: Any = None
        self.error: BaseException | None = None
        self._pid, self._asked_at = 0, inf
        self._next = Step()
        self._left = 0
        self._state = "ended"
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        engine = self.catalog.database.engine
        engine.pool._pre_ping = False  # a third of what is sent otherwise
        sa.event.listen(engine, "before_cursor_execute", self._before_statement)
        sa.event.listen(engine, "after_cursor_execute", self._after_statement)
        sa.event.listen(engine, "commit", self._before_commit)
        sa.event.listen(engine, "rollback", lambda connection: connection.info.pop(_TOUCHED, None))

    def begin(self, operation: Operation) -> None:
        """Start an operation; it stops before its first statement."""
        self.did, self.waited, self.answer, self.error = [], False, None, None
        self._left, self._state = 1, "going"
        self._thread = threading.Thread(target=self._run, args=(operation,), daemon=True)
        self._thread.start()
        self._stops()

    @property
    def ended(self) -> bool:
        with self._changed:
            return self._state == "ended"

    def go_on(self, steps: int, waits: Callable[[int], bool]) -> None:
        """Let it do so many steps, to its end or to a lock; behind that it does one more."""
        with self._changed:
            if not steps or self._state == "ended":
                return
            self._left = steps
            if self._state == "stopped":
                self.did.append(self._next)
                self._state = "going"
                self._changed.notify_all()
        if not self._stops(waits):
            self.waited = True
            with self._changed:
                self._left = 1

    def close(self) -> None:
        self.catalog.close()

    def _stops(self, waits: Callable[[int], bool] | None = None) -> bool:
        until = monotonic() + PATIENCE_SECONDS
        while monotonic() < until:
            with self._changed:
                if self._changed.wait_for(lambda: self._state != "going", QUIET_SECONDS):
                    return True
            quiet = monotonic() - self._asked_at
            if waits is not None and quiet > QUIET_SECONDS and waits(self._pid):
                return False
        raise AssertionError(f"{self.name} neither stops nor waits for a lock")

    def _before_statement(
        self, connection: sa.Connection, _cursor: Any, text: str, *_: Any
    ) -> None:
        self._pid = connection.connection.dbapi_connection.info.backend_pid
        step = step_of(text)
        connection.info.setdefault(_TOUCHED, []).append(step)
        self._stop(step)
        self._asked_at = monotonic()

    def _after_statement(self, *_: Any) -> None:
        self._asked_at = inf

    def _before_commit(self, connection: sa.Connection) -> None:
        steps = connection.info.pop(_TOUCHED, [])
        locked = frozenset(name for step in steps for name in step.locks)
        written = frozenset(name for step in steps for name in step.writes)
        self._stop(Step(frees=locked, shows=written))

    def _stop(self, step: Step) -> None:
        if threading.current_thread() is not self._thread:
            return  # the test itself looks
        with self._changed:
            self._left -= 1
            if self._left:
                self.did.append(step)
                return
            self._next, self._state = step, "stopped"
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._state == "going")

    def _run(self, operation: Operation) -> None:
        try:
            self.answer = operation(self.catalog)
        except BaseException as error:  # noqa: BLE001  (judged by the test)
            self.error = error
        self._asked_at = inf
        with self._changed:
            self._state = "ended"
            self._changed.notify_all()


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What was done in an order with two switches, after the first steps of the one."""

    before: Sequence[Step]
    """By the other one, before the one went on."""
    rest: Sequence[Step]
    """By the one."""
    after: Sequence[Step]
    """By the other one."""
    cut: bool = False
    """Whether the other one came to a lock, or to its end, before it had done its share."""
    waits: bool = False
    """Whether it came to a lock, with the last of those steps."""
    stalled: bool = False
    """Whether the one then came to a lock with its very next step."""
    waited: bool = False
    """Whether any of them ever came to a lock of the other: its steps stand elsewhere then."""

    def with_later(self, step: Step) -> "Played | None":
        """Return what is done where this one step of the one comes before; None: not known."""
        if self.waits and _passes(self.before[-1], step):
            return None if any(map(step.meets, self.before[:-1])) else self
        if self.cut or self.waited or any(map(step.meets, self.before)):
            return None
        return replace(self, rest=self.rest[1:])

    def with_sooner(self) -> "Played | None":
        """Return what is done where one more of the other's comes before; None: not known."""
        step, *after = self.after
        if self.stalled and _passes(self.rest[0], step):
            return replace(self, before=[*self.before, step], after=after)
        if self.cut or self.waited or any(map(step.meets, self.rest)):
            return None
        return replace(self, before=[*self.before, step], after=after)


def _passes(waiting: Step, step: Step) -> bool:
    """Return whether a step of the one changes nothing for the other that waits for its lock.

    It ends no transaction, and needs no lock that who waits may have taken meanwhile.
    """
    return not step.frees and (waiting.waits_only or not step.meets(waiting))


@dataclass
class Stage:
    """A database that is put back as it was before each schedule."""

    url: str
    first: Actor
    second: Actor
    watcher: Any
    """A connection of its own, on which no trigger fires."""
    dirty: set[str] = field(default_factory=set[str])
    resets: int = 0

    def remember(self) -> None:
        """Take the rows as they are for what is put back."""
        self.ask("CREATE SCHEMA before")
        for table in TABLES:
            self.ask(f"CREATE TABLE before.{table} AS TABLE {table}")

    def reset(self) -> None:
        """Put all rows back that were changed, and the counts of them."""
        self.dirty |= {
            table
            for actor in (self.first, self.second)
            for step in actor.did
            for table in step.writes
        }
        if self.dirty:
            self.ask(
                " ".join(
                    f"DELETE FROM {table}; INSERT INTO {table} SELECT * FROM before.{table};"
                    for table in sorted(self.dirty)
                )
            )
        self.dirty.clear()
        self.resets += 1
        if self.resets % RESETS_A_VACUUM == 0:
            self.ask(f"VACUUM {', '.join(sorted(TABLES))}")

    def ask(self, text: str) -> list[tuple[Any, ...]]:
        """Return what a statement answers to somebody who only looks."""
        with self.watcher.cursor() as cursor:
            cursor.execute(text)
            return cursor.fetchall() if cursor.description else []

    def serial(self, one: Operation, other: Operation) -> Played:
        """Do the one, then the other."""
        return self.play(one, other, first=ALL, second=0)

    def orders(self, one: Operation, other: Operation, serial: Played) -> Iterator[tuple[int, int]]:
        """Do both in each order that may differ from the ones before; yields after each.

        Args:
            one: who begins.
            other: who comes between.
            serial: what was done where the other one came last.

        Yields:
            How many steps of each came before its first switch.
        """
        steps = serial.rest
        above: dict[int, Played] = {}
        for first in range(len(steps)):
            here = {0: replace(serial, rest=steps[first:])}
            for second in itertools.count(1):
                left = here[second - 1]
                if left.cut or len(left.after) < 2:
                    break
                known = above[second].with_later(steps[first - 1]) if second in above else None
                known = known or left.with_sooner()
                if known is None:
                    known = self.play(one, other, first=first, second=second)
                    yield first, second
                here[second] = known
            above = here

    def play(self, one: Operation, other: Operation, *, first: int, second: int) -> Played:
        """Do ``first`` steps of one, ``second`` of the other, the rest of the one, and the rest."""
        self.reset()
        self.first.begin(one)
        self.second.begin(other)
        self.first.go_on(first, self._waits)
        here = first if first < ALL else 0
        self.second.go_on(second, self._waits)
        there = len(self.second.did)
        waits = self.second.waited
        cut = waits or there < second
        self.first.go_on(ALL, self._waits)
        stalled = self.first.waited and len(self.first.did) == here + 1
        until = monotonic() + PATIENCE_SECONDS
        while not (self.first.ended and self.second.ended):
            assert monotonic() < until, "they wait for each other for ever"
            self.second.go_on(ALL, self._waits)
            self.first.go_on(ALL, self._waits)
        return Played(
            before=self.second.did[:there],
            rest=self.first.did[here:],
            after=self.second.did[there:],
            cut=cut,
            waits=waits,
            stalled=stalled,
            waited=self.first.waited or self.second.waited,
        )

    def _waits(self, pid: int) -> bool:
        return self.ask(f"SELECT cardinality(pg_blocking_pids({pid})) > 0") == [(True,)]


def open_stage(postgres_url: str) -> Iterator[Stage]:
    """Yield a stage on a database of its own."""
    url = fresh_postgres_catalog(postgres_url)
    plain = sa.make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with closing(psycopg2.connect(plain)) as watcher:
        watcher.autocommit = True
        with watcher.cursor() as cursor:
            cursor.execute("SELECT current_database()")
            (name,) = cursor.fetchone()
            cursor.execute(f"ALTER DATABASE {name} SET deadlock_timeout = '20ms'")
            cursor.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
            cursor.execute("SET session_replication_role = replica")
        with closing(Actor(url, "first")) as first, closing(Actor(url, "second")) as second:
            yield Stage(url, first, second, watcher)
