"""``/v3/connections``: Supermemory's calls for S3, answered from sources of ours.

A connection is a source of a bucket. Its container tags stand as metadata on each record and name
its collection, so that a client of theirs finds here what it left there.
"""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse
from pydantic import BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from s3sync_dagster.api.access import AnyClient, Caller, OwnerClient
from s3sync_dagster.api.context import Context, Here
from s3sync_dagster.api.errors import describe
from s3sync_dagster.api.objects import Looks, seen_objects
from s3sync_dagster.api.outside import waits_outside
from s3sync_dagster.api.routing import StrictRoute
from s3sync_dagster.api.showing import moment
from s3sync_dagster.api.sources import end_source, make_source, visible_rows
from s3sync_dagster.api.wire import Answer, Moment, Name, Payload, Text
from s3sync_dagster.api.wire_source import CreateSource
from s3sync_dagster.core.state import ListingRow, ListingState, SourceRow
from s3sync_dagster.model.errors import Conflict, InvalidSetting, NotFound, NotPossible
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.moving.supermemory import PROVIDER, TAGS, bucket_fields, shown_pattern
from s3sync_dagster.moving.wanted import Reader, whole_number

router = APIRouter(prefix="/v3/connections", tags=["Supermemory"], route_class=StrictRoute)

MAX_DOCUMENTS = 1000
MAX_FAILURES = 25
"""That a sync run names; ``itemsFailed`` counts all."""
_STATUS = {"indexed": "done", "pending": "queued", "processing": "indexing", "failed": "failed"}
_BLOCKED = (
    "Removals wait for an approval: POST /s3sync/v1/sources/{id}/approve-deletes with this run's "
    "id as listing_id."
)
_RUN = {
    ListingState.RUNNING: "running",
    ListingState.COMPLETE: "completed",
    ListingState.FAILED: "failed",
    ListingState.APPROVED: "completed",
    ListingState.BLOCKED: "failed",
}


class _Camel(Answer):
    model_config = ConfigDict(
        frozen=True, alias_generator=to_camel, populate_by_name=True, serialize_by_alias=True
    )


class Tags(Payload):
    """Which connections are meant; none: all."""

    tags: list[Name] | None = Field(default=None, alias=TAGS)


class Create(Payload):
    """Body of the creation; what of S3 stands in ``metadata``."""

    tag: Name | None = Field(default=None, alias="containerTag")
    tags: list[Name] | None = Field(default=None, alias=TAGS)
    document_limit: Annotated[int | None, BeforeValidator(whole_number)] = Field(
        default=None, alias="documentLimit", strict=True, ge=1
    )
    metadata: dict[Text, Text | bool | float]
    redirect_url: Text | None = Field(default=None, alias="redirectUrl")


class Created(_Camel):
    """Its answer: credentials need no page to sign in on."""

    id: UUID


class Failure(_Camel):
    """An object that has failed. When is not known here."""

    document_id: str
    """As ``documents`` names it."""
    title: str
    error_code: str | None
    """Our word, see docs/reasons.md."""
    error_message: str | None


class SyncRun(_Camel):
    """One listing. What asked for it is not known here."""

    id: str
    connection_id: UUID
    status: str
    started_at: Moment
    completed_at: Moment | None
    items_processed: int
    items_failed: int | None = None
    """Objects that have failed now; only of the newest."""
    error: str | None


class SyncRunShown(SyncRun):
    """One listing, with what has failed now where it is the newest."""

    failures: list[Failure]


class Connection(_Camel):
    """A source of a bucket."""

    id: UUID
    provider: str = PROVIDER
    created_at: Moment
    container_tags: list[str]
    document_limit: int | None
    metadata: dict[str, Any]
    """Without the keys."""
    last_sync_run: SyncRun | None


class Deleted(_Camel):
    """Answer to a deletion."""

    id: UUID
    provider: str = PROVIDER


class Document(_Camel):
    """An object."""

    id: str
    title: str
    type: str = "file"
    status: str
    created_at: Moment
    updated_at: Moment


