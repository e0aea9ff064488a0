"""``s3sync sync --dry-run``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from s3sync_dagster.cli.showing import reasons
from s3sync_dagster.cli.sync_progress import DrawnProgress
from s3sync_dagster.cli.sync_summary import place_of
from s3sync_dagster.core.estimate import Estimate
from s3sync_dagster.engine.dry_run import DryRun, dry_run
from s3sync_dagster.model.source import Source

if TYPE_CHECKING:
    from s3sync_dagster.wiring import Parts


def print_dry_run(parts: Parts, source: Source, *, as_json: bool, quiet: bool = False) -> int:
    """Print what a sync of the source would do; the source may be one that is not created."""
    with DrawnProgress(quiet=quiet) as progress:
        found = dry_run(
            source,
            catalog=parts.catalog,
            store=parts.store_for(source),
            on_page=progress.listed,
        )
    if as_json:
        click.echo(json.dumps(asdict(found)))
    else:
        _print(source, found, price=parts.settings.price_of(source.embedding))
    return 0


def _print(source: Source, found: DryRun, *, price: float | None) -> None:
    click.echo(f"{place_of(source)} -> {source.collection_name}: {found.listed} objects listed")
    for name, value in (
        ("new", str(found.indexed)),
        ("changed", str(found.updated)),
        ("try again", str(found.retried)),
        ("unchanged", str(found.unchanged)),
        ("skip", reasons(found.skipped)),
        ("failed", reasons(found.failed)),
    ):
        click.echo(f"  {name:<10} {value}")
    if found.removed:
        guard = ", which waits for a person's word" if found.needs_approval else ""
        click.echo(f"  besides, records of {found.removed} objects would be removed{guard}")
    size = found.bytes / 1024**2
    click.echo(f"to read: {size:.1f} MiB")
    read = Estimate(texts=found.estimated_chunks, text_bytes=found.estimated_text_bytes)
    click.echo(f"to embed: {read.told(price=price)}, by names and sizes")
    click.echo("Nothing was changed.", err=True)
