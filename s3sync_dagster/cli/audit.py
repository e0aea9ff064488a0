"""``s3sync audit``."""

import json
from dataclasses import asdict
from datetime import UTC, datetime

import click

from s3sync_dagster.cli.groups import examples
from s3sync_dagster.cli.options import as_json, opened
from s3sync_dagster.cli.showing import columns, people

_TIME = click.DateTime(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"])


@click.command(
    epilog=examples(
        "s3sync audit --limit 20", "s3sync audit --who ann --since 2026-01-31 --what pause --json"
    )
)
@click.option("--tenant", help="Of this tenant alone; the command line has none.")
@click.option("--who", default="", help="Only by whom this stands in, such as a token's name.")
@click.option("--what", default="", help="Only where this stands in what, of what, or the outcome.")
@click.option("--since", type=_TIME, help="No older ones; UTC.")
@click.option("--until", type=_TIME, help="No newer ones; UTC.")
@click.option("--before", type=click.IntRange(min=1), help="Only with a smaller number (--json).")
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=100,
    show_default=True,
    help="At most so many.",
)
@as_json
def audit(
    tenant: str | None,
    who: str,
    what: str,
    since: datetime | None,
    until: datetime | None,
    before: int | None,
    limit: int,
    as_json: bool,
) -> int:
    """Show who changed what or was refused, when and from where, the newest first.

    A command whose outcome is `begun` goes on, or was killed.
    """
    with opened(chroma=False, dagster=False) as parts:
        rows = parts.catalog.audit.rows(
            tenant=tenant,
            who=who,
            what=what,
            since=since.replace(tzinfo=UTC).timestamp() if since is not None else 0.0,
            until=until.replace(tzinfo=UTC).timestamp() if until is not None else None,
            before=before,
            limit=limit,
        )
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
