"""Inventory reports: which one a listing is made of, and what listings alone would see to."""

from collections.abc import Sequence
from dataclasses import asdict, replace

import sqlalchemy as sa

from s3sync_dagster.catalog.collisions import again_after_collisions
from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.invocations import insert_automatic
from s3sync_dagster.catalog.rows import groups, is_due, listing_of
from s3sync_dagster.catalog.tables import (
    documents,
    invocations,
    is_gone,
    is_live,
    is_missed,
    listings,
    objects,
    sources,
)
from s3sync_dagster.core.patience import longest_wait
from s3sync_dagster.core.state import ListedReport, ListingRow

RETRIES_AT_ONCE = 1000
_SIDECARS = ("sidecar", "bedrock_sidecar")
"""What is read although it is not indexed itself."""
_WHOLE = ("complete", "blocked", "approved")


def list_anew(tx: sa.Connection, which: sa.ColumnElement[bool]) -> None:
    """Have the bucket itself listed next, as no report tells what went by under other settings.

    Nor does a listing of before tell by then what is missing.

    Args:
        tx: an open transaction.
        which: condition on rows of ``listings``: those of the sources that are changed.
    """
    tx.execute(listings.update().where(which).values(tells_missing=False))
    newest = (
        sa.select(sa.func.max(listings.c.id))
        .where(which, listings.c.state.in_(_WHOLE))
        .group_by(listings.c.source_id)
    )
    found = tx.execute(
        sa.select(listings.c.id, listings.c.report)
        .where(
            which,
            listings.c.report.is_not(None),
            sa.or_(listings.c.state == "running", listings.c.id.in_(newest)),
        )
        .with_for_update()
    ).all()
    for row in found:
        edited = {**row.report, "settings": ""}
        tx.execute(listings.update().where(listings.c.id == row.id).values(report=edited))


def _ours(listing: ListingRow, owner: str) -> tuple[sa.ColumnElement[bool], ...]:
    return (
        listings.c.id == listing.id,
        listings.c.owner == owner,
        listings.c.state == "running",
    )


@again_after_collisions
class Reports:
    """The reports of the table ``listings``."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def note(self, listing: ListingRow, report: ListedReport, *, owner: str) -> ListingRow | None:
        """Store of which report a listing is made; None where the listing is no longer ours."""
        with self._db.write() as tx:
            row = tx.execute(
                listings.update()
                .where(*_ours(listing, owner))
                .values(report=asdict(report))
                .returning(listings)
            ).first()
        return listing_of(row) if row is not None else None

    def amend(
        self,
        listing: ListingRow,
        *,
        owner: str,
        refused: bool = False,
        unasked: int = 0,
        error: str | None = None,
    ) -> None:
        """Store what came out about the report of which our listing is made, and what to say."""
        with self._db.write() as tx:
            query = sa.select(listings.c.report).where(*_ours(listing, owner)).with_for_update()
            report = tx.execute(query).scalar_one_or_none()
            if report is not None:
                now = ListedReport(**report)
                now = replace(now, refused=now.refused or refused, unasked=now.unasked + unasked)
                tx.execute(
                    listings.update()
                    .where(listings.c.id == listing.id)
                    .values(report=asdict(now), error=error)
                )

    def last(self, source_id: str) -> ListingRow | None:
        """Return the newest listing of a source that names a report."""
        return self._newest(source_id, listings.c.report.is_not(None))

    def whole(self, source_id: str) -> ListingRow | None:
        """Return the newest listing of a source that has seen all pages."""
        return self._newest(source_id, listings.c.state.in_(_WHOLE))

    def _newest(self, source_id: str, which: sa.ColumnElement[bool]) -> ListingRow | None:
        with self._db.read() as tx:
            row = tx.execute(
                sa.select(listings)
                .where(listings.c.source_id == source_id, which)
                .order_by(listings.c.id.desc())
                .limit(1)
            ).first()
        return listing_of(row) if row is not None else None

    def has_unlisted(self, source_id: str) -> bool:
        """Return whether there are documents whose objects this source has heard nothing of.

        They were read back from their records, or are of the source in whose place it stands.
        """
        before = sa.select(sources.c.id).where(sources.c.moved_to == source_id)
        heard = sa.select(objects.c.object_key).where(
            objects.c.source_id == documents.c.source_id,
            objects.c.object_key == documents.c.object_key,
            # Else it was read back with its documents, and nothing has told of it.
            sa.or_(objects.c.told_count > 0, objects.c.etag != "", is_missed, is_gone),
        )
        unheard = sa.select(documents.c.id).where(
            documents.c.source_id == source_id, sa.not_(heard.correlate(documents).exists())
        )
        with self._db.read() as tx:
            return any(tx.execute(one.limit(1)).first() is not None for one in (before, unheard))

    def gone(self, source_id: str, keys: Sequence[str]) -> set[str]:
        """Return those of the keys whose object is known to be gone."""
        found: set[str] = set()
        with self._db.read() as tx:
            for part in groups(keys):
                found.update(
                    tx.execute(
                        sa.select(objects.c.object_key).where(
                            objects.c.source_id == source_id,
                            objects.c.object_key.in_(part),
                            objects.c.gone.is_(True),
                        )
                    ).scalars()
                )
        return found

    def retry_due(self, source_id: str) -> int:
        """Ask again for what failed and is due, as a listing would; returns how many keys."""
        now = self._db.now()
        waiting = sa.select(invocations.c.object_key).where(
            invocations.c.source_id == source_id,
            is_live,
        )
        failed = (
            sa.select(objects.c.object_key)
            .where(
                objects.c.source_id == source_id,
                objects.c.gone.is_(False),
                sa.or_(objects.c.skip_reason.is_(None), objects.c.skip_reason.in_(_SIDECARS)),
                objects.c.outcome == "failed",
                objects.c.retry_class != "input",
                is_due(objects.c.next_retry_at, now=now, at_most=longest_wait("failed")),
                objects.c.object_key.not_in(waiting),
            )
            .limit(RETRIES_AT_ONCE)
        )
        with self._db.read() as tx:
            if not tx.execute(failed.limit(1)).first():
                return 0
        with self._db.write() as tx:
            self._db.lock_source(tx, source_id)
            keys = tx.execute(failed).scalars().all()
            insert_automatic(self._db, tx, source_id, keys, trigger="retry", now=now)
        return len(keys)
