"""Who calls: tokens, tenants and roles; and when a server may go without tokens."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from anyio import CapacityLimiter, to_thread
from fastapi import Depends, Request
from fastapi.security import APIKeyHeader
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from s3sync_dagster.api.errors import Forbidden, TooMany, Unauthorized
from s3sync_dagster.api.guesses import Guesses
from s3sync_dagster.api.hosts import FORWARDED, is_of_host, names_this_machine
from s3sync_dagster.api.options import ApiOptions
from s3sync_dagster.api.single_sign_on import SingleSignOn
from s3sync_dagster.api.single_sign_on import Visitor as SsoVisitor
from s3sync_dagster.catalog import Catalog
from s3sync_dagster.catalog.tokens import TOKEN_PREFIX, Role
from s3sync_dagster.core.rights import EVERYTHING, Reader

TOKEN_HEADER = "x-chroma-token"
TOKEN_HEADERS = (TOKEN_HEADER, "x-api-token", "authorization")
"""In which of them a token counts, and which one of two, is another matter at each door."""
DEFAULT_TENANT = "default_tenant"
CALLER = "s3sync_caller"
"""Where a request's scope tells whose it is, once that is known."""
REFUSED = "s3sync_refused"
"""Where it tells that it came with a token, or a webhook's signature, that nobody has."""
DOOR_THREADS = 16
OPEN_SECONDS = 0.5
"""How long an open server stays open after the first token was made."""
_R = TypeVar("_R")
_HEADER = APIKeyHeader(name=TOKEN_HEADER, scheme_name=TOKEN_HEADER, auto_error=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """The tenant that asks, and what it may do."""

    tenant: str
    role: Role
    token_id: int | None = None
    """None on a server without tokens."""
    token_name: str = ""
    user: str = ""
    """Whom a proxy has signed in; empty for tokens."""
    groups: frozenset[str] = frozenset()
    """What a member may read of sources that say who may (``core.rights``)."""

    @property
    def reader(self) -> Reader:
        """Who reads: an owner, who could take the restriction away, reads everything."""
        return EVERYTHING if self.role == "owner" else Reader(self.groups)

    @property
    def who(self) -> str:
        """Whose request it is, for the audit log."""
        if self.user:
            return f"user {self.user}"
        if self.token_id is None:
            return "anybody"
        return f"token {self.token_id}" + (f" ({self.token_name})" if self.token_name else "")

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
    _rates: dict[int | str | None, tuple[float, float]] = field(
        default_factory=dict[int | str | None, tuple[float, float]]
    )
    guesses: Guesses = field(default_factory=Guesses)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(DOOR_THREADS))
    _configured: bool = False
    _asked_until: float = 0.0

    async def aside(self, work: Callable[..., _R], *given: Any) -> _R:
        """Return what tells who somebody is, from a thread that works for no tenant."""
        return await to_thread.run_sync(work, *given, limiter=self._threads)

    def open(self) -> bool:
        """Return whether the server asks nobody: on loopback, and no token was ever made."""
        if not self.options.loopback or self.options.single_sign_on or self._configured:
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
            caller = Caller(
                tenant=found.tenant,
                role=found.role,
                token_id=found.id,
                token_name=found.name,
                groups=frozenset(found.groups),
            )
            return self.count(caller)
        if token:
            raise Unauthorized("This API token is not known, or it was revoked.")
        raise Unauthorized(f"Send an API token in the header {TOKEN_HEADER}.")

    def require_still(self, caller: Caller) -> None:
        """Raise ``Unauthorized`` for who was let in and would not be by now, after a long body."""
        if caller.token_id is not None:
            stands = self.catalog.tokens.stands(caller.token_id)
        else:
            stands = bool(caller.user) or self.open()
        if not stands:
            raise Unauthorized("This API token was revoked, or is asked for by now.")

    def count(self, caller: Caller) -> Caller:
        """Return the caller after counting a request. Raises ``TooMany``."""
        rate = self.options.requests_per_second
        if rate <= 0:
            return caller
        now = time.monotonic()
        who = caller.user or caller.token_id
        with self._lock:
            left, then = self._rates.get(who, (2 * rate, now))
            left = min(2 * rate, left + (now - then) * rate)
            self._rates[who] = (max(left - 1, 0.0) if left >= 1 else left, now)
        if left < 1:
            raise TooMany(
                f"This token may send {rate:g} requests a second; wait a moment.",
                retry_after_seconds=(1 - left) / rate,
            )
        return caller


def signed_in_by_proxy(request: Request) -> Caller | None:
    """Return whom the proxy before this server has signed in; None where it names nobody.

    Pages alone ask: what a browser sends by itself must not reach the API, whose requests no form
    token protects.

    Raises:
        Forbidden: nothing is granted to them.
        TooMany: their rate is used up.
    """
    visitor = proxy_visitor(request)
    if visitor is None:
        return None
    if visitor.grant is None:
        raise Forbidden(f"Nothing is granted to {visitor.user!r} here (S3SYNC_SSO_USERS).")
    caller = Caller(
        tenant=visitor.grant.tenant,
        role=visitor.grant.role,
        user=visitor.user,
        groups=visitor.groups,
    )
    request.scope[CALLER] = caller
    access: Access = request.app.state.access
    return access.count(caller)


