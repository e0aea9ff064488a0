"""``POST /api/v1/add-file``: a file comes in as it is sent, is kept, and is indexed like S3's."""

import asyncio
import mimetypes
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from functools import partial
from json import JSONDecodeError
from typing import Any, TypeVar, cast
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from s3sync_dagster.api.access import Access, AnyCaller, Caller
from s3sync_dagster.api.checking import require_database
from s3sync_dagster.api.context import Context, Here
from s3sync_dagster.api.errors import describe
from s3sync_dagster.api.models import ModelChoice
from s3sync_dagster.api.multipart import FilePart, FileSink, Form, FormReader
from s3sync_dagster.api.openapi import ADD_FILE_BODY, errors
from s3sync_dagster.api.options import MAX_FILE_BYTES
from s3sync_dagster.api.routing import parse_strictly
from s3sync_dagster.api.uploads import (
    quota_as_429,
    require_first_room,
    require_upload_room,
    upload_source,
)
from s3sync_dagster.api.wire_invocation import InvocationCreated
from s3sync_dagster.api.wire_settings import chunking_of
from s3sync_dagster.api.wire_source import Chunking, Embedding
from s3sync_dagster.core import filetypes
from s3sync_dagster.core.keys import (
    validate_collection_name,
    validate_custom_id,
    validate_object_key,
)
from s3sync_dagster.core.record_limits import validate_user_metadata
from s3sync_dagster.core.sidecar import is_sidecar
from s3sync_dagster.model.errors import InvalidSetting, LimitExceeded, UnsupportedFile
from s3sync_dagster.model.invocation import Trigger
from s3sync_dagster.model.source import Source
from s3sync_dagster.ports.files import IncomingFile
from s3sync_dagster.ports.places import UPLOADS, open_uploads

router = APIRouter(prefix="/api/v1", tags=["File"])

LENGTH_HEADER = "x-upload-content-length"
MAX_CUSTOM_ID_CHARACTERS = 120
MAX_CONTENT_TYPE_CHARACTERS = 512
LIMITS = {
    "database_name": 2048,
    "collection_name": 2048,
    "custom_id": 4 * MAX_CUSTOM_ID_CHARACTERS,
    "metadata": 16 * 1024,
    "embedding": 16 * 1024,
    "chunking": 16 * 1024,
    "content_type": 4 * MAX_CONTENT_TYPE_CHARACTERS,
}
"""Bytes of each part but the file."""
DRAIN_BYTES = 4 * 1024 * 1024
DRAIN_SECONDS = 2.0
"""What is still read of a refused upload, so that its sender hears the answer."""
_Model = TypeVar("_Model", bound=BaseModel)


class _Upload:
    """One request: what is opened when the file begins, and closed whatever happens."""

    def __init__(self, here: Context, caller: Caller, *, declared: int, stack: ExitStack) -> None:
        self._here = here
        self._caller = caller
        self._declared = declared
        self._stack = stack
        self.incoming: IncomingFile | None = None

    def open_file(self, fields: Mapping[str, str], file: FilePart) -> FileSink:
        """Authorise and take a slot before the file is read: the contract's order of parts."""
        for name in ("database_name", "collection_name"):
            if not fields.get(name):
                raise InvalidSetting(f"The part {name!r} has to come before the file.")
        validate_collection_name(fields["collection_name"])
        require_database(self._here, self._caller.tenant, fields["database_name"])
        check_name(file.filename)
        self._stack.enter_context(self._here.slots.taken(self._caller.tenant))
        folder = self._here.parts.settings.home / UPLOADS / "incoming"
        self.incoming = self._stack.enter_context(IncomingFile(folder))
        return self

    def write(self, data: memoryview) -> None:
        """Take a piece of the file."""
        assert self.incoming is not None
        limit = min(self._declared, MAX_FILE_BYTES)
        if self.incoming.size + len(data) > limit:
            raise LimitExceeded(
                f"The file has more bytes than {LENGTH_HEADER} says ({self._declared}).",
                reason="file_too_large",
            )
        self.incoming.write(data)


@router.post(
    "/add-file",
    operation_id="add_file",
    status_code=201,
    responses=errors(400, 401, 403, 404, 429, 500),
    openapi_extra=ADD_FILE_BODY,
)
async def add_file(request: Request, caller: AnyCaller, here: Here) -> InvocationCreated:
    """Upload a file and ask for its sync."""
    declared = declared_length(request.headers.get(LENGTH_HEADER, ""))
    with ExitStack() as stack:
        upload = _Upload(here, caller, declared=declared, stack=stack)
        reader = FormReader(
            request.headers.get("content-type", ""),
            limits=LIMITS,
            file_name="file",
            open_file=upload.open_file,
        )
        body = request.stream()
        try:
            async for piece in body:
                if piece:  # which may ask Chroma for the database
                    await here.threads.run(caller.tenant, partial(reader.feed, piece))
            form = reader.finish()
        except ClientDisconnect:
            raise InvalidSetting("The upload was broken off.", reason="upload_broken") from None
        except BaseException:
            await _drain(body)
            raise
        if form.file is None or upload.incoming is None:
            raise InvalidSetting("The form has no part 'file'.")
        access: Access = request.app.state.access
        await access.aside(access.require_still, caller)
        accept = partial(_accept, here, caller, form, form.file, upload.incoming)
        return await here.threads.run(caller.tenant, accept)


