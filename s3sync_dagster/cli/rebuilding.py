"""``s3sync rebuild`` and ``s3sync reindex``."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from s3sync_dagster.catalog.recovered import hand_on_requests
from s3sync_dagster.cli.completing import source_names
from s3sync_dagster.cli.groups import examples
from s3sync_dagster.cli.machine_faults import hushed
from s3sync_dagster.cli.options import as_json, chroma_url, loudness, opened
from s3sync_dagster.cli.showing import people
from s3sync_dagster.cli.source_options import embedding, embedding_config, written_again_by
from s3sync_dagster.cli.sync_progress import DrawnProgress
from s3sync_dagster.cli.sync_summary import Show, print_troubles
from s3sync_dagster.core.keys import validate_collection_name
from s3sync_dagster.engine.dropping import SHOWN_KEYS, drop_collection
from s3sync_dagster.engine.readers_told import hear_all
from s3sync_dagster.engine.rebuilding import recover_catalog
from s3sync_dagster.local.oneshot import run_sync
from s3sync_dagster.local.signals import stop_on_signals
from s3sync_dagster.model.errors import Conflict, InvalidSetting
from s3sync_dagster.model.source import AutoSync, DeleteMode, Source

if TYPE_CHECKING:
    import sqlalchemy as sa

    from s3sync_dagster.core.state import ListingRow
    from s3sync_dagster.local.oneshot_report import Summary
    from s3sync_dagster.wiring import Parts


@click.command(epilog=examples("s3sync rebuild docs", "s3sync rebuild docs --catalog"))
@click.argument("name", metavar="SOURCE", shell_complete=source_names)
@click.option(
    "--catalog", "lost_catalog", is_flag=True, help="Read documents back from the records first."
)
@click.option(
    "--adopt",
    is_flag=True,
    help="With --catalog: take over, too, what SOURCE would not write and what was kept.",
)
@click.option(
    "--from",
    "also",
    metavar="COLLECTION",
    multiple=True,
    help="With --catalog: another collection that SOURCE alone filled; repeatable.",
)
@click.option(
    "--drop",
    is_flag=True,
    help="Delete the collection first, where nothing is lost with it: see --approve-deletes.",
)
@click.option(
    "--approve-deletes",
    is_flag=True,
    help="Remove more than the guard would let pass: whatever this command's own listing misses; "
    "with --drop also what is not written again.",
)
@loudness
@chroma_url
@as_json
def rebuild(
    name: str,
    lost_catalog: bool,
    adopt: bool,
    also: tuple[str, ...],
    drop: bool,
    approve_deletes: bool,
    quiet: bool,
    verbose: bool,
    chroma_url: str | None,
    as_json: bool,
) -> int:
    """Write every record of SOURCE again.

    From the bucket and the vector cache. After a lost catalog create the source again, then
    rebuild it with --catalog: records of objects that are gone are removed, the others are
    taken over, also in other collections. What a source that nobody here knows wrote and SOURCE
    would not write (another id, a key that it leaves out), and what a deleted source kept on
    purpose, is left alone, unless --adopt says otherwise.
    """
    if adopt and not lost_catalog:
        raise InvalidSetting("--adopt is for what --catalog reads back: name both.")
    if also and not lost_catalog:
        raise InvalidSetting("--from is for what --catalog reads back: name both.")
    if drop and lost_catalog:
        raise InvalidSetting("--drop leaves no records to read: use it without --catalog.")
    with hushed(), stop_on_signals(), opened(chroma_url, quiet=quiet) as parts:
        source = parts.catalog.sources.find(name)
        parts.require_chroma_of(source)
        if lost_catalog:
            _recover(parts, source, adopt=adopt or source.adopt, also=also, quiet=quiet)
        show = Show(quiet=quiet, verbose=verbose, as_json=as_json)
        if drop:
            return _drop_and_sync(parts, source, show, approve_deletes=approve_deletes)

        def distrust(_listing: ListingRow | None = None) -> None:
            if not lost_catalog:
                parts.catalog.documents.distrust_all(source.id)

        # What a mode keeps of an object that is gone or another one shows once it is listed.
        keeps = source.mode is not DeleteMode.MIRROR
        if not keeps:
            distrust()
        parts.catalog.invocations.retry_failed(source)  # asked for by a person: nothing waits
        listed = distrust if keeps else _leave
        return _sync(parts, source, show, approve_deletes=approve_deletes, listed=listed)


@click.command(
    epilog=examples("s3sync reindex docs", "s3sync reindex docs --into docs-2 --embedding static")
)
@click.argument("name", metavar="SOURCE", shell_complete=source_names)
@click.option("--into", metavar="COLLECTION", help="A new collection, while the old one serves.")
@embedding("Of a new collection; that of SOURCE when not given.")
@loudness
@chroma_url
@as_json
def reindex(
    name: str,
    into: str | None,
    quiet: bool,
    verbose: bool,
    chroma_url: str | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Index SOURCE again, in place or into a new collection.

    In place only what is outdated. With --into a second source is made that fills the new
    collection, with another model where one is named; what requests asked for goes along, and what
    the old source alone has is said at the end. Once searches use the new one, delete the old one
    with `s3sync source delete`.
    """
    model = embedding_config(options)
    if into is None and model is not None:
        raise InvalidSetting("a collection has one model: name a new collection with --into.")
    with hushed(), stop_on_signals(), opened(chroma_url, quiet=quiet) as parts:
        source = before = parts.catalog.sources.find(name)
        parts.require_chroma_of(source)
        if into is not None:
            validate_collection_name(into)
            made = source.with_changes(
                id=str(uuid.uuid4()),
                name=f"{source.name[:40]}_{uuid.uuid4().hex[:8]}",
                collection_name=into,
                embedding=model or source.embedding,
                auto_sync=AutoSync(source.auto_sync),
                adopt=False,
            )
            known = parts.catalog.sources.find_identity(made)
            if known is not None and model not in (None, known.embedding):
                raise Conflict(
                    f"The source {known.name!r} fills {into!r} already, with the model "
                    f"{known.embedding.kind}: name another collection with --into, or delete that "
                    "source first.",
                    reason="embedding_mismatch",
                )
            if known is None:
                hear_all(source, catalog=parts.catalog, collections=parts.collections)
            source = known or parts.catalog.sources.add(
                made, completed=partial(_with_requests_of, parts, source)
            )
            if not quiet:
                kind = source.embedding.kind
                click.echo(f"source {source.name!r} fills {into!r} with {kind}", err=True)
        elif source.mode is DeleteMode.APPEND and not quiet:
            click.echo(
                "mode append leaves what it indexed once as it is; to write it again: "
                f"{written_again_by(source)}",
                err=True,
            )
        show = Show(quiet=quiet, verbose=verbose, as_json=as_json)
        code = _sync(parts, source, show, reindex=True)
        if source.id != before.id:
            _tell_left_behind(parts, before, source)
        return code


