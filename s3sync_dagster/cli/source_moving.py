"""``s3sync source move``, and what ends what dead processes held."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from s3sync_dagster.cli.completing import source_names
from s3sync_dagster.cli.groups import examples
from s3sync_dagster.cli.options import opened
from s3sync_dagster.cli.sync_summary import place_of
from s3sync_dagster.engine.dispatching import reap
from s3sync_dagster.engine.moving import finish_move, how_far
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.source import Source

if TYPE_CHECKING:
    from s3sync_dagster.wiring import Parts

WAIT_SECONDS = 1.0


@click.command(epilog=examples("s3sync source move docs", "s3sync source move docs --now"))
@click.argument("name", shell_complete=source_names)
@click.option(
    "--now", is_flag=True, help="Remove the records of before without waiting for the new ones."
)
@click.option(
    "--keep-records",
    is_flag=True,
    help="End the move and leave what stands of before, as where its collection refuses all.",
)
def move(name: str, now: bool, keep_records: bool) -> int:
    """Let NAME be the source that its code declares: at another address, or in another collection.

    New records are written first. Each document of before goes by itself when its own successor is
    written, or its object is gone from the new address; `s3sync status` says how many stand, and
    why. Records with the same ids are taken over where they stand, but for texts that mode `append`
    keeps: those stay until `--now`.
    """
    if now and keep_records:
        raise InvalidSetting("--now removes the records that --keep-records leaves: name one.")
    with opened(chroma=now) as parts:
        found = parts.catalog.sources.find(name)
        if now:
            parts.require_chroma_of(found)
        if parts.catalog.sources.refused(found.id) is not None:
            found = parts.catalog.moves.begin(found.name)
            address = f"{place_of(found)} -> {found.collection_name}"
            click.echo(f"source {name!r} is {address} now", err=True)
        elif not parts.catalog.moves.left_by(found.id):
            parts.catalog.moves.begin(found.name)  # says why not
        finish = partial(
            finish_move,
            found,
            catalog=parts.catalog,
            collections=lambda: parts.collections,
            clock=parts.clock,
            log=lambda _: None,
        )
        stands = now
        if keep_records:
            for before in parts.catalog.moves.left_by(found.id):
                release_dead(parts, before)
            finish(keep=True)
        while stands:
            left = parts.catalog.moves.left_by(found.id)
            for before in left:
                release_dead(parts, before)
            note = finish(now=True, budget_seconds=5.0)
            if note is not None:
                click.echo(note, err=True)
            stands = any(parts.catalog.documents.of_source(one.id, limit=1) for one in left)
            if stands:
                parts.clock.sleep(WAIT_SECONDS)
        said = how_far(found, catalog=parts.catalog)
    click.echo(said or "nothing is left of the source before", err=True)
    return 0


def release_dead(parts: Parts, source: Source) -> None:
    """Release batches of processes that died: nobody may be there to wait for."""
    reap(
        parts.catalog,
        clock=parts.clock,
        is_dead=parts.owners.is_dead,
        run_state=lambda _run_id, _token: "unknown",
        source_id=source.id,
    )
