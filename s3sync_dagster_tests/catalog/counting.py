"""What the database keeps of its counts, and what a look at all rows finds."""

import sqlalchemy as sa

from s3sync_dagster.catalog.kept_counts import document_counts, object_counts
from s3sync_dagster.catalog.tables import documents, objects

Counts = dict[tuple[object, ...], tuple[int, ...]]


def kept(catalog) -> tuple[Counts, Counts]:
    """Objects and documents of all sources by kind, as the database has counted them."""
    with catalog.database.read() as tx:
        by_object = tx.execute(sa.select(object_counts)).all()
        by_document = tx.execute(sa.select(document_counts)).all()
    return (
        {tuple(row[:5]): (row.number,) for row in by_object},
        {tuple(row[:3]): (row.number, row.chunks, row.text_bytes) for row in by_document},
    )


def counted(catalog) -> tuple[Counts, Counts]:
    """Count them."""
    one, two = objects.c, documents.c

    def text(column):
        return sa.func.coalesce(column, "")

    kinds = (one.source_id, one.gone, text(one.skip_reason), text(one.outcome), text(one.reason))
    papers = (two.source_id, two.phase, text(two.fingerprint))
    sums = (sa.func.count(), sa.func.sum(two.chunks), sa.func.sum(two.text_bytes))
    with catalog.database.read() as tx:
        by_object = tx.execute(sa.select(*kinds, sa.func.count()).group_by(*kinds)).all()
        by_document = tx.execute(sa.select(*papers, *sums).group_by(*papers)).all()
    return (
        {tuple(row[:5]): (row[5],) for row in by_object},
        {tuple(row[:3]): (row[3], int(row[4]), int(row[5])) for row in by_document},
    )
