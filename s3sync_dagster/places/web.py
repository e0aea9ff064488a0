"""A web site: its pages are objects, their addresses the keys."""

# google-re2 has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

import hashlib
import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Self
from urllib.parse import urlsplit

from s3sync_dagster.core.filetypes import skip_reason
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.place import Admission, Place, PlaceIdentity, told
from s3sync_dagster.model.source import ExtractionConfig
from s3sync_dagster.places.web_address import host_of, is_host, is_trap, page_address, path_of

if TYPE_CHECKING:
    from s3sync_dagster.engine.store_ports import ObjectStore
    from s3sync_dagster.model.source import Source
    from s3sync_dagster.ports.places import Surroundings

WEB_MAX_BYTES = "S3SYNC_WEB_MAX_BYTES"
DEFAULT_MAX_BYTES = 1024**3
"""Of the pages of one site that wait on the disk between their crawl and their reading."""
DEFAULT_PAGES = 10_000
MAX_PAGE_BYTES = 50 * 1024**2
"""Larger pages count as skipped; a crawl holds one in memory."""
MAX_PATTERNS = 100
MAX_PATTERN_CHARACTERS = 1024
SITES = "web"
"""Folder of the home in which crawls are kept."""
UNUSED_SECONDS = 30 * 86_400.0
_HTML_ENGINE = {".html": "main"}


@dataclass(frozen=True, slots=True, kw_only=True)
class WebPlace(Place):
    """The pages that links and sitemaps lead to from a first one, on its own host."""

    starting_url: str = field(
        metadata=told(
            "The first page of a site.",
            metavar="URL",
            fixed=True,
            contract="web_scrape.starting_url",
        )
    )
    max_depth: int | None = field(
        default=None,
        metadata=told(
            "Links from the first page to the last; any number when not given.",
            kind="whole",
            metavar="LINKS",
            contract="web_scrape.max_depth",
        ),
    )
    page_limit: int | None = field(
        default=None,
        metadata=told(
            "At most so many pages; 10000 when not given.",
            kind="whole",
            metavar="PAGES",
            contract="web_scrape.page_limit",
        ),
    )
    include_path_regexes: tuple[str, ...] = field(
        default=(),
        metadata=told(
            "Only pages whose path one of these is found in (RE2); the first page is read anyway.",
            kind="texts",
            option="include-path",
            metavar="PATTERN",
            contract="web_scrape.include_path_regexes",
        ),
    )
    exclude_path_regexes: tuple[str, ...] = field(
        default=(),
        metadata=told(
            "No pages whose path one of these is found in (RE2).",
            kind="texts",
            option="exclude-path",
            metavar="PATTERN",
            contract="web_scrape.exclude_path_regexes",
        ),
    )
    other_hosts: tuple[str, ...] = field(
        default=(),
        metadata=told(
            "Hosts that are of the site as well, such as docs.example.org.",
            kind="texts",
            option="other-host",
            metavar="HOST",
        ),
    )
    sitemaps: bool = field(
        default=True, metadata=told("Find pages by the site's sitemaps, too.", kind="flag")
    )
    delay_milliseconds: int = field(
        default=250,
        metadata=told(
            "Between two requests to a host; a Crawl-delay of its robots.txt counts where longer.",
            kind="whole",
            most=30_000,
            option="delay",
            metavar="MILLISECONDS",
        ),
    )
    path_prefix: str = ""
    """Plain starts-with on the address."""
    type: str = "web_scrape"
    kind: ClassVar[str] = "web"
    names_collection: ClassVar[bool] = True
    listed_every: ClassVar[int] = 21_600
    form: ClassVar[str] = "https://SITE/PAGE"

    @classmethod
    def read(cls, text: str) -> "WebPlace | None":
        """Return the site that a person wrote by its first page."""
        if not re.match(r"https?://", text, re.IGNORECASE):
            return None
        place = cls(starting_url=text)
        place.check()
        return place

    @property
    def start(self) -> str:
        """The first page's address in its one form."""
        return page_address(self.starting_url) or self.starting_url

    @property
    def most_pages(self) -> int:
        """At most so many pages are listed."""
        return DEFAULT_PAGES if self.page_limit is None else self.page_limit

    @property
    def ordered(self) -> bool:
        """Return False: links are in no order, so listings are sorted on the disk."""
        return False

    def hosts(self) -> frozenset[str]:
        """Return the hosts of the site; one with ``www.`` is the one without."""
        host = host_of(self.start)
        twin = host.removeprefix("www.") if host.startswith("www.") else f"www.{host}"
        return frozenset({host, twin, *self.other_hosts})

    def takes(self, address: str) -> bool:
        """Return whether a page of one of the hosts is looked at."""
        if address == self.start:
            return True
        path = path_of(address)
        if is_trap(address) or ("?" not in address and skip_reason(path) is not None):
            return False
        if any(_pattern(one).search(path) for one in self.exclude_path_regexes):
            return False
        included = self.include_path_regexes
        return not included or any(_pattern(one).search(path) for one in included)

    def address(self, key: str | None = None) -> str:
        """Return a page's address, without a key that of the first page."""
        return self.start if key is None else key

    def identity(self) -> PlaceIdentity:
        """Return what makes two sites the same one: where they begin."""
        start = urlsplit(self.start)
        page = start.path + (f"?{start.query}" if start.query else "")
        return PlaceIdentity(self.type, host_of(self.start), page, self.path_prefix)

    def collection(self) -> str:
        """Return host and path of the first page, as a collection may be called."""
        words = re.sub(r"[^a-zA-Z0-9._-]+|\.\.+", "-", host_of(self.start) + path_of(self.start))
        name = words[:100].strip("._-")
        return name if len(name) >= 3 and not re.fullmatch(r"[\d.]+", name) else f"site-{name}"

    def check(self) -> None:
        """Refuse with ``InvalidSetting`` what is no page, no pattern or no host."""
        if page_address(self.starting_url) is None:
            raise InvalidSetting(
                "starting_url is no address of a page such as https://docs.example.org/, without "
                "user and password, of at most 1,024 characters."
            )
        for name in ("include_path_regexes", "exclude_path_regexes"):
            patterns: tuple[str, ...] = getattr(self, name)
            if len(patterns) > MAX_PATTERNS:
                raise InvalidSetting(f"{name} has more than {MAX_PATTERNS} patterns.")
            for one in patterns:
                if len(one) > MAX_PATTERN_CHARACTERS:
                    raise InvalidSetting(
                        f"{name} has a pattern of more than {MAX_PATTERN_CHARACTERS} characters."
                    )
                try:
                    _pattern(one)
                except InvalidSetting as error:
                    raise InvalidSetting(f"{name}: {error.message}") from None
        for host in self.other_hosts:
            if not is_host(host):
                raise InvalidSetting(
                    f"other_hosts has {ascii(host)[:100]}: write docs.example.org, in lower case "
                    "and without http://."
                )

    def admitted(self, admission: Admission) -> Self:
        """Return the place: tenants that nobody trusts go to addresses of the internet alone.

        That is looked at with each connection, see ``ports.aws_guard``.
        """
        del admission
        return self

    def link(self, key: str) -> str | None:
        """Return the page itself."""
        return key

    def file_name(self, key: str) -> str:
        """Return nothing: what a page is says its server, not the end of its address."""
        del key
        return ""

    def extraction(self, config: ExtractionConfig) -> ExtractionConfig:
        """Return how pages are read where the source names no engine: by their main content."""
        return replace(config, engines={**_HTML_ENGINE, **config.engines})


