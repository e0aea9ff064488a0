"""``s3sync objects``, also ``s3sync ls``."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from s3sync_dagster.cli.addresses import key_in, rows_under
from s3sync_dagster.cli.completing import object_keys, source_names
from s3sync_dagster.cli.groups import examples
from s3sync_dagster.cli.options import as_json, opened
from s3sync_dagster.cli.showing import columns, people

if TYPE_CHECKING:
    from s3sync_dagster.catalog.views import ObjectRow
    from s3sync_dagster.model.source import Source

STATES = ("indexed", "pending", "processing", "skipped", "failed")
LIMIT = 100


@click.command(
    epilog=examples(
        "s3sync objects",
        "s3sync objects docs --state failed",
        "s3sync objects docs --prefix s3://bucket/prefix/reports/ -n 20",
        "s3sync ls --state skipped --reason too_large --json",
    )
)
@click.argument("name", metavar="[SOURCE]", required=False, shell_complete=source_names)
@click.option("--state", type=click.Choice(STATES), help="Only objects in this state.")
@click.option("--reason", help="Only those skipped or failed for it; see docs/reasons.md.")
@click.option(
    "--prefix",
    default="",
    shell_complete=object_keys,
    help="Only keys that begin so; s3://BUCKET/PREFIX too.",
)
@click.option(
    "-n", "--limit", type=click.IntRange(min=1), default=LIMIT, show_default=True, help="Objects."
)
@as_json
def objects(
    name: str | None, state: str | None, reason: str | None, prefix: str, limit: int, as_json: bool
) -> int:
    """List objects with their state, chunks and reason.

    In the order of their keys, source by source; of all sources when none is named.
    """
    found: list[tuple[Source, ObjectRow]] = []
    with opened(chroma=False, dagster=False) as parts:
        catalog = parts.catalog
        for source in [catalog.sources.find(name)] if name else catalog.sources.all():
            start = key_in(source, prefix)
            if start is not None:
                rows = rows_under(catalog, source, prefix=start, state=state, reason=reason)
                found += [(source, row) for row in islice(rows, limit + 1 - len(found))]
    more, found = len(found) > limit, found[:limit]
    if as_json:
        click.echo(json.dumps([_values(source, row) for source, row in found]))
    else:
        head = ("state", "chunks", "size", "source", "key")
        for line in columns(head, [_cells(source, row) for source, row in found]):
            click.echo(line)
    if more:
        click.echo(f"There are more than these {limit}: -n shows more.", err=True)
    if not found:
        click.echo("No objects like that.", err=True)
    return 0


def _cells(source: Source, row: ObjectRow) -> tuple[str, ...]:
    state = f"{row.state} ({row.reason})" if row.reason else row.state
    size = str(row.size) if row.size >= 0 else "?"
    return state, str(row.chunks), size, source.name, people(row.object_key)


def _values(source: Source, row: ObjectRow) -> dict[str, Any]:
    values = asdict(row)
    key = values.pop("object_key")
    return {"source": source.name, "key": key, "address": source.place.address(key), **values}
