"""What sidecars ask for, as rows."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.built_once import built_once
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.doubted import close
from s3sync_dagster.catalog.removals import count_told_by_heads
from s3sync_dagster.catalog.rows import groups
from s3sync_dagster.catalog.tables import documents, objects, sidecars, sources
from s3sync_dagster.core.facts import SidecarChange, SidecarState
from s3sync_dagster.core.sidecar_owners import KEPT_OWNER, SIDECAR_OWNER
from s3sync_dagster.model.source import AutoSync, DeleteMode, Source


def sidecar_of(row: sa.Row[Any]) -> SidecarState:
    """Return the value of a row of ``sidecars``."""
    return SidecarState(
        sidecar_key=row.sidecar_key,
        path=row.path,
        custom_id=row.custom_id or None,  # the column is older than sidecars without an id
        target_collection_name=row.target_collection_name,
        metadata=row.metadata,
        etag=row.etag,
    )


def claims_on(
    tx: sa.Connection, source_id: str, paths: Collection[str]
) -> dict[str, list[SidecarState]]:
    """Return the sidecars that name these keys, in the order of the sidecars' keys."""
    found: dict[str, list[SidecarState]] = defaultdict(list)
    for part in groups(paths):
        for row in tx.execute(*_naming(source_id, part)):
            found[row.path].append(sidecar_of(row))
    return found


@built_once
def _naming(source_id: str, paths: Sequence[str]) -> sa.Select[Any]:
    here = (sidecars.c.source_id == source_id, sidecars.c.path.in_(paths))
    return sa.select(sidecars).where(*here).order_by(sidecars.c.sidecar_key)


def hand_on_sidecars(database: Database, tx: sa.Connection, before_id: str, source: Source) -> None:
    """Give a source that has the objects of another what its sidecars said last.

    That holds until it has read each of them, or knows that it is gone: an object that is written
    before its sidecar was read, or one that cannot be read or followed, would be open to readers
    whom it keeps out, or be no document at all.

    Args:
        database: of the catalog.
        tx: in which the source is added.
        before_id: whose sidecars these are.
        source: the other one; what lies outside of its prefix is nothing to it.
    """
    prefix = sa.literal(source.place.path_prefix)
    inside = [
        sa.func.substr(sa.cast(key, sa.Text), 1, sa.func.length(prefix)) == prefix
        for key in (sidecars.c.sidecar_key, sidecars.c.path)
    ]
    here = (sidecars.c.source_id == before_id, *inside)
    said = {
        "source_id": sa.literal(source.id),
        "sidecar_key": sidecars.c.sidecar_key,
        "path": sidecars.c.path,
        "custom_id": sidecars.c.custom_id,
        "target_collection_name": sidecars.c.target_collection_name,
        "metadata": sidecars.c.metadata,
        "etag": sa.literal(""),
    }
    # A listing ends what it has missed of those alone that are known.
    known = {
        "source_id": sa.literal(source.id),
        "object_key": objects.c.object_key,
        "partition_key": objects.c.partition_key,
        "etag": sa.literal(""),
        "size": sa.literal(-1),
        "seen_at": sa.literal(database.now()),
        "skip_reason": sa.literal("sidecar"),
    }
    same = sa.and_(
        objects.c.source_id == sidecars.c.source_id,
        objects.c.object_key == sidecars.c.sidecar_key,
    )
    rows = sa.select(*known.values()).select_from(sidecars.join(objects, same)).where(*here)
    tx.execute(database.insert(objects).from_select([*known], rows).on_conflict_do_nothing())
    rows = sa.select(*said.values()).where(*here)
    tx.execute(database.insert(sidecars).from_select([*said], rows).on_conflict_do_nothing())


def is_outdated() -> sa.ColumnElement[bool]:
    """Return whether the bucket may have other bytes of a sidecar than were read last.

    As its object was told; of a restored catalog's nobody knows before the next listing.
    """
    same = sa.and_(
        objects.c.source_id == sidecars.c.source_id,
        objects.c.object_key == sidecars.c.sidecar_key,
    )
    told = sa.select(objects.c.object_key).where(same, objects.c.etag != sidecars.c.etag)
    unlisted = sa.select(sources.c.id).where(
        sources.c.id == sidecars.c.source_id, sources.c.list_due_at < 0
    )
    return sa.or_(told.correlate(sidecars).exists(), unlisted.correlate(sidecars).exists())


