"""Who calls: tokens, tenants and roles; and when a server may go without tokens."""

import threading
import time
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader

from s3sync_dagster.api.errors import Forbidden, TooMany, Unauthorized
from s3sync_dagster.api.options import ApiOptions
from s3sync_dagster.catalog import Catalog
from s3sync_dagster.catalog.tokens import Role

TOKEN_HEADER = "x-chroma-token"
DEFAULT_TENANT = "default_tenant"
_HEADER = APIKeyHeader(name=TOKEN_HEADER, scheme_name=TOKEN_HEADER, auto_error=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The tenant that asks, and what it may do."""

    tenant: str
    role: Role
    token_id: int | None = None
    """None on a server without tokens."""

    def require_owner(self) -> None:
        """Refuse members. Raises ``Forbidden``."""
        if self.role != "owner":
            raise Forbidden(
                "This token is of a member: only an owner of the tenant may do this "
                "(`s3sync token create --role owner`)."
            )


@dataclass(slots=True)
class Access:
    """Finds the caller of a request."""

    catalog: Catalog
    options: ApiOptions
    _rates: dict[int | None, tuple[float, float]] = field(
        default_factory=dict[int | None, tuple[float, float]]
    )
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self) -> bool:
        """Return whether the server goes without tokens: on loopback, and none was ever made."""
        return self.options.loopback and not self.catalog.tokens.configured()

    def identify(self, token: str | None) -> Caller:
        """Return who asks.

        Raises:
            Unauthorized: a token is needed and missing, unknown or revoked.
            TooMany: the token's rate is used up.
        """
        caller = self._known(token)
        self._count(caller)
        return caller

    def _known(self, token: str | None) -> Caller:
        found = self.catalog.tokens.find(token) if token else None
        if found is not None:
            return Caller(tenant=found.tenant, role=found.role, token_id=found.id)
        if self.open():
            # Clients of the hosted service cannot be told to send no token.
            return Caller(tenant=DEFAULT_TENANT, role="owner")
        if token:
            raise Unauthorized("This API token is not known, or it was revoked.")
        raise Unauthorized(f"Send an API token in the header {TOKEN_HEADER}.")

    def _count(self, caller: Caller) -> None:
        rate = self.options.requests_per_second
        if rate <= 0:
            return
        now = time.monotonic()
        with self._lock:
            left, then = self._rates.get(caller.token_id, (2 * rate, now))
            left = min(2 * rate, left + (now - then) * rate)
            self._rates[caller.token_id] = (max(left - 1, 0.0) if left >= 1 else left, now)
        if left < 1:
            raise TooMany(
                f"This token may send {rate:g} requests a second; wait a moment.",
                retry_after_seconds=(1 - left) / rate,
            )


def refuse_strangers(request: Request) -> None:
    """Refuse what a web page in the user's browser could send to an open loopback server.

    Names that point to 127.0.0.1 (DNS rebinding) show in Host, other sites in Sec-Fetch-Site.

    Raises:
        Forbidden: the request does not come from this machine's own programs or pages.
    """
    host = request.url.hostname or ""
    client = request.client.host if request.client else "127.0.0.1"
    forwarded = "x-forwarded-for" in request.headers or "forwarded" in request.headers
    if not _is_loopback(host) or not _is_loopback(client) or forwarded:
        raise Forbidden(
            "Without API tokens this server answers to programs of its own machine alone: "
            "create a token with `s3sync token create`."
        )
    if request.headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
        return
    # A link to a page of ours may be followed: who set it learns nothing of what is shown.
    followed = request.headers.get("sec-fetch-mode") == "navigate" and request.method == "GET"
    if not followed or request.headers.get("sec-fetch-dest") != "document":
        raise Forbidden("A page of another site may not use this server.")


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def authorise(request: Request, token: str | None) -> Caller:
    """Return the caller who sends a token, or none.

    Raises:
        Unauthorized, Forbidden, TooMany: see ``Access.identify`` and ``refuse_strangers``.
    """
    access: Access = request.app.state.access
    if access.open():
        refuse_strangers(request)
    return access.identify(token)


def find_caller(request: Request, token: Annotated[str | None, Depends(_HEADER)]) -> Caller:
    """Return the caller of a request, for routes."""
    return authorise(request, token)


def find_owner(caller: Annotated[Caller, Depends(find_caller)]) -> Caller:
    """Return the caller, who has to be an owner, for routes."""
    caller.require_owner()
    return caller


AnyCaller = Annotated[Caller, Depends(find_caller)]
OwnerCaller = Annotated[Caller, Depends(find_owner)]
