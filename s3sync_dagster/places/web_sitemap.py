"""What a sitemap tells of a site: its pages, and when they were changed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.places.web_fetch import WebAnswer, unpack_whole
from s3sync_dagster.places.web_known import Page, Task
from s3sync_dagster.places.web_memory import SiteMemory
from s3sync_dagster.places.web_pace import NoTurn
from s3sync_dagster.places.web_text import SitemapEntry, roughly_decoded, sitemap_entries
from s3sync_dagster.places.web_visitor import SiteVisitor

SITEMAP_BYTES = 50 * 1024**2
"""As the protocol of sitemaps has it."""
RECHECK_SECONDS = 86_400.0
"""After so long a page is asked for whatever its sitemap says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sitemap:
    """A sitemap as it was answered."""

    entries: Iterable[SitemapEntry]
    whole: bool
    """Whether the site answered, with no more than is read."""


def sitemap_of(visitor: SiteVisitor, address: str) -> Sitemap:
    """Return what a sitemap names. Raises ``NoTurn`` alone."""
    try:
        answer = visitor.followed(address, most_bytes=SITEMAP_BYTES)
    except NoTurn:
        raise
    except S3SyncError:
        answer = WebAnswer(status=0)  # pages are found by links as well, and known ones known
    body = answer.body
    if body.startswith(b"\x1f\x8b"):
        try:
            body = unpack_whole(body, SITEMAP_BYTES)
        except S3SyncError:
            body = b""
    unread = answer.status in (0, 429) or answer.status >= 500 or answer.too_large
    return Sitemap(entries=sitemap_entries(roughly_decoded(body, answer.charset)), whole=not unread)


def is_dated(task: Task, known: Page, memory: SiteMemory) -> bool:
    """Return whether the sitemap says that a page is the one that is known.

    A date is believed until it was once wrong, for a day, and only where it was long past when
    the page was read: a second change at the same date would not be told.
    """
    return (
        task.changed is not None
        and known.changed == task.changed
        and not known.misses
        and not known.canonical
        and memory.note("dates") is None
        and known.is_told_by_validators(memory.now())
        and 0 <= memory.now() - known.asked_at < RECHECK_SECONDS  # it may have been ahead
        and _is_past(task.changed, known.asked_at)
    )


def _is_past(changed: str, asked_at: float) -> bool:
    """Return whether a date of a sitemap was over when a page was asked for."""
    try:
        at = datetime.fromisoformat(changed)
    except ValueError:
        return False
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    # A date without a time is a whole day, somewhere on earth.
    over = at + (timedelta(hours=38) if len(changed) <= 10 else timedelta(minutes=2))
    return over.timestamp() <= asked_at
