"""People whom a proxy before the console and Dagster's UI has signed in.

The proxy names them in a header. What makes the header worth anything is a secret that the proxy
sends along: addresses prove nothing, since every program of the proxy's machine has its address.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import cast

from starlette.datastructures import Headers

from s3sync_dagster.catalog.tokens import ROLES, Role
from s3sync_dagster.model.errors import InvalidSetting

SECRET_HEADER = "x-s3sync-proxy-secret"
LEAST_SECRET_CHARACTERS = 32
MAX_USER_CHARACTERS = 200
_GROUP = "group:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What some people may do."""

    who: str
    """In lower case: a user, ``*@example.org``, ``*`` for everybody, ``group:`` and a group."""
    tenant: str
    role: Role

    def is_for(self, user: str, groups: frozenset[str]) -> bool:
        """Return whether it is for somebody."""
        if self.who.startswith(_GROUP):
            return self.who.removeprefix(_GROUP) in groups
        if self.who.startswith("*"):
            return user.endswith(self.who[1:])
        return user == self.who


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Somebody whom the proxy has signed in."""

    user: str
    grant: Grant | None
    """None: nothing is granted to this user."""
    groups: frozenset[str] = frozenset()
    """In lower case, as the proxy names them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SingleSignOn:
    """Reads what the proxy says of a request."""

    user_header: str
    groups_header: str | None
    secret: str = field(repr=False)
    grants: tuple[Grant, ...]

    def is_of_proxy(self, headers: Headers) -> bool:
        """Return whether the proxy sent a request: it alone knows the secret."""
        told = headers.getlist(SECRET_HEADER)
        return len(told) == 1 and hmac.compare_digest(told[0].encode(), self.secret.encode())

    def visitor(self, headers: Headers) -> Visitor | None:
        """Return whom the proxy names; None where it names nobody, or somebody else sent it.

        A header that comes twice names nobody: one of the two is not the proxy's. Nor does one of
        both values with a comma between, which servers on the way may make of it.
        """
        users = headers.getlist(self.user_header)
        if len(users) != 1 or not self.is_of_proxy(headers):
            return None
        user = users[0].strip().lower()
        if not user or len(user) > MAX_USER_CHARACTERS or not user.isprintable() or "," in user:
            return None
        told = headers.getlist(self.groups_header) if self.groups_header is not None else []
        names = told[0].lower().split(",") if len(told) == 1 else []
        groups = frozenset(filter(None, (name.strip() for name in names)))
        found = (grant for grant in self.grants if grant.is_for(user, groups))
        return Visitor(user=user, grant=next(found, None), groups=groups)

    def address(self, headers: Headers) -> str | None:
        """Return where a request of the proxy came from, as it says; None where it does not."""
        told = ",".join(headers.getlist("x-forwarded-for")).rpartition(",")[2].strip()
        try:
            return str(ip_address(told)) if self.is_of_proxy(headers) else None
        except ValueError:
            return None


def read_single_sign_on(environ: Mapping[str, str]) -> SingleSignOn | None:
    """Read what ``S3SYNC_SSO_HEADER`` and its like say; None where there is no such proxy.

    Raises:
        InvalidSetting: something is missing or breaks its rule.
    """
    user_header = environ.get("S3SYNC_SSO_HEADER", "").strip().lower()
    if not user_header:
        return None
    secret = environ.get("S3SYNC_SSO_SECRET", "")
    if len(secret) < LEAST_SECRET_CHARACTERS or not (secret.isascii() and secret.isprintable()):
        raise InvalidSetting(
            "S3SYNC_SSO_HEADER needs S3SYNC_SSO_SECRET, at least "
            f"{LEAST_SECRET_CHARACTERS} ASCII characters that the proxy sends as {SECRET_HEADER}: "
            "without it anybody could send the header."
        )
    grants = tuple(map(_grant, environ.get("S3SYNC_SSO_USERS", "").replace(",", " ").split()))
    if not grants:
        raise InvalidSetting(
            "S3SYNC_SSO_HEADER needs S3SYNC_SSO_USERS, such as ann@example.org=default_tenant:owner"
        )
    return SingleSignOn(
        user_header=user_header,
        groups_header=environ.get("S3SYNC_SSO_GROUPS_HEADER", "").strip().lower() or None,
        secret=secret,
        grants=grants,
    )


def _grant(text: str) -> Grant:
    who, _, what = text.rpartition("=")
    tenant, _, role = what.rpartition(":")
    if not who or not tenant or role not in ROLES or "*" in who[1:]:
        raise InvalidSetting(
            f"S3SYNC_SSO_USERS: {text!r} is not WHO=TENANT:ROLE, where WHO is a user, *@DOMAIN, * "
            "or group:NAME, and ROLE is owner or member."
        )
    return Grant(who=who.lower(), tenant=tenant, role=cast("Role", role))