def _with_requests_of(parts: Parts, before: Source, made: Source, tx: sa.Connection) -> Source:
    return hand_on_requests(parts.catalog.database, tx, before, made)


def _tell_left_behind(parts: Parts, before: Source, after: Source) -> None:
    """Say what goes with the old source, since its deletion is what is advised."""
    left = parts.catalog.rebuilding.without_successor(before, after)
    if left:
        keys = ", ".join(people(key) for _, key in left[:SHOWN_KEYS])
        more = ", ..." if len(left) > SHOWN_KEYS else ""
        where = ", ".join(sorted({name for name, _ in left}))
        click.echo(
            f"{len(left)} documents of {before.name} ({keys}{more}; in {where}) are not in "
            f"{after.collection_name}: their objects are gone, cannot be indexed now or, in append "
            "mode, have other bytes by now, or requests and sidecars put them elsewhere. They go "
            f"when {before.name} is deleted, unless with "
            "--keep-records.",
            err=True,
        )


def _recover(
    parts: Parts, source: Source, *, adopt: bool, also: Sequence[str], quiet: bool
) -> None:
    done = recover_catalog(
        source,
        catalog=parts.catalog,
        collections=parts.collections,
        embedder=parts.embedder_for(source.embedding, tenant=source.tenant),
        adopt=adopt,
        also=also,
    )
    if not quiet:
        click.echo(f"{done.stored} documents read back", err=True)
    if done.left_alone:
        click.echo(
            f"{done.left_alone} documents are left alone, of sources that nobody here knows and "
            "that this one would not write just so (other ids, keys that it leaves out), or that "
            "a deleted source kept on purpose; --adopt takes them over",
            err=True,
        )
    if done.unread:
        names = ", ".join(done.unread)
        click.echo(
            "Records of this bucket by sources that nobody here knows are in other collections, "
            f"too: {names}. Where they are this source's own and no other's, --from COLLECTION "
            "reads them back.",
            err=True,
        )


def _leave(_listing: ListingRow) -> None:
    """Do nothing about a listing but what all work on the source does."""


def _drop_and_sync(parts: Parts, source: Source, show: Show, *, approve_deletes: bool) -> int:
    lost = 0

    def drop(listing: ListingRow) -> None:
        nonlocal lost
        lost = drop_collection(
            source,
            listing,
            catalog=parts.catalog,
            collections=parts.collections,
            approved=approve_deletes,
        )
        parts.catalog.documents.distrust_all(source.id)
        parts.catalog.invocations.retry_failed(source)
        if lost:
            click.echo(
                f"{lost} documents that are not written again went with the collection", err=True
            )

    return _sync(
        parts,
        source,
        show,
        approve_deletes=approve_deletes,
        listed=drop,
        told=lambda summary: replace(summary, removed=summary.removed + lost),
    )


def _sync(
    parts: Parts,
    source: Source,
    show: Show,
    *,
    approve_deletes: bool = False,
    reindex: bool = False,
    listed: Callable[[ListingRow], None] = _leave,
    told: Callable[[Summary], Summary] = lambda summary: summary,
) -> int:
    with DrawnProgress(quiet=show.quiet, verbose=show.verbose) as progress:
        summary = told(
            run_sync(
                parts,
                source,
                progress=progress,
                approve_deletes=approve_deletes,
                reindex=reindex,
                listed=listed,
            )
        )
    print_troubles(parts, source, summary)
    show.summary(summary, source)
    return 1 if summary.failed or summary.blocked_deletes else 0
