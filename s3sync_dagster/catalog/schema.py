"""Which version the schema has, and who may bring it up to date.

Revisions are numbers; their first digit is the generation. Within one generation a revision only
adds what an older program does without (tables, columns that may be null or have a default), so two
versions of the program work side by side on one catalog. What could not be done so would begin
generation 1, and stop the programs of generation 0 with one sentence.
"""

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.model.errors import FixConfiguration

NEWER = "catalog_newer"
OLDER = "catalog_older"


def generation(revision: str) -> str:
    """Return what a program and a catalog must have in common to work together."""
    return revision[0]


def is_newer(current: str | None, head: str) -> bool:
    """Return whether a catalog belongs to a later generation than this program."""
    return current is not None and generation(current) > generation(head)


def require_known(database: Database, current: str | None) -> None:
    """Refuse a catalog of a later generation.

    Raises:
        FixConfiguration: ``catalog_newer``.
    """
    head = database.head_revision()
    if is_newer(current, head):
        raise FixConfiguration(
            f"The catalog is newer than this program (revision {current}, this program knows "
            f"{head}): install the newer s3sync-dagster here, too.",
            reason=NEWER,
        )


def require_all_known(database: Database, current: str | None) -> None:
    """Refuse a catalog that has more than this program knows, also of its own generation.

    Who works on it does without that. Who copies it row by row would leave it behind.

    Args:
        database: of this program.
        current: revision of the catalog that is copied.

    Raises:
        FixConfiguration: ``catalog_newer``.
    """
    head = database.head_revision()
    if current is not None and current > head:
        raise FixConfiguration(
            f"The catalog is newer than this program (revision {current}, this program knows "
            f"{head}), and a copy would lack what was added: do it with the newer s3sync-dagster.",
            reason=NEWER,
        )


def prepare_schema(database: Database) -> None:
    """Make the catalog one that this program can work on, as every open of it does.

    SQLite is brought up to date here: one machine, one program. So is an empty database. On
    Postgres others may work on it: a person brings it up to date, with ``s3sync migrate``.

    Raises:
        FixConfiguration: ``catalog_newer``, or ``catalog_older`` on Postgres.
    """
    current, head = database.current_revision(), database.head_revision()
    if current == head:
        return
    require_known(database, current)
    if current is not None and current > head:
        return  # a newer version of the same generation has added what we need not know
    if current is None or database.sqlite:
        database.migrate()
        return
    raise FixConfiguration(
        f"The catalog is older than this program (revision {current}, it needs {head}): run "
        "`s3sync migrate`; programs of the version before may go on meanwhile.",
        reason=OLDER,
    )