def declared_length(text: str) -> int:
    """Return the length that the header declares. Raises ``InvalidSetting``."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:12]) <= MAX_FILE_BYTES:
        raise InvalidSetting(
            f"The header {LENGTH_HEADER} has to be the file's length, 1 to {MAX_FILE_BYTES} bytes."
        )
    return int(text[:12])


def check_name(filename: str) -> None:
    """Refuse names under which nothing can be indexed.

    Raises:
        InvalidSetting: the name is too long, or that of a sidecar.
        UnsupportedFile: an archive, media or binary file by its suffix.
    """
    validate_object_key(filename, field="filename")
    if is_sidecar(filename):
        raise InvalidSetting("A name that ends in .meta.json describes another object.")
    kind = filetypes.skip_reason(filename)
    if kind is not None:
        suffix = filetypes.suffix_of(filename)
        raise UnsupportedFile(f"By its suffix {suffix!r} the file is no document ({kind}).")


def content_type_of(fields: Mapping[str, str], file: FilePart) -> str | None:
    """Return the content type: the field's, else the part's unless it says nothing, else by name.

    Raises:
        InvalidSetting: it is longer than the contract allows.
    """
    given = fields.get("content_type", "").strip()
    if len(given) > MAX_CONTENT_TYPE_CHARACTERS:
        raise InvalidSetting(
            f"content_type has more than {MAX_CONTENT_TYPE_CHARACTERS} characters."
        )
    if given:
        return given
    if file.content_type and not file.content_type.startswith("application/octet-stream"):
        return file.content_type[:MAX_CONTENT_TYPE_CHARACTERS]
    return mimetypes.guess_type(file.filename)[0]


def _accept(
    here: Context, caller: Caller, form: Form, file: FilePart, incoming: IncomingFile
) -> InvocationCreated:
    fields = form.fields
    if incoming.size == 0:
        raise InvalidSetting("The file is empty.")
    custom_id = fields.get("custom_id") or None
    if custom_id is not None:
        if len(custom_id) > MAX_CUSTOM_ID_CHARACTERS:
            raise InvalidSetting(f"custom_id has more than {MAX_CUSTOM_ID_CHARACTERS} characters.")
        validate_custom_id(custom_id)
    metadata = _metadata(fields)
    content_type = content_type_of(fields, file)
    models = ModelChoice.of(here.parts.settings)
    asked_embedding = _parsed(fields, "embedding", Embedding)
    asked_chunking = _parsed(fields, "chunking", Chunking)
    here.require_all_in(fields["collection_name"], fields["database_name"], caller)
    here.waiting.take(caller.tenant)
    source = upload_source(
        here,
        caller,
        database_name=fields["database_name"],
        collection_name=fields["collection_name"],
        chunking=chunking_of(asked_chunking) if asked_chunking else None,
        embedding=models.configured(asked_embedding) if asked_embedding else None,
        default=models.upload_default(sparse=here.chroma.directory.cloud),
        admit=partial(_admit, here, incoming.size),
    )
    here.require_all_of(source.id, caller)
    here.finished.refuse(source, source.collection_name)
    most = require_upload_room(here, source, file.filename, incoming.size)
    store = open_uploads(source.id, here.parts.surroundings)
    with quota_as_429():
        store.commit(incoming, file.filename, content_type=content_type, most_bytes=most)
    ids = here.catalog.invocations.request(
        source,
        [file.filename],
        trigger=Trigger.API,
        custom_id=custom_id,
        metadata=metadata,
        vouched=caller.role == "owner",
    )
    here.dispatching.wake(source.id)
    return InvocationCreated(invocation_id=UUID(ids[0]))


def _admit(here: Context, size: int, source: Source) -> None:
    """Refuse a first upload before its source is made."""
    here.finished.refuse(source, source.collection_name)
    require_first_room(here, source, size)


def _metadata(fields: Mapping[str, str]) -> dict[str, Any] | None:
    text = fields.get("metadata", "")
    if not text:
        return None
    value = _json("metadata", text)
    if not isinstance(value, dict):
        raise InvalidSetting("The part 'metadata' has to be a JSON object.")
    metadata = cast("dict[str, Any]", value)
    validate_user_metadata(metadata)
    return metadata


def _parsed(fields: Mapping[str, str], name: str, kind: type[_Model]) -> _Model | None:
    text = fields.get(name, "")
    value = _json(name, text) if text else None
    if value is None:
        return None
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        raise InvalidSetting(f"{name}: {describe(error.errors())}") from None


def _json(name: str, text: str) -> Any:
    try:
        return parse_strictly(text.encode())
    except JSONDecodeError:
        raise InvalidSetting(f"The part {name!r} is not strict JSON.") from None


async def _drain(body: Any) -> None:
    left = DRAIN_BYTES
    with suppress(Exception):  # the answer is known: nothing that happens now changes it
        async with asyncio.timeout(DRAIN_SECONDS):
            async for piece in body:
                left -= len(piece)
                if left <= 0:
                    return
