"""``s3sync source ...``."""

import json
import uuid
from typing import Any

import click

from s3sync_dagster.cli.options import EMBEDDINGS, MODES, as_json, opened
from s3sync_dagster.core.keys import (
    validate_collection_name,
    validate_id_prefix,
    validate_source_name,
)
from s3sync_dagster.core.selection import validate_selection
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.source import (
    AutoSync,
    ChunkingConfig,
    CredentialsConfig,
    DeleteMode,
    EmbeddingConfig,
    Source,
)

AUTO_SYNC = click.Choice(["none", "direct", "metadata"])


@click.group()
def source() -> None:
    """Sources in the catalog: a bucket, a prefix, a collection."""


def _settings_options(function: Any) -> Any:
    for option in reversed(
        [
            click.option("--region"),
            click.option("--queue-url", metavar="URL", help="SQS queue with the bucket's events."),
            click.option("--auto-sync", type=AUTO_SYNC, help="Who starts work; default direct."),
            click.option("--list-interval", type=click.IntRange(min=0), metavar="SECONDS"),
            click.option("--mode", type=MODES, help="Of changed and deleted; default mirror."),
            click.option("--include", multiple=True, metavar="GLOB"),
            click.option("--exclude", multiple=True, metavar="GLOB"),
            click.option("--extension", multiple=True, metavar=".EXT"),
            click.option("--max-size-bytes", type=click.IntRange(min=1)),
            click.option("--document-limit", type=click.IntRange(min=1)),
            click.option("--metadata", metavar="JSON", help="Added to each record."),
            click.option("--on-config-change", type=click.Choice(["keep", "reindex"])),
            click.option("--profile", help="AWS profile."),
            click.option("--access-key-id-env", metavar="NAME", help="Variable with the key id."),
            click.option("--secret-access-key-env", metavar="NAME"),
            click.option("--session-token-env", metavar="NAME"),
            click.option("--role-arn"),
            click.option("--external-id"),
        ]
    ):
        function = option(function)
    return function


@source.command()
@click.argument("name")
@click.option("--bucket", required=True)
@click.option("--prefix", default="")
@click.option("--collection", required=True)
@click.option("--endpoint-url", metavar="URL")
@click.option("--tenant", default="default_tenant", show_default=True)
@click.option("--database", default="default_database", show_default=True)
@click.option("--id-prefix", default="", help="Before each record id, at most 56 bytes.")
@click.option("--embedding", type=EMBEDDINGS, default="minilm", show_default=True)
@click.option("--chunking", type=click.Choice(["tree_sitter", "lines"]), default="tree_sitter")
@click.option("--max-chunk-bytes", type=click.IntRange(1, 16384))
@click.option("--adopt", is_flag=True, help="Take over records that others wrote.")
@_settings_options
def create(
    name: str,
    bucket: str,
    prefix: str,
    collection: str,
    endpoint_url: str | None,
    tenant: str,
    database: str,
    id_prefix: str,
    embedding: str,
    chunking: str,
    max_chunk_bytes: int | None,
    adopt: bool,
    **options: Any,
) -> int:
    """Create the source NAME; a running stack picks it up by itself."""
    validate_source_name(name)
    validate_collection_name(collection)
    validate_id_prefix(id_prefix)
    made = Source(
        id=str(uuid.uuid4()),
        name=name,
        bucket_name=bucket,
        path_prefix=prefix,
        collection_name=collection,
        endpoint_url=endpoint_url,
        tenant=tenant,
        database_name=database,
        id_prefix=id_prefix,
        embedding=EmbeddingConfig(kind=embedding),  # type: ignore[arg-type]
        chunking=ChunkingConfig(type=chunking, max_size_bytes=max_chunk_bytes),  # type: ignore[arg-type]
        adopt=adopt,
    )
    made = _with_options(made, options)
    validate_selection(made)
    with opened(chroma=False) as parts:
        parts.catalog.sources.add(made)
    click.echo(f"source {name!r} ({made.id}) created", err=True)
    return 0


@source.command()
@click.argument("name")
@_settings_options
def edit(name: str, **options: Any) -> int:
    """Change settings of NAME; it is listed again at the next tick."""
    with opened(chroma=False) as parts:
        changed = _with_options(parts.catalog.sources.find(name), options)
        validate_selection(changed)
        parts.catalog.sources.update(changed)
    click.echo(f"source {name!r} changed", err=True)
    return 0


