"""Who may read what was found in its collection as a restored catalog has it."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog.sidecar_rows import is_outdated
from s3sync_dagster.catalog.tables import documents, objects, sidecars, sources
from s3sync_dagster.core.carried import names_readers
from s3sync_dagster.core.state import RESTORED, UNTOLD
from s3sync_dagster.model.source import Source


def when_compared(tx: sa.Connection, source_id: str) -> sa.ColumnElement[str | None]:
    """Return ``withheld`` of documents whose records were found as a restored catalog has them.

    Where objects say who may read, what was told of them meanwhile is lost: somebody has to look.
    So has somebody at a sidecar that has other bytes by now. Nobody looks at what is gone.
    """
    told = documents.c.withheld
    restored = sa.case(
        (told == f"{UNTOLD}{RESTORED}", UNTOLD), else_=sa.func.nullif(told, RESTORED)
    )
    query = sa.select(sources.c.config).where(sources.c.id == source_id)
    config: Mapping[str, Any] | None = tx.execute(query).scalar_one_or_none()
    if not config or not config.get("reader_keys"):
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
    unread = (
        sa.select(sidecars.c.path)
        .where(
            sidecars.c.source_id == documents.c.source_id,
            sidecars.c.path == documents.c.object_key,
            is_outdated(),
        )
        .correlate(documents)
        .exists()
    )
    untold = sa.true() if names_readers(Source.from_json(config)) else unread
    return sa.case((sa.and_(told == RESTORED, untold, sa.not_(gone)), UNTOLD), else_=restored)
