"""One request for one page: bounded in time and bytes, and only to where this source may go."""

import socket
import threading
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from s3sync_dagster.model.errors import InvalidSetting, S3SyncError, Unavailable
from s3sync_dagster.places.web_robots import AGENT
from s3sync_dagster.ports.addresses import Reach, is_address, reach_of
from s3sync_dagster.ports.aws_guard import TRUSTED_TENANTS, AddressGuard

CONNECT_SECONDS, READ_SECONDS = 10.0, 20.0
PAGE_SECONDS = 40.0
"""For a whole answer: who sends a byte now and then holds nothing up."""
_KEPT_HEADERS = frozenset(
    ("content-type", "content-length", "content-encoding", "date", "etag", "last-modified",
     "location", "retry-after", "x-robots-tag")
)  # fmt: skip
_MAX_HEADER_CHARACTERS = 2048
MOST_ADDRESSES = 4
"""Of a host that are tried, one after the other."""
_REACH = "reach"
_SLICE_BYTES = 4096
"""Unpacked at once: each of many small members copies what stands behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebAnswer:
    """What a server answered to one request."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Those that count, names in lower case."""
    body: bytes = field(default=b"", repr=False)
    """Decompressed."""
    too_large: bool = False
    """The body has more bytes than were wanted; what is there is its begin."""
    reach: Reach = Reach.INTERNET
    """How far inside the server lies that answered."""

    @property
    def media_type(self) -> str:
        """Return the type without parameters, in lower case."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def charset(self) -> str | None:
        """Return the charset that the answer names."""
        _, _, rest = self.headers.get("content-type", "").partition(";")
        for one in rest.split(";"):
            name, _, value = one.strip().partition("=")
            if name.lower() == "charset":
                return value.strip("\"' ")
        return None

    @property
    def modified(self) -> datetime | None:
        """Return when the server says that this was changed last."""
        return http_date(self.headers.get("last-modified"))

    @property
    def date(self) -> datetime | None:
        """Return what the server's clock showed when it answered."""
        return http_date(self.headers.get("date"))

    @property
    def pause_seconds(self) -> float:
        """Return the pause that the server asked for, by its clock; 0 when it asked for none."""
        text = self.headers.get("retry-after", "").strip()
        if text.isdecimal():
            return float(text) if len(text) < 7 else 0.0
        ends, date = http_date(text), self.date
        return max(0.0, (ends - date).total_seconds()) if ends and date else 0.0


def http_date(text: str | None) -> datetime | None:
    """Return the time that a header tells; None where it tells none."""
    try:
        told = parsedate_to_datetime(text or "")
    except (ValueError, OverflowError):
        return None
    return told if told.tzinfo else told.replace(tzinfo=UTC)


