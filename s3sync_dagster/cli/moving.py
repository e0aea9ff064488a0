"""``s3sync source move``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from s3sync_dagster.cli.completing import source_names
from s3sync_dagster.cli.groups import examples
from s3sync_dagster.cli.options import as_json, chroma_url, opened
from s3sync_dagster.cli.source_options import named, setting_options, with_settings
from s3sync_dagster.cli.sync_summary import print_summary, print_troubles
from s3sync_dagster.core.source_identity import identity_changes
from s3sync_dagster.engine.dispatching import reap
from s3sync_dagster.engine.moving import clear_left_behind
from s3sync_dagster.local.signals import stop_on_signals
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.source import Source

if TYPE_CHECKING:
    from s3sync_dagster.wiring import Parts

WAIT_SECONDS = 1.0
IDENTITY = named(
    "place.bucket_name",
    "place.path_prefix",
    "place.endpoint_url",
    "collection_name",
    "tenant",
    "database_name",
    "id_prefix",
)


@click.command(
    epilog=examples(
        "s3sync source move docs --collection docs_v2", "s3sync source move docs --json"
    )
)
@click.argument("name", shell_complete=source_names)
@setting_options(IDENTITY)
@click.option("--approve-deletes", is_flag=True, help="Remove more than the guard would let pass.")
@chroma_url
@as_json
def move(
    name: str, approve_deletes: bool, chroma_url: str | None, as_json: bool, **options: Any
) -> int:
    """Make NAME a source of another place or collection; its old records go last.

    A source of Python or YAML moves to where its code says now; one of the catalog to what the
    options say. All is indexed there first, with vectors of the cache. In another collection the
    records before serve until then; what has no successor goes through the guard. A move that was
    stopped goes on with the same command.
    """
    from s3sync_dagster.cli.sync_progress import DrawnProgress  # noqa: PLC0415
    from s3sync_dagster.local.oneshot import run_sync  # noqa: PLC0415  (no other subcommand pays)

    with stop_on_signals(), opened(chroma_url, dagster=False) as parts:
        before = parts.catalog.sources.find(name)
        after = _wanted(parts, before, options)
        if identity_changes(before, after):
            _begin(parts, before, after)
        with DrawnProgress() as progress:
            summary = run_sync(parts, after, progress=progress, approve_deletes=approve_deletes)
        print_troubles(parts, after, summary)
        cleared = [
            clear_left_behind(
                after,
                remnant,
                moves=parts.catalog.moves,
                catalog=parts.catalog,
                collections=parts.collections,
                approved=approve_deletes,
            )
            for remnant in parts.catalog.moves.remnants(after.id)
        ]
        if as_json:
            values = asdict(summary)
            values.pop("newly_failed")
            click.echo(json.dumps({**values, "left_behind": [asdict(one) for one in cleared]}))
        else:
            print_summary(summary, after)
    for one in cleared:
        click.echo(f"{one.removed} documents removed from where the source was", err=True)
        if one.waiting:
            click.echo(
                f"{one.waiting} stay until their objects are indexed: s3sync source move {name}",
                err=True,
            )
        if one.blocked:
            click.echo(
                f"{one.blocked} have no successor, and go only with "
                f"s3sync source move {name} --approve-deletes",
                err=True,
            )
        if one.kept:
            click.echo(f"{one.kept} of objects that are gone are kept where they are", err=True)
    left = any(one.waiting or one.blocked for one in cleared)
    return 1 if summary.failed or summary.blocked_deletes or left else 0


def _wanted(parts: Parts, before: Source, options: dict[str, Any]) -> Source:
    """Return what the source is to be.

    Raises:
        InvalidSetting: nobody says what, or options where code says it.
    """
    row = parts.catalog.sources.row(before.id)
    asked = with_settings(before, options, IDENTITY)
    origin = row.origin if row is not None else "catalog"
    declared = origin != "catalog"
    if declared and asked != before:
        raise InvalidSetting(
            f"The source {before.name!r} is declared in {origin}: change it there, load it, "
            "and move it without options."
        )
    after = parts.catalog.sources.refused(before.id) or asked
    if not identity_changes(before, after) and not parts.catalog.moves.remnants(before.id):
        way = (
            "its code declares what it is" if declared else "say what changes, such as --collection"
        )
        raise InvalidSetting(f"The source {before.name!r} is where it should be: {way}.")
    return after


def _begin(parts: Parts, before: Source, after: Source) -> None:
    """Make the source another one once none of its batches lives; no new one begins meanwhile."""
    sources = parts.catalog.sources
    paused, noted = sources.paused(before.id), False
    if not paused:
        sources.set_paused(before.id, paused=True)
    try:
        while not parts.catalog.moves.begin(before, after):
            reap(
                parts.catalog,
                clock=parts.clock,
                is_dead=parts.owners.is_dead,
                run_state=lambda _run_id, _token: "unknown",
                source_id=before.id,
            )
            if not noted:
                click.echo("waiting for batches that are at work", err=True)
                noted = True
            parts.clock.sleep(WAIT_SECONDS)
    finally:
        if not paused:
            sources.set_paused(before.id, paused=False)