def proxy_visitor(request: Request) -> SsoVisitor | None:
    """Return whom the proxy names, whatever is granted to them; None where it names nobody."""
    access: Access = request.app.state.access
    sso = access.options.single_sign_on
    return sso.visitor(request.headers) if sso is not None else None


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
    if not all(is_of_host(one, hosts[0]) for one in request.headers.getlist("origin")):
        raise Forbidden("A page of another site may not use this server.")
    if request.headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
        return
    # A link to a page of ours may be followed: who set it learns nothing of what is shown.
    followed = request.headers.get("sec-fetch-mode") == "navigate" and request.method == "GET"
    if not followed or request.headers.get("sec-fetch-dest") != "document":
        raise Forbidden("A page of another site may not use this server.")


def is_page_of_ours(request: Request) -> bool:
    """Return whether the page that asks is of this server, where the browser names its ``Origin``.

    A proxy may send another ``Host`` than the one its visitors see.
    """
    access: Access = request.app.state.access
    public = urlsplit(access.options.public_url or "").netloc
    hosts = {*request.headers.getlist("host"), public}
    tls = came_over_tls(request)
    return all(
        any(is_of_host(origin, host, tls=tls) for host in hosts)
        for origin in request.headers.getlist("origin")
    )


def came_over_tls(request: Request) -> bool:
    """Return whether the visitor came by https: the setting says so, else the request."""
    access: Access = request.app.state.access
    if access.options.public_url is not None:
        return access.options.public_url.startswith("https:")
    return request.url.scheme == "https" or request.headers.get("x-forwarded-proto") == "https"


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
        return identify(request, token)
    refuse_strangers(request)
    caller = access.count(Caller(tenant=DEFAULT_TENANT, role="owner"))
    request.scope[CALLER] = caller
    return caller


def identify(request: Request, token: str | None) -> Caller:
    """Return whose token it is, and remember it for the audit log.

    Raises:
        Unauthorized: it is missing, unknown or revoked.
        TooMany: its rate is used up, or its address has guessed too often.
    """
    access: Access = request.app.state.access
    try:
        caller = access.identify(token)
    except Unauthorized:
        if token:
            count_guess(request)
        raise
    request.scope[CALLER] = caller
    return caller


def count_guess(request: Request) -> None:
    """Count a token or a signature that nobody has, and have the audit log say so.

    Raises ``TooMany`` where its address has guessed too often.
    """
    access: Access = request.app.state.access
    access.guesses.count(address_of(request, access.options.single_sign_on) or "")
    request.scope[REFUSED] = True


def address_of(asks: HTTPConnection, sso: SingleSignOn | None) -> str | None:
    """Return where a request came from: what the proxy that signs people in says, else its peer."""
    told = sso.address(asks.headers) if sso is not None else None
    return told or (asks.client.host if asks.client else None)


async def find_caller(request: Request, token: Annotated[str | None, Depends(_HEADER)]) -> Caller:
    """Return the caller of a request, for routes."""
    known: Caller | None = request.scope.get(CALLER)
    if known is not None:  # found before the body was read
        return known
    access: Access = request.app.state.access
    if access.fresh():
        return authorise(request, token)  # nothing is asked of the database
    return await access.aside(authorise, request, token)


async def find_owner(caller: Annotated[Caller, Depends(find_caller)]) -> Caller:
    """Return the caller, who has to be an owner, for routes."""
    caller.require_owner()
    return caller


def too_many_tokens(headers: Headers) -> str | None:
    """Return the sentence for a request that sends several tokens; None for all others.

    Another server on the way, or another door, might read another one of them than we do. Of
    ``Authorization`` a bearer counts that has the form of ours: what else stands there is for a
    proxy, which may ask for credentials of its own.
    """
    for name in TOKEN_HEADERS:
        if len(headers.getlist(name)) > 1:
            return f"The header {name} came twice: send one token."
    bearer = bearer_of(headers) or ""
    sent = {headers.get(TOKEN_HEADER), headers.get("x-api-token")}
    sent.add(bearer if bearer.startswith(TOKEN_PREFIX) else None)
    if len(sent - {None, ""}) > 1:
        return f"Different tokens came in {', '.join(TOKEN_HEADERS)}: send one token."
    return None


def bearer_of(headers: Headers) -> str | None:
    """Return what ``Authorization: Bearer`` sends."""
    scheme, _, bearer = headers.get("authorization", "").partition(" ")
    return bearer.strip() if scheme.lower() == "bearer" else None


def sent_token(request: Request) -> str | None:
    """Return the token of a request to a door of another API: in our header, or as theirs send it.

    That is ``Authorization: Bearer``, which most do, and ``X-API-TOKEN``.
    """
    own = request.headers.get(TOKEN_HEADER) or request.headers.get("x-api-token")
    return own or bearer_of(request.headers)


async def find_client(request: Request) -> Caller:
    """Return the caller of a request to such a door, for routes."""
    known: Caller | None = request.scope.get(CALLER)
    access: Access = request.app.state.access
    return known or await access.aside(authorise, request, sent_token(request))


async def find_client_owner(caller: Annotated[Caller, Depends(find_client)]) -> Caller:
    """Return that caller, who has to be an owner, for routes."""
    caller.require_owner()
    return caller


AnyCaller = Annotated[Caller, Depends(find_caller)]
OwnerCaller = Annotated[Caller, Depends(find_owner)]
AnyClient = Annotated[Caller, Depends(find_client)]
OwnerClient = Annotated[Caller, Depends(find_client_owner)]
