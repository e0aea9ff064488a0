"""Addresses of pages: one form for each page, which site it is of, and which are traps."""

import re
from collections import Counter
from functools import lru_cache
from unicodedata import normalize
from urllib.parse import SplitResult, quote, urljoin, urlsplit, urlunsplit

from s3sync_dagster.core.keys import MAX_OBJECT_KEY_BYTES

MAX_SEGMENTS = 24
MAX_REPEATS = 3
"""Of one segment of a path: relative links that lead into themselves repeat theirs without end."""
_DEFAULT_PORTS = {"http": 80, "https": 443}
_ESCAPE = re.compile(r"%([0-9a-fA-F]{2})")
_PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_TRACKING = re.compile(r"(?:utm_\w+|gclid|fbclid|msclkid|yclid|mc_[ce]id|_ga)(?:=|\Z)")
"""Parameters that tell a site where a visitor came from, and change no page."""
_SESSION = re.compile(
    r"(?:phpsessid|jsessionid|aspsessionid\w*)(?:=.*)?"
    r"|(?:sid|session_?id)=(?=[a-z]*[0-9])[0-9a-z]{16,}",
    re.IGNORECASE,
)
"""Parameters that tell one visit from another. A short ``sid`` may name a page."""
_SESSION_IN_PATH = re.compile(r";(?:phpsessid|jsessionid|sid)=[^/;]*", re.IGNORECASE)
_PATH_PARAMETERS = re.compile(r";[^/]*")
_SAME = 4096
"""Addresses of which is remembered what was found: pages of a site share most of their links."""
_LONG = 2048
"""Characters of what is not remembered."""
_BEFORE_QUERY = re.compile(r"[^?#]*")
"""Where a backslash is a slash, as browsers have it."""
_BLANKS = re.compile(r"[\x00-\x20\x7f]+")
_DOTS = re.compile("[.\u3002\uff0e\uff61]")
_KEPT_LETTERS = frozenset("\u00df\u1e9e\u03c2")
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?")


def page_address(text: str, base: str | None = None, *, whole: bool = False) -> str | None:
    """Return the one form of a page's address, None for what names no page.

    Without fragment, default port, dot segments, parameters that track visitors or name a session;
    all but what RFC 3986
    leaves as it is stands escaped, so that the address is ASCII.

    Args:
        text: as a link or a person has it.
        base: of the page with the link.
        whole: with all its parameters, as a redirect asks for it.
    """
    if len(text) > _LONG or whole:
        return _page_address.__wrapped__(text, base, whole=whole)
    if base and text.startswith("/") and text[1:2].isalnum():
        try:
            base = origin_of(base)  # nothing else of it counts, and all pages have the same
        except ValueError:
            return None
    return _page_address(text, base)


@lru_cache(maxsize=_SAME)
def _page_address(text: str, base: str | None, *, whole: bool = False) -> str | None:
    try:
        text = _BEFORE_QUERY.sub(lambda found: found[0].replace("\\", "/"), text, count=1)
        joined = urljoin(base, text.strip()) if base else text.strip()
        parts = urlsplit(_BLANKS.sub(lambda found: "%20" * len(found[0]), joined))
        port = parts.port
        host = _host_of(parts)
    except (ValueError, UnicodeError):
        return None
    if parts.scheme not in _DEFAULT_PORTS or host is None or "@" in parts.netloc:
        return None
    netloc = host if port in (None, _DEFAULT_PORTS[parts.scheme]) else f"{host}:{port}"
    path = _without_dots(_escaped(parts.path)) or "/"
    path = path if whole else _SESSION_IN_PATH.sub("", path)
    kept = [
        one
        for one in parts.query.split("&")
        if one and (whole or not (_TRACKING.match(one) or _SESSION.fullmatch(one)))
    ]
    address = urlunsplit((parts.scheme, netloc, path, _escaped("&".join(kept)), ""))
    return address if len(address) <= MAX_OBJECT_KEY_BYTES else None


def origin_of(address: str) -> str:
    """Return scheme, host and port of an address: what one robots.txt is for."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


@lru_cache(maxsize=_SAME)
def host_of(address: str) -> str:
    """Return host and port, by which sites are told apart; the scheme may change."""
    return urlsplit(address).netloc


def path_of(address: str) -> str:
    """Return the path, which patterns look at."""
    return urlsplit(address).path


def varied(address: str) -> str | None:
    """Return what the variants of an address share; None where nothing in it makes it one.

    They differ by what stands behind the ``?``, or behind a ``;`` of the path.
    """
    if "?" not in address and ";" not in address:
        return None
    return origin_of(address) + _PATH_PARAMETERS.sub("", path_of(address))


@lru_cache(maxsize=_SAME)
def is_trap(address: str) -> bool:
    """Return whether a path is longer, or repeats itself more, than people write them."""
    segments = [one for one in path_of(address).split("/") if one]
    most = Counter(segments).most_common(1)
    return len(segments) > MAX_SEGMENTS or bool(most and most[0][1] > MAX_REPEATS)


def is_host(text: str) -> bool:
    """Return whether a text is a host as addresses have it, with or without a port."""
    host, colon, port = text.partition(":")
    return bool(_HOST.fullmatch(host)) and (not colon or port.isdecimal())


def _host_of(parts: SplitResult) -> str | None:
    host = parts.hostname or ""
    if ":" in host:  # of IPv6
        return f"[{host}]"
    plain = host if host.isascii() else ".".join(map(_label_of, _DOTS.split(host)))
    plain = plain.lower().rstrip(".")
    return plain if _HOST.fullmatch(plain) else None


def _label_of(label: str) -> str:
    """Return a part of a host's name as it is asked for.

    The standard library's rules, of 2003, make other letters of some: the name of another host.
    """
    if label.isascii():
        return label
    if not _KEPT_LETTERS.isdisjoint(label):
        return "xn--" + normalize("NFC", label.lower()).encode("punycode").decode()
    return label.encode("idna").decode()


def _without_dots(path: str) -> str:
    """Return a path without ``.`` and ``..`` (RFC 3986, 5.2.4)."""
    if "/." not in path:
        return path
    kept: list[str] = []
    for segment in (whole := path.split("/")):
        if segment == "..":
            if len(kept) > 1:
                kept.pop()
        elif segment != ".":
            kept.append(segment)
    if whole[-1] in (".", ".."):
        kept.append("")
    return "/".join(kept)


def _escaped(text: str) -> str:
    """Return a part of an address with one way of escaping."""

    def plain(found: re.Match[str]) -> str:
        character = chr(int(found[1], 16))
        return character if character in _PLAIN else f"%{found[1].upper()}"

    return _ESCAPE.sub(plain, quote(text, safe="/%:@!$&'()*+,;=~?-._"))
