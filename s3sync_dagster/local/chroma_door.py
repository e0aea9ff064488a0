"""Chroma for people and their programs: its API at a published address, behind our door.

Our own processes go to the server itself; what passes here costs a copy.
"""

import argparse
import contextlib
from collections.abc import AsyncIterator

import httpx
import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from s3sync_dagster.api.connections import handed_down
from s3sync_dagster.local.door import Door, door_protocol
from s3sync_dagster.local.door_body import has_body
from s3sync_dagster.local.doorkeeper import Doorkeeper
from s3sync_dagster.settings import load_settings

_CONNECT_SECONDS = 10.0
_ONE_HOP = frozenset(
    {
        "connection",
        "host",
        "x-chroma-token",
        "x-s3sync-pass",
        "x-s3sync-proxy-secret",
        "cookie",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
"""Headers that concern one connection or this door alone."""


class Forwarding:
    """ASGI application: asks another server the same, and answers what it answers."""

    def __init__(self, url: str) -> None:
        self._url = httpx.URL(url)
        timeout = httpx.Timeout(None, connect=_CONNECT_SECONDS)
        self._client = httpx.AsyncClient(timeout=timeout, trust_env=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await (await self._ask(Request(scope, receive)))(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._client.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    async def _ask(self, request: Request) -> Response:
        # The path as it came: decoded and encoded again it might mean another one.
        target = request.scope["raw_path"]
        if not target.startswith(b"/"):
            return PlainTextResponse("There is nothing but paths here.", status_code=400)
        if request.scope["query_string"]:
            target += b"?" + request.scope["query_string"]
        asked = self._client.build_request(
            request.method,
            self._url.copy_with(raw_path=target),
            headers=[(n, v) for n, v in request.headers.raw if n.decode("latin-1") not in _ONE_HOP],
            content=request.stream() if has_body(request.headers) else None,
        )
        try:
            answer = await self._client.send(asked, stream=True)
        except httpx.HTTPError:
            return PlainTextResponse("Chroma does not answer.", status_code=502)
        except ClientDisconnect:  # in the midst of a body: nobody hears the answer
            return PlainTextResponse("The body was broken off.", status_code=400)
        headers = {n: v for n, v in answer.headers.items() if n not in _ONE_HOP}
        return StreamingResponse(_body(answer), status_code=answer.status_code, headers=headers)


async def _body(answer: httpx.Response) -> AsyncIterator[bytes]:
    async with contextlib.aclosing(answer):
        async for part in answer.aiter_raw():
            yield part


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog="s3sync_dagster.local.chroma_door")
    parser.add_argument("--fd", type=int, required=True, help="A socket that listens.")
    parser.add_argument("--to", required=True, help="Address of the server behind the door.")
    arguments = parser.parse_args()
    keeper = Doorkeeper(load_settings(), "chroma")
    config = uvicorn.Config(
        keeper.audited(Door(Forwarding(arguments.to), keeper=keeper)),
        http=door_protocol(),
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,  # anybody of this machine could name any address
        timeout_graceful_shutdown=3,
    )
    uvicorn.Server(config).run(sockets=[handed_down(arguments.fd)])


if __name__ == "__main__":
    main()
