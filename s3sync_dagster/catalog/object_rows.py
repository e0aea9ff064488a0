"""What listings, events and requests tell of objects, written without losing newer news."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.built_once import built_once
from s3sync_dagster.catalog.database import Database, insert_into
from s3sync_dagster.catalog.doubted import close_left_out
from s3sync_dagster.catalog.overtaken import keep_returned
from s3sync_dagster.catalog.quotas import without_room
from s3sync_dagster.catalog.rows import groups, object_of
from s3sync_dagster.catalog.sidecar_rows import is_read_sidecar
from s3sync_dagster.catalog.tables import invocations, is_live, listings, objects, sources
from s3sync_dagster.core.keys import partition_key
from s3sync_dagster.core.news import BEYOND_LIMIT, Told, limited
from s3sync_dagster.core.sidecar import is_sidecar
from s3sync_dagster.core.state import ObjectState, page_number
from s3sync_dagster.model.source import Source


def upsert_objects(
    database: Database,
    tx: sa.Connection,
    source_id: str,
    refs: Sequence[Told],
    *,
    now: float,
    asked: int | None = None,
    sequencers: Mapping[str, str] | None = None,
) -> frozenset[str]:
    """Insert or refresh object rows; outcomes stay, they belong to ``outcome_etag``.

    Args:
        database: gives the dialect.
        tx: an open transaction.
        source_id: the source.
        refs: what was told.
        now: time of the telling.
        asked: number of the page that tells it; rows that were told of since its bucket was asked
            are left alone. None: others tell it, who are newer than all pages so far.
        sequencers: of the events that told it, by key.

    Returns:
        Keys that were left out: they are new, and the tenant has all the objects it may have.
    """
    left_out = without_room(database, tx, source_id, [ref.key for ref, _ in refs])
    refs = [told for told in refs if told[0].key not in left_out]
    if not refs:
        return left_out
    number = current_number(tx, source_id) if asked is None else asked
    keep_returned(tx, source_id, refs, asked=asked)
    statement, page = _upsert(
        asked, sqlite=database.sqlite, by_page=asked is not None, by_event=sequencers is not None
    )
    tx.execute(
        statement,
        [
            {
                "source_id": source_id,
                "object_key": ref.key,
                "partition_key": partition_key(ref.key),
                "etag": ref.etag,
                "size": ref.size,
                "last_modified": ref.last_modified.timestamp() if ref.last_modified else None,
                "version_id": ref.version_id,
                "storage_class": ref.storage_class,
                "sequencer": (sequencers or {}).get(ref.key),
                "missed_listing_id": 0,
                "first_missed_listing_id": 0,
                "told_number": number,
                "told_count": 1,
                "seen_at": now,
                "gone": False,
                "skip_reason": skip,
                **page,
            }
            for ref, skip in refs
        ],
    )
    close_left_out(tx, source_id, [ref.key for ref, skip in refs if skip not in (None, "archived")])
    return left_out


@built_once
def _upsert(asked: int | None, *, sqlite: bool, by_page: bool, by_event: bool) -> Any:
    """Return what stores news: of a page only where nothing was told since it was asked for."""
    statement = insert_into(objects, sqlite=sqlite)
    told = statement.excluded
    replaced = {
        name: told[name]
        for name in (
            "etag",
            "size",
            "last_modified",
            "storage_class",
            "seen_at",
            "skip_reason",
            "gone",
            "missed_listing_id",
            "first_missed_listing_id",
            "told_number",
        )
    }
    replaced["told_count"] = objects.c.told_count + 1
    # Listings do not tell versions: the one that is known stays as long as the bytes do.
    replaced["version_id"] = sa.case(
        (told.version_id.is_not(None), told.version_id),
        (objects.c.etag == told.etag, objects.c.version_id),
        else_=None,
    )
    if by_event:
        replaced["sequencer"] = sa.func.coalesce(told.sequencer, objects.c.sequencer)
    return statement.on_conflict_do_update(
        index_elements=["source_id", "object_key"],
        set_=replaced,
        where=objects.c.told_number < asked if by_page else None,
    )


def known_objects(tx: sa.Connection, source_id: str, keys: Iterable[str]) -> dict[str, ObjectState]:
    """Return what is known of these keys."""
    found: dict[str, ObjectState] = {}
    for part in groups(keys):
        for row in tx.execute(*objects_of_keys(source_id, part)):
            found[row.object_key] = object_of(row)
    return found


@built_once
def objects_of_keys(source_id: str, keys: Sequence[str]) -> sa.Select[Any]:
    """Return the query for the rows of some keys."""
    return sa.select(objects).where(
        objects.c.source_id == source_id, objects.c.object_key.in_(keys)
    )


def objects_there(
    tx: sa.Connection, source_id: str, keys: Sequence[str]
) -> dict[str, ObjectState | None]:
    """Return what is known of these objects, without those that are known not to be there.

    Of one that is not known a listing tells that it is not there, unless it had no room for all
    that it saw, or does not tell what is missing, or the source was edited since: None. So is one
    that is asked for, or that the limit of now takes, as it was left out.
    """
    known = known_objects(tx, source_id, keys)
    there: dict[str, ObjectState | None] = {k: one for k, one in known.items() if not one.gone}
    for part in groups(list(there)):
        asked = sa.select(invocations.c.object_key).where(
            invocations.c.source_id == source_id, is_live, invocations.c.object_key.in_(part)
        )
        there |= dict.fromkeys(tx.execute(asked).scalars())
    beyond = [key for key, one in there.items() if one and one.skip_reason == BEYOND_LIMIT]
    there |= dict.fromkeys(_taken_by_limit(tx, source_id, beyond))
    whole = ["complete", "blocked", "approved"]
    newest = tx.execute(
        sa.select(listings.c.left_out, listings.c.tells_missing)
        .where(listings.c.source_id == source_id, listings.c.state.in_(whole))
        .order_by(listings.c.id.desc())
        .limit(1)
    ).first()
    if newest is None or not newest.tells_missing:
        return dict.fromkeys(keys) | there  # also what was gone once may be back
    if newest.left_out:
        there |= dict.fromkeys(key for key in keys if key not in known)
    return there


def _taken_by_limit(tx: sa.Connection, source_id: str, keys: Sequence[str]) -> list[str]:
    limit = _limit(tx, source_id)
    if limit is None:
        return list(keys)
    before = selected_before(tx, source_id, keys)
    return [key for key in keys if before[key] < limit]


def sidecars_known(tx: sa.Connection, source: Source) -> bool:
    """Return whether each sidecar that is not known to be gone was read as it is now.

    What one asked for that cannot be followed, or read for a while, is not known.
    """
    unread = sa.select(objects.c.object_key).where(
        objects.c.source_id == source.id,
        objects.c.gone.is_(False),
        objects.c.object_key.like("%.json"),
        sa.not_(is_read_sidecar),
    )
    keys = tx.execute(unread).scalars()
    return not any(is_sidecar(key, bedrock=source.bedrock_sidecars) for key in keys)


def blank_etags(tx: sa.Connection, source_id: str, keys: Iterable[str]) -> None:
    """Forget the version of objects of which old news came: the next reader asks the bucket."""
    for part in groups(keys):
        tx.execute(
            objects.update()
            .where(objects.c.source_id == source_id, objects.c.object_key.in_(part))
            .values(etag="", size=-1)
        )


def selected_before(tx: sa.Connection, source_id: str, keys: Iterable[str]) -> dict[str, int]:
    """Return how many selected objects stand before each key."""
    return {
        key: tx.execute(
            sa.select(sa.func.count())
            .select_from(objects)
            .where(
                objects.c.source_id == source_id,
                objects.c.object_key < key,
                objects.c.skip_reason.is_(None),
                objects.c.gone.is_(False),
            )
        ).scalar_one()
        for key in keys
    }


def within_limit(tx: sa.Connection, source_id: str, told: Sequence[Told]) -> list[Told]:
    """Return what was told, with the reason for what stands beyond the source's limit."""
    limit = _limit(tx, source_id)
    if limit is None:  # the usual case: nothing has to be counted
        return list(told)
    taken = [ref.key for ref, skip in told if skip is None]
    return limited(told, limit=limit, before=selected_before(tx, source_id, taken))


