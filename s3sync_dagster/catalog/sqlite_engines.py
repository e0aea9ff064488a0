"""Engines of SQLite files, which outlive their users: the statements that they know stay compiled.

Who opens the catalog again and again, as each tick of a sensor does, spent a fifth of its CPU on
putting the same statements together anew.
"""

import threading
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from s3sync_dagster.engine.write_ahead import write_ahead
from s3sync_dagster.model.errors import InvalidSetting

BUSY_TIMEOUT_MS = 30_000
ENGINES_KEPT = 4
"""That nobody uses, of all files together; none has a connection."""

STATEMENTS_KEPT = 1000
"""That a connection keeps prepared: of the 128 that the driver keeps a busy hour leaves none."""

_BEGINS_WITH = "s3sync_begins_with"
_idle: list[tuple[str, sa.Engine]] = []
"""Address and engine, the newest last: each has one user at a time, who may close it."""
_lock = threading.Lock()


def take_engine(url: sa.URL) -> sa.Engine:
    """Return an engine of a file that nobody else uses; its folder is made.

    Raises:
        InvalidSetting: the folder cannot be made.
    """
    if in_memory(url):
        return _new_engine(url)
    folder = Path(str(url.database)).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidSetting(
            f"The folder {str(folder)!r} of the catalog cannot be made; "
            "set S3SYNC_HOME to a folder that you may write."
        ) from error
    with _lock:
        for place, (address, engine) in enumerate(_idle):
            if address == str(url):
                del _idle[place]
                return engine
    return _new_engine(url)


def give_back(url: sa.URL, engine: sa.Engine) -> None:
    """Keep an engine, whose connections are closed, for the next one who opens the file."""
    if in_memory(url):
        return
    with _lock:
        _idle.append((str(url), engine))
        del _idle[:-ENGINES_KEPT]


def in_memory(url: sa.URL) -> bool:
    """Return whether there is no file, so that a connection is all there is."""
    return url.database in (None, "", ":memory:")


def _new_engine(url: sa.URL) -> sa.Engine:
    engine = sa.create_engine(
        url,
        poolclass=sa.StaticPool if in_memory(url) else None,
        connect_args={
            "check_same_thread": False,
            "timeout": BUSY_TIMEOUT_MS / 1000,
            "cached_statements": STATEMENTS_KEPT,
        },
    )

    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: Any) -> None:  # pyright: ignore[reportUnusedFunction]
        connection.isolation_level = None  # transactions begin in `_begin` below, not in the driver
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        write_ahead(connection, within_seconds=BUSY_TIMEOUT_MS / 1000)
        # Safe against SIGKILL; a power cut may lose the last commits, which a listing repairs.
        cursor.execute("PRAGMA synchronous = NORMAL")
        cursor.close()

    # No event: an engine that has one looks for listeners at each statement, a tenth of its cost.
    engine.dialect.do_begin = _begin
    return engine


def begin_writing(connection: sa.Connection) -> None:
    """Let the next transaction of a connection wait for other writers before it reads."""
    connection.info[_BEGINS_WITH] = "BEGIN IMMEDIATE"


def _begin(dbapi_connection: Any) -> None:
    dbapi_connection.execute(dbapi_connection.info.pop(_BEGINS_WITH, "BEGIN"))
