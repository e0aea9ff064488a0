"""Who may pass a door once there are tokens or a sign-on: owners of trusted tenants, and we.

Behind the doors are Dagster and Chroma, which know no tenants: who gets in sees all of them.
"""

import hashlib
import time

from starlette.requests import HTTPConnection

from s3sync_dagster.api.access import OPEN_SECONDS, TOKEN_HEADER
from s3sync_dagster.api.console.session import Sessions
from s3sync_dagster.api.passes import PASS_HEADER, is_pass, own_pass
from s3sync_dagster.api.single_sign_on import read_single_sign_on
from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.ports.aws_guard import trusted_tenants
from s3sync_dagster.settings import Settings

KNOWN_SECONDS = 2.0
"""How long what was found out of a token holds: a page asks many times a second."""
_MOST_KNOWN = 1000


class Doorkeeper:
    """Looks at passes, tokens and the console's cookie. Safe for several threads."""

    def __init__(self, settings: Settings) -> None:
        self._pass = own_pass(settings)
        self._catalog = open_catalog(settings.database_url)
        self._sessions = Sessions(settings)
        self._trusted = trusted_tenants(settings.environment)
        self._open_until = 0.0
        self._sso = read_single_sign_on(settings.environment)
        self._closed = self._sso is not None
        self._known: dict[bytes, tuple[bool, float]] = {}

    def admits(self, asks: HTTPConnection) -> bool:
        """Return whether a request may pass.

        Raises:
            S3SyncError: the catalog does not answer.
        """
        if is_pass(asks.headers.get(PASS_HEADER), self._pass) or self._open():
            return True
        visitor = self._sso.visitor(asks.headers) if self._sso is not None else None
        if visitor is not None:
            grant = visitor.grant
            return grant is not None and grant.role == "owner" and self._trusts(grant.tenant)
        token = asks.headers.get(TOKEN_HEADER) or self._sessions.token_in(asks.cookies)
        return token is not None and self._is_known(token)

    def _open(self) -> bool:
        if not self._closed and time.monotonic() >= self._open_until:
            self._closed = self._catalog.tokens.configured()
            self._open_until = time.monotonic() + OPEN_SECONDS
        return not self._closed

    def _is_known(self, token: str) -> bool:
        name = hashlib.sha256(token.encode()).digest()
        known, until = self._known.get(name, (False, 0.0))
        if time.monotonic() >= until:
            found = self._catalog.tokens.find(token)
            known = found is not None and found.role == "owner" and self._trusts(found.tenant)
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[name] = (known, time.monotonic() + KNOWN_SECONDS)
        return known

    def _trusts(self, tenant: str) -> bool:
        return "*" in self._trusted or tenant in self._trusted