def _limit(tx: sa.Connection, source_id: str) -> int | None:
    return tx.execute(*_document_limit(source_id)).scalar_one_or_none()


@built_once
def _document_limit(source_id: str) -> sa.Select[Any]:
    limit = sources.c.config["document_limit"].as_integer()
    return sa.select(limit).where(sources.c.id == source_id)


def current_number(tx: sa.Connection, source_id: str) -> int:
    """Return the number of the newest page; what is told now is newer than its answer may be."""
    newest = tx.execute(*_newest_listing(source_id)).first()
    return page_number(newest.id, pages=newest.pages) if newest is not None else 0


@built_once
def _newest_listing(source_id: str) -> Any:
    query = sa.select(listings.c.id, listings.c.pages).where(listings.c.source_id == source_id)
    return query.order_by(listings.c.id.desc()).limit(1)


def store_objects(
    database: Database,
    tx: sa.Connection,
    source_id: str,
    keys: Sequence[str],
    *,
    gone: bool = False,
) -> None:
    """Give documents and sidecars their objects, of which nothing has told yet.

    A listing ends what it has missed of those alone that are known.

    Args:
        database: of the catalog.
        tx: an open transaction.
        source_id: theirs.
        keys: of theirs, unknown or not.
        gone: whether nobody is to look for those that are unknown.
    """
    if not keys:
        return
    now = database.now()
    tx.execute(
        database.insert(objects).on_conflict_do_nothing(),
        [
            {
                "source_id": source_id,
                "object_key": key,
                "partition_key": partition_key(key),
                "etag": "",
                "size": -1,
                "seen_at": now,
                "gone": gone,
            }
            for key in keys
        ],
    )
