"""``POST /s3sync/v1/search``: the best chunks of a collection, by vectors and words."""

from collections.abc import Iterator

from fastapi import APIRouter

from s3sync_dagster.api.access import AnyCaller, Caller
from s3sync_dagster.api.checking import require_database
from s3sync_dagster.api.context import Context, Here
from s3sync_dagster.api.manage_show import show_hit
from s3sync_dagster.api.manage_wire import SearchAnswer, SearchPayload
from s3sync_dagster.api.models import ModelChoice
from s3sync_dagster.api.openapi import errors
from s3sync_dagster.api.routing import StrictRoute
from s3sync_dagster.core.filters import require_filter
from s3sync_dagster.core.keys import validate_collection_name
from s3sync_dagster.meant import naming_collections
from s3sync_dagster.model.document import Hit
from s3sync_dagster.model.source import EmbeddingConfig, Source
from s3sync_dagster.search import search

router = APIRouter(prefix="/s3sync/v1", tags=["Search"], route_class=StrictRoute)


@router.post(
    "/search",
    operation_id="search",
    responses=errors(400, 401, 403, 404, 409, 413, 429, 500, 503),
)
def search_collection(payload: SearchPayload, caller: AnyCaller, here: Here) -> SearchAnswer:
    """Search a collection of the tenant by meaning and words together, or by one (`ranking`)."""
    return find(here, payload, caller)


def find(here: Context, payload: SearchPayload, caller: Caller) -> SearchAnswer:
    """Return the best chunks; raises as ``find_hits``."""
    lacks: list[str] = []
    with naming_collections(payload.collection_name, _sources_there(here, payload, caller)):
        hits = find_hits(here, payload, caller, lacks=lacks)
    return SearchAnswer(hits=[show_hit(hit) for hit in hits], lacks=lacks)


def _sources_there(here: Context, payload: SearchPayload, caller: Caller) -> Iterator[Source]:
    """Yield the tenant's sources of the database; they are read when the first one is taken."""
    for source in here.catalog.sources.all(tenant=caller.tenant, moved=True):
        if source.database_name == payload.database_name:
            yield source


def find_hits(
    here: Context, payload: SearchPayload, caller: Caller, *, lacks: list[str]
) -> list[Hit]:
    """Return the best chunks; ``lacks`` gains what was not looked at.

    Raises:
        TooMany: others of the tenant's searches are in flight.
        NotFound: the database or the collection does not exist.
        EmbeddingMismatch: no model of this tenant made its vectors.
        InvalidSetting: ``where`` is no filter of Chroma's, or a too costly one.
    """
    require_filter(payload.where)
    validate_collection_name(payload.collection_name)
    require_database(here, caller.tenant, payload.database_name)
    with here.searches.taken(caller.tenant):
        return search(
            here.parts,
            payload.query,
            reader=caller.reader,
            collection=payload.collection_name,
            tenant=caller.tenant,
            database=payload.database_name,
            where=payload.where,
            limit=payload.limit,
            ranking=payload.wanted,
            context=payload.context,
            group=payload.group,
            embedding=tenants_embedding(
                here, payload.collection_name, payload.database_name, caller
            ),
            lacks=lacks,
        )


def tenants_embedding(
    here: Context, collection: str, database: str, caller: Caller
) -> EmbeddingConfig:
    """Return the model of the tenant's own sources: another's key is not for its questions.

    That of one that has written to the collection, before one that only names it.
    """
    named: EmbeddingConfig | None = None
    for row in here.catalog.sources.rows(tenant=caller.tenant, moved=True):
        source = row.source
        if source.database_name != database:
            continue
        if any(name == collection for *_, name in here.catalog.documents.collections(source.id)):
            return source.embedding
        if named is None and source.collection_name == collection:
            named = source.embedding
    return named or ModelChoice.of(here.parts.settings).default()