def store_changes(tx: sa.Connection, source_id: str, changes: Sequence[SidecarChange]) -> None:
    """Replace the rows of sidecars by what they ask for now."""
    for part in groups([change.sidecar_key for change in changes]):
        tx.execute(
            sidecars.delete().where(
                sidecars.c.source_id == source_id, sidecars.c.sidecar_key.in_(part)
            )
        )
    now = [change.now for change in changes if change.now is not None]
    if now:
        tx.execute(
            sidecars.insert(),
            [
                {
                    "source_id": source_id,
                    "sidecar_key": one.sidecar_key,
                    "path": one.path,
                    "custom_id": one.custom_id or "",
                    "target_collection_name": one.target_collection_name,
                    "metadata": one.metadata,
                    "etag": one.etag,
                }
                for one in now
            ],
        )


is_archived = sa.or_(
    sa.func.coalesce(objects.c.skip_reason, "") == "archived",
    sa.func.coalesce(objects.c.reason, "") == "archived",
)
"""A listing says so, or who came to read it, of an object that is there."""
is_read_sidecar = sa.func.coalesce(
    sa.and_(
        objects.c.outcome.is_not(None),
        objects.c.reason.in_(["sidecar", "already_claimed"]),
        objects.c.outcome_etag == objects.c.etag,
        objects.c.etag != "",
        objects.c.missed_listing_id == 0,
    ),
    sa.false(),
)
"""A sidecar was read as it is now: what it asks for is known."""


def _takes_itself(source: Any, collection_name: str) -> bool:
    by_itself = source.config["auto_sync"] == AutoSync.DIRECT
    return by_itself and collection_name == source.collection_name


def retire_unasked(
    tx: sa.Connection,
    source_id: str,
    changes: Sequence[SidecarChange],
    *,
    now: float,
    unjudged: Collection[str] = (),
) -> None:
    """Turn documents ``removing`` that these sidecars asked for and ask for no more.

    Their records stay until their key's next batch. Nothing is retired of which the sidecar asks
    for another document of the same object: it stands, for the guard too, until that one is written
    (``core.deed``). Nor is anything whose object cannot be read now, so that nothing would come in
    its place. In append mode nothing is retired; in a mode that keeps records neither the end of a
    sidecar is a reason nor that it names another object: what is kept so has an owner of its own,
    and goes by no other word than that of a listing in mode ``mirror``. So are many that lose their
    sidecars to objects that nobody knows: whoever rewrote those may have erred. And so is what one
    asked for that was handed on (``hand_on_sidecars``) and is not there.

    Args:
        tx: an open transaction that has locked the source.
        source_id: the source.
        changes: at most one a sidecar.
        now: the time.
        unjudged: sidecars that a listing under other settings has told to be gone.
    """
    source = tx.execute(
        sa.select(sources.c.collection_name, sources.c.config).where(sources.c.id == source_id)
    ).first()
    if source is None:
        return
    left = [
        one.before
        for one in changes
        if one.before is not None and (one.now is None or one.now.path != one.before.path)
    ]
    _keep_last_words(tx, source_id, left, keys=source.config.get("reader_keys") or ())
    append = source.config["mode"] == DeleteMode.APPEND
    keeps = source.config["mode"] != DeleteMode.MIRROR
    asked = {
        SIDECAR_OWNER + change.sidecar_key: change.now
        for change in changes
        if change.before is not None and (change.now is None or not append)
    }
    # What one said that was in another place counts no document here: a listing does, with those
    # that were made by its word alone.
    never_read = {one.sidecar_key for one in changes if one.before and not one.before.etag}
    kept_for = {SIDECAR_OWNER + key for key in never_read.union(unjudged)}
    kept_for = asked.keys() if keeps else kept_for
    unasked: list[int] = []
    kept: dict[int, str] = {}
    astray: dict[int, tuple[str, str]] = {}
    for part in groups(asked):
        for row in tx.execute(
            sa.select(
                documents.c.id,
                documents.c.owner,
                documents.c.object_key,
                documents.c.collection_name,
                documents.c.custom_id,
                documents.c.high_water,
                documents.c.etag,
                sa.exists()
                .where(
                    objects.c.source_id == source_id,
                    objects.c.object_key == documents.c.object_key,
                    sa.not_(is_archived),
                )
                .label("readable"),
            ).where(
                documents.c.source_id == source_id,
                documents.c.phase != "removing",
                documents.c.owner.in_(part),
            )
        ):
            told = asked[row.owner]
            if (
                told is None
                and row.custom_id is None
                and _takes_itself(source, row.collection_name)
            ):
                continue  # the very document that the source makes without the sidecar
            wanted = told is not None and (row.object_key, row.collection_name, row.custom_id) == (
                told.path,
                told.target_collection_name or source.collection_name,
                told.custom_id,
            )
            kept_owner = KEPT_OWNER + row.owner.removeprefix(SIDECAR_OWNER)
            if told is None and row.owner in kept_for:
                kept[row.id] = kept_owner
            elif wanted or (told is not None and told.path == row.object_key):
                continue  # or one elsewhere comes in its place, once its object can be read
            elif keeps and row.etag is not None:
                kept[row.id] = kept_owner
            elif not row.readable and row.etag is not None:
                continue  # nothing can be written in its place
            else:
                unasked.append(row.id)
                counts = row.high_water and not _takes_itself(source, row.collection_name)
                if told is not None and counts:
                    astray[row.id] = (told.path, kept_owner)
    going = _to_nobody(tx, source_id, astray)
    if going and not count_told_by_heads(tx, source_id, keys=len(going), going=len(going), now=now):
        kept |= going
        unasked = [one for one in unasked if one not in going]
    if kept:
        tx.execute(
            documents.update()
            .where(documents.c.id == sa.bindparam("b_id"))
            .values(owner=sa.bindparam("b_owner")),
            [{"b_id": document, "b_owner": owner} for document, owner in kept.items()],
        )
    for part in groups(unasked):
        tx.execute(documents.update().where(documents.c.id.in_(part)).values(phase="removing"))


