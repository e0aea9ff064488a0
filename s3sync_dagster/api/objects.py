"""``/s3sync/v1/sources/{id}/objects``: what became of each object, and its bytes."""

import mimetypes
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse

from s3sync_dagster.api.access import AnyCaller, Caller
from s3sync_dagster.api.context import Context, Here
from s3sync_dagster.api.downloads import Download
from s3sync_dagster.api.manage_show import show_object
from s3sync_dagster.api.manage_wire import DocumentShown, ObjectDetail, ObjectPage, ObjectWord
from s3sync_dagster.api.openapi import errors
from s3sync_dagster.api.options import MAX_FILE_BYTES
from s3sync_dagster.api.outside import waits_outside
from s3sync_dagster.api.routing import StrictRoute
from s3sync_dagster.api.wire import Text
from s3sync_dagster.catalog.rights import seen_keys, sees_document
from s3sync_dagster.catalog.views import ObjectRow
from s3sync_dagster.core.carried import names_readers
from s3sync_dagster.core.keys import validate_object_key
from s3sync_dagster.core.path_metadata import with_path_metadata
from s3sync_dagster.core.rights import Rights
from s3sync_dagster.core.selection import decide, require_inside_prefix
from s3sync_dagster.core.state import DocumentPhase
from s3sync_dagster.engine.pages import renew
from s3sync_dagster.engine.ports import Content
from s3sync_dagster.engine.store_ports import ObjectBody
from s3sync_dagster.explaining import explain_key
from s3sync_dagster.model.errors import InvalidSetting, NotFound, ObjectChanged
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.source import AutoSync, Source
from s3sync_dagster.ports.body_spool import discard

router = APIRouter(
    prefix="/s3sync/v1/sources/{source_id}", tags=["Objects"], route_class=StrictRoute
)

MAX_PAGE = 1000
MAX_LOOKED_AT = 10_000
"""Objects for one answer, where some are kept from who asks: how many lie between two that may be
seen shows in such steps."""
_LOOKED_AT = 1000
"""Of them together."""
_ERRORS = errors(400, 401, 403, 404, 429, 500, 503)
Key = Annotated[Text, Query(min_length=1, description="Full object key.")]


