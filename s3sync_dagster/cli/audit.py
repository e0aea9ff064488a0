"""``s3sync audit``."""

import json
from dataclasses import asdict
from datetime import UTC, datetime

import click

from s3sync_dagster.cli.groups import examples
from s3sync_dagster.cli.options import as_json, opened
from s3sync_dagster.cli.showing import columns, people


@click.command(epilog=examples("s3sync audit", "s3sync audit --limit 20 --json"))
@click.option("--tenant", help="Of this tenant alone; the command line has none.")
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=100,
    show_default=True,
    help="At most so many.",
)
@as_json
def audit(tenant: str | None, limit: int, as_json: bool) -> int:
    """Show who changed what, when and from where, the newest first."""
    with opened(chroma=False, dagster=False) as parts:
        rows = parts.catalog.audit.rows(tenant=tenant, limit=limit)
    if as_json:
        click.echo(json.dumps([{"number": number, **asdict(entry)} for number, entry in rows]))
        return 0
    table = [
        tuple(
            map(
                people,
                (
                    f"{datetime.fromtimestamp(one.at, UTC):%Y-%m-%d %H:%M:%S}",
                    one.tenant or "-",
                    one.who,
                    one.role,
                    one.address or one.door,
                    one.action,
                    one.subject,
                    one.outcome,
                ),
            )
        )
        for _, one in rows
    ]
    heads = ("time (UTC)", "tenant", "who", "role", "from", "what", "of", "outcome")
    for line in columns(heads, table):
        click.echo(line)
    return 0