class WebFetcher:
    """Asks servers for pages; no cookies, no credentials, no redirects of its own accord.

    Args:
        guard: ends connections to addresses that are not of the internet; None: each request says
            how far inside it may go.
    """

    def __init__(self, guard: AddressGuard | None) -> None:
        self._guard = guard
        self._pool: Any = None
        self._lock = threading.Lock()
        self._bounds = threading.local()
        self.requests: Counter[int] = Counter()
        """Answers so far by status; 0 for those that did not come."""

    def fetch(
        self,
        address: str,
        *,
        most_bytes: int,
        reach: Reach = Reach.INTERNET,
        etag: str | None = None,
        modified: str | None = None,
    ) -> WebAnswer:
        """Return what the server answers to a GET.

        Args:
            address: of the page.
            most_bytes: of the decompressed body that are read.
            reach: the furthest inside that the request may go.
            etag: what is known of the page: a server that has the same answers 304.
            modified: the same, by its time.

        Raises:
            Unavailable: ``site_unreachable``, ``site_timeout``, ``site_bad_answer``.
            InvalidSetting: ``private_address``.
        """
        headers = {
            "Host": urlsplit(address).netloc,
            "User-Agent": f"{AGENT} (https://pypi.org/project/s3sync-dagster)",
            "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
            "Accept-Encoding": "gzip",
        }
        if etag:
            headers["If-None-Match"] = etag
        if modified:
            headers["If-Modified-Since"] = modified
        pool = self._open()
        self._bounds.reach = reach
        import httpcore  # noqa: PLC0415  (loaded by now)

        try:
            answer = self._ask(pool, address, headers, most_bytes)
        except S3SyncError:
            self.requests[0] += 1
            raise
        except (
            httpcore.NetworkError,
            httpcore.TimeoutException,
            httpcore.ProtocolError,
            OSError,
            UnicodeError,
        ) as error:
            self.requests[0] += 1
            raise _refusal(error, urlsplit(address).netloc) from None
        self.requests[answer.status] += 1
        return answer

    def close(self) -> None:
        """Close connections; the next call opens new ones."""
        with self._lock:
            if self._pool is not None:
                self._pool.close()
                self._pool = None

    def _ask(
        self, pool: Any, address: str, headers: Mapping[str, str], most_bytes: int
    ) -> WebAnswer:
        timeouts = {"connect": CONNECT_SECONDS, "read": READ_SECONDS, "pool": PAGE_SECONDS}
        self._bounds.ends = time.monotonic() + PAGE_SECONDS
        with pool.stream(
            "GET", _url(address), headers=list(headers.items()), extensions={"timeout": timeouts}
        ) as response:
            found = _headers(response.headers)
            body, too_large = b"", False
            # 203: a proxy on the way has changed the page, which is there all the same.
            status = 200 if response.status == 203 else response.status
            if status == 304:
                # Its end is read, though it has no body: the connection is kept for the next page.
                for _ in response.iter_stream():
                    pass
            elif status == 200:
                encoding = found.get("content-encoding", "identity").strip().lower()
                body, too_large = _read(response.iter_stream(), encoding, most_bytes)
            return WebAnswer(
                status=status,
                headers=found,
                body=body,
                too_large=too_large,
                reach=response.extensions["network_stream"].get_extra_info(_REACH),
            )

    def _open(self) -> Any:
        import httpcore  # noqa: PLC0415  (only crawls pay for it)

        with self._lock:
            if self._pool is None:
                import httpx  # noqa: PLC0415  (as above)

                self._pool = httpcore.ConnectionPool(
                    ssl_context=httpx.create_ssl_context(),
                    max_connections=16,
                    max_keepalive_connections=4,
                    keepalive_expiry=15,
                    network_backend=_backend(self._guard, self._bounds),
                )
            return self._pool


def _backend(guard: AddressGuard | None, bounds: Any) -> Any:
    """Return what connects: to addresses that are allowed alone, and for so long as is left.

    Args:
        guard: of addresses.
        bounds: of this thread: when its request has to be answered, and how far inside it may go.
    """
    import httpcore  # noqa: PLC0415  (only crawls pay for it)

    class Timed(httpcore.NetworkStream):
        """Ends a request at its time, also where a server sends a byte now and then."""

        def __init__(self, stream: Any, reach: Reach) -> None:
            self._stream, self._reach = stream, reach

        def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
            left = bounds.ends - time.monotonic()
            if left <= 0:
                raise httpcore.ReadTimeout
            return self._stream.read(max_bytes, min(left, timeout or left))

        def write(self, buffer: bytes, timeout: float | None = None) -> None:
            self._stream.write(buffer, timeout)

        def close(self) -> None:
            self._stream.close()

        def start_tls(self, *args: Any, **more: Any) -> Any:
            return Timed(self._stream.start_tls(*args, **more), self._reach)

        def get_extra_info(self, info: str) -> Any:
            return self._reach if info == _REACH else self._stream.get_extra_info(info)

    def within(address: str) -> bool:
        return reach_of(address) <= bounds.reach < Reach.CLOUD

    class Guarded(httpcore.SyncBackend):
        """Connects to addresses that were looked at, and to no others, however they were found."""

        def connect_tcp(self, host: str, port: int, *args: Any, **more: Any) -> Any:
            try:
                told = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            except (OSError, UnicodeError):
                raise httpcore.ConnectError(f"{host!r} has no address") from None
            addresses = list(dict.fromkeys(str(one[4][0]) for one in told))
            allowed = guard.allows if guard is not None else within
            if not all(map(allowed, addresses)):
                if guard is not None and not is_address(host):
                    # As for a name that nobody has: which are known inside is told to nobody whom
                    # the server does not trust.
                    raise httpcore.ConnectError(f"{host!r} has no address")
                raise InvalidSetting(
                    _way_in(host, guarded=guard is not None), reason="private_address"
                )
            failed: Exception | None = None
            for address in addresses[:MOST_ADDRESSES]:
                try:
                    stream = super().connect_tcp(address, port, *args, **more)
                    return Timed(stream, reach_of(address))
                except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                    failed = error
            raise failed or httpcore.ConnectError(f"{host!r} has no address")

    return Guarded()


