"""The chunks of an object as its collection has them, in their order."""

from dataclasses import dataclass
from uuid import UUID

from s3sync_dagster.api.access import Caller
from s3sync_dagster.api.context import Context
from s3sync_dagster.api.searching import tenants_embedding
from s3sync_dagster.catalog.rights import sees_document
from s3sync_dagster.engine.hybrid import fetch_hits
from s3sync_dagster.model.document import Hit
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.search import opened

SHOWN = 50


@dataclass(frozen=True, slots=True)
class Chunks:
    """The first chunks of an object in one collection."""

    collection_name: str
    hits: list[Hit]
    """Without those that are not there, which ``s3sync verify`` tells of."""
    total: int
    problem: str = ""
    """Why none can be shown."""


def chunks_of(here: Context, source_id: UUID, key: str, caller: Caller) -> list[Chunks]:
    """Return the chunks in each collection that the caller may see; one request for each."""
    source = here.source(source_id, caller)
    rights = here.rights(caller)
    found: list[Chunks] = []
    for document in here.catalog.documents.of_key(source.id, key):
        if not sees_document(rights, source, document):
            continue
        name, total = document.collection_name, document.count
        wanted = [f"{document.document_id}-{place}" for place in range(min(total, SHOWN))]
        if not wanted:
            continue
        try:
            model = tenants_embedding(here, name, document.database_name, caller)
            with opened(
                here.parts,
                name,
                reader=caller.reader,
                tenant=document.tenant,
                database=document.database_name,
                ranking="dense",
                embedding=model,
            ) as searcher:
                hits = fetch_hits(searcher.collection, wanted)
        except S3SyncError as error:
            found.append(Chunks(name, [], total, error.message))
        else:
            found.append(Chunks(name, [hits[one] for one in wanted if one in hits], total))
    return found
