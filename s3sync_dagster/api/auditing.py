"""Who changed what over the API and the console, who signed in and who was refused.

It is written down beside the answer, not before it.
"""

import logging
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from s3sync_dagster.api.access import (
    CALLER,
    REFUSED,
    Access,
    Caller,
    address_of,
    authorise,
    sent_token,
    signed_in_by_proxy,
)
from s3sync_dagster.api.guesses import Allowance
from s3sync_dagster.api.ids import canonical
from s3sync_dagster.api.request_log import GONE, route_of
from s3sync_dagster.api.single_sign_on import SingleSignOn
from s3sync_dagster.api.writer_thread import WriterThread
from s3sync_dagster.catalog import Catalog
from s3sync_dagster.catalog.audit import NOBODY, AuditEntry
from s3sync_dagster.model.errors import S3SyncError

_log = logging.getLogger(__name__)

GATHER_SECONDS = 0.2
MAX_ROWS, MAX_WAITING = 500, 20_000
REFUSALS, REFUSAL_SECONDS = 60, 60.0
"""Of one token that are each a row, and after how many seconds one more is."""
SUBJECTS = "s3sync_subjects"
"""Where a request's scope has what it changed, a row for each, where it is more than it names."""
MAX_PATH_CHARACTERS = 300
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_UNASKED = frozenset({400, 405, 408, 413})
"""Answers to what was refused before anybody asked whose it is."""
_ASKING = (
    *("/mcp", "/search", "/latest-by-keys", "/dry-run"),
    *("/v3/connections/list", "/v3/connections/s3/documents"),
    *("/datasource/_search", "/document/_search"),
)
"""Ends of routes that change nothing, though they are asked with POST."""


_API = ("/api/", "/s3sync/", "/v3/", "/connector/", "/datasource/", "/document/", "/webhooks/")
"""Begins of the routes for programs; the others are pages."""


class AuditWriter(WriterThread):
    """Writes what is put, some requests together: one writer, of the API and of each door."""

    def __init__(self, catalog: Catalog) -> None:
        super().__init__("audit")
        self._catalog = catalog
        self._waiting: list[AuditEntry] = []
        self._refusals = Refusals()
        self._lost = 0

    def put(self, entry: AuditEntry, *, refusal: bool = False) -> None:
        """Take an entry; of more than wait already it is lost, which the log of the server says.

        Of many refusals of one token most are only counted, and of what nobody has sent, from
        whatever addresses: these cost nothing.
        """
        with self._changed:
            refusal = refusal or entry.role == NOBODY
            told = self._refusals.told(entry) if refusal else entry
            if told is None:
                return
            if len(self._waiting) >= MAX_WAITING:
                self._lost += 1
                return
            self._waiting.append(told)
            self._changed.notify()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._stopping, REFUSAL_SECONDS)
                if not self._stopping:
                    self._changed.wait(GATHER_SECONDS)
                ends = self._stopping
                self._waiting += self._refusals.due(whether_allowed_or_not=ends)
                part, lost = self._waiting[:MAX_ROWS], self._lost
            if not part and ends:
                return
            try:
                self._catalog.audit.add(part)
            except Exception as error:  # noqa: BLE001  (whatever fails, the next rows are written)
                why = error.message if isinstance(error, S3SyncError) else type(error).__name__
                _log.warning("the audit log waits: %s", why)
                with self._changed:
                    if self._stopping:
                        _log.error("%d entries of the audit log are lost", len(self._waiting))
                        return
                    self._changed.wait(5.0)
                continue
            if lost:
                _log.error("%d entries of the audit log are lost", lost)
            with self._changed:
                del self._waiting[: len(part)]
                self._lost -= lost


