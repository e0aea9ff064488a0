"""Who calls: tokens, tenants and roles; and when a server may go without tokens."""

import threading
import time
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import APIKeyHeader
from starlette.concurrency import run_in_threadpool

from s3sync_dagster.api.errors import Forbidden, TooMany, Unauthorized
from s3sync_dagster.api.hosts import is_of_host, names_this_machine
from s3sync_dagster.api.options import ApiOptions
from s3sync_dagster.catalog import Catalog
from s3sync_dagster.catalog.tokens import Role

TOKEN_HEADER = "x-chroma-token"
DEFAULT_TENANT = "default_tenant"
FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto")
OPEN_SECONDS = 0.5
"""How long an open server stays open after the first token was made."""
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
    _configured: bool = False
    _asked_until: float = 0.0

    def open(self) -> bool:
        """Return whether the server goes without tokens: on loopback, and none was ever made."""
        if not self.options.loopback or self._configured:
            return False
        if time.monotonic() >= self._asked_until:
            self._configured = self.catalog.tokens.configured()
            self._asked_until = time.monotonic() + OPEN_SECONDS
        return not self._configured

    def fresh(self) -> bool:
        """Return whether ``open`` knows without asking that the server is open."""
        return not self._configured and time.monotonic() < self._asked_until

    def identify(self, token: str | None) -> Caller:
        """Return whose token it is.

        Raises:
            Unauthorized: it is missing, unknown or revoked.
            TooMany: its rate is used up.
        """
        found = self.catalog.tokens.find(token) if token else None
        if found is not None:
            return self.count(Caller(tenant=found.tenant, role=found.role, token_id=found.id))
        if token:
            raise Unauthorized("This API token is not known, or it was revoked.")
        raise Unauthorized(f"Send an API token in the header {TOKEN_HEADER}.")

    def count(self, caller: Caller) -> Caller:
        """Return the caller after counting a request. Raises ``TooMany``."""
        rate = self.options.requests_per_second
        if rate <= 0:
            return caller
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
        return caller


def refuse_strangers(request: Request) -> None:
    """Refuse what a web page in the user's browser could send to an open loopback server.

    Names that point to 127.0.0.1 (DNS rebinding) show in Host, other sites in Sec-Fetch-Site.

    Raises:
        Forbidden: the request does not come from this machine's own programs or pages.
    """
    client = request.client.host if request.client else "127.0.0.1"
    forwarded = any(name in request.headers for name in FORWARDED)
    hosts = request.headers.getlist("host")
    if not names_this_machine(hosts) or not _is_loopback(client) or forwarded:
        raise Forbidden(
            "Without API tokens this server answers to programs of its own machine alone: "
            "create a token with `s3sync token create`."
        )
    # Of browsers that send no Sec-Fetch-Site, forms and scripts of other pages tell their origin.
    origin = request.headers.get("origin")
    if origin is not None and not is_of_host(origin, hosts[0]):
        raise Forbidden("A page of another site may not use this server.")
    if request.headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
        return
    # A link to a page of ours may be followed: who set it learns nothing of what is shown.
    followed = request.headers.get("sec-fetch-mode") == "navigate" and request.method == "GET"
    if not followed or request.headers.get("sec-fetch-dest") != "document":
        raise Forbidden("A page of another site may not use this server.")


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def authorise(request: Request, token: str | None) -> Caller:
    """Return the caller who sends a token, or none.

    Raises:
        Unauthorized, Forbidden, TooMany: see ``Access.identify`` and ``refuse_strangers``. Any
            token will do on a server without: clients of the hosted service always send one.
    """
    access: Access = request.app.state.access
    if not access.open():
        return access.identify(token)
    refuse_strangers(request)
    return access.count(Caller(tenant=DEFAULT_TENANT, role="owner"))


async def find_caller(request: Request, token: Annotated[str | None, Depends(_HEADER)]) -> Caller:
    """Return the caller of a request, for routes."""
    access: Access = request.app.state.access
    if access.fresh():
        return authorise(request, token)  # nothing is asked of the database
    return await run_in_threadpool(authorise, request, token)


async def find_owner(caller: Annotated[Caller, Depends(find_caller)]) -> Caller:
    """Return the caller, who has to be an owner, for routes."""
    caller.require_owner()
    return caller


AnyCaller = Annotated[Caller, Depends(find_caller)]
OwnerCaller = Annotated[Caller, Depends(find_owner)]
