"""What the catalog knows of sources, to be read."""

import logging
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.built_once import built_once
from s3sync_dagster.catalog.collisions import again_after_collisions
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.identities import (
    own_server,
    same_target,
)
from s3sync_dagster.catalog.rows import (
    looked_through,
    source_of,
    source_row_of,
)
from s3sync_dagster.catalog.tables import shards, sources
from s3sync_dagster.catalog.unclean import mode_of
from s3sync_dagster.core.declaration import Declaration
from s3sync_dagster.core.shards import FIRST_SHARD
from s3sync_dagster.core.state import Origin, SourceRow
from s3sync_dagster.meant import no_source
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.source import Source

_log = logging.getLogger(__name__)

_ROW = tuple(
    sources.c[name]
    for name in (
        *("name", "config", "origin", "created_at", "updated_at"),
        *("paused", "deleting", "list_due_at"),
    )
)
"""What a row says of a source; a catalog that is not migrated yet has it, too."""


@again_after_collisions
class KnownSources:
    """Sources as they are known; nothing here changes any."""

    def __init__(self, database: Database) -> None:
        self._db = database
        self._logged: set[str] = set()
        self.server_of: Callable[[Source], str] = own_server
        """Tells the server that is asked for a source, which the environment may name."""

    def refused(self, source_id: str) -> Source | None:
        """Return what code declares a source to be instead of what it is, None where it agrees."""
        with self._db.read() as tx:
            wanted = tx.execute(
                sa.select(sources.c.wanted).where(sources.c.id == source_id)
            ).scalar_one_or_none()
        return Source.from_json(wanted) if wanted is not None else None

    def declaration(self, source_id: str) -> Declaration | None:
        """Return who declares a source in code; None where none has said so."""
        with self._db.read() as tx:
            kept = tx.execute(
                sa.select(sources.c.declared).where(sources.c.id == source_id)
            ).scalar_one_or_none()
        return Declaration.from_json(kept)

    def contradiction(self, source: Source) -> str | None:
        """Return the sentence for a source that code declares in two ways; None: in one."""
        declaration = self.declaration(source.id)
        return declaration and declaration.rivalry(source.name, self._db.now())

    def mode_of(self, source_id: str) -> str | None:
        """Return the mode that a source has by now; None: there is no such source any more."""
        with self._db.read() as tx:
            return mode_of(tx, source_id)

    def find(self, name_or_id: str) -> Source:
        """Return the source of that name or id, of whichever tenant.

        Raises:
            NotFound: there is none. It tells names that are near, or of who fills a collection of
                that name, of all tenants: for who has the whole catalog, as the command line does.
        """
        known = sources.c.origin != "moved"
        with self._db.read() as tx:
            named = sa.or_(sources.c.name == name_or_id, sources.c.id == name_or_id)
            row = tx.execute(sa.select(sources).where(named, known)).first()
            if row is None:
                names = sa.select(sources.c.name).where(known)
                raise no_source(
                    name_or_id,
                    tx.scalars(names).all(),
                    otherwise="`s3sync source list` shows those there are",
                    filling=tx.scalars(names.where(sources.c.collection_name == name_or_id)).all(),
                )
        return source_of(row)

    def row(self, source_id: str, *, tenant: str | None = None) -> SourceRow | None:
        """Return a source's row; None: there is none, it was moved, or another tenant has it."""
        query = sa.select(sources).where(sources.c.id == source_id, sources.c.origin != "moved")
        if tenant is not None:
            query = query.where(sources.c.tenant == tenant)
        with self._db.read() as tx:
            row = tx.execute(query).first()
        return source_row_of(row) if row is not None else None

    def find_identity(self, source: Source) -> Source | None:
        """Return the source with the same place and collection, if any."""
        same = sa.and_(
            same_target(source), sources.c.path_prefix == source.place.identity().path_prefix
        )
        with self._db.read() as tx:
            row = tx.execute(sa.select(sources).where(same)).first()
        return source_of(row) if row else None

    def rows(
        self, *, tenant: str | None = None, origin: Origin | None = None, moved: bool = False
    ) -> list[SourceRow]:
        """Return all rows, oldest first; one that cannot be read is left out and logged once.

        Args:
            tenant: None: of all.
            origin: None: of all.
            moved: behind them those that were moved, too: for who looks for records, not for work.
        """
        found, problems = self.read(tenant=tenant, origin=origin, moved=moved)
        for problem in problems:
            if problem not in self._logged:
                self._logged.add(problem)
                _log.error("%s", problem)
        return found

    def read(
        self, *, tenant: str | None = None, origin: Origin | None = None, moved: bool = False
    ) -> tuple[list[SourceRow], list[str]]:
        """Return all rows that can be read, oldest first, and a sentence for each other one."""
        was_moved = sources.c.origin == "moved"
        query = sa.select(*_ROW)
        if moved:
            query = query.order_by(sa.case((was_moved, 1), else_=0))
        else:
            query = query.where(sa.not_(was_moved))  # they are no sources to anybody else
        query = query.order_by(sources.c.created_at, sources.c.id)
        if tenant is not None:
            query = query.where(sources.c.tenant == tenant)
        if origin is not None:
            query = query.where(sources.c.origin == origin)
        found: list[SourceRow] = []
        problems: list[str] = []
        with self._db.read() as tx:
            rows = tx.execute(query).all()
        for row in rows:
            try:
                found.append(source_row_of(row))
            except InvalidSetting as error:
                problems.append(error.message)
        return found, problems

    def all(
        self, *, tenant: str | None = None, origin: Origin | None = None, moved: bool = False
    ) -> list[Source]:
        """Return all sources, those being deleted included; the arguments are those of ``rows``."""
        return [row.source for row in self.rows(tenant=tenant, origin=origin, moved=moved)]

    def ids(self) -> set[str]:
        """Return the ids of all that have records here, those that were moved included."""
        with self._db.read() as tx:
            return set(tx.execute(sa.select(sources.c.id)).scalars())

    def listing_asked(self, source_id: str) -> bool:
        """Return whether somebody waits for a listing of the source."""
        with self._db.read() as tx:
            due = tx.execute(
                sa.select(sources.c.list_due_at).where(sources.c.id == source_id)
            ).scalar_one_or_none()
        return due is not None and due < 0

    def paused(self, source_id: str) -> bool:
        """Return whether a person paused the source, or it is being deleted."""
        with self._db.read() as tx:
            row = tx.execute(
                sa.select(sources.c.paused, sources.c.deleting).where(sources.c.id == source_id)
            ).first()
        return row is None or row.paused or row.deleting is not None

    def deleting(self, source_id: str) -> str | None:
        """Return ``records`` or ``keep`` for a source that is being deleted, else None."""
        with self._db.read() as tx:
            return tx.execute(*_deleting(source_id)).scalar_one_or_none()

    def looked_through(self, source_id: str) -> list[str] | None:
        """Return where records may be that were forgotten; see ``CatalogPort``."""
        with self._db.read() as tx:
            return looked_through(tx, source_id)

    def was_put_back(self, source_id: str) -> bool:
        """Return whether the catalog was put back from a copy; see ``CatalogPort``."""
        query = sa.select(sources.c.id).where(
            sources.c.id == source_id, sources.c.looked_through.is_not(None)
        )
        with self._db.read() as tx:
            return tx.execute(query).first() is not None

    def is_closed_unseen(self, source_id: str) -> bool:
        """Return whether readers with groups see nothing of a source; see ``CatalogPort``."""
        query = sa.select(sources.c.id).where(sources.c.id == source_id, sources.c.closed_unseen)
        with self._db.read() as tx:
            return tx.execute(query).first() is not None

    def there(self, source_id: str) -> bool:
        """Return whether there is such a source, and it is not being deleted."""
        query = sa.select(sources.c.id).where(
            sources.c.id == source_id, sources.c.deleting.is_(None)
        )
        with self._db.read() as tx:
            return tx.execute(query).first() is not None

    def version(self) -> str:
        """Return a text that changes as sources are made, edited, deleted, or get a shard."""
        with self._db.read() as tx:
            edited = sources.c.updated_at
            # The sum too: an edit under a clock that was put back is not the newest time.
            row = tx.execute(
                sa.select(
                    sa.func.count(),
                    sa.func.max(edited),
                    sa.func.sum(edited),
                    sa.select(sa.func.count())
                    .where(shards.c.shard > FIRST_SHARD)
                    .scalar_subquery(),
                ).select_from(sources)
            ).one()
        return ":".join(str(one) for one in row)


@built_once
def _deleting(source_id: str) -> sa.Select[Any]:
    return sa.select(sources.c.deleting).where(sources.c.id == source_id)
