"""What is known of a page, and what a crawl has to look at."""

from dataclasses import dataclass

MISSES = 2
"""Crawls in a row that have to miss a page before it counts as gone."""
READ_SECONDS = 7 * 86_400.0
"""After so long a page is read whole, whatever its ETag and date say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What is known of a page since it was read or asked for last."""

    etag: str
    """Of its bytes, or of what stands for them."""
    size: int
    media_type: str = ""
    charset: str | None = None
    server_etag: str | None = None
    server_modified: str | None = None
    read_at: float = 0.0
    """When it was read whole last, in seconds since 1970; 0.0: it is read whole once more, since it
    had changed just before, and its ETag and date may be those of another version as well."""
    links: tuple[str, ...] = ()
    """Addresses in the site."""
    canonical: str | None = None
    """Another page of the site, as which it wants to be known."""
    changed: str | None = None
    """The sitemap's date of the page as it was read."""
    asked_at: float = 0.0
    """When the site last said that this is the page, in seconds since 1970."""
    noindex: bool = False
    """It wants to be in no index."""
    header_noindex: bool = False
    """Whether a header said so, which may change while the page stays as it is."""
    misses: int = 0
    """Whole crawls in a row in which the site said that it is not there, or joined it."""
    missed_at: float = 0.0
    """When the last of those was told, in seconds since 1970."""

    def is_told_by_validators(self, now: float) -> bool:
        """Return whether the server's ETag and date are believed to tell this version from others.

        Not for ever: who puts an older file in its place, or gives all files one date, changes a
        page without another date.
        """
        return 0 <= now - self.read_at < READ_SECONDS

    @property
    def gone(self) -> bool:
        """Return whether it is left out: known, so that it is asked for, and not of the site."""
        return self.misses >= MISSES


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A page or a sitemap that a crawl has to look at."""

    number: int
    key: str
    kind: str
    """``sitemap`` or ``page``."""
    depth: int
    known: bool
    hops: int
    """Redirects that led there."""
    tries: int
    changed: str | None
    """The sitemap's date of its last change."""
    outcome: str | None = None
    target: str | None = None
    """The page that stands for it."""