def _keep_last_words(
    tx: sa.Connection, source_id: str, left: Sequence[SidecarState], *, keys: Collection[str]
) -> None:
    """Keep documents from readers that say of them else than sidecars said last that leave.

    A mode may keep them for good, with the word before: the last could not be written. They are for
    nobody with groups until they are written again, and say that then.

    Args:
        tx: an open transaction that has locked the source.
        source_id: the source.
        left: what they asked for of objects of which they say nothing any more.
        keys: the source's, that say who may read.
    """
    owners = {owner + one.sidecar_key: one for one in left for owner in (SIDECAR_OWNER, KEPT_OWNER)}
    for part in groups(owners if keys else ()):
        columns = (documents.c.id, documents.c.object_key, documents.c.owner, documents.c.metadata)
        query = sa.select(*columns).where(
            documents.c.source_id == source_id,
            documents.c.phase != "removing",
            documents.c.batch_token.is_(None),
            documents.c.etag.is_not(None),
            documents.c.said.is_(None),
            documents.c.owner.in_(part),
        )
        for row in tx.execute(query).all():
            last = owners[row.owner].metadata
            # Of an object that it named before it has said nothing since.
            of_it = row.object_key == owners[row.owner].path
            if of_it and any(row.metadata.get(key) != last.get(key) for key in keys):
                here = documents.c.id == row.id
                close(tx, here)
                # No fingerprint: what its records say is not what stands here.
                told = documents.update().where(here)
                tx.execute(told.values(metadata=dict(last), fingerprint=""))


def _to_nobody(
    tx: sa.Connection, source_id: str, astray: Mapping[int, tuple[str, str]]
) -> dict[int, str]:
    """Return documents whose sidecars name an object that is not known to be there.

    Args:
        tx: an open transaction.
        source_id: the source.
        astray: document -> the key that its sidecar names now, and what the document would be owned
            by were it kept.
    """
    there = set[str]()
    for part in groups({path for path, _ in astray.values()}):
        query = sa.select(objects.c.object_key).where(
            objects.c.source_id == source_id,
            objects.c.object_key.in_(part),
            objects.c.gone.is_(False),
        )
        there.update(tx.execute(query).scalars())
    return {one: owner for one, (path, owner) in astray.items() if path not in there}
