"""Sources as rows: declared in Python or YAML (registered) or created by API and CLI."""

import json
import logging
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.collisions import again_after_collisions
from s3sync_dagster.catalog.doubted import close_changed
from s3sync_dagster.catalog.identities import (
    require_possible,
    row_values,
    stand_in,
)
from s3sync_dagster.catalog.known_sources import KnownSources
from s3sync_dagster.catalog.next_life import id_of_next_life
from s3sync_dagster.catalog.overtaken import end_verdicts
from s3sync_dagster.catalog.quotas import require_none_kept
from s3sync_dagster.catalog.reports import list_anew
from s3sync_dagster.catalog.rows import (
    due_at_once,
    is_due,
    source_of,
)
from s3sync_dagster.catalog.said import hand_on_all_words
from s3sync_dagster.catalog.tables import (
    batches,
    documents,
    invocations,
    listings,
    objects,
    sources,
)
from s3sync_dagster.core.declaration import Declaration, declared_anew
from s3sync_dagster.core.source_identity import identity_changes, refusal
from s3sync_dagster.core.state import LISTING_ASKED, LOOKED_THROUGH, Origin
from s3sync_dagster.model.errors import Conflict, NotFound, Throttled
from s3sync_dagster.model.source import Source

_log = logging.getLogger(__name__)

Completed = Callable[[Source, sa.Connection], Source]
"""Stores what a source needs within its transaction, and returns the source with it."""


def _would_lose_readers(row: sa.Row[Any], source: Source) -> bool:
    """Return whether records are to outlive the only one who would say who may read them."""
    return row.deleting == "keep" and bool(source.reader_keys)