def open_web(source: "Source", surroundings: "Surroundings") -> "ObjectStore":
    """Return the store of a site; nothing is asked of the outside yet.

    Raises:
        InvalidSetting: a bad variable.
    """
    # What crawls is loaded for a source that crawls: each command reads this module's settings.
    from s3sync_dagster.places.git_repository import sweep  # noqa: PLC0415
    from s3sync_dagster.places.web_fetch import WebFetcher  # noqa: PLC0415
    from s3sync_dagster.places.web_memory import SiteMemory  # noqa: PLC0415
    from s3sync_dagster.places.web_pace import HostPace  # noqa: PLC0415
    from s3sync_dagster.places.web_store import SiteStore  # noqa: PLC0415

    place = source.place
    assert isinstance(place, WebPlace)
    sites = surroundings.home / SITES
    sweep(sites, unused_seconds=UNUSED_SECONDS)
    name = hashlib.sha256(f"{source.id}\0{place.start}".encode()).hexdigest()[:24]
    most, clock = surroundings.resolve_env(WEB_MAX_BYTES), surroundings.clock
    return SiteStore(
        place,
        open_memory=lambda: SiteMemory(
            sites / name / "site.db", most_bytes=_most_bytes(most), clock=clock
        ),
        fetcher=WebFetcher(surroundings.guard_for(source, None)),
        pace=HostPace(sites / "hosts.db", who=source.tenant, clock=clock),
        most_bytes=min(source.max_size_bytes, MAX_PAGE_BYTES),
        clock=clock,
    )


def _most_bytes(text: str | None) -> int:
    if text is None:
        return DEFAULT_MAX_BYTES
    if not text.isdecimal():
        raise InvalidSetting(f"{WEB_MAX_BYTES} is not a number of bytes.")
    return int(text)


@lru_cache(maxsize=512)
def _pattern(text: str) -> Any:
    import re2  # noqa: PLC0415  (15 ms that only sources with a pattern pay)

    options: Any = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    try:
        return re2.compile(text, options)
    except (re2.error, UnicodeEncodeError):
        raise InvalidSetting(
            "one is no pattern of RE2: look-around and back-references are not known there."
        ) from None
