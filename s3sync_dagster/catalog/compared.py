"""Who may read what was found in its collection as a restored catalog has it."""

import sqlalchemy as sa

from s3sync_dagster.catalog.doubted import with_reader_keys
from s3sync_dagster.catalog.tables import documents, is_not_indexed, objects, sources
from s3sync_dagster.core.carried import names_readers
from s3sync_dagster.core.sidecar import BEDROCK_SUFFIX, SIDECAR_SUFFIX
from s3sync_dagster.core.state import RESTORED, UNTOLD


def when_compared(tx: sa.Connection, source_id: str) -> sa.ColumnElement[str | None]:
    """Return ``withheld`` of documents whose records were found as a restored catalog has them.

    Where objects say who may read, what was told of them meanwhile is lost: somebody has to look.
    So has somebody where a sidecar is new, or has other bytes by now. Nobody looks at what is gone.
    """
    told = documents.c.withheld
    restored = sa.case(
        (told == f"{UNTOLD}{RESTORED}", UNTOLD), else_=sa.func.nullif(told, RESTORED)
    )
    source = with_reader_keys(tx, source_id)
    if source is None or not (names_readers(source) or _has_unread_sidecars(tx, source_id)):
        return restored
    gone = (
        sa.select(objects.c.object_key)
        .where(
            objects.c.source_id == documents.c.source_id,
            objects.c.object_key == documents.c.object_key,
            objects.c.gone.is_(True),
        )
        .correlate(documents)
        .exists()
    )
    return sa.case((sa.and_(told == RESTORED, sa.not_(gone)), UNTOLD), else_=restored)


def _has_unread_sidecars(tx: sa.Connection, source_id: str) -> bool:
    """Return whether any sidecar has bytes that nobody has read; it may name any object by now.

    Before the listing that a restored catalog waits for nobody knows which there are.
    """
    unlisted = sa.select(sources.c.id).where(sources.c.id == source_id, sources.c.list_due_at < 0)
    unread = sa.select(objects.c.object_key).where(
        objects.c.source_id == source_id,
        is_not_indexed,  # no sidecar is: of these there is an index
        objects.c.gone.is_(False),
        sa.or_(
            *(objects.c.object_key.endswith(suffix) for suffix in (SIDECAR_SUFFIX, BEDROCK_SUFFIX))
        ),
        sa.or_(
            objects.c.outcome_etag.is_distinct_from(objects.c.etag),
            objects.c.next_retry_at.is_not(None),
        ),
    )
    return bool(tx.execute(sa.select(sa.or_(unlisted.exists(), unread.exists()))).scalar_one())