@again_after_collisions
class SourceRows(KnownSources):
    """The table ``sources``."""

    def add(
        self,
        source: Source,
        *,
        origin: Origin = "catalog",
        most: int | None = None,
        completed: Completed = lambda source, _: source,
        paused: bool = False,
    ) -> Source:
        """Insert a source.

        Args:
            source: what is added.
            origin: who declares it.
            most: so many the tenant may have, this one included; None: any number.
            completed: gives it what is stored with it or not at all, such as keys.
            paused: from its first moment on, so that no sensor starts its work.

        Raises:
            InvalidSetting: it breaks a rule.
            Conflict: another one has its name or its place; the message names it.
            Throttled: ``too_many_sources``.
        """
        now = self._db.now()
        with self._db.write() as tx:
            self._db.lock_places(tx)
            if tx.execute(sa.select(sources.c.id).where(sources.c.name == source.name)).first():
                raise Conflict(
                    f"A source named {source.name!r} exists already; choose another name or "
                    "delete it first.",
                    reason="source_exists",
                )
            require_possible(tx, source, server_of=self.server_of)
            if most is not None:
                _require_room(tx, source.tenant, most=most)
            source = completed(source, tx)
            tx.execute(
                sources.insert().values(
                    id=source.id,
                    origin=origin,
                    created_at=now,
                    updated_at=now,
                    paused=paused,
                    **row_values(source),
                )
            )
        return source

    def require_room(self, tenant: str, *, most: int) -> None:
        """Raise ``Throttled`` (``too_many_sources``) before anything is asked of the outside."""
        with self._db.read() as tx:
            _require_room(tx, tenant, most=most)

    def require_possible(self, source: Source) -> None:
        """Raise what ``add`` would raise for a source's settings and place; nothing is stored."""
        with self._db.read() as tx:
            require_possible(tx, source, server_of=self.server_of)

    def register(
        self,
        source: Source,
        *,
        origin: Origin = "python",
        by: str | None = None,
        chroma: str | None = None,
    ) -> Source:
        """Insert or refresh a source that code declares; its id of the first time stays.

        A declaration that would make it another source, by bucket, endpoint, prefix, tenant,
        database, collection or id_prefix, is refused: the source stays as it is, with all its
        settings, until it is moved or declared again as before. ``refused`` tells. One that
        another code location contradicts stays, too (``core.declaration``).

        Args:
            source: what is declared.
            origin: in which form.
            by: the code location that declares it; None: not known.
            chroma: address of the Chroma that the declaration names; None: the environment does.
        """
        now = self._db.now()
        with self._db.write() as tx:
            self._db.lock_places(tx)
            row = tx.execute(sa.select(sources).where(sources.c.name == source.name)).first()
            if row is None:
                require_possible(tx, source)
                source = source.with_changes(id=id_of_next_life(self._db, tx, source))
                tx.execute(
                    sources.insert().values(
                        id=source.id,
                        origin=origin,
                        created_at=now,
                        updated_at=now,
                        declared=Declaration(at=now, by=by, chroma=chroma).to_json(),
                        **row_values(source),
                    )
                )
                return source
            if row.origin != origin:
                raise Conflict(
                    f"The name {source.name!r} is taken by a source of the {row.origin}; "
                    "rename one of the two.",
                    reason="source_exists",
                )
            source = source.with_changes(id=row.id)
            same = row.config == source.to_json()
            was = Declaration.from_json(row.declared)
            said, counts = declared_anew(was, by=by, chroma=chroma, same=same, now=now)
            if said is not None:
                tx.execute(
                    sources.update().where(sources.c.id == row.id).values(declared=said.to_json())
                )
            if not counts:
                if said is not None:
                    _log.error("%s", said.rivalry(source.name, now))
                return source_of(row)
            if _would_lose_readers(row, source):
                return source_of(row)  # made anew by the next declaration after its end
            if not same and identity_changes(source_of(row), source):
                return self._become(tx, row.id, source)
            if not same:
                require_possible(tx, source)
                tx.execute(
                    sources.update()
                    .where(sources.c.id == row.id)
                    .values(
                        updated_at=now,
                        list_due_at=due_at_once(),
                        wanted=sa.null(),
                        **row_values(source),
                    )
                )
                list_anew(tx, listings.c.source_id == row.id)
                close_changed(tx, row.config, source)
                end_verdicts(tx, row.config, source, now=self._db.now())
            elif row.wanted is not None:  # code says again what it said before
                tx.execute(sources.update().where(sources.c.id == row.id).values(wanted=sa.null()))
        return source

    def _become(self, tx: sa.Connection, source_id: str, declared: Source) -> Source:
        """Return the source as it stays, where the declaration would make it another one.

        One that has met no object yet becomes what its declaration says, under an id of its own: a
        listing that runs, or a process that has read it before, may still be at the old place. A
        request has named an object, and a batch may write it under the ids of before.
        """
        row = tx.execute(sa.select(sources).where(sources.c.id == source_id)).one()
        stored = source_of(row)
        tables = (objects, documents, invocations, batches)
        met = sa.select(
            sa.or_(*(sa.exists().where(one.c.source_id == source_id) for one in tables))
        )
        if row.deleting is None and not tx.execute(met).scalar_one():
            return stand_in(self._db, tx, row, declared)
        wanted = declared.to_json()
        if row.wanted != wanted:
            _log.error("%s", refusal(stored, declared))
            tx.execute(sources.update().where(sources.c.id == source_id).values(wanted=wanted))
        return stored

    def update(
        self,
        source: Source,
        *,
        seen: Source | None = None,
        completed: Completed = lambda source, _: source,
    ) -> None:
        """Replace a source's configuration; it is listed again at the next tick.

        Args:
            source: what it shall be.
            seen: what it was when the change was made of it; None takes it as it is.
            completed: gives it what is stored with it or not at all, such as keys.

        Raises:
            Conflict: it is not as it was seen: the change would undo another one.
        """
        same = sa.and_(sources.c.id == source.id, sources.c.origin != "moved")
        with self._db.write() as tx:
            self._db.lock_places(tx)
            self._db.lock_source(tx, source.id)  # before a tenant's, as those do that list
            row = tx.execute(sa.select(sources).where(same)).first()
            if row is None:
                raise NotFound(
                    f"No source {source.name!r} in the catalog.", reason="source_not_found"
                )
            if seen is not None and source_of(row) != seen:
                raise Conflict(
                    f"The source {source.name!r} was changed in the meantime; nothing was changed "
                    "now. Look at it and say again what shall be different.",
                    reason="source_changed",
                )
            if _would_lose_readers(row, source):
                raise Conflict(
                    f"The source {source.name!r} is being deleted and its records stay, for "
                    "whoever may search: it cannot say who may read them any more.",
                    reason="readers_would_be_lost",
                )
            require_possible(tx, source)
            source = completed(source, tx)
            tx.execute(
                sources.update()
                .where(same)
                .values(updated_at=self._db.now(), list_due_at=due_at_once(), **row_values(source))
            )
            list_anew(tx, listings.c.source_id == source.id)
            close_changed(tx, row.config, source)
            end_verdicts(tx, row.config, source, now=self._db.now())

    def set_paused(self, source_id: str, *, paused: bool) -> None:
        """Pause or resume automatic work; a resumed source is listed at the next tick."""
        with self._db.write() as tx:
            tx.execute(
                sources.update()
                .where(sources.c.id == source_id)
                .values(paused=paused, list_due_at=due_at_once())
            )

    def ask_for_listing(self, source_id: str) -> None:
        """Have a source listed by a listing that begins from now on, whoever has the next turn.

        Also one that is not listed by itself. It holds until such a listing has ended well.
        """
        with self._db.write() as tx:
            tx.execute(
                sources.update().where(sources.c.id == source_id).values(list_due_at=LISTING_ASKED)
            )

    def due_for_listing(self, source_id: str, *, interval_seconds: int) -> bool:
        """Take the source's turn: True when a listing is due; the next is due one interval on.

        A time beyond that is one of a clock that was put right since: it counts as now.
        """
        now = self._db.now()
        with self._db.write() as tx:
            return bool(
                tx.execute(
                    sources.update()
                    .where(sources.c.id == source_id)
                    .where(is_due(sources.c.list_due_at, now=now, at_most=interval_seconds))
                    .where(sources.c.list_due_at >= 0)
                    .values(list_due_at=now + interval_seconds)
                ).rowcount
            )

    def look_through(self, source_id: str, names: Sequence[str]) -> None:
        """Note which collections may have records that were forgotten, none beside them."""
        told = json.dumps(list(names)) if names else LOOKED_THROUGH
        with self._db.write() as tx:
            tx.execute(
                sources.update().where(sources.c.id == source_id).values(looked_through=told)
            )

    def open_seen(self, source_id: str) -> None:
        """Note that all records of a source are known: each says by itself who may read it."""
        with self._db.write() as tx:
            tx.execute(
                sources.update().where(sources.c.id == source_id).values(closed_unseen=False)
            )

    def mark_deleting(
        self, *source_ids: str, keep_records: bool, within_quota: bool = False
    ) -> None:
        """Begin the deletion of sources; dispatch takes their documents down and then the rows.

        With what is left of those in whose place they stand, where they were moved.

        Args:
            source_ids: of one tenant.
            keep_records: what they wrote stays.
            within_quota: not where the tenant's objects are counted: nothing counts what stays.

        Raises:
            Conflict: records are to stay and say who may read them (``readers_would_be_lost``), or
                would not count (``records_would_not_count``): none of the sources is deleted.
        """
        with self._db.write() as tx:
            self._db.lock_places(tx)  # or one that is moved meanwhile is deleted by half
            both = sa.or_(sources.c.id.in_(source_ids), sources.c.moved_to.in_(source_ids))
            rows = tx.execute(sa.select(sources).where(both)).all()
            if keep_records and any(row.config.get("reader_keys") for row in rows):
                raise Conflict(
                    "Records that stay without their source are for whoever may search: delete "
                    "them, too, or take its reader_keys away first.",
                    reason="readers_would_be_lost",
                )
            if keep_records and within_quota:
                require_none_kept(self._db, tx, {row.tenant for row in rows}, both)
            for row in rows:
                hand_on_all_words(self._db, tx, row, but={one.id for one in rows})
            tx.execute(
                sources.update()
                .where(both)
                .values(
                    deleting="keep" if keep_records else "records",
                    updated_at=self._db.now(),
                )
            )
            self._db.lock_clearing(tx, begins=True)


def _require_room(tx: sa.Connection, tenant: str, *, most: int) -> None:
    """Raise ``Throttled`` for a tenant that has all the sources that it may have."""
    there = tx.execute(
        sa.select(sa.func.count())
        .select_from(sources)
        .where(sources.c.tenant == tenant, sources.c.deleting.is_(None))
    ).scalar_one()
    if there >= most:
        raise Throttled(
            f"A tenant has {most} sources at most, and one for each collection that it uploads "
            "to: delete one.",
            reason="too_many_sources",
            retry_after_seconds=60.0,
        )