@router.post("/s3", status_code=201)
@waits_outside
def create(body: Create, caller: OwnerClient, here: Here) -> Created:
    """Create a source of a bucket and begin with its first listing."""
    made = make_source(_payload(body), caller, here)
    here.backfills.start(here.source(made.source_id, caller))
    return Created(id=made.source_id)


@router.post("/list")
def list_connections(caller: AnyClient, here: Here, body: Tags | None = None) -> list[Connection]:
    """List the tenant's buckets, those with one of the tags where some are named."""
    return [_shown(here, row, caller) for row in _meant(here, caller, body)]


@router.post("/s3/import")
def import_now(caller: AnyClient, here: Here, body: Tags | None = None) -> PlainTextResponse:
    """List now what is meant; what is being listed already is left to who does it."""
    meant = _meant(here, caller, body)
    if not meant:
        raise NotFound("No connection has these container tags.", reason="source_not_found")
    started = 0
    for row in meant:
        try:
            here.backfills.start(row.source)
            started += 1
        except Conflict:  # that listing finds all the same
            continue
    return PlainTextResponse(f"{started} of {len(meant)} syncs started")


@router.post("/s3/documents")
def documents(caller: AnyClient, here: Here, body: Tags | None = None) -> list[Document]:
    """List the first 1,000 objects of what is meant."""
    with here.searches.taken(caller.tenant):
        return _documents(here, _meant(here, caller, body), caller)


def _documents(here: Context, meant: list[SourceRow], caller: Caller) -> list[Document]:
    found: list[Document] = []
    looks = Looks()
    for row in meant:
        left = MAX_DOCUMENTS - len(found)
        if not left:
            break
        seen, more = seen_objects(here, row.source, caller, limit=left, looks=looks)
        if more is not None and len(seen) < left:
            raise NotPossible(
                "Too many objects are kept from this token to find here those that are not: "
                f"GET /s3sync/v1/sources/{row.source.id}/objects lists them page by page."
            )
        for one in seen:
            at = moment(one.last_modified or one.seen_at)
            found.append(
                Document(
                    id=_document_id(row, one.object_key),
                    title=one.object_key,
                    status=_STATUS.get(one.state, "unknown"),
                    created_at=at,
                    updated_at=at,
                )
            )
    return found


@router.get("/{connection_id}")
def get(connection_id: str, caller: AnyClient, here: Here) -> Connection:
    """Show a connection; its keys are never shown."""
    return _shown(here, _row(here, connection_id, caller), caller)


@router.get("/{connection_id}/sync-runs")
def sync_runs(connection_id: str, caller: AnyClient, here: Here) -> list[SyncRunShown]:
    """List the newest listings of a connection."""
    row = _row(here, connection_id, caller)
    runs = _runs(here, row, caller)
    failures = _failures(here, row, caller) if runs and runs[0].items_failed else []
    return [
        SyncRunShown(**dict(run), failures=failures if number == 0 else [])
        for number, run in enumerate(runs)
    ]


@router.delete("/{connection_id}")
def delete(
    connection_id: str,
    caller: OwnerClient,
    here: Here,
    delete_documents: Annotated[bool, Query(alias="deleteDocuments")] = True,
) -> list[Deleted]:
    """Delete a connection, with what it wrote unless that is to stay."""
    found = UUID(_row(here, connection_id, caller).source.id)
    end_source(here, caller, found, delete_records=delete_documents)
    return [Deleted(id=found)]  # as their client reads it


def _payload(body: Create) -> CreateSource:
    given = Reader(body.metadata, at="metadata.")
    tags: list[str] = list(dict.fromkeys([*([body.tag] if body.tag else []), *(body.tags or [])]))
    fields, keys = bucket_fields(given, tags=tags, document_limit=body.document_limit)
    given.require_nothing_left()
    if keys is None:
        raise InvalidSetting("metadata.accessKeyId and metadata.secretAccessKey are missing.")
    fields |= {
        # Documents that a deletion left are gone on with; ids begin with those of the bucket, so
        # that nobody else's are meant.
        "adopt": True,
        "aws_access_key_id": keys.access_key_id,
        "aws_secret_access_key": keys.secret_access_key,
    }
    try:
        return CreateSource.model_validate({PROVIDER: fields, "database_name": "default_database"})
    except ValidationError as error:
        raise InvalidSetting(describe(error.errors())) from None


