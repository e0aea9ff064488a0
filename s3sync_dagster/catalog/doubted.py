"""Documents of which nobody knows whether their records say who may read them.

They hold what a member said, or stand in a collection that a restored catalog has not looked at.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping

import sqlalchemy as sa

from s3sync_dagster.catalog.rows import groups
from s3sync_dagster.catalog.tables import documents, objects
from s3sync_dagster.core.rights import Doubted
from s3sync_dagster.core.vouching import withheld_for

MOST = 200
"""Documents that a filter names; a source with more of them is for nobody with groups."""


def doubted_of(
    tx: sa.Connection, restricted: Mapping[str, Collection[str]]
) -> tuple[Doubted, set[str]]:
    """Return documents whose records may say else than the catalog, of sources with reader keys.

    Args:
        tx: an open transaction.
        restricted: source id -> the keys that name readers.

    Returns:
        Them, and sources that have too many to name.
    """
    by_keys: dict[str, list[str]] = defaultdict(list)
    for source_id, keys in restricted.items():
        if keys:
            by_keys[withheld_for(keys)].append(source_id)
    found: list[tuple[str, str, str]] = []
    closed: set[str] = set()
    for written_for, source_ids in by_keys.items():
        for ids in groups(source_ids):
            for where in _doubtful(ids, written_for):
                query = sa.select(
                    documents.c.source_id, documents.c.document_id, documents.c.object_key
                )
                rows = tx.execute(query.where(*where).limit(MOST + 1)).all()
                if len(found) + len(rows) > MOST:
                    any_of = sa.select(documents.c.id).where(*where).limit(1)
                    closed.update(
                        one
                        for one in ids
                        if tx.execute(any_of.where(documents.c.source_id == one)).first()
                    )
                else:
                    found += [(row.source_id, row.document_id, row.object_key) for row in rows]
    named = [one for one in found if one[0] not in closed]
    keys_of: dict[str, set[str]] = defaultdict(set)
    for source_id, _, key in named:
        keys_of[source_id].add(key)
    return (
        Doubted(
            documents=frozenset((source_id, name) for source_id, name, _ in named),
            keys={source_id: frozenset(keys) for source_id, keys in keys_of.items()},
        ),
        closed,
    )


def _doubtful(ids: list[str], written_for: str) -> Iterator[list[sa.ColumnElement[bool]]]:
    here = documents.c.source_id.in_(ids)
    # Two stretches of an index: what was written for these very keys is not walked through.
    yield [here, documents.c.withheld < written_for]
    yield [here, documents.c.withheld > written_for]


def look_again(tx: sa.Connection, source_id: str, keys: Collection[str]) -> None:
    """Have a listing ask for each object whose records hold what a member said under these keys."""
    theirs = sa.select(documents.c.object_key).where(
        documents.c.source_id == source_id, documents.c.withheld != withheld_for(keys)
    )
    tx.execute(
        objects.update()
        .where(objects.c.source_id == source_id, objects.c.object_key.in_(theirs))
        .values(fingerprint="")
    )