@source.command(name="list")
@as_json
def list_sources(as_json: bool) -> int:
    """List all sources."""
    with opened(chroma=False) as parts:
        rows = parts.catalog.sources.rows()
    if as_json:
        click.echo(json.dumps([_row(row) for row in rows]))
        return 0
    for row in rows:
        state = "deleting" if row.deleting else "paused" if row.paused else "on"
        click.echo(
            f"{row.name}  s3://{row.bucket_name}/{row.path_prefix} -> {row.collection_name}  "
            f"[{row.config['auto_sync']}, {row.origin}, {state}]"
        )
    return 0


@source.command()
@click.argument("name")
@as_json
def show(name: str, as_json: bool) -> int:
    """Show all settings of NAME."""
    with opened(chroma=False) as parts:
        found = parts.catalog.sources.find(name)
    values = found.to_json()
    if as_json:
        click.echo(json.dumps(values))
    else:
        for key, value in values.items():
            if value not in (None, "", [], {}):
                click.echo(f"{key}: {value}")
    return 0


@source.command()
@click.argument("name")
def pause(name: str) -> int:
    """Stop the automatic work of NAME."""
    return _pause(name, paused=True)


@source.command()
@click.argument("name")
def resume(name: str) -> int:
    """Go on with the automatic work of NAME; it is listed at the next tick."""
    return _pause(name, paused=False)


@source.command()
@click.argument("name")
@click.option("--keep-records", is_flag=True, help="Leave its records in the collection.")
def delete(name: str, keep_records: bool) -> int:
    """Delete NAME with its records; running work ends first."""
    from s3sync_dagster.defs.deleting import delete_when_free  # noqa: PLC0415
    from s3sync_dagster.defs.resources import Runtime  # noqa: PLC0415

    with opened(chroma=not keep_records) as parts:
        found = parts.catalog.sources.find(name)
        parts.catalog.sources.mark_deleting(found.id, keep_records=keep_records)
        notes = delete_when_free(Runtime(parts), found, log=lambda _: None, budget_seconds=3600)
    for note in notes:
        click.echo(note, err=True)
    return 0


def _pause(name: str, *, paused: bool) -> int:
    with opened(chroma=False) as parts:
        found = parts.catalog.sources.find(name)
        parts.catalog.sources.set_paused(found.id, paused=paused)
    click.echo(f"source {name!r} {'paused' if paused else 'resumed'}", err=True)
    return 0


def _with_options(made: Source, options: dict[str, Any]) -> Source:
    changes: dict[str, Any] = {}
    direct = {
        "region": "region",
        "queue_url": "queue_url",
        "list_interval": "list_interval_seconds",
        "max_size_bytes": "max_size_bytes",
        "document_limit": "document_limit",
        "on_config_change": "on_config_change",
    }
    for option, field in direct.items():
        if options.get(option) is not None:
            changes[field] = options[option]
    for option, field in (
        ("include", "include_globs"),
        ("exclude", "exclude_globs"),
        ("extension", "extensions"),
    ):
        if options.get(option):
            changes[field] = tuple(options[option])
    if options.get("auto_sync"):
        changes["auto_sync"] = AutoSync(options["auto_sync"])
    if options.get("mode"):
        changes["mode"] = DeleteMode(options["mode"])
    if options.get("metadata") is not None:
        changes["metadata"] = _metadata(options["metadata"])
    credentials = {
        field: options[field]
        for field in (
            "profile",
            "access_key_id_env",
            "secret_access_key_env",
            "session_token_env",
            "role_arn",
            "external_id",
        )
        if options.get(field)
    }
    if credentials:
        changes["credentials"] = CredentialsConfig(**credentials)
    return made.with_changes(**changes)


def _metadata(text: str) -> dict[str, Any]:
    from s3sync_dagster.core.record_limits import validate_user_metadata  # noqa: PLC0415

    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise InvalidSetting('--metadata is no JSON object, such as \'{"team": "red"}\'.')
    validate_user_metadata(value)
    return value


def _row(row: Any) -> dict[str, Any]:
    return {
        **row.config,
        "origin": row.origin,
        "paused": row.paused,
        "deleting": row.deleting is not None,
    }