def _way_in(host: str, *, guarded: bool) -> str:
    found = f"{host!r} leads to an address that is not of the internet: "
    if guarded:
        return found + f"only tenants in {TRUSTED_TENANTS} may go there."
    return found + (
        "no page or redirect of a site leads there, and nothing to where clouds keep their "
        "machines' credentials. Where it is part of the site, name it in other_hosts, or begin "
        "there in a new source."
    )


def _headers(given: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in given:
        word = name.decode("ascii", "replace").lower()
        if word in _KEPT_HEADERS and len(value) <= _MAX_HEADER_CHARACTERS:
            # Addresses in headers are UTF-8 in practice, whatever the standard says.
            text = value.decode("utf-8", "replace").strip()
            if word == "x-robots-tag" and word in found:
                text = f"{found.pop(word)}\n{text}"  # each of several is for a robot of its own
            found.setdefault(word, text)
    return found


def _read(pieces: Iterator[bytes], encoding: str, most_bytes: int) -> tuple[bytes, bool]:
    """Return a body up to a bound, and whether there is more; what is packed is unpacked."""
    if encoding not in ("identity", "", "gzip", "x-gzip"):
        raise Unavailable(
            "A page was sent in an encoding that was not asked for.", reason="site_bad_answer"
        )
    packed = _Packed() if "gzip" in encoding else None
    body = bytearray()
    for piece in pieces:
        if packed is None:
            body += piece
        else:
            packed.unpack(piece, into=body, most_bytes=most_bytes)
        if len(body) > most_bytes:
            return bytes(body[:most_bytes]), True
    if packed is not None and packed.cut_off:
        raise Unavailable("A packed page is cut off.", reason="site_bad_answer")
    return bytes(body), False


class _Packed:
    """Unpacks gzip of any number of members: what is put together from packed parts has several."""

    def __init__(self) -> None:
        self._member: Any = None
        self._over = False

    @property
    def cut_off(self) -> bool:
        return self._member is not None and not self._member.eof

    def unpack(self, piece: bytes, *, into: bytearray, most_bytes: int) -> None:
        """Add what a piece holds, up to one byte more than ``most_bytes`` in all."""
        for at in range(0, len(piece), _SLICE_BYTES):
            self._unpack(piece[at : at + _SLICE_BYTES], into, most_bytes)

    def _unpack(self, piece: bytes, into: bytearray, most_bytes: int) -> None:
        while piece and len(into) <= most_bytes and not self._over:
            if not self.cut_off:
                # What stands behind the last member is no part of it, as gzip has it.
                self._over = self._member is not None and not piece.startswith(b"\x1f")
                if self._over:
                    return
                self._member = zlib.decompressobj(31)
            try:
                into += self._member.decompress(piece, most_bytes + 1 - len(into))
            except zlib.error:
                raise Unavailable("A packed page is damaged.", reason="site_bad_answer") from None
            piece = self._member.unused_data if self._member.eof else self._member.unconsumed_tail


def _url(address: str) -> Any:
    """Return an address as it is asked for: read by the driver it loses what is behind a ``;``."""
    import httpcore  # noqa: PLC0415  (loaded by now)

    parts = urlsplit(address)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    return httpcore.URL(
        scheme=parts.scheme, host=parts.hostname or "", port=parts.port, target=target
    )


def unpack_whole(body: bytes, most_bytes: int) -> bytes:
    """Return the begin of a gzip file, as sitemaps are stored."""
    return _read(iter((body,)), "gzip", most_bytes)[0]


def _refusal(error: Exception, host: str) -> S3SyncError:
    """Return what a failure of the network means; its own text is not repeated."""
    import httpcore  # noqa: PLC0415  (loaded by now)

    if isinstance(error, httpcore.TimeoutException):
        return Unavailable(f"The site {host!r} did not answer in time.", reason="site_timeout")
    if isinstance(error, httpcore.NetworkError):
        return Unavailable(
            f"The site {host!r} cannot be reached: its name is not known here, nothing listens "
            "there, or the tenant is not trusted and it leads to no address of the internet.",
            reason="site_unreachable",
        )
    return Unavailable(f"The site {host!r} answered no HTTP.", reason="site_bad_answer")
