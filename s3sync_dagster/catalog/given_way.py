"""Documents that gave way to others under another id, which were never written."""

from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.tables import documents


def stand_again(tx: sa.Connection, begun: sa.Row[Any]) -> None:
    """Have the newest whole document stand that gave way to one that was only begun, and is gone.

    Not where it is being removed, or another one of its object stands there.
    """
    here = documents.alias("here")
    of_object = (
        here.c.source_id == begun.source_id,
        here.c.object_key == begun.object_key,
        here.c.tenant == begun.tenant,
        here.c.database_name == begun.database_name,
        here.c.collection_name == begun.collection_name,
    )
    stands = sa.select(here.c.id).where(*of_object, here.c.phase != "removing")
    newest = sa.select(sa.func.max(here.c.id)).where(
        *of_object,
        here.c.phase == "removing",
        sa.or_(here.c.batch_token.is_(None), here.c.batch_token == begun.batch_token),
        here.c.etag.is_not(None),
    )
    if tx.execute(stands.limit(1)).first() is None:
        tx.execute(
            documents.update()
            .where(documents.c.id == newest.scalar_subquery())
            .values(phase="writing")
        )
