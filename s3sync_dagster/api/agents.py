"""``POST /mcp``: the door for agents over streamable HTTP, behind the API's tokens and limits.

Each request stands alone: no session is kept, no stream is held open, an answer is one body of
JSON. So a request costs what any other does, and another process may answer the next one.
"""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from fastapi import Request
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from s3sync_dagster.agents.door import Door, Question
from s3sync_dagster.api.access import CALLER, Access, Caller, authorise, is_page_of_ours, sent_token
from s3sync_dagster.api.checking import require_database
from s3sync_dagster.api.context import Context
from s3sync_dagster.api.errors import Forbidden, error_response
from s3sync_dagster.api.guards import BODY_BYTES
from s3sync_dagster.api.manage_wire import SearchPayload
from s3sync_dagster.api.routing import parse_aside, read_whole
from s3sync_dagster.api.searching import find_hits, tenants_embedding
from s3sync_dagster.engine.ports import RecordReader
from s3sync_dagster.model.document import Hit
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.extras import require_extra
from s3sync_dagster.search import opened

_R = TypeVar("_R")
PATH = "/mcp"
DEFAULT_DATABASE = "default_database"
MAX_VALUES = 5000
"""Of one message: a filter of 500 names and values is the largest thing that one holds."""


def database_of(here: Context, collection: str, *, tenant: str) -> str:
    """Return the only database where a tenant's sources have a collection, else the default one.

    Raises:
        InvalidSetting: several have it, and the default one is not among them.
    """
    found = {
        source.database_name
        for source in (row.source for row in here.catalog.sources.rows(tenant=tenant))
        if source.collection_name == collection
        or any(name == collection for *_, name in here.catalog.documents.collections(source.id))
    }
    if len(found) > 1 and DEFAULT_DATABASE not in found:
        shown = ", ".join(map(repr, sorted(found)))
        raise InvalidSetting(
            f"Several databases have a collection {collection!r} ({shown}): name the database."
        )
    return found.pop() if len(found) == 1 else DEFAULT_DATABASE


@dataclass(frozen=True, slots=True, kw_only=True)
class CallersDoor(Door):
    """What one caller's token reaches, as the other operations of the API have it."""

    here: Context
    caller: Caller

    def search(self, question: Question, *, lacks: list[str]) -> list[Hit]:
        """Return hits as ``POST /s3sync/v1/search`` does, by its limits."""
        payload = SearchPayload(
            query=question.words,
            collection_name=question.collection,
            database_name=question.database
            or database_of(self.here, question.collection, tenant=self.caller.tenant),
            where=None if question.where is None else dict(question.where),
            limit=question.limit,
            ranking=question.ranking,
            context=question.context,
            group=question.group,
        )
        return find_hits(self.here, payload, self.caller, lacks=lacks)

    @contextmanager
    def collection(self, name: str, *, tenant: str, database: str) -> Iterator[RecordReader]:
        """Give a collection of the tenant; a reader takes a place among its searches."""
        require_database(self.here, tenant, database)
        with (
            self.here.searches.taken(self.caller.tenant),
            opened(
                self.parts,
                name,
                reader=self.reader,
                tenant=tenant,
                database=database,
                ranking="dense",
                embedding=tenants_embedding(self.here, name, database, self.caller),
            ) as searcher,
        ):
            yield searcher.collection


class AgentsRoom:
    """The SDK's server, with who calls found before it reads anything."""

    def __init__(self, here: Context) -> None:
        # What the extra brings.
        from mcp.server.streamable_http_manager import StreamableHTTPSessionManager  # noqa: PLC0415

        from s3sync_dagster.agents.server import make_server  # noqa: PLC0415

        self._here = here

        async def aside(request: Any, work: Callable[[], _R]) -> _R:
            return await here.threads.run(request.scope[CALLER].tenant, work)

        server = make_server(lambda request: _door(here, request.scope[CALLER]), aside=aside)
        self._manager: Any = StreamableHTTPSessionManager(
            server,
            json_response=True,
            stateless=True,
            max_request_body_size=BODY_BYTES,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep what answers alive; once for each room."""
        async with self._manager.run():
            yield

    def route(self) -> Route:
        """Return the route. There is no GET: a stream that waits for news would have none."""
        return Route(PATH, endpoint=self, methods=["POST"], include_in_schema=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        request = Request(scope, receive)
        scope["route"] = self.route()  # for the log and the counters
        if not is_page_of_ours(request):  # whoever its visitor is
            raise Forbidden("A page of another site may not use this server.")
        access: Access = request.app.state.access
        caller = await access.aside(authorise, request, sent_token(request))
        body = await read_whole(request)
        if not await _is_message(body):
            sentence = (
                "body: is not one JSON-RPC message with a method, in strict JSON and UTF-8, or "
                "holds a NUL character, half of a surrogate pair, too many values or levels"
            )
            await error_response(400, "invalid_request", sentence)(scope, receive, send)
            return
        await self._manager.handle_request({**scope, CALLER: caller}, _again(body, receive), send)


def open_room(here: Context) -> AgentsRoom:
    """Return the room. Raises ``MissingEngine`` where its extra is not installed."""
    require_extra("mcp", what="S3SYNC_API_AGENTS")
    return AgentsRoom(here)


def _door(here: Context, caller: Caller) -> CallersDoor:
    return CallersDoor(
        parts=here.parts, tenant=caller.tenant, reader=caller.reader, here=here, caller=caller
    )


async def _is_message(body: bytes) -> bool:
    """Look before the SDK does: what it refuses it repeats at length, and it reads on the loop."""
    try:
        value = await parse_aside(body, most_values=MAX_VALUES)
    except json.JSONDecodeError:
        return False
    return isinstance(value, dict) and isinstance(value.get("method"), str)


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a channel that gives the body that was read, then what follows it."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def read() -> Message:
        return left.pop() if left else await receive()

    return read
