"""The end of a source: its records first, unless they are to stay, then all that names it."""

from collections.abc import Callable

import dagster as dg

from s3sync_dagster.core.plan import record_ids
from s3sync_dagster.core.state import DocumentState
from s3sync_dagster.defs.partitions import partitions_name
from s3sync_dagster.defs.resources import Runtime
from s3sync_dagster.model.errors import NotFound
from s3sync_dagster.model.source import Source

DOCUMENTS_A_PAGE = 200


def delete_when_free(
    runtime: Runtime,
    source: Source,
    instance: dg.DagsterInstance,
    *,
    log: Callable[[str], None],
    budget_seconds: float = 20.0,
) -> list[str]:
    """Take a source down once no batch of it lives; goes on at the next call after its budget."""
    parts = runtime.parts
    catalog = parts.catalog
    if catalog.batches.live(source_id=source.id):
        return [f"{source.name} is deleted once its batches have ended"]
    started = parts.clock.monotonic()
    if catalog.sources.deleting(source.id) == "records":
        while documents := catalog.documents.of_source(source.id, limit=DOCUMENTS_A_PAGE):
            _delete_records(runtime, source, documents)
            if parts.clock.monotonic() - started > budget_seconds:
                return [f"{source.name}: its records are being deleted"]
    for name in instance.get_dynamic_partitions(partitions_name(source.name)):
        instance.delete_dynamic_partition(partitions_name(source.name), name)
        if parts.clock.monotonic() - started > budget_seconds:
            return [f"{source.name}: its partitions are being taken back"]
    catalog.documents.drop_source(source.id)
    log(f"source {source.name} is deleted")
    return [f"source {source.name} is deleted"]


def _delete_records(runtime: Runtime, source: Source, documents: list[DocumentState]) -> None:
    parts = runtime.parts
    by_collection: dict[str, list[DocumentState]] = {}
    for document in documents:
        by_collection.setdefault(document.collection_name, []).append(document)
    for name, held in by_collection.items():
        ids = [
            record
            for document in held
            for record in record_ids(
                document.document_id, 0, max(document.high_water, document.count)
            )
        ]
        try:
            collection = parts.collections.open(
                name,
                tenant=source.tenant,
                database=source.database_name,
                embedder=parts.embedder_for(source.embedding),
                create=False,
            )
        except NotFound:
            collection = None
        if collection is not None:
            step = collection.write_limits.max_records
            for start in range(0, len(ids), step):
                collection.delete(ids[start : start + step])
        parts.catalog.documents.forget([document.id for document in held])