@router.get("/objects", operation_id="list_objects", responses=_ERRORS)
def list_objects(
    source_id: UUID,
    caller: AnyCaller,
    here: Here,
    state: ObjectWord | None = None,
    reason: Annotated[Text | None, Query()] = None,
    prefix: Annotated[Text, Query(max_length=4096, description="Keys that begin so.")] = "",
    word: Annotated[
        Text, Query(max_length=200, description="Keys in which this stands, case aside.")
    ] = "",
    after: Annotated[
        Text | None, Query(description="Keys after this one that you may see, or `next_after`.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
) -> ObjectPage:
    """List objects in key order, with state and reason."""
    source = here.source(source_id, caller)
    seen, last = seen_objects(
        here,
        source,
        caller,
        state=state,
        reason=reason,
        prefix=prefix,
        word=word,
        after=after,
        limit=limit,
    )
    return ObjectPage(objects=[show_object(row) for row in seen], next_after=last)


@router.get("/object", operation_id="get_object", responses=_ERRORS)
def get_object(source_id: UUID, key: Key, caller: AnyCaller, here: Here) -> ObjectDetail:
    """Show one object: its state, why the source takes it or not, what collections have of it."""
    return describe_object(here, source_id, key, caller)


@router.get(
    "/content",
    operation_id="get_content",
    responses=_ERRORS,
    response_class=StreamingResponse,
)
@waits_outside
def get_content(source_id: UUID, key: Key, caller: AnyCaller, here: Here) -> Download:
    """Send an object's bytes as they are in the bucket now."""
    return send_content(source_id, key, caller, here)


def send_content(source_id: UUID, key: str, caller: Caller, here: Context) -> Download:
    """Return an object's bytes, whole: they are sent when the last of them has come.

    Raises:
        NotFound: there is no such object, or it is kept from the caller: by who may read, or as
            one that the source leaves out.
        ObjectChanged: what is there now is another object, of which nobody knows whose it is.
        TooMany: others of the tenant's downloads are on their way, or too many in all.
    """
    source = here.source(source_id, caller)
    validate_object_key(key, field="key")
    require_inside_prefix(source, key)
    rights = here.rights(caller)
    known = _known_versions(here, rights, source, key)  # not newer than what is said of readers
    whole = rights.reader.groups is None
    seen = key in seen_keys(here.catalog, rights, source, [key])
    if not seen or not (whole or _has_taken(here, source, key)):
        raise NotFound(f"There is no object {ascii(key)[1:-1][:200]!r}.", reason="object_gone")
    with ExitStack() as held:
        held.enter_context(here.downloads.taken(caller.tenant))
        store = here.parts.store_for(source)
        renew(store)  # a copy may be older than what another host has indexed
        body = store.read(key, max_size_bytes=MAX_FILE_BYTES)
        if known is not None and body.ref.etag not in known:
            discard(body.content)
            raise ObjectChanged(
                f"The object {ascii(key)[1:-1][:200]!r} was overwritten: who may read what is "
                "there now is known once that is indexed."
            )
        return _download(key, body, held)


def _has_taken(here: Context, source: Source, key: str) -> bool:
    """Return whether a source has made a document of an object, or is to.

    What it leaves out, and what it was never told of, is below its prefix and no more: to show it
    is the affair of who may set the prefix.
    """
    documents = here.catalog.documents.of_key(source.id, key)
    if any(one.phase is not DocumentPhase.REMOVING for one in documents):
        return True
    known = here.catalog.work.object(source.id, key)
    if known is None or known.gone or known.skip_reason is not None:
        return False
    if source.auto_sync is AutoSync.METADATA:  # sidecars alone select
        return False
    ref = ObjectRef(key=key, etag=known.etag, size=known.size, storage_class=known.storage_class)
    return decide(source, ref) is None


def _known_versions(
    here: Context, rights: Rights, source: Source, key: str
) -> frozenset[str | None] | None:
    """Return the etags for which a reader's rights hold; None: for whatever is there.

    Tags, sidecars and requests told of the object that was there; a path tells of all.
    """
    if rights.sees_all_of(source.id):
        return None
    by_path = rights.allow(source.id, with_path_metadata(source, key))
    if by_path and not names_readers(source):
        return None
    return frozenset(one.etag for one in here.catalog.documents.of_key(source.id, key))


def _download(key: str, body: ObjectBody, held: ExitStack) -> Download:
    name = key.rpartition("/")[2] or "object"
    headers = {
        # Never shown in the page's own origin: what a bucket holds may be a page with scripts.
        "content-disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
        "content-security-policy": "sandbox; default-src 'none'",
        "etag": f'"{body.ref.etag}"',
        # Not the size that its place tells: what is packed there, or in another encoding, is not.
        "content-length": str(_size(body.content)),
    }
    kind = body.content_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Download(
        body.content,
        held=held,
        media_type=kind if _is_plain(kind) else None,
        headers=headers,
    )


@dataclass(slots=True)
class Looks:
    """How many objects are still looked at for somebody from whom some are kept."""

    left: int = MAX_LOOKED_AT


def seen_objects(
    here: Context,
    source: Source,
    caller: Caller,
    *,
    limit: int,
    looks: Looks | None = None,
    after: str | None = None,
    **filters: Any,
) -> tuple[list[ObjectRow], str | None]:
    """Return a page of the objects that a caller may see, and where the next page begins.

    That is the last key of a page behind which there are more. Where objects are kept from the
    caller it is sealed, and a page may also end because enough was looked at. All objects behind
    ``after`` count there, whatever the filters: else where a page ends would tell which of the
    hidden ones meet them.

    Args:
        here: the server's parts.
        source: of this source.
        caller: who asks.
        limit: objects of a page.
        looks: of a caller who has taken a place among the tenant's searches.
        after: where the page before said to go on, or a key that may be seen.
        filters: see ``Views.object_rows``.

    Raises:
        InvalidSetting: ``after`` is neither of a page of this listing nor a key that may be seen.
    """
    rights = here.rights(caller)
    whose = (source.id, *sorted(rights.reader.groups or ()))
    opened = here.cursors.open(whose, after) if after is not None else None
    if rights.sees_all_of(source.id):
        behind = after if opened is None else opened
        rows = here.catalog.views.object_rows(source.id, limit=limit + 1, after=behind, **filters)
        page = rows[:limit]
        return page, page[-1].object_key if len(rows) > limit else None
    if after is not None and opened is None:
        if after not in seen_keys(here.catalog, rights, source, [after]):
            raise InvalidSetting("after is not from a page of this listing: begin it anew.")
        opened = after
    if looks is None:
        with here.searches.taken(caller.tenant):
            return _walk(here, source, rights, whose, opened, limit, Looks(), filters)
    return _walk(here, source, rights, whose, opened, limit, looks, filters)


def _walk(
    here: Context,
    source: Source,
    rights: Rights,
    whose: Sequence[str],
    opened: str | None,
    limit: int,
    looks: Looks,
    filters: Mapping[str, Any],
) -> tuple[list[ObjectRow], str | None]:
    """Return what may be seen of the objects behind a key, and where to go on."""
    found: list[ObjectRow] = []
    while looks.left > 0:
        keys = here.catalog.views.keys(source.id, after=opened, limit=_LOOKED_AT)
        looks.left -= len(keys)
        seen = seen_keys(here.catalog, rights, source, keys)
        found += here.catalog.views.object_rows(
            source.id, limit=len(seen), among=sorted(seen), **filters
        )
        if len(found) > limit:
            return found[:limit], here.cursors.seal(whose, found[limit - 1].object_key)
        if len(keys) < _LOOKED_AT:
            return found, None
        opened = keys[-1]
    return found, here.cursors.seal(whose, opened or "")


def describe_object(here: Context, source_id: UUID, key: str, caller: Caller) -> ObjectDetail:
    """Return one object with the reasons for what happened to it."""
    source = here.source(source_id, caller)
    rights = here.rights(caller)
    found = explain_key(here.catalog, source, key, rights=rights)
    return ObjectDetail(
        object=show_object(found.row) if found.row else None,
        decision=found.decision,
        documents=[
            DocumentShown(
                collection_name=one.collection_name,
                document_id=one.document_id,
                custom_id=one.custom_id,
                state=one.phase.value,
                chunks=one.count,
                metadata=dict(one.metadata),
            )
            for one in here.catalog.documents.of_key(source.id, key)
            if sees_document(rights, source, one)
        ],
    )


def _size(content: Content) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _is_plain(kind: str) -> bool:
    return kind.isascii() and kind.isprintable() and "/" in kind
