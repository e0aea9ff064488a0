"""``s3sync verify`` and ``s3sync repair``."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from s3sync_dagster.cli.completing import collection_names
from s3sync_dagster.cli.groups import examples
from s3sync_dagster.cli.options import as_json, chroma_url, opened
from s3sync_dagster.cli.showing import people, wrapped
from s3sync_dagster.cli.source_options import embedding, embedding_config
from s3sync_dagster.engine.absent_collection import AbsentCollection
from s3sync_dagster.engine.asked_strays import asking
from s3sync_dagster.engine.ended import (
    Place,
    delete_of_ended,
    left_of_ended,
    places_of_ended,
    standing_of,
)
from s3sync_dagster.engine.own_records import trouble_of_one
from s3sync_dagster.engine.ports import CollectionPort
from s3sync_dagster.engine.standing import distrust_fallen, opening
from s3sync_dagster.engine.verifying import (
    Verification,
    places_beside,
    places_of,
    verify_collection,
)
from s3sync_dagster.model.errors import Conflict, InvalidSetting, NotFound, S3SyncError
from s3sync_dagster.model.source import EmbeddingConfig, Source
from s3sync_dagster.ports.chroma_files import free_share, orphan_folders
from s3sync_dagster.ports.chroma_repair import repair_collection

if TYPE_CHECKING:
    from s3sync_dagster.wiring import Parts

SHOWN = 5
"""Names that people are shown of each finding; ``--json`` has all."""


@click.command(epilog=examples("s3sync verify", "s3sync verify docs --fix"))
@click.argument("collection", required=False, shell_complete=collection_names)
@click.option(
    "--fix",
    is_flag=True,
    help="Delete strays (in modes that keep: read them back), have the rest written again.",
)
@click.option(
    "--ended",
    is_flag=True,
    help="With --fix: delete, too, what stands of sources that were moved or deleted here. Only "
    "where no other installation with this Chroma has such a source by now.",
)
@click.option(
    "--vectors/--no-vectors", default=True, show_default=True, help="Read each vector too."
)
@chroma_url
@as_json
def verify(
    collection: str | None,
    fix: bool,
    ended: bool,
    vectors: bool,
    chroma_url: str | None,
    as_json: bool,
) -> int:
    """Hold collections against the catalog.

    Finds missing, changed and left-over records of each source; those of sources that this
    catalog does not know are counted, and never touched. Those of sources that were moved or
    deleted with their records here are counted, too: Chroma was put back from a copy of before
    (--ended deletes them), or another installation has such a source by now. The catalog's own
    counts are held against its rows.
    `s3sync sync --dry-run` holds the catalog against the bucket.
    """
    if ended and not fix:
        raise InvalidSetting("--ended is for what --fix deletes: name both.")
    findings: list[dict[str, Any]] = []
    elsewhere: list[S3SyncError] = []
    counted: set[tuple[str, str, str]] = set()
    with opened(chroma_url) as parts:
        sources = parts.catalog.sources.all()
        known = parts.catalog.sources.ids()  # those too that were moved, and have records still
        counts = parts.catalog.kept_counts
        miscounted = counts.mend() if fix else not counts.sound()
        for source, place, port, beside in _collections(parts, sources, collection, elsewhere):
            try:
                found = verify_collection(
                    source,
                    collection=port,
                    documents=asking(
                        parts.catalog.documents, source, partial(parts.store_for, source)
                    ),
                    # It may be a copy that somebody made: all in it would be a stray.
                    fix=fix and (not beside or collection is not None),
                    vectors=vectors,
                    # Of a collection that several sources write to this is told once.
                    known_sources=None if place in counted else known,
                    delete_ended=ended,
                    chroma=parts.chroma_address,
                    collections=parts.collections,
                )
            except S3SyncError as error:  # the others are held against the catalog still
                elsewhere.append(_trouble(parts, place, error))
                continue
            counted.add(place)
            findings.append({"source": source.name, "sound": found.sound, **asdict(found)})
            if not as_json:
                _show(source, found, beside=beside)
        for found in _of_ended(parts, collection, counted, elsewhere, delete=ended):
            findings.append({"source": None, "sound": found.sound, **asdict(found)})
            if not as_json:
                click.echo(f"{found.collection_name}:")
                _show_ended(found)
    if collection is not None and not findings and not elsewhere:
        raise NotFound(f"No source here has documents in a collection {collection!r}.")
    for error in {one.message: one for one in elsewhere}.values():
        click.echo(wrapped(error.message), err=True)
    if as_json:
        click.echo(json.dumps(findings))
    elif not findings and not elsewhere:
        click.echo("No source of this catalog has documents in Chroma.")
    if miscounted:
        mends = "they were counted anew" if fix else "s3sync verify --fix counts them anew"
        click.echo(f"The catalog's counts were not those of its rows: {mends}.", err=True)
    sound = all(one["sound"] or one["fixed"] for one in findings)
    return 0 if sound and not elsewhere and (fix or not miscounted) else 1


@click.command(epilog=examples("s3sync repair docs"))
@click.argument("collection", shell_complete=collection_names)
@click.option(
    "--path",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Chroma's data folder; default: that of this home. Its server must be stopped.",
)
@click.option("--tenant", default="default_tenant", show_default=True)
@click.option("--database", default="default_database", show_default=True)
@embedding("For collections that no source here fills.")
@as_json
def repair(
    collection: str,
    path: Path | None,
    tenant: str,
    database: str,
    as_json: bool,
    **options: Any,
) -> int:
    """Mend a COLLECTION whose vector index is damaged.

    A healthy collection is left alone.
    """
    with opened(chroma=False, dagster=False) as parts:
        folder = path or parts.settings.home / "chroma"
        config = embedding_config(options) or _embedding(parts, collection)
        done = repair_collection(
            folder,
            tenant=tenant,
            database=database,
            name=collection,
            embedder=parts.embedder_for(config),
        )
    orphans = [str(one) for one in orphan_folders(folder)]
    empty = free_share(folder)
    if as_json:
        moved = str(done.moved_to) if done.moved_to else None
        values = {**asdict(done), "moved_to": moved, "orphans": orphans, "empty_share": empty}
        click.echo(json.dumps(values))
        return 1 if done.lost else 0
    if done.damage is None:
        click.echo(f"{collection}: every vector can be read; nothing was touched.")
    else:
        click.echo(f"{collection}: {done.damage}.")
        click.echo(
            f"  {done.saved} vectors saved, {done.embedded} embedded again, {len(done.lost)} lost"
        )
        click.echo(f"  the damaged files lie in {done.moved_to} and may be deleted")
    if orphans:
        click.echo(f"  {len(orphans)} index folders of deleted collections may be deleted:")
        for one in orphans:
            click.echo(f"    {one}")
    if empty > 0.5:
        click.echo(f"  {empty:.0%} of Chroma's database is empty: chroma vacuum --path {folder}")
    return 1 if done.lost else 0


def _of_ended(
    parts: Parts,
    name: str | None,
    looked_at: Collection[Place],
    elsewhere: list[S3SyncError],
    *,
    delete: bool,
) -> Iterator[Verification]:
    """Yield what stands of sources that ended in collections that no source is known in."""
    documents = parts.catalog.documents
    ended = {owner: lives.at(parts.chroma_address) for owner, lives in documents.ended().items()}
    try:
        places = places_of_ended(ended, collections=parts.collections, name=name)
    except S3SyncError as error:
        elsewhere.append(error)
        return
    opened = opening(parts.collections)
    for place, port in places:
        if place in looked_at:
            continue
        found = Verification(collection_name=port.name)
        try:
            ids = standing_of(port, place, ended, documents)
            before = left_of_ended(ids, port, place, ended, documents, opened)
            found.of_ended, found.waiting = before.over, sorted(before.waiting)
            if delete:
                distrust_fallen(before.fallen, documents)
                delete_of_ended(found.of_ended, port, place, ended, documents, opened)
                found.ended_deleted = bool(found.of_ended)
        except S3SyncError as error:
            elsewhere.append(_trouble(parts, place, error))
            continue
        if found.of_ended or found.waiting:
            yield found


def _collections(
    parts: Parts, sources: Sequence[Source], name: str | None, elsewhere: list[S3SyncError]
) -> Iterator[tuple[Source, tuple[str, str, str], CollectionPort, bool]]:
    """Yield each source with each of its collections, or those of one name.

    Of each is said whether it is beside those that the catalog knows the source to have written to.
    Those of another Chroma are said in ``elsewhere``, and those for which Chroma does not answer.
    """
    catalog = parts.catalog
    for source in sources:
        if name in (None, source.collection_name):
            try:
                parts.require_chroma_of(source)
            except Conflict as error:
                elsewhere.append(error)
                continue
        holding = set(catalog.documents.collections(source.id))
        places = places_of(
            source, documents=catalog.documents, known=catalog.collections.of_source(source.id)
        )
        others = places_beside(source, places, collections=parts.collections, unread=elsewhere)
        for place in [*places, *others]:
            tenant, database, collection = place
            beside = place not in places
            if name not in (None, collection):
                continue
            try:
                port: CollectionPort = parts.collections.open(
                    collection,
                    tenant=tenant,
                    database=database,
                    embedder=None if beside else parts.embedder_for(source.embedding),
                    create=False,
                )
            except NotFound:
                if place not in holding:
                    continue
                port = AbsentCollection(collection)
            except S3SyncError as error:
                elsewhere.append(_trouble(parts, place, error))
                continue
            yield source, place, port, beside


def _trouble(parts: Parts, place: tuple[str, str, str], error: S3SyncError) -> S3SyncError:
    tenant, database, name = place
    return trouble_of_one(parts.collections, name, error, tenant=tenant, database=database)


def _embedding(parts: Parts, collection: str) -> EmbeddingConfig:
    for source in parts.catalog.sources.all():
        if source.collection_name == collection:
            return source.embedding
    return EmbeddingConfig()


def _show(source: Source, found: Verification, *, beside: bool) -> None:
    click.echo(
        f"{found.collection_name} ({source.name}): {found.documents} documents, "
        f"{found.records} records{f', {found.in_work} in work' if found.in_work else ''}"
        f"{': sound' if found.sound else ''}"
    )
    for what, names in (
        ("lack records", found.missing),
        ("have changed metadata", found.changed),
        ("are records without a document", found.stray),
    ):
        if names:
            click.echo(f"  {len(names)} {what}: {_first(names)}")
    for owner, number in sorted(found.unknown_sources.items()):
        click.echo(
            f"  {number} are of the source {people(owner)}, which this catalog does not know: of "
            "another installation, or made after the copy of a catalog that was restored"
        )
    if found.of_namesakes:
        click.echo(
            f"  {found.of_namesakes} bear its id and are of another bucket or prefix: of another "
            "installation, whose source has the same name"
        )
    _show_ended(found)
    if found.unreadable:
        click.echo(f"  vectors cannot be read: s3sync repair {found.collection_name}")
    if found.recovered:
        click.echo(
            f"  {len(found.recovered)} objects have records that the catalog does not know and the "
            f"mode keeps: {_first(found.recovered)}"
        )
    if found.beside:
        click.echo(
            f"  {len(found.beside)} objects have records of an earlier document, which the mode "
            f"keeps, beside the one that the catalog knows: {_first(found.beside)}"
        )
    if found.held_back:
        until = _until(source, found)
        click.echo(
            f"  {len(found.held_back)} objects have records that the catalog does not know, which "
            f"stay until {until}: {_first(found.held_back)}"
        )
    if found.fixed:
        kept = ", what the mode keeps is read back" if found.recovered else ""
        click.echo(
            f"  strays are deleted{kept}; what lacks or changed is written again by the next sync"
        )
    elif beside and found.records:
        click.echo(
            f"  the catalog does not know that {people(source.name)} wrote there: it is a copy "
            "that somebody made, or what a restored catalog has forgotten, and only then "
            f"s3sync verify {people(found.collection_name)} --fix mends that"
        )
    elif not found.sound:
        then = ", once that is done" if found.held_back else ""
        click.echo(f"  s3sync verify --fix mends that{then}")


def _show_ended(found: Verification) -> None:
    for owner, names in sorted(found.of_ended.items()):
        click.echo(
            f"  {len(names)} are of the source {people(owner)}, which was moved, or deleted with "
            f"its records, and have no document: {_first(names)}"
        )
    if found.waiting:
        click.echo(
            f"  {len(found.waiting)} objects have records of a source before, in whose place "
            f"nothing stands: they stay: {_first(found.waiting)}. What can be written again is, by "
            "s3sync sync, and then they may go; of what is gone they are the only text"
        )
    if found.ended_deleted:
        click.echo("  what is of such sources is deleted")
    elif found.of_ended:
        click.echo(
            "  where Chroma was put back from a copy of before, "
            f"s3sync verify {people(found.collection_name)} --fix --ended deletes what is of such "
            "sources; another installation with the same Chroma may have one by now, and would "
            "lose its records"
        )


def _until(source: Source, found: Verification) -> str:
    if found.unlisted:
        return (
            "the source is listed, as nobody knows before whether they are there: at its next turn "
            f"while s3sync up runs, or by s3sync rebuild {people(source.name)}"
        )
    if found.unsettled:
        return "they are indexed, or gone: they are there, and wait or cannot be read by now"
    return f"the listing that is held is approved (s3sync approve-deletes {people(source.name)})"


def _first(names: Sequence[str]) -> str:
    """Return the first of some names for people, and whether there are more."""
    return ", ".join(map(people, names[:SHOWN])) + (", ..." if len(names) > SHOWN else "")
