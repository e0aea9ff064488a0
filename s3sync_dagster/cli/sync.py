"""``s3sync sync``."""

import json
import re
import sys
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Self

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from s3sync_dagster.cli.options import EMBEDDINGS, MODES, as_json, chroma_url, opened
from s3sync_dagster.core.engine import KeyReport
from s3sync_dagster.core.keys import validate_collection_name
from s3sync_dagster.core.state import ListingRow
from s3sync_dagster.local.oneshot import Progress, Summary, run_sync
from s3sync_dagster.model.errors import InvalidSetting, S3SyncError
from s3sync_dagster.model.source import AutoSync, DeleteMode, EmbeddingConfig, Source
from s3sync_dagster.wiring import Parts


@click.command()
@click.argument("place", metavar="s3://BUCKET/PREFIX")
@click.option("--collection", "-c", required=True, help="Chroma collection.")
@click.option("--endpoint-url", metavar="URL", help="For MinIO and other S3 servers.")
@click.option("--region", help="Found by itself where possible.")
@chroma_url
@click.option("--embedding", type=EMBEDDINGS, help="Of a new source; default minilm.")
@click.option("--mode", type=MODES, help="Of a new source; default mirror.")
@click.option("--approve-deletes", is_flag=True, help="Remove more than the guard would let pass.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--fail-on", type=click.Choice(["any", "new"]), default="any", show_default=True)
@as_json
def sync(
    place: str,
    collection: str,
    endpoint_url: str | None,
    region: str | None,
    chroma_url: str | None,
    embedding: str | None,
    mode: str | None,
    approve_deletes: bool,
    dry_run: bool,
    fail_on: str,
    as_json: bool,
) -> int:
    """Bring a collection in line with a bucket, once, in this process.

    Credentials come from AWS's default chain. The exit code is 1 when an object failed or
    removals wait for an approval.
    """
    bucket, prefix = parse_place(place)
    validate_collection_name(collection)
    wanted = Source(
        id=str(uuid.uuid4()),
        name="",
        bucket_name=bucket,
        path_prefix=prefix,
        collection_name=collection,
        endpoint_url=endpoint_url,
        region=region,
        embedding=EmbeddingConfig(kind=embedding or "minilm"),  # type: ignore[arg-type]
        mode=DeleteMode(mode or "mirror"),
        auto_sync=AutoSync.NONE,
    )
    with opened(chroma_url) as parts:
        known = parts.catalog.sources.find_identity(wanted)
        source = _same(known, embedding, mode) if known else _create(parts, wanted)
        console = Console(stderr=True)
        if dry_run:
            return _dry_run(parts, source, as_json=as_json)
        try:
            with _Drawn(console) as progress:
                summary = run_sync(
                    parts, source, progress=progress, approve_deletes=approve_deletes
                )
        except S3SyncError:
            if known is None and not parts.catalog.views.counts(source.id).objects:
                parts.catalog.documents.drop_source(source.id)  # a typing error leaves nothing
            raise
        if as_json:
            values = asdict(summary)
            values.pop("newly_failed")
            click.echo(json.dumps(values))
        else:
            _print(summary, source)
            _print_failures(parts, source, console)
    failed = sum(summary.failed.values()) if fail_on == "any" else summary.newly_failed
    return 1 if failed or summary.blocked_deletes or summary.pending else 0


def parse_place(place: str) -> tuple[str, str]:
    """Return bucket and prefix of ``s3://bucket/prefix``; the prefix is taken as it is."""
    match = re.fullmatch(r"s3://([^/]+)(?:/(.*))?", place, flags=re.DOTALL)
    if match is None:
        raise InvalidSetting(f"{place!r} is no place: write s3://BUCKET or s3://BUCKET/PREFIX.")
    return match.group(1), match.group(2) or ""


def _create(parts: Parts, wanted: Source) -> Source:
    stem = re.sub(r"[^A-Za-z0-9_]", "_", f"{wanted.bucket_name}_{wanted.collection_name}")
    name = f"s_{stem}"[:50] + "_" + wanted.id[:8]
    return parts.catalog.sources.add(wanted.with_changes(name=name))


def _same(known: Source, embedding: str | None, mode: str | None) -> Source:
    """Use the source of this place; its settings are never changed here."""
    for option, value, there in (
        ("--embedding", embedding, known.embedding.kind),
        ("--mode", mode, known.mode.value),
    ):
        if value is not None and value != there:
            raise InvalidSetting(
                f"The source {known.name!r} of this place has {option[2:]} {there!r}: leave out "
                f"{option}, use another collection, or `s3sync source edit {known.name}`."
            )
    return known


def _dry_run(parts: Parts, source: Source, *, as_json: bool) -> int:
    from s3sync_dagster.core.dryrun import dry_run  # noqa: PLC0415

    found: Any = dry_run(
        source, catalog=parts.catalog, store=parts.store_for(source), clock=parts.clock
    )
    values = asdict(found)
    if as_json:
        click.echo(json.dumps(values))
    else:
        for name, value in values.items():
            click.echo(f"{name.replace('_', ' ')}: {value}")
    return 0


class _Drawn(Progress):
    """A progress bar on standard error."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Bar(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=not console.is_terminal,
        )
        self._task = self._bar.add_task("listing", total=None)
        self._ended = 0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def listing(self, listing: ListingRow) -> None:
        """Show how many objects were listed."""
        self._bar.update(self._task, description=f"listed {listing.listed} objects")

    def working(self, total: int) -> None:
        """Show how many keys wait."""
        self._bar.update(self._task, description="syncing", total=total, completed=0)

    def keys(self, reports: Sequence[KeyReport]) -> None:
        """Advance the bar."""
        self._ended += len(reports)
        self._bar.update(self._task, completed=self._ended)
        if not self._console.is_terminal:
            print(f"{self._ended} objects done", file=sys.stderr)  # noqa: T201

    def note(self, line: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(line)


def _print(summary: Summary, source: Source) -> None:
    place = f"s3://{source.bucket_name}/{source.path_prefix}"
    click.echo(f"{place} -> {source.collection_name!r}: {summary.listed} objects listed")
    click.echo(f"  indexed    {summary.indexed}")
    click.echo(f"  updated    {summary.updated}")
    click.echo(f"  unchanged  {summary.unchanged}")
    for state in ("skipped", "failed"):
        reasons: dict[str, int] = getattr(summary, state)
        shown = ", ".join(f"{reason} {number}" for reason, number in sorted(reasons.items()))
        click.echo(f"  {state:<10} {sum(reasons.values())}{f'  ({shown})' if shown else ''}")
    click.echo(f"  pending    {summary.pending}")
    click.echo(f"removed besides: {summary.removed}")
    click.echo(
        f"chunks written {summary.chunks_written}, embedded {summary.embedded}, metadata updated "
        f"{summary.metadata_updated}, deleted {summary.chunks_deleted}"
    )
    sent = ", ".join(f"{number} {kind}" for kind, number in summary.requests.items() if number)
    click.echo(f"requests: {sent or 'none'}; {summary.seconds:.1f} s")
    if summary.blocked_deletes:
        click.echo(
            f"{summary.blocked_deletes} documents lost their objects; more than may go without a "
            f"person's word. Look at the bucket, then: s3sync approve-deletes {source.name}"
        )


def _print_failures(parts: Parts, source: Source, console: Console) -> None:
    for row in parts.catalog.views.object_rows(source.id, state="failed", limit=20):
        console.print(f"failed: {row.object_key}: {row.reason}: {row.error}", markup=False)
