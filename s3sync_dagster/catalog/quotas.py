"""How much of the catalog, and so of Chroma and the workers, a tenant may have.

Counted where it is written, under the lock of the tenant: two processes that write at once never
pass the most together.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from s3sync_dagster.catalog.rows import groups
from s3sync_dagster.catalog.tables import documents, has_records, objects, sources, upload_files
from s3sync_dagster.model.errors import Conflict, LimitExceeded, NoRoom, Throttled

if TYPE_CHECKING:
    from s3sync_dagster.catalog.database import Database

_was_moved = sources.c.moved_to.is_not(None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectQuota:
    """How many objects a tenant may have."""

    most: int
    """Objects of all its sources, and as many documents."""
    exempt: frozenset[str] = frozenset()
    """Tenants that may have any number; ``*``: all."""

    def of(self, tenant: str) -> int | None:
        """Return the most that a tenant may have, None for any number."""
        return None if "*" in self.exempt or tenant in self.exempt else self.most


def no_room(quota: ObjectQuota, *, keys: Collection[str] = ()) -> NoRoom:
    """Return why something new is not taken, and the way out."""
    return NoRoom(
        f"The tenant has {quota.most} objects, which is all it may have: what is new waits until "
        "others are gone, or the operator raises S3SYNC_OBJECTS_PER_TENANT.",
        keys=keys,
    )


def without_room(
    database: "Database", tx: sa.Connection, source_id: str, keys: Collection[str]
) -> frozenset[str]:
    """Return those keys that the catalog does not know and has no room for, the last in order.

    Args:
        database: knows the quota.
        tx: an open transaction that has locked the source.
        source_id: the source.
        keys: that are to be stored.
    """
    if database.quota is None or not keys:
        return frozenset()
    tenant = tx.execute(
        sa.select(sources.c.tenant).where(sources.c.id == source_id)
    ).scalar_one_or_none()
    most = database.quota.of(tenant) if tenant is not None else None
    if tenant is None or most is None:
        return frozenset()
    new = sorted(set(keys) - _knows(tx, source_id, keys))
    if not new:
        return frozenset()
    database.lock_tenant(tx, tenant)
    return frozenset(new[max(most - objects_of(tx, tenant), 0) :])


def room_for_documents(database: "Database", tx: sa.Connection, tenant: str) -> int | None:
    """Return how many more documents a tenant may have until ``tx`` ends; None: any number.

    Those of a source that was moved leave once their successors stand, and are not counted beside
    them: else there would be no room for those, and the move would never end.
    """
    most = database.quota.of(tenant) if database.quota is not None else None
    if most is None:
        return None
    database.lock_tenant(tx, tenant)
    all_of_it = sa.select(sa.func.count()).where(documents.c.tenant == tenant)
    # The first condition is that of the index in which the second is looked for.
    leaving = all_of_it.where(documents.c.phase != "clean", documents.c.phase == "removing")
    before = all_of_it.where(
        documents.c.source_id.in_(sa.select(sources.c.id).where(_was_moved)),
        documents.c.phase != "removing",
    )
    # What is kept of who may read an object that is gone: that counts when it is back.
    here = (objects.c.source_id == documents.c.source_id, objects.c.gone)
    same = objects.c.object_key == documents.c.object_key
    words = all_of_it.where(
        documents.c.phase != "clean",
        documents.c.phase == "writing",
        sa.not_(has_records),
        documents.c.source_id.not_in(sa.select(sources.c.id).where(_was_moved)),
        sa.select(objects.c.object_key).where(*here, same).correlate(documents).exists(),
    )
    every = (all_of_it, leaving, before, words)
    there, *rest = (tx.execute(query).scalar_one() for query in every)
    return max(most - there + sum(rest), 0)


def require_none_kept(
    database: "Database",
    tx: sa.Connection,
    tenants: Collection[str],
    which: sa.ColumnElement[bool],
) -> None:
    """Refuse to leave the records of sources where objects are counted: these would not be.

    Args:
        database: knows the quota.
        tx: an open transaction.
        tenants: whose sources.
        which: of the table ``sources``.

    Raises:
        Conflict: ``records_would_not_count``.
    """
    quota = database.quota
    if quota is None or all(quota.of(one) is None for one in tenants):
        return
    own = documents.c.source_id.in_(sa.select(sources.c.id).where(which))
    if tx.execute(sa.select(documents.c.id).where(own, has_records).limit(1)).first() is not None:
        raise Conflict(
            "The tenant may have so many objects, and records that stay without their source "
            "would not be counted: delete them, too (delete_records=true).",
            reason="records_would_not_count",
        )


def require_upload_room(
    database: "Database",
    tx: sa.Connection,
    tenant: str,
    size: int,
    *,
    most: int,
    at: tuple[str, str] | None = None,
) -> None:
    """Refuse a file for which its tenant has no room; the one that it replaces makes some.

    Args:
        database: gives the lock, which holds until ``tx`` ends.
        tx: an open transaction.
        tenant: whose file.
        size: its bytes.
        most: bytes of all files of the tenant.
        at: source and key of the file; None: of a source that is not made yet.

    Raises:
        LimitExceeded: ``file_too_large``: it alone is larger than all may be together.
        Throttled: ``too_many_upload_bytes``.
    """
    if size > most:
        raise LimitExceeded(
            f"A tenant may upload {most} bytes in all: the file alone has {size}.",
            reason="file_too_large",
        )
    database.lock_tenant(tx, tenant)
    own = sa.select(sources.c.id).where(sources.c.tenant == tenant)
    files = sa.select(sa.func.coalesce(sa.func.sum(upload_files.c.size), 0)).where(
        upload_files.c.source_id.in_(own)
    )
    if at is not None:
        replaced = sa.and_(upload_files.c.source_id == at[0], upload_files.c.object_key == at[1])
        files = files.where(sa.not_(replaced))
    there = tx.execute(files).scalar_one()
    if there + size > most:
        raise Throttled(
            f"A tenant may upload {most} bytes in all, and has {there} besides this file: replace "
            "files by smaller ones, or delete a source of uploads.",
            reason="too_many_upload_bytes",
            retry_after_seconds=60.0,
        )


def require_room_for_file(
    database: "Database", tx: sa.Connection, source_id: str, key: str
) -> None:
    """Refuse a new file of a tenant that has as many objects as it may.

    Files count whose objects are not stored yet: a worker does that when it reads them.

    Args:
        database: knows the quota and gives the lock, which holds until ``tx`` ends.
        tx: an open transaction that has locked the source.
        source_id: of uploads.
        key: of a file that is not there.

    Raises:
        NoRoom: it has.
    """
    if database.quota is None or _knows(tx, source_id, [key]):
        return
    query = sa.select(sources.c.tenant, sources.c.place_type).where(sources.c.id == source_id)
    tenant, uploads = tx.execute(query).one()
    require_room_for_new_file(database, tx, tenant, place_type=uploads)


def require_room_for_new_file(
    database: "Database", tx: sa.Connection, tenant: str, *, place_type: str
) -> None:
    """Refuse so a file that no source knows yet; ``place_type`` is that of uploads."""
    quota = database.quota
    most = None if quota is None else quota.of(tenant)
    if quota is None or most is None:
        return
    database.lock_tenant(tx, tenant)
    own = sa.select(sources.c.id).where(sources.c.tenant == tenant)
    files = sa.select(sa.func.count()).where(upload_files.c.source_id.in_(own))
    waiting = tx.execute(files).scalar_one() - objects_of(tx, tenant, place_type=place_type)
    if objects_of(tx, tenant) + max(waiting, 0) >= most:
        raise no_room(quota)


def objects_of(tx: sa.Connection, tenant: str, *, place_type: str | None = None) -> int:
    """Return how many objects a tenant's sources have, those that are gone left out.

    Nor those of a source that was moved: nobody follows them, and the successor has its own.

    Args:
        tx: an open transaction.
        tenant: whose.
        place_type: of its sources of this type alone; None: of all.
    """
    own = sa.select(sources.c.id).where(sources.c.tenant == tenant, sa.not_(_was_moved))
    if place_type is not None:
        own = own.where(sources.c.place_type == place_type)
    # Two counts that indexes answer: one with both conditions would read every row.
    all_of_them = sa.select(sa.func.count()).where(objects.c.source_id.in_(own))
    gone = all_of_them.where(objects.c.gone)
    return tx.execute(all_of_them).scalar_one() - tx.execute(gone).scalar_one()


def _knows(tx: sa.Connection, source_id: str, keys: Collection[str]) -> set[str]:
    known: set[str] = set()
    for part in groups(keys):
        query = sa.select(objects.c.object_key).where(
            objects.c.source_id == source_id,
            objects.c.object_key.in_(part),
            objects.c.gone.is_(False),
        )
        known.update(tx.execute(query).scalars())
    return known
