"""``s3sync source ...``."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from s3sync_dagster.cli.completing import source_names
from s3sync_dagster.cli.dagster_door import DagsterDoor, dagster_door
from s3sync_dagster.cli.endpoints import with_endpoint
from s3sync_dagster.cli.groups import Group, examples
from s3sync_dagster.cli.made_by_sync import made_by_sync
from s3sync_dagster.cli.options import as_json, opened
from s3sync_dagster.cli.showing import ago, columns, people
from s3sync_dagster.cli.source_moving import WAIT_SECONDS, move, release_dead
from s3sync_dagster.cli.source_options import (
    EditCommand,
    at,
    embedding_config,
    setting_options,
    with_settings,
    writes_again_itself,
    written_again_by,
)
from s3sync_dagster.cli.sync_summary import place_of
from s3sync_dagster.core.declaration import HOLDS_SECONDS
from s3sync_dagster.core.source_rules import require_own, validate_source
from s3sync_dagster.core.state import SourceRow
from s3sync_dagster.engine.deleting import take_down
from s3sync_dagster.engine.pages import first_object, look
from s3sync_dagster.local.stack_state import stack_starts
from s3sync_dagster.model.embedding_kinds import EMBEDDING_KINDS
from s3sync_dagster.model.errors import Conflict, InvalidSetting, S3SyncError
from s3sync_dagster.model.place import PLACE_FORM, Place, forms, parse_place
from s3sync_dagster.model.place_types import place_classes
from s3sync_dagster.model.source import AutoSync, Source
from s3sync_dagster.setting import Door
from s3sync_dagster.source_settings import settings_of

if TYPE_CHECKING:
    from s3sync_dagster.wiring import Parts


@click.group(cls=Group, epilog=examples("s3sync source list"))
def source() -> None:
    """Sources in the catalog: a place, such as a bucket, and a collection."""


source.add_command(move)


@source.command(
    epilog=examples(
        "s3sync source create docs --place s3://bucket/prefix --collection docs",
        "s3sync source create docs --bucket bucket --collection docs --extension .md --no-check",
    )
)
@click.argument("name")
@click.option(
    "--place",
    metavar=PLACE_FORM,
    help=f"What is indexed: {', '.join(forms())}; or --bucket and its like.",
)
@click.option(
    "--check/--no-check", default=True, show_default=True, help="List one key of it first."
)
@setting_options(at(Door.CREATE), new=True)
def create(name: str, place: str | None, check: bool, **options: Any) -> int:
    """Create the source NAME; a running stack picks it up by itself."""
    embedding_config(options)  # refuses a model without its kind
    with opened(chroma=False, dagster=False) as parts:
        named = _named_place(place, options)
        made = Source(
            id=str(uuid.uuid4()),
            name=name,
            place=named,
            list_interval_seconds=named.listed_every,
            collection_name=options["collection"],
            tenant=parts.settings.chroma_tenant or "default_tenant",
            database_name=parts.settings.chroma_database or "default_database",
        )
        made = with_endpoint(with_settings(made, options))
        _validate(parts, made)
        empty = check and _is_empty(parts, made)
        try:
            parts.catalog.sources.add(made)
        except Conflict as error:
            raise made_by_sync(parts.catalog.sources.rows(), made) or error from None
        door = dagster_door(parts.settings)
        silent = door.silence() if door is not None else None
        seen = door is not None or stack_starts(parts.settings)
    click.echo(f"source {name!r} ({made.id}) created", err=True)
    if empty:
        click.echo(f"Nothing lies under {place_of(made)} yet: is the prefix right?", err=True)
    click.echo(f"Next: {_next_step(made, door=door, seen=seen, silent=silent)}", err=True)
    return 0


@source.command(
    cls=EditCommand,
    epilog=examples(
        "s3sync source edit docs --list-interval 60",
        's3sync source edit docs --queue-url ""',
    ),
)
@click.argument("name", shell_complete=source_names)
@setting_options(at(Door.EDIT))
def edit(name: str, **options: Any) -> int:
    """Change settings of NAME; it is listed again at the next tick.

    An empty value takes a setting away, such as --queue-url "". Bucket, prefix, collection and
    embedding are what a source is: for other ones create another source.
    """
    with opened(chroma=False, dagster=False) as parts:
        before = require_own(_named_row(parts, name))
        changed = with_settings(before, options)
        _validate(parts, changed)
        parts.catalog.sources.update(changed, seen=before)
        outdated = changed.fingerprint() != before.fingerprint()
        documents = parts.catalog.views.counts(changed.id).documents if outdated else 0
    click.echo(f"source {name!r} changed", err=True)
    if documents and not writes_again_itself(changed):
        click.echo(
            f"{documents} documents are outdated now and still served; to index them again: "
            f"{written_again_by(changed)}",
            err=True,
        )
    return 0


@source.command(name="list", epilog=examples("s3sync source list", "s3sync source list --json"))
@as_json
def list_sources(as_json: bool) -> int:
    """List all sources."""
    with opened(chroma=False, dagster=False) as parts:
        rows = parts.catalog.sources.rows()
    if as_json:
        click.echo(json.dumps([_row(row) for row in rows]))
        return 0
    table = [
        (
            row.source.name,
            place_of(row.source),
            row.source.collection_name,
            row.source.auto_sync,
            row.origin,
            "deleting" if row.deleting else "paused" if row.paused else "on",
        )
        for row in rows
    ]
    for line in columns(("name", "place", "collection", "auto-sync", "from", "state"), table):
        click.echo(line)
    if not rows:
        click.echo("No sources yet: s3sync source create, or s3sync sync.", err=True)
    return 0


@source.command(epilog=examples("s3sync source show docs"))
@click.argument("name", shell_complete=source_names)
@as_json
def show(name: str, as_json: bool) -> int:
    """Show all settings of NAME."""
    with opened(chroma=False, dagster=False) as parts:
        found = parts.catalog.sources.find(name)
        values, asked = found.settings(), parts.catalog.servers.names(found.id)
    if as_json:
        click.echo(json.dumps(values))
        return 0
    for key, value in values.items():
        inner = value.items() if isinstance(value, dict) and key != "metadata" else [("", value)]
        for field, one in inner:
            if one not in (None, "", [], {}):
                shown = one if isinstance(one, str) else json.dumps(one, ensure_ascii=False)
                click.echo(f"{key}{'.' if field else ''}{field}: {people(shown)}")
    if values.get("endpoint_url", "") is None:
        last = f", which was {people(asked[0]) or 'AWS'} last" if asked else ""
        click.echo(f"endpoint_url: none; the environment of who asks names the server{last}")
    return 0


@source.command(epilog=examples("s3sync source pause docs"))
@click.argument("name", shell_complete=source_names)
def pause(name: str) -> int:
    """Stop the automatic work of NAME."""
    return _pause(name, paused=True)


@source.command(epilog=examples("s3sync source resume docs"))
@click.argument("name", shell_complete=source_names)
def resume(name: str) -> int:
    """Go on with the automatic work of NAME; it is listed at the next tick."""
    return _pause(name, paused=False)


@source.command(
    epilog=examples("s3sync source delete docs", "s3sync source delete docs --keep-records")
)
@click.argument("name", shell_complete=source_names)
@click.option(
    "--keep-records",
    is_flag=True,
    help="Leave its records in the collection; questions find them by vectors alone.",
)
@click.option(
    "--undeclared",
    is_flag=True,
    help="Of a source of Python or YAML: no code declares it any more.",
)
def delete(name: str, keep_records: bool, undeclared: bool) -> int:
    """Delete NAME with its records; running work ends first.

    A source that code declares would be there anew, and index all again: take its declaration
    away first, let the code location load that, and then name --undeclared.
    """
    import dagster as dg  # noqa: PLC0415  (no other command here pays for it)

    from s3sync_dagster.defs.partitions import drop_all_partitions  # noqa: PLC0415

    with opened(chroma=not keep_records) as parts:
        row = _named_row(parts, name)
        found = _undeclared(parts, row) if undeclared else require_own(row)
        if not keep_records:
            parts.require_chroma_of(found)
        parts.catalog.sources.mark_deleting(found.id, keep_records=keep_records)
        said = ""
        with dg.DagsterInstance.get() as instance:
            while parts.catalog.sources.deleting(found.id) is not None:
                release_dead(parts, found)
                note = take_down(
                    found,
                    catalog=parts.catalog,
                    collections=lambda: parts.collections,
                    clock=parts.clock,
                    drop_partitions=lambda until: drop_all_partitions(
                        parts.catalog, instance, found, until=until, clock=parts.clock
                    ),
                    log=lambda _: None,
                    budget_seconds=5.0,
                )
                if note != said:
                    click.echo(note, err=True)
                elif parts.catalog.sources.deleting(found.id) is not None:
                    parts.clock.sleep(WAIT_SECONDS)  # a batch, or a Chroma that only says it did
                said = note
    return 0


def _named_row(parts: Parts, name: str) -> SourceRow:
    row = parts.catalog.sources.row(parts.catalog.sources.find(name).id)
    assert row is not None  # it has just been found
    return row


def _undeclared(parts: Parts, row: SourceRow) -> Source:
    """Return a source that no code declares, as far as can be told."""
    declaration = parts.catalog.sources.declaration(row.source.id)
    if declaration is not None and declaration.holds(parts.clock.now().timestamp()):
        raise InvalidSetting(
            f"The source {row.source.name!r} is declared in {row.origin}, {ago(declaration.at)} "
            f"for the last time{f' by {declaration.by!r}' if declaration.by else ''}: take it "
            f"away there, and say this again {HOLDS_SECONDS:.0f} s later.",
            reason="source_is_declared",
        )
    return row.source


def _named_place(text: str | None, options: Mapping[str, Any]) -> Place:
    """Return the place of ``--place``, or that of the one option that names one."""
    by_option = {
        setting.flag: (kind, setting)
        for kind in place_classes().values()
        for setting in settings_of(kind)
        if setting.path.startswith("place.") and setting.required
    }
    given = [flag for flag, (_, one) in by_option.items() if options.get(one.parameter)]
    if (text is not None) + len(given) != 1:
        raise click.UsageError(f"Give --place, or one of {', '.join(by_option)}.")
    if text is not None:
        return parse_place(text)
    kind, setting = by_option[given[0]]
    return kind(**{setting.word: options[setting.parameter]})


def _validate(parts: Parts, source: Source) -> None:
    """Find the mistakes that can be found without asking the bucket."""
    validate_source(source)
    if not EMBEDDING_KINDS[source.embedding.kind].local:
        parts.embedder_for(source.embedding)
    for credential_id in source.place.credential_ids:
        parts.catalog.credentials.info(credential_id)


def _is_empty(parts: Parts, source: Source) -> bool:
    """Return whether nothing lies there. Raises ``S3SyncError`` where it may not be listed."""
    try:
        store = parts.store_for(source)
        if hasattr(store, "look"):  # a first page of its listing would be a whole fetch or crawl
            look(store, source.place.path_prefix)
            return False
        return first_object(store, source.place.path_prefix) is None
    except S3SyncError as error:
        told = error.message.rstrip(".")
        error.message = f"{told}. Nothing was created; --no-check creates the source all the same."
        raise


def _next_step(source: Source, *, door: DagsterDoor | None, seen: bool, silent: str | None) -> str:
    if source.auto_sync == AutoSync.NONE:
        return f"s3sync sync {place_of(source)} --collection {source.collection_name}"
    if silent is not None:
        return f"nothing is seen that begins with it. {silent}"
    if seen:
        who = f"the Dagster at {door.url}" if door and door.named else "the running stack"
        return f"{who} begins with it in seconds: s3sync status {source.name}"
    return "s3sync up, which works on it until Ctrl-C (or a Dagster that runs elsewhere does)"


def _pause(name: str, *, paused: bool) -> int:
    with opened(chroma=False, dagster=False) as parts:
        found = parts.catalog.sources.find(name)
        parts.catalog.sources.set_paused(found.id, paused=paused)
    click.echo(f"source {name!r} {'paused' if paused else 'resumed'}", err=True)
    return 0


def _row(row: SourceRow) -> dict[str, Any]:
    return {
        **row.source.settings(),
        "origin": row.origin,
        "paused": row.paused,
        "deleting": row.deleting is not None,
    }
