"""Documents that gave way to others under another id, which were never written."""

from collections.abc import Collection
from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.rows import document_of
from s3sync_dagster.catalog.tables import documents
from s3sync_dagster.core.document_targets import word_on
from s3sync_dagster.core.state import BESIDE, Said
from s3sync_dagster.core.vouching import names_any


def stand_again(
    tx: sa.Connection, begun: sa.Row[Any], *, reader_keys: Collection[str] = ()
) -> bool:
    """Have the newest whole document stand that gave way to one that was only begun, and is gone.

    Not where it is being removed, or another one of its object stands there. What was asked of its
    readers with the other is asked of it then.

    Args:
        tx: an open transaction.
        begun: the row of the other.
        reader_keys: of the source.

    Returns:
        Whether one stands again.
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
    newest = (
        sa.select(here.c.id)
        .where(
            *of_object,
            here.c.phase == "removing",
            sa.or_(here.c.batch_token.is_(None), here.c.batch_token == begun.batch_token),
            here.c.etag.is_not(None),
        )
        .order_by(here.c.owner == BESIDE, here.c.id.desc())  # as ``stood_last`` has it
        .limit(1)
    )
    if tx.execute(stands.limit(1)).first() is not None:
        return False
    values: dict[str, Any] = {"phase": "writing"}
    told = word_on(document_of(begun))
    if told is not None and told.vouched and names_any(told.metadata, reader_keys):
        values["said"] = asdict(Said(custom_id=told.custom_id, metadata=told.metadata))
    stood = tx.execute(
        documents.update().where(documents.c.id == newest.scalar_subquery()).values(**values)
    )
    return stood.rowcount > 0
