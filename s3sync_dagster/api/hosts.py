"""Which names in a request's ``Host`` mean this machine, and nothing that a page could make up."""

import re
from collections.abc import Sequence

FORWARDED = (
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
)
"""Headers of a request that came through a proxy: whoever asked it may be anywhere."""
_LOOPBACK = re.compile(
    r"(?:localhost|(?:[a-z0-9-]{1,63}\.){1,4}localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])"
    r"(?::([0-9]{1,5}))?",
    re.IGNORECASE | re.ASCII,
)


def names_this_machine(hosts: Sequence[str]) -> bool:
    """Return whether a request has just one ``Host``, and that is a loopback name or address.

    A web page whose name was made to point at 127.0.0.1 (DNS rebinding) has its own name there.
    The text itself is read: what a parser gives up on must not pass as the server's own name.

    Args:
        hosts: the values of all its ``Host`` headers.
    """
    found = _LOOPBACK.fullmatch(hosts[0]) if len(hosts) == 1 else None
    return found is not None and int(found[1] or 80) <= 65_535


def is_of_host(origin: str, host: str, *, tls: bool = False) -> bool:
    """Return whether a page's ``Origin`` is the server that a request's ``Host`` names.

    The text itself is compared: what no parser understands (``http://[``, ``null``) is another one.

    Args:
        origin: of the page.
        host: of the request.
        tls: visitors come by https: whoever holds a page by http may not have it from us.
    """
    scheme, _, named = origin.lower().partition("://")
    known = scheme == "https" or (scheme == "http" and not tls)
    return known and named == host.lower() != ""
