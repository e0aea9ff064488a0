"""``s3sync sync``."""

from __future__ import annotations

import re
import sys
import uuid
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from s3sync_dagster.cli.dry_run import print_dry_run
from s3sync_dagster.cli.endpoints import find_source, with_endpoint
from s3sync_dagster.cli.groups import examples
from s3sync_dagster.cli.machine_faults import hushed
from s3sync_dagster.cli.options import as_json, chroma_url, loudness, opened
from s3sync_dagster.cli.showing import wrapped
from s3sync_dagster.cli.source_options import (
    embedding,
    embedding_config,
    named,
    setting_options,
    with_settings,
)
from s3sync_dagster.cli.sync_progress import DrawnProgress
from s3sync_dagster.cli.sync_summary import Show, place_of, print_troubles
from s3sync_dagster.core.source_rules import validate_source
from s3sync_dagster.local.oneshot import run_sync
from s3sync_dagster.local.oneshot_report import Summary
from s3sync_dagster.local.signals import stop_on_signals
from s3sync_dagster.local.watching import keep_watching, require_watched
from s3sync_dagster.model.errors import Conflict, InvalidSetting, S3SyncError
from s3sync_dagster.model.place import PLACE_FORM, Place, parse_place
from s3sync_dagster.model.source import AutoSync, EmbeddingConfig, Source

if TYPE_CHECKING:
    from s3sync_dagster.wiring import Parts


FILTERS = named("include_globs", "exclude_globs", "extensions", "max_size_bytes")
"""Settings of a new source; one that is known has its own."""