def _meant(here: Context, caller: Caller, body: Tags | None) -> list[SourceRow]:
    wanted = set((body and body.tags) or ())
    rows = [row for row in visible_rows(here, caller) if isinstance(row.source.place, S3Place)]
    return [row for row in rows if not wanted or wanted & set(_tags(row.source.metadata))]


def _row(here: Context, connection_id: str, caller: Caller) -> SourceRow:
    """Return a connection by its id; any other word, such as a provider's, names none."""
    try:
        row = here.catalog.sources.row(str(UUID(connection_id)), tenant=caller.tenant)
    except ValueError:
        row = None
    if row is None or row.deleting is not None or not isinstance(row.source.place, S3Place):
        raise NotFound(f"No connection {connection_id[:80]!r}.", reason="source_not_found")
    return row


def _tags(metadata: Mapping[str, Any]) -> list[str]:
    found = metadata.get(TAGS)
    return [str(one) for one in found] if isinstance(found, list | tuple) else []


def _shown(here: Context, row: SourceRow, caller: Caller) -> Connection:
    source, place = row.source, row.source.place
    assert isinstance(place, S3Place)
    told = {"bucket": place.bucket_name, "region": place.region, "endpoint": place.endpoint_url,
            "prefix": place.path_prefix or None,
            "containerTagRegex": _pattern(row)}  # fmt: skip
    runs = _runs(here, row, caller, limit=1)
    return Connection(
        id=UUID(source.id),
        created_at=moment(row.created_at),
        container_tags=_tags(source.metadata),
        document_limit=source.document_limit,
        metadata={name: value for name, value in told.items() if value is not None},
        last_sync_run=runs[0] if runs else None,
    )


def _pattern(row: SourceRow) -> str | None:
    """Return the pattern of a source where it means what theirs does: searched in the whole key."""
    source = row.source
    if source.place.path_prefix and not source.path_metadata_whole_key:
        return None
    return shown_pattern(source.path_metadata)


def _runs(here: Context, row: SourceRow, caller: Caller, *, limit: int = 10) -> list[SyncRun]:
    listed = here.listings(row.source.id, caller, limit=limit)
    failed = sum(here.catalog.views.counts(row.source.id).failed.values()) if listed else 0
    return [
        _run(one, row, failed=failed if number == 0 else None) for number, one in enumerate(listed)
    ]


def _failures(here: Context, row: SourceRow, caller: Caller) -> list[Failure]:
    """Return the first objects that have failed now, of those that the caller may see."""
    with here.searches.taken(caller.tenant):
        seen, _ = seen_objects(
            here, row.source, caller, state="failed", limit=MAX_FAILURES, looks=Looks()
        )
    return [
        Failure(
            document_id=_document_id(row, one.object_key),
            title=one.object_key,
            error_code=one.reason,
            error_message=one.error,
        )
        for one in seen
    ]


def _document_id(row: SourceRow, key: str) -> str:
    return hashlib.sha256(f"{row.source.id}\0{key}".encode()).hexdigest()[:32]


def _run(listing: ListingRow, row: SourceRow, *, failed: int | None) -> SyncRun:
    ended = listing.finished_at
    return SyncRun(
        id=str(listing.id),
        connection_id=UUID(row.source.id),
        status=_RUN[listing.state],
        started_at=moment(listing.started_at),
        completed_at=None if ended is None else moment(ended),
        items_processed=listing.listed,
        items_failed=failed,
        error=_BLOCKED if listing.state is ListingState.BLOCKED else listing.error,
    )