class Refusals:
    """Which refusals of one token are written down: so many, then one a minute with a count.

    The log would else grow by whatever one token asks in vain.
    """

    def __init__(self) -> None:
        self._allowance = Allowance(burst=REFUSALS, a_second=1 / REFUSAL_SECONDS)
        self._untold: dict[tuple[str | None, str], tuple[AuditEntry, int]] = {}
        """The last one that only counted, and how many did."""

    def told(self, entry: AuditEntry) -> AuditEntry | None:
        """Return the entry with how many there were since the last one; None: it only counts."""
        whose = (entry.tenant, entry.who)
        if self._allowance.take(repr(whose)):
            self._untold[whose] = (entry, self._untold.get(whose, (entry, 0))[1] + 1)
            return None
        return _with_others(entry, self._untold.pop(whose, (entry, 0))[1])

    def due(self, *, whether_allowed_or_not: bool = False) -> list[AuditEntry]:
        """Return entries for what only counted and may be told by now, though nothing followed."""
        ready = [
            whose
            for whose in self._untold
            if whether_allowed_or_not or not self._allowance.take(repr(whose))
        ]
        last = (self._untold.pop(whose) for whose in ready)
        return [_with_others(entry, number - 1) for entry, number in last]


def _with_others(entry: AuditEntry, others: int) -> AuditEntry:
    return replace(entry, outcome=f"{entry.outcome}, {others} more before") if others else entry


class NotedAnswer:
    """Takes the status off an answer on its way; 500 where none came."""

    def __init__(self, send: Send) -> None:
        self.status = 500
        self._send = send

    async def __call__(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        await self._send(message)


class Auditing:
    """ASGI middleware: an entry for what may change something, and for tokens that nobody has."""

    def __init__(
        self, app: ASGIApp, *, writer: AuditWriter, sso: SingleSignOn | None = None
    ) -> None:
        self._app = app
        self._writer = writer
        self._sso = sso

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = NotedAnswer(send)
        try:
            await self._app(scope, receive, answer)
        except ClientDisconnect:
            answer.status = GONE
            raise
        finally:
            route, changes = route_of(scope), scope["method"] not in _READING
            if changes and answer.status in _UNASKED and not (scope.keys() & {CALLER, REFUSED}):
                await _find_out(scope)
                if scope.get("route") is None:  # nobody has looked for it either
                    route = scope["raw_path"].decode("latin-1")[:MAX_PATH_CHARACTERS]
            caller: Caller | None = scope.get(CALLER)
            changes = changes and not route.endswith(_ASKING)
            if scope.get(REFUSED) or (caller is not None and changes):
                entry = entry_of(scope, caller, route=route, status=answer.status, sso=self._sso)
                refusal = 400 <= answer.status < 500  # what failed may have changed something
                for subject in scope.get(SUBJECTS) or [entry.subject]:
                    self._writer.put(replace(entry, subject=subject), refusal=refusal)


async def _find_out(scope: Scope) -> None:
    """Put into a scope whose a request is that was refused before anybody asked."""
    request = Request(scope)
    sessions: Any = request.app.state.sessions
    access: Access = request.app.state.access
    token = sent_token(request) or sessions.token_in(request.cookies)
    with suppress(S3SyncError):
        await access.aside(lambda: signed_in_by_proxy(request) or authorise(request, token))


def entry_of(
    scope: Scope, caller: Caller | None, *, route: str, status: int, sso: SingleSignOn | None = None
) -> AuditEntry:
    """Return the entry of a request; of its path the ids are kept, of its body nothing."""
    ids: dict[str, Any] = scope.get("path_params") or {}
    return AuditEntry(
        at=time.time(),
        tenant=caller.tenant if caller is not None else None,
        who=caller.who if caller is not None else "unknown token",
        role=caller.role if caller is not None else NOBODY,
        door="api" if route.startswith(_API) else "console",
        address=address_of(HTTPConnection(scope), sso),
        action=f"{scope['method']} {route}",
        subject=" ".join(f"{name}={canonical(value)}" for name, value in ids.items()),
        outcome=str(status),
    )
