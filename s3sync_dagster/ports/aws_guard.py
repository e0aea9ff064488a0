"""Where tenants may send this server: S3's and SQS's own hosts, at addresses of the internet.

A tenant that nobody trusts names endpoints and queues. What only this server's network reaches
must not be read through it: a load balancer or a search cluster has a name below
``amazonaws.com`` as well, and its address is whatever its owner says.
"""

# botocore has no types.
# pyright: reportMissingTypeStubs=false

import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any
from urllib.parse import urlsplit

from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.ports.addresses import Reach, address_of, reach_of

TRUSTED_TENANTS = "S3SYNC_API_TRUSTED_TENANTS"
PRIVATE_NETWORKS = "S3SYNC_AWS_PRIVATE_NETWORKS"
DEFAULT_TRUSTED = frozenset({"default_tenant"})
NOBODY = "none"
_REGION = r"[a-z]{2}(?:-[a-z]+)+-\d"
_AWS = r"amazonaws\.com(?:\.cn)?"
_HOSTS = {
    "s3": re.compile(
        rf"s3(?:-accelerate(?:\.dualstack)?|-external-1)?\.{_AWS}"
        rf"|s3(?:-accesspoint)?(?:-fips)?[.-](?:dualstack\.)?{_REGION}\.{_AWS}"
    ),
    "sqs": re.compile(
        rf"(?:{_REGION}\.)?queue\.{_AWS}|sqs(?:-fips)?\.{_REGION}\.(?:{_AWS}|api\.aws)"
    ),
}
_BELOW_AWS = re.compile(rf"(?:.+\.)?(?:{_AWS}|api\.aws)")

Network = IPv4Network | IPv6Network


def trusted_tenants(environment: Mapping[str, str]) -> frozenset[str]:
    """Return who may use the server's own AWS credentials and any address; ``*`` is everybody."""
    named = frozenset(environment.get(TRUSTED_TENANTS, "").replace(",", " ").split())
    return (named or DEFAULT_TRUSTED) - {NOBODY}


def names_service(service: str, url: str) -> bool:
    """Return whether a URL is one of S3 (``s3``) or of a queue (``sqs``) at AWS, over TLS."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    host = parts.netloc.removesuffix(":443")  # no user, no upper case, no other port
    usable = parts.scheme == "https" and port in (None, 443) and not parts.query
    if service == "s3" and parts.path not in ("", "/"):
        return False
    return usable and not parts.fragment and _HOSTS[service].fullmatch(host) is not None


@dataclass(frozen=True, slots=True)
class AddressGuard:
    """Ends connections to addresses that are not of the internet, before a byte is sent."""

    allowed: tuple[Network, ...] = ()
    """Private networks of the server's own interface endpoints."""

    def install(self, client: Any) -> None:
        """Guard each connection that a botocore client opens from now on."""
        # 60 CPU-ms that only who opens such a client pays; every command asks who is trusted.
        from s3sync_dagster.ports.aws_bounds import (  # noqa: PLC0415
            BoundedConnection,
            BoundedPool,
        )

        guard = self

        class Connection(BoundedConnection):
            def _new_conn(self) -> Any:
                connected = super()._new_conn()
                if self.proxy is None and not guard.allows(connected.getpeername()[0]):
                    connected.close()
                    raise InvalidSetting(
                        f"{self.host!r} leads to an address that is not of the internet: only "
                        f"tenants in {TRUSTED_TENANTS} may go there",
                        reason="private_address",
                    )
                return connected

        class Pool(BoundedPool):
            ConnectionCls = Connection

        # botocore has no setting for this; where a pool is missing, nothing is connected.
        http = client._endpoint.http_session
        http._pool_classes_by_scheme.clear()
        http._pool_classes_by_scheme["https"] = Pool

    def allows(self, address: str) -> bool:
        """Return whether an address is of the internet or of a network that is allowed."""
        reach = reach_of(address)
        found = address_of(address)
        allowed = any(found in network for network in self.allowed)
        return reach is Reach.INTERNET or (allowed and reach is not Reach.CLOUD)


def guard_for(
    *, tenant: str, url: str | None, environment: Mapping[str, str]
) -> AddressGuard | None:
    """Return the guard of a source's or queue's connections.

    Args:
        tenant: whose it is; trusted ones go anywhere.
        url: its endpoint or queue; None: S3 itself. What is not AWS's an operator has declared,
            since no untrusted tenant may name it.
        environment: of the process.

    Raises:
        InvalidSetting: a private network is none.
    """
    trusted = trusted_tenants(environment)
    if tenant in trusted or "*" in trusted:
        return None
    if url is not None and not _BELOW_AWS.fullmatch((urlsplit(url).hostname or "").lower()):
        return None
    return AddressGuard(_networks(environment.get(PRIVATE_NETWORKS, "")))


def _networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(one) for one in text.replace(",", " ").split())
    except ValueError:
        raise InvalidSetting(
            f"{PRIVATE_NETWORKS} has something that is no network, such as 10.0.4.0/24."
        ) from None
