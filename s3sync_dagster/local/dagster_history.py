"""Dagster's history in a backup: its SQLite files, or a dump of its database on Postgres."""

import filecmp
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from s3sync_dagster.catalog.copying import copy_sqlite
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.local.home import is_managed
from s3sync_dagster.model.errors import Conflict, FixConfiguration, MissingEngine
from s3sync_dagster.settings import Settings, export_settings

HISTORY = "dagster"
DUMP = "postgres.dump"
YAML = "dagster.yaml"
YAML_OF_BACKUP = f"{YAML}.of-backup"
"""Where one that is not ours is put back: it names programs that Dagster runs, and who may write
where backups lie may have written it."""


def dump_history(settings: Settings, database: Database, folder: Path) -> str | None:
    """Write runs, events, ticks and schedules into a new folder; or return why there are none.

    Raises:
        MissingEngine: Dagster's storage is Postgres, and its programs are not here.
        FixConfiguration: they refuse (``history_not_saved``).
    """
    folder.mkdir(mode=0o700)
    url = storage_url(settings)
    yaml = settings.dagster_home / YAML
    if yaml.exists():
        shutil.copy(yaml, folder / YAML)
    if url is not None:
        _pg(
            settings, "pg_dump", url, "--format=custom", "--no-owner", "--no-privileges",
            f"--file={folder / DUMP}", *_not_the_catalogs(url, database),
        )  # fmt: skip
        return None
    for path in sorted(settings.dagster_home.rglob("*.db")):
        target = folder / path.relative_to(settings.dagster_home)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            copy_sqlite(path, target)
        except FileNotFoundError:
            target.unlink(missing_ok=True)  # a run that was old enough to go
        except sqlite3.Error as error:
            raise FixConfiguration(
                f"{str(path)!r} of Dagster cannot be read as a database: leave the history out, "
                "with --without history.",
                reason="history_not_saved",
            ) from error
    return None


def load_history(settings: Settings, folder: Path, check: Callable[[Path, str], None]) -> None:
    """Put back what ``dump_history`` wrote.

    Args:
        settings: of the home that it is put into.
        folder: of the history in the backup.
        check: raises where a copy is not the file of that name in the backup.

    Raises:
        MissingEngine, FixConfiguration: as there (``history_not_restored``).
    """
    settings.dagster_home.mkdir(mode=0o700, parents=True, exist_ok=True)
    yaml = settings.dagster_home / YAML
    if not is_managed(folder) and not _is_same(folder / YAML, yaml):
        _put(folder, YAML, settings.dagster_home / YAML_OF_BACKUP, check)
    if (folder / DUMP).exists():
        url = storage_url(settings)
        if url is None:
            raise _no_postgres(settings, folder)
        if occupied(settings, folder):
            raise _in_use()
        _pg(
            settings, "pg_restore", url, "--no-owner", "--no-privileges", "--single-transaction",
            "--exit-on-error", str(folder / DUMP),
        )  # fmt: skip
        return
    for path in sorted(folder.rglob("*.db")):
        target = settings.dagster_home / path.relative_to(folder)
        if not target.exists():
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            _put(folder, str(path.relative_to(folder)), target, check)


def _put(folder: Path, name: str, target: Path, check: Callable[[Path, str], None]) -> None:
    """Copy a file so that it has its name when it is whole."""
    fresh = target.with_name(f"{target.name}.restoring")
    try:
        shutil.copy(folder / name, fresh)
        check(fresh, f"{HISTORY}/{name}")
        fresh.replace(target)
    finally:
        fresh.unlink(missing_ok=True)


def occupied(settings: Settings, folder: Path) -> bool:
    """Return whether there is a history where one would be put.

    Files that are those of the backup are none: an interrupted restore has put them.

    Args:
        settings: of the home that it would be put into.
        folder: of the history in the backup.

    Raises:
        FixConfiguration: ``history_not_restored``: it was Postgres's, and none is named here.
    """
    for path in settings.dagster_home.rglob("*.db"):
        saved = folder / path.relative_to(settings.dagster_home)
        if not saved.is_file() or not filecmp.cmp(saved, path, shallow=False):
            return True
    url = storage_url(settings)
    if url is None:
        if (folder / DUMP).exists():
            raise _no_postgres(settings, folder)
        return False
    engine = sa.create_engine(url)
    try:
        with engine.connect() as connection:
            return sa.inspect(connection).has_table("runs")
    except SQLAlchemyError as error:
        raise FixConfiguration(
            "Dagster's database does not answer: start it, or correct its dagster.yaml.",
            reason="history_not_restored",
        ) from error
    finally:
        engine.dispose()


def storage_url(settings: Settings) -> sa.URL | None:
    """Return where Dagster's instance keeps its history on Postgres; None: in files."""
    if not (settings.dagster_home / YAML).exists():
        return None
    from s3sync_dagster.defs.dagster_internals.instances import postgres_url  # noqa: PLC0415  (heavy)

    export_settings(settings)
    found = postgres_url(settings.dagster_home)
    return None if found is None else sa.make_url(found)


def _is_same(saved: Path, here: Path) -> bool:
    """Return whether a file is there and is what the backup has."""
    return here.is_file() and filecmp.cmp(saved, here, shallow=False)


def _no_postgres(settings: Settings, folder: Path) -> FixConfiguration:
    # Not put back by itself: such a file names programs that Dagster runs.
    return FixConfiguration(
        f"The history was Postgres's, and {str(settings.dagster_home / YAML)!r} names none: write "
        f"that file (look first at what {str(folder / YAML)!r} says, and take that where it is "
        "yours), or restore the other parts with --only.",
        reason="history_not_restored",
    )


def _in_use() -> Conflict:
    return Conflict(
        "Dagster's database has a history: a backup is put back into an empty one.",
        reason="restore_target_in_use",
    )


def _not_the_catalogs(url: sa.URL, database: Database) -> list[str]:
    """Name the schema of a catalog that lies in the same database: it is saved by itself."""
    theirs, ours = url, database.url
    same = (theirs.host, theirs.port, theirs.database) == (ours.host, ours.port, ours.database)
    if database.sqlite or not same:
        return []
    with database.read() as connection:
        return [
            f"--exclude-schema={connection.execute(sa.select(sa.func.current_schema())).scalar_one()}"
        ]


def _pg(settings: Settings, program: str, url: sa.URL, *arguments: str) -> None:
    """Run a program of Postgres; its password is in the environment, not in the arguments."""
    found = shutil.which(program)
    if found is None:
        raise MissingEngine(
            f"Dagster's history is on Postgres, and {program} is not installed here: "
            "apt-get install postgresql-client, or --without history.",
            reason="missing_program",
        )
    # Not `url.set(password=None)`: that keeps it, and "***" would stand in its place.
    plain = sa.URL.create(
        "postgresql", url.username, None, url.host, url.port, url.database, url.query
    ).render_as_string()
    environment = settings.child_environment()
    if url.password is not None:
        environment["PGPASSWORD"] = str(url.password)
    done = subprocess.run(
        [found, f"--dbname={plain}", *arguments],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if done.returncode:
        writing = program == "pg_dump"
        raise FixConfiguration(
            f"{program} refused (exit code {done.returncode}): it must not be older than the "
            "server, and its user may read and write all of Dagster's tables.",
            reason="history_not_saved" if writing else "history_not_restored",
        )
