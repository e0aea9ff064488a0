"""What an answer with a page's bytes says of the page."""

import hashlib
import re

from s3sync_dagster.places.freshness import is_fresh
from s3sync_dagster.places.web_address import host_of, page_address
from s3sync_dagster.places.web_fetch import WebAnswer
from s3sync_dagster.places.web_known import Page
from s3sync_dagster.places.web_text import (
    is_unindexed,
    links_of,
    robots_of_header,
    roughly_decoded,
)

MAX_LENGTH_DIGITS = 15
"""Of a length that a server tells: what is longer is no length."""
LINK_CHARACTERS = 2 * 1024**2
"""Of a page that are looked through for links."""
_HTML = frozenset({"text/html", "application/xhtml+xml"})
_LEFT_ALONE = re.compile(
    r"(?:image|audio|video|font)/|text/(?:css|javascript)|application/(?:javascript|ecmascript|"
    r"x-javascript|wasm|zip|gzip|x-(?:gzip|tar|bzip2?|7z-compressed|rar-compressed|xz)|java-archive|"
    r"(?:rss|atom)\+xml|vnd\.android\.package-archive|octet-stream\+archive)"
)


def holds_text(media_type: str) -> bool:
    """Return whether an answer of this type may be a page: pictures, archives and styles are none.

    Where a page was, one of those tells that it is not there, as a 404 does.
    """
    return _LEFT_ALONE.match(media_type) is None


def is_empty(answer: WebAnswer) -> bool:
    """Return whether an answer has nothing in it but blanks: a server's fault, or no page."""
    return not answer.too_large and not answer.body.strip()


def has_page(answer: WebAnswer) -> bool:
    """Return whether an answer with status 200 has a page in it."""
    return holds_text(answer.media_type) and not is_empty(answer)


def page_of(
    address: str,
    answer: WebAnswer,
    *,
    hosts: frozenset[str],
    most_bytes: int,
    changed: str | None,
    now: float,
) -> Page:
    """Return what is remembered of a page.

    Args:
        address: of the page.
        answer: with status 200.
        hosts: of the site, which links are kept of.
        most_bytes: that were read.
        changed: the sitemap's date.
        now: when it was asked for, in seconds since 1970.
    """
    headers = answer.headers
    links: tuple[str, ...] = ()
    canonical: str | None = None
    robots = _told_by_header(answer)
    if answer.media_type in _HTML or not answer.media_type:
        text = roughly_decoded(answer.body, answer.charset)[:LINK_CHARACTERS]
        found = links_of(text)
        robots += found.robots
        base = (found.base and page_address(found.base, address)) or address
        named = (page_address(one, base) for one in found.links)
        inside = (one for one in named if one is not None and host_of(one) in hosts)
        links = tuple(dict.fromkeys(inside))
        canonical = found.canonical and page_address(found.canonical, base)
        if canonical == address or canonical is None or host_of(canonical) not in hosts:
            canonical = None
    size = len(answer.body)
    identity = answer.body
    if answer.too_large:
        told = headers.get("content-length", "")
        believed = told.isascii() and told.isdecimal() and len(told) <= MAX_LENGTH_DIGITS
        size = max(most_bytes + 1, int(told) if believed else 0)
        marks = (headers.get("etag"), headers.get("last-modified"), size)
        identity = repr(marks).encode()
    return Page(
        etag=hashlib.sha256(identity).hexdigest()[:32],
        size=size,
        media_type=answer.media_type[:100],
        charset=answer.charset,
        server_etag=headers.get("etag"),
        server_modified=headers.get("last-modified"),
        links=links,
        canonical=canonical,
        noindex=is_unindexed(robots),
        header_noindex=keeps_out(answer),
        changed=changed,
        asked_at=now,
        read_at=0.0 if _may_change_unseen(answer, now) else now,
    )


def keeps_out(answer: WebAnswer) -> bool:
    """Return whether a header of an answer, also of one without bytes, tells not to index."""
    return is_unindexed(_told_by_header(answer))


def _told_by_header(answer: WebAnswer) -> list[tuple[str, str]]:
    return [*robots_of_header(answer.headers.get("x-robots-tag", ""))]


def _may_change_unseen(answer: WebAnswer, now: float) -> bool:
    """Return whether another change would leave this answer's date, and ETag of date and size.

    Its own clock tells best how old it is; ours does where it tells no time.
    """
    modified, date = answer.modified, answer.date
    clocks = (now,) if date is None else (now, date.timestamp())
    return any(is_fresh(modified, at=clock) for clock in clocks)
