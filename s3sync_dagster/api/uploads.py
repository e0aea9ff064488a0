"""Sources of uploaded files: one a database on the wire, one a collection in the catalog.

The contract knows one ``file_upload`` source a database, and ids that derive from the file's
name alone. A file of the same name in another collection is another object, so each collection
has a source of its own behind the one that the wire shows: the oldest.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from s3sync_dagster.api.access import Caller
from s3sync_dagster.api.building import source_name
from s3sync_dagster.api.context import Context
from s3sync_dagster.api.errors import TooMany
from s3sync_dagster.core.source_rules import validate_source
from s3sync_dagster.core.state import SourceRow
from s3sync_dagster.model.errors import Conflict, FixConfiguration, InvalidSetting, NotFound
from s3sync_dagster.model.place import UploadPlace
from s3sync_dagster.model.source import AutoSync, ChunkingConfig, EmbeddingConfig, Source

_PLACE = UploadPlace()


def shown_rows(rows: Sequence[SourceRow]) -> list[SourceRow]:
    """Return rows (oldest first) without the upload sources behind the shown one."""
    seen: set[str] = set()
    shown: list[SourceRow] = []
    for row in rows:
        if row.source.place.owned:
            if row.source.database_name in seen:
                continue
            seen.add(row.source.database_name)
        shown.append(row)
    return shown


def ids_behind(here: Context, source: Source) -> list[str]:
    """Return the ids of all sources behind one that the wire shows; mostly it is just this.

    Any other id, of which ``/s3sync/v1`` and the console tell, means that source alone.
    """
    if not source.place.owned:
        return [source.id]
    ids = [row.source.id for row in _upload_rows(here, source)]
    return ids if ids[:1] == [source.id] else [source.id]


def _upload_rows(here: Context, source: Source) -> list[SourceRow]:
    """Return the rows of a database's upload sources, the one that the wire shows first."""
    return [
        row
        for row in here.catalog.sources.rows(tenant=source.tenant)
        if row.source.place.owned
        and row.source.database_name == source.database_name
        and row.deleting is None
    ]


def upload_of_collection(here: Context, source: Source, collection_name: str | None) -> Source:
    """Return the upload source of a collection, without a name the one that was asked for."""
    if collection_name is None:
        return source
    for row in _upload_rows(here, source):
        if row.source.collection_name == collection_name:
            return row.source
    raise NotFound(
        f"Nothing was uploaded to collection {collection_name!r} of this database.",
        reason="object_gone",
    )


def require_upload_room(here: Context, source: Source, key: str, size: int) -> int | None:
    """Look whether a tenant may have a file; returns the most bytes that all of its may have.

    The last word is that of the transaction that makes it a file, see ``quota_as_429``.

    Raises:
        TooMany: ``too_many_objects``.
        LimitExceeded, Throttled: see ``catalog.quotas.require_upload_room``.
    """
    with quota_as_429():
        here.catalog.work.require_room(source.id, [key])
    most = _most_bytes(here, source.tenant)
    if most is not None:
        here.catalog.uploads.require_room(source.id, key, size, most=most)
    return most


def require_first_room(here: Context, source: Source, size: int) -> None:
    """Refuse so the first file of a source before that is made: it would stay, and be empty."""
    with quota_as_429():
        here.catalog.uploads.require_room_for_first(
            source, size, most=_most_bytes(here, source.tenant)
        )


def _most_bytes(here: Context, tenant: str) -> int | None:
    most = here.options.upload_bytes_per_tenant
    return most if most and not here.options.trusts(tenant) else None


@contextmanager
def quota_as_429() -> Generator[None]:
    """Raise ``TooMany`` where the tenant has as many objects as it may."""
    try:
        yield
    except FixConfiguration as error:
        if error.reason != "too_many_objects":
            raise
        raise TooMany(error.message, reason=error.reason, retry_after_seconds=60.0) from None


def upload_source(
    here: Context,
    caller: Caller,
    *,
    database_name: str,
    collection_name: str,
    chunking: ChunkingConfig | None,
    embedding: EmbeddingConfig | None,
    default: EmbeddingConfig,
    admit: Callable[[Source], None],
) -> Source:
    """Return the upload source of a collection; the first call makes it.

    ``admit`` raises where one that is not there yet is not to be made.

    Raises:
        InvalidSetting: chunking or embedding are given and differ from those of the source.
    """
    wanted = Source(
        id=here.parts.clock.uuid(),
        name="unnamed",
        place=_PLACE,
        collection_name=collection_name,
        tenant=caller.tenant,
        database_name=database_name,
        chunking=chunking or ChunkingConfig(),
        embedding=embedding or default,
        auto_sync=AutoSync.NONE,
        list_interval_seconds=0,
    )
    wanted = replace(wanted, name=source_name(_PLACE.type, wanted.id))
    validate_source(wanted)
    found = here.catalog.sources.find_identity(wanted)
    if found is None:
        admit(wanted)
        try:
            return here.catalog.sources.add(wanted, most=here.options.sources_per_tenant)
        except Conflict:  # another first upload was faster
            found = here.catalog.sources.find_identity(wanted)
            if found is None:
                raise
    row = here.catalog.sources.row(found.id)
    if row is not None and row.deleting is not None:
        raise InvalidSetting(
            f"The uploads of database {database_name!r} are being deleted: try again in a moment.",
            reason="source_being_deleted",
        )
    for field, asked, present in (
        ("chunking", chunking, found.chunking),
        ("embedding", embedding, found.embedding),
    ):
        if asked is not None and asked != present:
            raise InvalidSetting(
                f"{field} differs from what the first upload to collection {collection_name!r} "
                f"chose: leave it out, or use another collection.",
                reason="upload_settings_differ",
            )
    return found
