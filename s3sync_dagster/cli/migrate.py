"""``s3sync migrate``."""

from contextlib import closing

import click

from s3sync_dagster.cli.groups import examples
from s3sync_dagster.cli.noting import noted
from s3sync_dagster.settings import load_settings


@click.command(epilog=examples("s3sync migrate", "s3sync migrate --check"))
@click.option("--check", is_flag=True, help="Change nothing; exit code 1 where something is due.")
def migrate(check: bool) -> int:
    """Bring the catalog's schema up to this version.

    On Postgres before the first program of a new version starts, as a user who may make tables.
    Programs of the version before go on meanwhile: a revision only adds what they do without.
    """
    from s3sync_dagster.catalog import Catalog  # noqa: PLC0415  (heavy, as the next)
    from s3sync_dagster.catalog.database import Database  # noqa: PLC0415
    from s3sync_dagster.catalog.schema import require_known  # noqa: PLC0415
    from s3sync_dagster.wiring import open_parts  # noqa: PLC0415

    settings = load_settings()
    with closing(Database(settings.database_url)) as database:
        current, head = database.current_revision(), database.head_revision()
        require_known(database, current)
        due = current is None or current < head
        shown = f"{database.shown()}: revision {current or 'none'}"
        if check:
            click.echo(f"{shown}, {head} is due" if due else f"{shown}, nothing is due")
            return 1 if due else 0
        if due:
            database.migrate()
            with noted(Catalog(database)):
                pass
    # Made at its first use otherwise, when the user of the database may make none.
    with closing(open_parts(settings)) as parts:
        parts.vector_cache.totals()
    click.echo(f"{shown} -> {head}" if due else f"{shown}, nothing was due")
    return 0
