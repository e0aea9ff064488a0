"""What the catalog knows of who may read."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from s3sync_dagster.catalog import Catalog
from s3sync_dagster.catalog.doubted import doubted_of, origins, place_in
from s3sync_dagster.catalog.lives import KEPT
from s3sync_dagster.catalog.rows import document_of, groups
from s3sync_dagster.catalog.tables import (
    collections,
    documents,
    invocations,
    is_live,
    sources,
)
from s3sync_dagster.core.path_metadata import with_path_metadata
from s3sync_dagster.core.rights import Reader, Rights
from s3sync_dagster.core.state import DocumentState
from s3sync_dagster.core.vouching import in_doubt, with_said
from s3sync_dagster.model.source import Source


def rights_of(catalog: Catalog, reader: Reader, *, tenant: str) -> Rights:
    """Return what a reader may see of a tenant's sources.

    Sources that are being deleted count, and so do those whose other settings this program cannot
    read: their records are there. So do those that were moved, whose records are for nobody whom
    the new source keeps out: what it says holds from the moment of the move.
    """
    if reader.groups is None:
        return Rights(reader=reader, restricted={})
    newer = sources.alias("newer")
    query = (
        sa.select(
            sources.c.id, sources.c.config, sources.c.closed_unseen, newer.c.config.label("newer")
        )
        .outerjoin(newer, newer.c.id == sources.c.moved_to)
        .where(sources.c.tenant == tenant)
    )
    with catalog.database.read() as tx:
        rows = tx.execute(query).all()
        left = tx.execute(KEPT).scalars().all()
        restricted: dict[str, Sequence[str]] = {}
        for row in rows:
            if keys := row.config.get("reader_keys"):
                restricted[row.id] = tuple(keys)
            if row.newer is not None and row.newer.get("reader_keys"):
                restricted[row.id] = _of_both(row.config, row.newer)
            if row.closed_unseen and row.id in restricted:
                restricted[row.id] = ()
        doubted, closed = doubted_of(tx, restricted)
    restricted |= dict.fromkeys(closed, ())
    open_sources = {*left, *(row.id for row in rows)} - restricted.keys()
    return Rights(
        reader=reader,
        restricted=restricted,
        open_sources=frozenset(open_sources),
        doubted=doubted,
    )


def keeps_back(
    catalog: Catalog, rights: Rights, *, tenant: str, database: str, collection: str
) -> bool:
    """Return whether a collection has, or is to get, records that are kept from the reader.

    Those of a source that says who may read: it is the source's own collection, one that it has
    written to, or one that somebody asked it to write to.
    """
    if rights.whole:
        return False
    with catalog.database.read() as tx:
        for some in groups(list(rights.restricted)):
            for table, column, also in (
                (sources, sources.c.id, sources.c.collection_name == collection),
                (collections, collections.c.source_id, collections.c.collection_name == collection),
                (invocations, invocations.c.source_id,
                 sa.and_(is_live, invocations.c.target_collection_name == collection)),
            ):  # fmt: skip
                here = (table.c.tenant == tenant, table.c.database_name == database)
                query = sa.select(column).where(column.in_(some), also, *here).limit(1)
                if tx.execute(query).first() is not None:
                    return True
    return False


def _of_both(config: Mapping[str, Any], newer: Mapping[str, Any]) -> tuple[str, ...]:
    """Return keys that keep out of records of before whomever one of the two sources keeps out.

    A reader needs one of a source's keys, so those of both. Where the new source says something
    else under them, no record of before names who may read it now.
    """
    keys = newer["reader_keys"]
    if config.get("reader_keys"):
        keys = [one for one in keys if one in config["reader_keys"]]
    said: Mapping[str, Any] = config.get("metadata") or {}
    says: Mapping[str, Any] = newer.get("metadata") or {}
    same = all(said.get(key) == says.get(key) for key in keys)
    if not same or origins(config) != origins(newer) or _elsewhere(config, newer):
        return ()
    return tuple(keys)


def _elsewhere(config: Mapping[str, Any], newer: Mapping[str, Any]) -> bool:
    """Return whether what the path and the object say of readers may be another thing now."""
    said, says = place_in(config), place_in(newer)

    def differ(*names: str) -> bool:
        return any(said.get(name) != says.get(name) for name in names)

    carried = newer.get("bedrock_sidecars") or any(
        says.get(name) for name in ("object_metadata", "object_tags")
    )
    by_path = newer.get("path_metadata") and differ("path_prefix")
    return bool(by_path or (carried and differ("bucket_name", "endpoint_url")))


def sees_document(rights: Rights, source: Source, document: DocumentState) -> bool:
    """Return whether a document may be seen, by the metadata that its records get."""
    if rights.sees_all_of(source.id):
        return True
    keys = rights.restricted[source.id]
    if in_doubt(document, keys):
        return False
    own = {**with_path_metadata(source, document.object_key), **document.carried}
    told = with_said(own, document.metadata, vouched=document.vouched, keys=keys)
    return rights.allow(source.id, told)


def seen_keys(
    catalog: Catalog, rights: Rights, source: Source, keys: Sequence[str]
) -> frozenset[str]:
    """Return those of a source's keys that may be seen: all that was made of them may be.

    An object of which there is no document yet tells nobody who may see it.
    """
    if rights.sees_all_of(source.id):
        return frozenset(keys)
    seen: dict[str, bool] = {}
    with catalog.database.read() as tx:
        for some in groups(list(dict.fromkeys(keys))):
            query = sa.select(documents).where(
                documents.c.source_id == source.id, documents.c.object_key.in_(some)
            )
            for row in tx.execute(query):
                one = document_of(row)
                seen[one.object_key] = seen.get(one.object_key, True) and sees_document(
                    rights, source, one
                )
    return frozenset(key for key, may in seen.items() if may)
