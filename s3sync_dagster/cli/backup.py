"""``s3sync backup`` and ``s3sync restore``."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from s3sync_dagster.cli.groups import examples
from s3sync_dagster.cli.options import as_json, opened
from s3sync_dagster.cli.showing import people, wrapped
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.settings import load_settings

PARTS = ("catalog", "uploads", "key", "history")
"""As ``local.backup.PARTS``, which costs half a second to import."""
FOLDER = click.Path(file_okay=False, path_type=Path)


def some_parts(function: Callable[..., Any]) -> Callable[..., Any]:
    """``--only`` and ``--without``."""
    choice = click.Choice(PARTS)
    only = click.option("--only", type=choice, multiple=True, help="This part alone; repeatable.")
    without = click.option("--without", type=choice, multiple=True, help="All parts but this one.")
    return only(without(function))


@click.command(
    epilog=examples(
        "s3sync backup /backups/monday",
        "s3sync backup /backups/monday --key-folder /safe/monday",
    )
)
@click.argument("folder", type=FOLDER)
@click.option("--key-folder", type=FOLDER, help="Put the encryption key there, apart.")
@some_parts
@as_json
def backup(
    folder: Path,
    key_folder: Path | None,
    only: tuple[str, ...],
    without: tuple[str, ...],
    as_json: bool,
) -> int:
    """Write what cannot be made again into a new FOLDER.

    The catalog, uploads, the encryption key and Dagster's history, each as it stands at one
    moment, while everything works. Chroma is made again from the buckets.
    """
    from s3sync_dagster.catalog.cipher import open_cipher  # noqa: PLC0415  (heavy, as the next)
    from s3sync_dagster.local.backup import write_backup  # noqa: PLC0415

    with opened(chroma=False) as parts:
        manifest = write_backup(
            parts.settings,
            parts.catalog.database,
            folder.absolute(),
            parts=_chosen(only, without),
            key_folder=key_folder.absolute() if key_folder else None,
        )
        unread = parts.catalog.credentials.unreadable(open_cipher(parts.settings))
    if as_json:
        click.echo(json.dumps({"folder": str(folder), **asdict(manifest)}))
    else:
        click.echo(f"{people(str(folder))}: {', '.join(manifest.parts)}")
        for name, why in manifest.left_out.items():
            click.echo(f"  without {name}: {people(why)}")
    if unread:
        click.echo(
            f"{unread} stored credentials cannot be read with the key of this home: it is not "
            "theirs. They are in the backup as they are.",
            err=True,
        )
    return 1 if unread else 0


@click.command(
    epilog=examples(
        "s3sync restore /backups/monday",
        "s3sync restore /backups/monday --key-folder /safe/monday",
        "s3sync restore /backups/monday --only history",
    )
)
@click.argument("folder", type=FOLDER)
@click.option("--key-folder", type=FOLDER, help="Take the encryption key from there.")
@click.option("--lost-key", is_flag=True, help="Go on although credentials cannot be read.")
@some_parts
@as_json
def restore(
    folder: Path,
    key_folder: Path | None,
    lost_key: bool,
    only: tuple[str, ...],
    without: tuple[str, ...],
    as_json: bool,
) -> int:
    """Put back what lies in the FOLDER of a backup.

    Into a data folder and databases that are empty: nothing is written over. What happened after
    the backup is found by the engine, with what the last lines of this command advise.
    """
    from s3sync_dagster.cli.noting import noted  # noqa: PLC0415  (heavy, as the next)
    from s3sync_dagster.local.backup_files import read_manifest  # noqa: PLC0415
    from s3sync_dagster.local.dagster_history import YAML_OF_BACKUP  # noqa: PLC0415  (heavy)
    from s3sync_dagster.local.restoring import restore_backup  # noqa: PLC0415
    from s3sync_dagster.wiring import open_parts  # noqa: PLC0415

    settings = load_settings()
    manifest = read_manifest(folder)
    parts = [name for name in _chosen(only, without) if name in manifest.parts]
    wanted_key = key_folder if not only or "key" in only else None
    apart = ("key",) if wanted_key else ()
    if absent := [name for name in only if name not in (*parts, *apart)]:
        raise InvalidSetting(f"The backup has no {', '.join(absent)}.")
    unlisted = restore_backup(
        settings, folder, manifest, parts=parts, key_folder=wanted_key, lost_key=lost_key
    )
    put = [name for name in PARTS if name in (*parts, *apart)]
    if "catalog" in parts:
        with closing(open_parts(settings)) as opened_parts, noted(opened_parts.catalog):
            pass
    if as_json:
        names = [source.name for source in unlisted]
        click.echo(json.dumps({"restored": put, "made_at": manifest.made_at, "unlisted": names}))
        return 0
    click.echo(f"Restored: {', '.join(put)}, as of {manifest.made_at}")
    if "history" in parts and (settings.dagster_home / YAML_OF_BACKUP).exists():
        line = (
            f"the backup has a dagster.yaml of one's own: it lies as {YAML_OF_BACKUP} in "
            f"{settings.dagster_home}, since such a file names programs that Dagster runs; look at "
            "it, and rename it where it is yours"
        )
        click.echo(wrapped(line, indent="  > ", hanging="    "))
    if "catalog" in parts:
        for line in _advice([source.name for source in unlisted]):
            click.echo(wrapped(line, indent="  > ", hanging="    "))
    return 0


def _advice(unlisted: list[str]) -> list[str]:
    found = [
        (
            "what is missing in Chroma is written again by itself; records of what came and went "
            "since, once all is listed: s3sync verify --fix (a mode that keeps what is gone reads "
            "them back)"
        ),
        (
            "what fails as record_ids_taken a source of after the backup may have written: "
            "s3sync rebuild NAME --catalog takes it over"
        ),
        "tokens that were revoked since count again: s3sync token list",
    ]
    if unlisted:
        found.append(
            f"nothing lists {', '.join(map(people, unlisted))} by itself: s3sync rebuild NAME "
            "finds what changed since"
        )
    return found


def _chosen(only: tuple[str, ...], without: tuple[str, ...]) -> tuple[str, ...]:
    if only and without:
        raise InvalidSetting("--only and --without: name one of them.")
    return tuple(name for name in PARTS if (not only or name in only) and name not in without)