@click.command(
    epilog=examples(
        "s3sync sync s3://bucket/prefix --collection docs",
        "s3sync sync s3://bucket --collection docs --extension .md --extension .pdf --dry-run",
        "s3sync sync s3://bucket/prefix -c docs --endpoint-url http://127.0.0.1:9000 -q --json",
    )
)
@click.argument("place", metavar=PLACE_FORM)
@setting_options(
    named("collection_name", "place.endpoint_url", "place.region", "place.credentials.profile"),
    new=True,
)
@chroma_url
@embedding("Of a new source; minilm when not given.")
@setting_options([*named("mode"), *FILTERS], new=True)
@click.option(
    "--approve-deletes", is_flag=True,
    help="Remove more than the guard would let pass: whatever this command's own listing misses.",
)  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--watch", is_flag=True, help="Follow the changes of a folder until Ctrl-C.")
@click.option(
    "--fail-on",
    type=click.Choice(["any", "new"]),
    default="any",
    show_default=True,
    help="Exit code 1 for any failed object, or only for those that failed now.",
)
@loudness
@as_json
def sync(
    place: str,
    chroma_url: str | None,
    approve_deletes: bool,
    dry_run: bool,
    watch: bool,
    fail_on: str,
    quiet: bool,
    verbose: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Bring a collection in line with a PLACE, once.

    PLACE is a bucket, a folder or the like, as `s3sync source create --help` writes them. All is
    done in this process, no daemon is needed. Credentials of buckets come from AWS's default chain.
    The exit code is 1 when an object failed or removals wait for an approval.
    """
    read = parse_place(place)
    model, mode = embedding_config(options), options["mode"]
    room = opened(chroma_url, chroma=not dry_run, dagster=False, quiet=quiet)
    with hushed(), stop_on_signals(), room as parts:
        wanted = Source(
            id=str(uuid.uuid4()),
            name="unnamed",
            place=read,
            collection_name=options["collection"],
            auto_sync=AutoSync.NONE,
            tenant=parts.settings.chroma_tenant or "default_tenant",
            database_name=parts.settings.chroma_database or "default_database",
        )
        asked = with_settings(wanted, options)
        wanted = with_endpoint(asked.with_changes(name=_stem(asked)))
        validate_source(wanted)
        if watch:
            require_watched(wanted.place)  # before anything is made
        known = find_source(parts, asked, wanted, keep=not dry_run)
        if known is not None:
            _require_same(known, model, mode, place=read)
            _require_same_filters(known, wanted, options)
        if dry_run:
            if known is None:
                parts.catalog.sources.require_possible(wanted)
            return print_dry_run(parts, known or wanted, as_json=as_json, quiet=quiet)
        source = known or _add(parts, wanted)
        parts.require_chroma_of(source)
        show = Show(quiet=quiet, verbose=verbose, as_json=as_json)
        is_new = known is None

        def list_whole() -> Summary:
            nonlocal is_new
            summary = _sync_once(
                parts, source, show, approve_deletes, is_new=is_new, empty_stays=watch
            )
            is_new = False
            return summary

        if watch:
            keep_watching(parts, source, list_whole=list_whole, told=show.keys, note=show.note)
        return _exit_code(list_whole(), fail_on)


def _sync_once(
    parts: Parts,
    source: Source,
    show: Show,
    approve_deletes: bool,
    *,
    is_new: bool,
    empty_stays: bool,
) -> Summary:
    """Bring a source in line with a whole listing, and say what was done."""
    try:
        with DrawnProgress(quiet=show.quiet, verbose=show.verbose) as progress:
            summary = run_sync(parts, source, progress=progress, approve_deletes=approve_deletes)
    except S3SyncError as error:
        if is_new and not parts.catalog.views.counts(source.id).objects:
            parts.catalog.documents.drop_source(source.id)  # a typing error leaves nothing
            _name_other_server(parts, source, error)
        raise
    leaves_nothing = is_new and not summary.listed and not empty_stays
    if leaves_nothing:
        parts.catalog.documents.drop_source(source.id)
        click.echo(
            f"Nothing lies under {place_of(source)}: is the prefix right? No source is kept.",
            err=True,
        )
    elif is_new and not show.quiet and not show.as_json:
        told = f"source {source.name!r} was made"
        click.echo(wrapped(told, hanging="  ", stream=sys.stderr), err=True)
    print_troubles(parts, source, summary)
    show.summary(summary, source, told=not leaves_nothing)
    return summary


def _name_other_server(parts: Parts, source: Source, error: S3SyncError) -> None:
    """Say that another source has this place at another server: the option was forgotten."""
    for one in parts.catalog.sources.all():
        same = one.place.address() == source.place.address()
        if same and one.collection_name == source.collection_name and one.id != source.id:
            told = error.message.rstrip(".")
            error.message = (
                f"{told}. The source {one.name!r} has this place and collection with another "
                f"endpoint: name it with --endpoint-url (s3sync source show {one.name})."
            )
            return


def _stem(source: Source) -> str:
    """Return a name that tells place and collection."""
    place = source.place.identity().bucket_name.strip("/").rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9_]+", "_", f"{place}_{source.collection_name}")[:40]


def _add(parts: Parts, wanted: Source) -> Source:
    """Add the source under a name of its own, which tells bucket and collection."""
    stem = _stem(wanted)
    for name in (stem, f"{stem}_{wanted.id[:8]}"):
        try:
            return parts.catalog.sources.add(wanted.with_changes(name=name))
        except Conflict as error:
            refused = error
            if known := parts.catalog.sources.find_identity(wanted):
                return known  # another sync of this place was faster
    raise refused


def _require_same(
    known: Source, model: EmbeddingConfig | None, mode: str | None, *, place: Place
) -> None:
    """Refuse options that say something else than the source of this place."""
    if (setting := place.contradicts(known.place)) is not None:
        raise InvalidSetting(
            f"The source {known.name!r} of this place has another {setting}: use another "
            f"collection, or change it with `s3sync source edit {known.name} --{setting} ...`."
        )
    if not _agree(model, known.embedding):
        raise InvalidSetting(
            f"The source {known.name!r} of this place has the embedding {known.embedding.kind!r}, "
            "and a collection has one: leave out --embedding, or use another collection."
        )
    if mode not in (None, known.mode.value):
        raise InvalidSetting(
            f"The source {known.name!r} of this place has the mode {known.mode.value!r}: leave out "
            f"--mode, or change it with `s3sync source edit {known.name} --mode {mode}`."
        )


def _require_same_filters(known: Source, wanted: Source, options: dict[str, Any]) -> None:
    """Refuse filters that are not those of the source of this place."""
    for setting in FILTERS:
        given = options.get(setting.parameter)
        if given not in (None, ()) and setting.read(wanted) != setting.read(known):
            raise InvalidSetting(
                f"The source {known.name!r} of this place has another {setting.flag}: leave it "
                f"out, or change it with `s3sync source edit {known.name} {setting.flag} ...`."
            )


def _agree(model: EmbeddingConfig | None, there: EmbeddingConfig) -> bool:
    """Return whether all that was said of the model holds there."""
    if model is None:
        return True
    plain = asdict(EmbeddingConfig())
    said = {name: value for name, value in asdict(model).items() if value != plain[name]}
    return model.kind == there.kind and said.items() <= asdict(there).items()


def _exit_code(summary: Summary, fail_on: str) -> int:
    failed = sum(summary.failed.values()) if fail_on == "any" else summary.newly_failed
    return 1 if failed or summary.blocked_deletes or summary.pending else 0
