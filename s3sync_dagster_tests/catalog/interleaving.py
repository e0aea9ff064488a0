"""Two operations on one real Postgres, held at each statement: every order of their steps.

Who goes next is the schedule's decision. A statement that waits for a lock of the other one is
seen in the server's own list of activities; the other one goes on then.
"""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog import Catalog, open_catalog
from s3sync_dagster.catalog.tables import metadata
from s3sync_dagster_tests.conftest_catalog import HandClock, fresh_postgres_catalog

LOOK_SECONDS = 0.002
PATIENCE_SECONDS = 20.0


class Actor:
    """One process with a catalog of its own, whose operation stops before each statement."""

    def __init__(self, url: str, name: str) -> None:
        self.name = name
        self.catalog = open_catalog(url, clock=HandClock(seed=hash(name) % 1000), migrate=False)
        self.catalog.database.now()
        self.steps = 0
        self.answer: Any = None
        self.error: BaseException | None = None
        self.pid: int | None = None
        self._state = "ended"
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        engine = self.catalog.database.engine
        sa.event.listen(engine, "before_cursor_execute", self._before_statement)
        sa.event.listen(engine, "commit", self._stop)

    def begin(self, operation: Callable[[Catalog], Any]) -> None:
        """Start an operation; it stops before its first statement."""
        self.steps, self.answer, self.error, self.pid = 0, None, None, None
        self._state = "going"
        self._thread = threading.Thread(target=self._run, args=(operation,), daemon=True)
        self._thread.start()
        self._wait_for_stop()

    @property
    def ended(self) -> bool:
        with self._changed:
            return self._state == "ended"

    def advance(self, blocked: Callable[[int], bool]) -> bool:
        """Let it do one step; returns False where it has ended or waits for a lock."""
        with self._changed:
            if self._state == "ended":
                return False
            if self._state == "stopped":
                self._state = "going"
                self._changed.notify_all()
        return self._wait_for_stop(blocked) and not self.ended

    def close(self) -> None:
        self.catalog.close()

    def _wait_for_stop(self, blocked: Callable[[int], bool] | None = None) -> bool:
        for _ in range(int(PATIENCE_SECONDS / LOOK_SECONDS)):
            with self._changed:
                if self._state != "going":
                    return True
                self._changed.wait(LOOK_SECONDS)
                if self._state != "going":
                    return True
            if blocked is not None and self.pid is not None and blocked(self.pid):
                return False
        raise AssertionError(f"{self.name} neither stops nor waits for a lock")

    def _before_statement(self, connection: sa.Connection, *_: Any) -> None:
        self.pid = connection.connection.dbapi_connection.info.backend_pid
        self._stop()

    def _stop(self, *_: Any) -> None:
        if threading.current_thread() is not self._thread:
            return  # the test itself looks
        with self._changed:
            self.steps += 1
            self._state = "stopped"
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._state == "going")

    def _run(self, operation: Callable[[Catalog], Any]) -> None:
        try:
            self.answer = operation(self.catalog)
        except BaseException as error:  # noqa: BLE001  (judged by the test)
            self.error = error
        with self._changed:
            self._state = "ended"
            self._changed.notify_all()


@dataclass
class Stage:
    """A database that is put back as it was before each schedule."""

    url: str
    first: Actor
    second: Actor
    watcher: sa.Connection
    rows: dict[str, list[dict[str, Any]]]

    def reset(self) -> None:
        """Put all rows back."""
        for table in reversed(metadata.sorted_tables):
            self.watcher.execute(table.delete())
        for table in metadata.sorted_tables:
            if self.rows[table.name]:
                self.watcher.execute(table.insert(), self.rows[table.name])

    def remember(self) -> None:
        """Take the rows as they are for what is put back."""
        for table in metadata.sorted_tables:
            found = self.watcher.execute(sa.select(table)).mappings()
            self.rows[table.name] = [dict(row) for row in found]

    def blocked(self, pid: int) -> bool:
        """Return whether a connection waits for a lock."""
        query = sa.text("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = :pid")
        return bool(self.watcher.execute(query, {"pid": pid}).scalar_one_or_none())

    def alone(self, operation: Callable[[Catalog], Any]) -> int:
        """Do one operation without the other; returns its number of steps."""
        self.reset()
        self.first.begin(operation)
        while self.first.advance(self.blocked):
            pass
        assert self.first.ended
        return self.first.steps

    def play(
        self,
        one: Callable[[Catalog], Any],
        other: Callable[[Catalog], Any],
        *,
        first: int,
        second: int,
    ) -> None:
        """Do ``first`` steps of one, ``second`` of the other, the rest of the one, and the rest."""
        self.reset()
        self.first.begin(one)
        self.second.begin(other)
        self._some(self.first, first)
        self._some(self.second, second)
        for _ in range(200):
            if self.first.ended and self.second.ended:
                return
            self._some(self.first, 1000)
            self._some(self.second, 1000)
        raise AssertionError("they wait for each other for ever")

    def _some(self, actor: Actor, steps: int) -> None:
        for _ in range(steps):
            if not actor.advance(self.blocked):
                return


def open_stage(postgres_url: str) -> Iterator[Stage]:
    """Yield a stage on a database of its own."""
    url = fresh_postgres_catalog(postgres_url)
    engine = sa.create_engine(
        sa.make_url(url).set(drivername="postgresql+psycopg2"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as watcher:
        name = watcher.execute(sa.text("SELECT current_database()")).scalar_one()
        watcher.exec_driver_sql(f"ALTER DATABASE {name} SET deadlock_timeout = '20ms'")
        watcher.exec_driver_sql(f"ALTER DATABASE {name} SET synchronous_commit = off")
        first, second = Actor(url, "first"), Actor(url, "second")
        yield Stage(url, first, second, watcher, {})
        first.close()
        second.close()
    engine.dispose()
