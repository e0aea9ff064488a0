"""Who may pass a door once there are tokens or a sign-on: owners of trusted tenants, and we.

Behind the doors are Dagster and Chroma, which know no tenants: who gets in sees all of them. Tokens
that nobody has are counted by address and written down, as at the API's own door.
"""

import time
from typing import Literal

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp

from s3sync_dagster.api.access import CALLER, OPEN_SECONDS, TOKEN_HEADER, Caller, address_of
from s3sync_dagster.api.auditing import AuditWriter
from s3sync_dagster.api.console.session import Sessions
from s3sync_dagster.api.guesses import Guesses
from s3sync_dagster.api.passes import PASS_HEADER, is_pass, own_pass
from s3sync_dagster.api.single_sign_on import read_single_sign_on
from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.catalog.audit import NOBODY, AuditEntry
from s3sync_dagster.local.door_auditing import DoorAuditing
from s3sync_dagster.ports.aws_guard import trusted_tenants
from s3sync_dagster.settings import Settings


class Doorkeeper:
    """Looks at passes, tokens and the console's cookie. Safe for several threads.

    Args:
        settings: of this stack.
        door: what is behind, for the audit log.
    """

    def __init__(self, settings: Settings, door: Literal["dagster", "chroma"]) -> None:
        self._door: Literal["dagster", "chroma"] = door
        self._guesses = Guesses()
        self._pass = own_pass(settings)
        self._catalog = open_catalog(settings.database_url)
        self._writer = AuditWriter(self._catalog)
        self._sessions = Sessions(settings)
        self._trusted = trusted_tenants(settings.environment)
        self._open_until = 0.0
        self._sso = read_single_sign_on(settings.environment)
        self._closed = self._sso is not None

    def audited(self, app: ASGIApp) -> ASGIApp:
        """Return the door with what people change through it written down."""
        return DoorAuditing(app, door=self._door, writer=self._writer, sso=self._sso)

    def admits(self, asks: HTTPConnection) -> bool:
        """Return whether a request may pass; its scope tells whose it is, where that is known.

        Raises:
            TooMany: its address has sent too many tokens that nobody has.
            S3SyncError: the catalog does not answer.
        """
        if is_pass(asks.headers.get(PASS_HEADER), self._pass) or self._open():
            return True
        visitor = self._sso.visitor(asks.headers) if self._sso is not None else None
        if visitor is not None:
            grant = visitor.grant
            if grant is None:
                return False
            return self._passes(
                asks, Caller(tenant=grant.tenant, role=grant.role, user=visitor.user)
            )
        sent = asks.headers.get(TOKEN_HEADER)
        token = sent or self._sessions.token_in(asks.cookies)
        caller = self._find(token) if token is not None else None
        if caller is None and sent:  # what a cookie of ours has was a token once, and no guess
            self._refuse(asks)
        return caller is not None and self._passes(asks, caller)

    def still_admits(self, asks: HTTPConnection) -> bool:
        """Return whether one that was let in may pass still: its body took long to come.

        Raises ``TooMany`` and ``S3SyncError`` as ``admits`` does.
        """
        caller: Caller | None = asks.scope.get(CALLER)
        if caller is None:  # a pass, or nobody was asked
            return self.admits(asks)
        return caller.token_id is None or self._catalog.tokens.stands(caller.token_id)

    def _passes(self, asks: HTTPConnection, caller: Caller) -> bool:
        asks.scope[CALLER] = caller
        return caller.role == "owner" and self._trusts(caller.tenant)

    def _open(self) -> bool:
        if not self._closed and time.monotonic() >= self._open_until:
            self._closed = self._catalog.tokens.configured()
            self._open_until = time.monotonic() + OPEN_SECONDS
        return not self._closed

    def _refuse(self, asks: HTTPConnection) -> None:
        """Count a token that nobody has, and write it down beside those of the API."""
        address = address_of(asks, self._sso)
        self._guesses.count(address or "")
        method = asks.scope.get("method", "WEBSOCKET")
        entry = AuditEntry(
            at=time.time(),
            tenant=None,
            who="unknown token",
            role=NOBODY,
            door=self._door,
            address=address,
            action=f"{method} {asks.scope['raw_path'].decode('latin-1')}",  # escaped, as it came
            subject="",
            outcome="401",
        )
        self._writer.put(entry)

    def _find(self, token: str) -> Caller | None:
        """Look it up each time, which takes 0.15 ms: one that is revoked ends at once."""
        found = self._catalog.tokens.find(token)
        return found and Caller(
            tenant=found.tenant, role=found.role, token_id=found.id, token_name=found.name
        )

    def _trusts(self, tenant: str) -> bool:
        return "*" in self._trusted or tenant in self._trusted
