"""``s3sync approve-deletes``: what the guard stopped, and a person's word for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import click

from s3sync_dagster.cli.completing import source_names
from s3sync_dagster.cli.groups import examples
from s3sync_dagster.cli.options import as_json, opened
from s3sync_dagster.cli.showing import people
from s3sync_dagster.core.state import DepartureCursor, ListingRow
from s3sync_dagster.explaining import not_to_approve
from s3sync_dagster.model.errors import NotFound

if TYPE_CHECKING:
    from s3sync_dagster.wiring import Parts

SHOWN = 20
"""Keys that people are shown."""
PAGE = 1000


@click.command(epilog=examples("s3sync approve-deletes docs", "s3sync approve-deletes docs 7"))
@click.argument("name", metavar="SOURCE", shell_complete=source_names)
@click.argument(
    "listing_id", metavar="[LISTING]", required=False, type=click.IntRange(1, 2**63 - 1)
)
@click.option(
    "-n", "--limit", type=click.IntRange(min=1), default=SHOWN, show_default=True,
    help="Keys that are shown; --json has all.",
)  # fmt: skip
@as_json
def approve_deletes(name: str, listing_id: int | None, limit: int, as_json: bool) -> int:
    """Let a listing remove what the guard stopped.

    Without LISTING nothing is removed: it shows which objects' records would go, and ends with 1.
    LISTING is the number that it shows; where another listing has ended since, look again.
    """
    with opened(chroma=False, dagster=False) as parts:
        source = parts.catalog.sources.find(name)
        blocked = parts.catalog.listings.blocked(source.id)
        if listing_id is None:
            if blocked is None:
                raise NotFound(f"No removals of {source.name!r} wait for an approval.")
            return _show(parts, source.name, blocked, limit=None if as_json else limit)
        listing = parts.catalog.listings.approve(source.id, listing_id)
        if listing is None:
            newest = parts.catalog.listings.blocked(source.id)
            raise not_to_approve(source, listing_id, waiting=newest)
    if as_json:
        click.echo(json.dumps({"listing": listing.id, "documents": listing.gone}))
    click.echo(f"{listing.gone} documents are removed by the next run or sync", err=True)
    return 0


def _show(parts: Parts, name: str, blocked: ListingRow, *, limit: int | None) -> int:
    keys = _keys(parts, blocked)
    if limit is None:
        told = {"listing": blocked.id, "documents": blocked.gone, "keys": list(keys)}
        click.echo(json.dumps(told))
    else:
        click.echo(f"listing {blocked.id} of {name} would remove {blocked.gone} documents:")
        for key in islice(keys, limit):
            click.echo(f"  {people(key)}")
        if rest := sum(1 for _ in keys):
            click.echo(f"  and those of {rest} more objects")
    command = f"s3sync approve-deletes {name} {blocked.id}"
    click.echo(f"Nothing is approved yet. To remove just these: {command}", err=True)
    return 1


def _keys(parts: Parts, blocked: ListingRow) -> Iterator[str]:
    cursor: DepartureCursor | None = DepartureCursor()
    while cursor is not None:
        keys, cursor = parts.catalog.listings.departing_keys(
            blocked, kind=cursor.kind, after=cursor.after, limit=PAGE
        )
        yield from keys
