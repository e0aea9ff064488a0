"""A catalog as one SQLite file, from whichever database it is in, and back into one.

The file is the form of a backup: it needs no program of Postgres, and a catalog can move from
one database to the other by way of it.
"""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.reports import list_anew
from s3sync_dagster.catalog.schema import require_all_known
from s3sync_dagster.catalog.tables import is_live, metadata
from s3sync_dagster.core.state import ABSENT, LISTING_ASKED, RESTORED, UNSEEN, UNTOLD
from s3sync_dagster.core.vouching import NOTHING
from s3sync_dagster.model.errors import Conflict

ROWS, LARGE_ROWS = 1000, 8
"""Rows of one INSERT; the second of uploaded bytes, a megabyte each."""
ENDED_BY_RESTORE = "Ended by a restore: what changed since is looked for from the first key."


def copy_sqlite(source: Path, target: Path) -> None:
    """Copy a SQLite file as it stands at one moment, whoever writes to it meanwhile.

    Raises:
        FileNotFoundError: there is no such file.
        sqlite3.Error: it cannot be read, or the copy not be written.
    """
    if not source.exists():
        raise FileNotFoundError(source)
    address = f"file:{quote(str(source))}?mode=rw"
    with (
        closing(sqlite3.connect(address, uri=True, timeout=60)) as here,
        closing(sqlite3.connect(target)) as there,
    ):
        here.backup(there)  # one step: one read transaction
        there.execute("PRAGMA journal_mode = DELETE")  # nothing of the copy is in a second file


def write_catalog(database: Database, target: Path) -> None:
    """Write the catalog, as it stands at one moment, into a SQLite file that is not there yet.

    Raises:
        FixConfiguration: on Postgres, a later version has added to it (``catalog_newer``).
        S3SyncError: the catalog does not answer.
    """
    if database.sqlite:
        copy_sqlite(Path(str(database.url.database)), target)
        return
    with closing(Database(f"sqlite:///{target}")) as fresh:
        fresh.migrate()
        with database.engine.connect() as here:
            here = here.execution_options(isolation_level="REPEATABLE READ")
            with here.begin(), fresh.write() as there:
                revision = sa.text("SELECT version_num FROM alembic_version")
                require_all_known(database, here.execute(revision).scalar_one())
                _copy_rows(here, there)
                for table, column in _numbered():
                    last = here.execute(_last_number(table, column)).scalar_one()
                    if table.dialect_kwargs.get("sqlite_autoincrement") and last:
                        _set_sqlite_sequence(there, table.name, last)
    copy = target.with_name(f"{target.name}.copy")
    copy_sqlite(target, copy)
    for leftover in ("", "-wal", "-shm", ".migrate.lock"):
        Path(f"{target}{leftover}").unlink(missing_ok=True)
    copy.replace(target)


def put_catalog(file: Path, database: Database) -> None:
    """Put what ``write_catalog`` wrote in the place of a catalog that is not there, or empty.

    Where there is no SQLite file yet the file itself takes the name, at once and never over
    another one. Else it is filled: who has it open works on what was put there.

    Raises:
        Conflict: somebody has put a source into it meanwhile (``restore_target_in_use``).
        FixConfiguration: it is filled, and a later version has added to the file.
    """
    if database.sqlite:
        try:
            os.link(file, str(database.url.database))
        except FileExistsError:
            pass  # also one that was made in this moment
        else:
            return
    read_catalog(file, database)


def read_catalog(file: Path, database: Database) -> None:
    """Fill an empty database with what ``write_catalog`` wrote, in one transaction.

    What its audit log has noted so far comes behind that of the file.

    Args:
        file: at the revision of this program.
        database: nobody else writes to it from the look whether it is empty to the end.

    Raises:
        Conflict: somebody has put a source into it meanwhile (``restore_target_in_use``).
        FixConfiguration: a later version has added to the file (``catalog_newer``).
    """
    database.migrate()
    with (
        closing(Database(f"sqlite:///{file}")) as source,
        source.read() as here,
        database.write(durable=True) as there,
    ):
        require_all_known(source, source.current_revision())
        if not database.sqlite:  # there a transaction that writes is alone
            names = ", ".join(table.name for table in metadata.sorted_tables)
            there.execute(sa.text(f"LOCK TABLE {names} IN EXCLUSIVE MODE"))
        if not is_empty(there):
            raise Conflict(
                "The catalog's database is not empty: a backup is put back into an empty one.",
                reason="restore_target_in_use",
            )
        noted = _noted(there)
        for table in reversed(metadata.sorted_tables):
            there.execute(table.delete())
        _copy_rows(here, there)
        for table, column in _numbered():
            last = _sqlite_last(here, table, column)
            if not last:
                continue
            if not database.sqlite:
                there.execute(
                    sa.text("SELECT setval(pg_get_serial_sequence(:t, :c), :n)"),
                    {"t": table.name, "c": column.name, "n": last},
                )
            elif table.dialect_kwargs.get("sqlite_autoincrement"):
                _set_sqlite_sequence(there, table.name, last)
        if noted:
            there.execute(metadata.tables["audit"].insert(), noted)


def _noted(connection: sa.Connection) -> list[dict[str, Any]]:
    """Return the audit log without its numbers, the oldest first."""
    audit = metadata.tables["audit"]
    columns = [column for column in audit.columns if column.name != "id"]
    rows = connection.execute(sa.select(*columns).order_by(audit.c.id))
    return [dict(row) for row in rows.mappings()]


def is_empty(connection: sa.Connection) -> bool:
    """Return whether a catalog holds nothing that anybody would miss."""
    tables = metadata.tables
    return not any(
        connection.execute(sa.select(sa.literal(1)).select_from(tables[name]).limit(1)).first()
        for name in ("sources", "credentials", "tokens")
    )


