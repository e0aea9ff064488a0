"""What the database keeps of its counts, and what a look at all rows finds."""

import sqlalchemy as sa

from s3sync_dagster.catalog.kept_counts import document_counts, object_counts
from s3sync_dagster.catalog.tables import documents, objects

Counts = dict[tuple[object, ...], tuple[int, ...]]


_KINDS = (
    objects.c.source_id,
    objects.c.gone,
    *(sa.func.coalesce(objects.c[name], "") for name in ("skip_reason", "outcome", "reason")),
)
_PAPERS = (documents.c.source_id, documents.c.phase, sa.func.coalesce(documents.c.fingerprint, ""))
_SUMS = (sa.func.count(), sa.func.sum(documents.c.chunks), sa.func.sum(documents.c.text_bytes))
# Built once: a simulated world counts after each tenth step.
_KEPT = sa.select(object_counts), sa.select(document_counts)
_COUNTED = (
    sa.select(*_KINDS, sa.func.count()).group_by(*_KINDS),
    sa.select(*_PAPERS, *_SUMS).group_by(*_PAPERS),
)


def kept(catalog) -> tuple[Counts, Counts]:
    """Objects and documents of all sources by kind, as the database has counted them."""
    with catalog.database.read() as tx:
        by_object, by_document = (tx.execute(one).all() for one in _KEPT)
    return (
        {tuple(row[:5]): (row.number,) for row in by_object},
        {tuple(row[:3]): (row.number, row.chunks, row.text_bytes) for row in by_document},
    )


def counted(catalog) -> tuple[Counts, Counts]:
    """Count them."""
    with catalog.database.read() as tx:
        by_object, by_document = (tx.execute(one).all() for one in _COUNTED)
    return (
        {tuple(row[:5]): (row[5],) for row in by_object},
        {tuple(row[:3]): (row[3], int(row[4]), int(row[5])) for row in by_document},
    )
