"""What the catalog knows of invocations, to be read."""

from collections.abc import Sequence
from itertools import product
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.answer_size import ROWS_AT_ONCE, AnswerSize
from s3sync_dagster.catalog.built_once import built_once
from s3sync_dagster.catalog.collisions import again_after_collisions
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.retried import NEWEST_FIRST
from s3sync_dagster.catalog.rows import groups, invocation_of
from s3sync_dagster.catalog.tables import invocations, is_live, sources
from s3sync_dagster.model.errors import NotFound
from s3sync_dagster.model.invocation import Invocation, InvocationStatus


@again_after_collisions
class InvocationRows:
    """Invocations as they are known; nothing here changes any."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def find(self, invocation_id: str, *, tenant: str | None = None) -> Invocation:
        """Return an invocation. Raises ``NotFound``, also for another tenant's."""
        query = sa.select(invocations).where(invocations.c.id == invocation_id)
        if tenant is not None:
            query = query.where(invocations.c.tenant == tenant)
        with self._db.read() as tx:
            row = tx.execute(query).first()
        if row is None:
            raise NotFound(f"No invocation {invocation_id!r}.", reason="invocation_not_found")
        return invocation_of(row)

    def rows(
        self,
        *,
        tenant: str | None = None,
        source_id: str | None = None,
        source_ids: Sequence[str] | None = None,
        database_name: str | None = None,
        source_type: str | None = None,
        status: InvocationStatus | None = None,
        ascending: bool = False,
        most_bytes: int | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> list[Invocation]:
        """Return invocations for people and the API, newest first unless ``ascending``.

        ``source_type`` leaves out the sources of other types; deleted ones count as ``s3``.

        Raises:
            LimitExceeded: their metadata have more than ``most_bytes`` together.
        """
        query = sa.select(invocations).limit(limit).offset(offset)
        for column, value in (
            (invocations.c.tenant, tenant),
            (invocations.c.source_id, source_id),
            (invocations.c.database_name, database_name),
            (invocations.c.status, status.value if status else None),
        ):
            if value is not None:
                query = query.where(column == value)
        if source_ids is not None:
            query = query.where(invocations.c.source_id.in_(source_ids))
        if source_type is not None:
            if source_type == "s3":
                others = sa.select(sources.c.id).where(sources.c.place_type != source_type)
                query = query.where(invocations.c.source_id.not_in(others))
            else:
                those = sa.select(sources.c.id).where(sources.c.place_type == source_type)
                query = query.where(invocations.c.source_id.in_(those))
        order = invocations.c.created_at
        query = query.order_by(order.asc() if ascending else order.desc(), invocations.c.id)
        taken = AnswerSize(most_bytes)
        with self._db.read() as tx:
            found = tx.execute(query.execution_options(yield_per=ROWS_AT_ONCE))
            return [taken.more(invocation_of(row)) for row in found]

    def latest_by_keys(self, source_id: str, keys: Sequence[str]) -> dict[str, Invocation]:
        """Return the newest invocation of each key that has one."""
        return self.latest_of_each([source_id], keys)

    def latest_of_each(
        self, source_ids: Sequence[str], keys: Sequence[str], *, most_bytes: int | None = None
    ) -> dict[str, Invocation]:
        """Return that of each key that has one in any of the sources.

        Raises:
            LimitExceeded: their metadata have more than ``most_bytes`` together.
        """
        found: dict[str, Invocation] = {}
        taken = AnswerSize(most_bytes)
        with self._db.read() as tx:
            for part, some in product(groups(keys), groups(source_ids)):
                newest = (
                    sa.select(
                        invocations,
                        sa.func.row_number()
                        .over(
                            partition_by=(invocations.c.source_id, invocations.c.object_key),
                            order_by=NEWEST_FIRST,
                        )
                        .label("place"),
                    )
                    .where(invocations.c.source_id.in_(some), invocations.c.object_key.in_(part))
                    .subquery()
                )
                each = sa.select(newest).where(newest.c.place == 1)
                for row in tx.execute(each.execution_options(yield_per=ROWS_AT_ONCE)):
                    one, other = taken.more(invocation_of(row)), found.get(row.object_key)
                    if other is None or one.created_at > other.created_at:
                        found[row.object_key] = one
        return found

    def live_count(self, source_id: str) -> int:
        """Return pending and processing invocations of a source."""
        with self._db.read() as tx:
            return tx.execute(*_live_number(source_id)).scalar_one()

    def waits_since_restore(self, source_id: str) -> bool:
        """Return whether a request is at work, or waits, that waited in the copy of a catalog."""
        query = sa.select(sa.literal(1)).where(
            invocations.c.source_id == source_id, is_live, invocations.c.restored
        )
        with self._db.read() as tx:
            return tx.execute(query.limit(1)).first() is not None


@built_once
def _live_number(source_id: str) -> sa.Select[Any]:
    here = (invocations.c.source_id == source_id, is_live)
    return sa.select(sa.func.count()).select_from(invocations).where(*here)