def begin_anew(database: Database) -> None:
    """Have each source listed from its first key, and its documents held against their records.

    What a restored catalog knows of buckets is old: a listing that was under way goes on from a
    key, and says nothing of those before it, one that waits for an approval has seen them long
    ago, and so has what it asked to be removed. So is what it knows of records, and a plan that
    trusts it would leave later text where the object has the earlier one again.
    """
    listings, sources = metadata.tables["listings"], metadata.tables["sources"]
    documents, objects = metadata.tables["documents"], metadata.tables["objects"]
    now = database.now()
    with database.write() as tx:
        tx.execute(
            listings.update()
            .where(listings.c.state.in_(["running", "blocked"]))
            .values(state="failed", finished_at=now, error=ENDED_BY_RESTORE)
        )
        # What they found gone, and what events told, may be there again: the bucket is asked, which
        # alone is no evidence beside the guard, or the next listing tells.
        invocations = metadata.tables["invocations"]
        removals = invocations.update().where(is_live, invocations.c.kind == "remove")
        tx.execute(removals.values(told_count=None))
        tx.execute(removals.where(invocations.c.trigger == "listing").values(kind="sync"))
        # What had failed is asked again by a retry, and may have been done since like what waited.
        open_yet = sa.or_(is_live, invocations.c.status == "failed")
        asked = invocations.update().where(open_yet, sa.not_(invocations.c.automatic))
        tx.execute(asked.values(restored=True))
        # A source that had ended may be another installation's since, with the id that follows from
        # its name: what bears that is no evidence of a Chroma that was put back, too. What was to
        # stay may.
        lives = metadata.tables["lives"]
        tx.execute(lives.delete().where(lives.c.kept.is_(False)))
        # No document is trusted below: none has to be told of a deletion that was under way.
        tx.execute(metadata.tables["collections"].update().values(deleting_since=None))
        # Asked for, so that it is known until it has ended well that none has since the restore.
        tx.execute(sources.update().values(list_due_at=LISTING_ASKED, looked_through=""))
        list_anew(tx, sa.true())
        # What was only begun then may have been written whole since: whether it goes is asked anew.
        newer = documents.alias("newer")
        stands = sa.exists().where(
            newer.c.source_id == documents.c.source_id,
            newer.c.tenant == documents.c.tenant,
            newer.c.database_name == documents.c.database_name,
            newer.c.collection_name == documents.c.collection_name,
            newer.c.object_key == documents.c.object_key,
            sa.or_(newer.c.phase != "removing", newer.c.id > documents.c.id),
            newer.c.id != documents.c.id,
        )
        begun = (documents.c.phase == "removing", documents.c.etag.is_(None), sa.not_(stands))
        tx.execute(documents.update().where(*begun).values(phase="writing", batch_token=None))
        written_to = sa.func.coalesce(documents.c.collection_id, ABSENT)
        tx.execute(
            documents.update().values(
                phase=sa.case((documents.c.phase == "clean", "writing"), else_=documents.c.phase),
                collection_id=sa.case(
                    (written_to.startswith(RESTORED), written_to),
                    else_=sa.literal(RESTORED) + written_to,
                ),
                # Its records may be those of a later time, with what anybody said by then.
                withheld=sa.case(
                    (documents.c.withheld.is_(None), RESTORED),
                    (documents.c.withheld.in_([UNSEEN, RESTORED]), documents.c.withheld),
                    (documents.c.withheld.like(f"{UNTOLD}%"), documents.c.withheld),
                    else_=NOTHING,
                ),
            )
        )
        tx.execute(objects.update().where(objects.c.outcome == "indexed").values(outcome=None))


def _copy_rows(here: sa.Connection, there: sa.Connection) -> None:
    for table in _plain_tables():
        size = LARGE_ROWS if table.name == "upload_bytes" else ROWS
        rows = here.execution_options(yield_per=size).execute(sa.select(table))
        for part in rows.mappings().partitions(size):
            there.execute(table.insert(), [dict(row) for row in part])


def _plain_tables() -> Sequence[sa.Table]:
    """Return the tables with JSON columns in which nothing is NULL, as it is in most rows."""
    copy = sa.MetaData()
    for table in metadata.sorted_tables:
        plain = table.to_metadata(copy)
        for column in plain.columns:
            if isinstance(column.type, sa.JSON):
                column.type = sa.JSON(none_as_null=True)
    return copy.sorted_tables


def _numbered() -> Iterator[tuple[sa.Table, sa.Column[Any]]]:
    """Yield the tables whose rows the database numbers, with that column."""
    for table in metadata.sorted_tables:
        column = table.autoincrement_column
        if column is not None:
            yield table, column


def _last_number(table: sa.Table, column: sa.Column[Any]) -> sa.TextClause:
    name = f"pg_get_serial_sequence('{table.name}', '{column.name}')"
    return sa.text(f"SELECT COALESCE(pg_sequence_last_value({name}::regclass), 0)")


def _set_sqlite_sequence(connection: sa.Connection, table: str, last: int) -> None:
    values = {"name": table, "seq": last}
    connection.execute(sa.text("DELETE FROM sqlite_sequence WHERE name = :name"), values)
    connection.execute(sa.text("INSERT INTO sqlite_sequence VALUES (:name, :seq)"), values)


def _sqlite_last(connection: sa.Connection, table: sa.Table, column: sa.Column[Any]) -> int:
    highest = connection.execute(sa.select(sa.func.max(column))).scalar_one() or 0
    query = sa.text("SELECT seq FROM sqlite_sequence WHERE name = :name")
    told = connection.execute(query, {"name": table.name}).scalar_one_or_none() or 0
    return max(highest, told)
