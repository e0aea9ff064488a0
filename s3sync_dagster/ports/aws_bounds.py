"""How much of an answer of S3, SQS and STS is taken, and for how long.

botocore reads each answer that is no object's body whole, as long as bytes come, and makes a tree
of it: a server whose answer does not end would fill the memory of all who share the process.
"""

# botocore has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import math
import threading
import time
from collections.abc import Callable
from functools import partial
from http.client import HTTPResponse
from socket import SocketIO
from typing import Any, NamedTuple

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)
from botocore.exceptions import HTTPClientError
from botocore.parsers import ResponseParserError
from botocore.utils import parse_timestamp
from urllib3.exceptions import HTTPError

from s3sync_dagster.answer_time import seconds_left
from s3sync_dagster.plain_xml import MARKS, declares, has_more

MOST_BYTES = 1024 * 1024
"""Of an answer with its headers. What is no more takes little memory, however it is nested, unless
it declares what its elements have."""
PAGE_BYTES = 16 * 1024 * 1024
"""Of a page of keys: 1,000 of 1,024 bytes take less than 8 MiB where each byte is escaped."""
MESSAGES_BYTES = 24 * 1024 * 1024
"""Of ten messages of 1 MiB, in which each quote is escaped."""
MOST_MARKS = 300_000
"""Tags, quotes or brackets in an answer above ``MOST_BYTES``; a page of 1,000 keys has 26,000."""
_MORE = {"s3": ("ListObjectsV2", PAGE_BYTES), "sqs": ("ReceiveMessage", MESSAGES_BYTES)}
_PATIENCE = 1.5
"""An answer may take as many times what its next byte may take ..."""
SLOWEST_BYTES = 1024
"""... and a second more for as many bytes that came ..."""
LONGEST_SECONDS = 120.0
"""... up to here."""
BODY_SECONDS = 300.0
"""An object's body may take so long, or what who asks bears ..."""
SLOWEST_BODY_BYTES = 16 * 1024
"""... and a second more for as many bytes that came, however many it has ..."""
SLOWEST_AWAITED_BYTES = 256 * 1024
"""... or as many up to ``BODY_SECONDS``, where somebody waits for the answer: a sensor."""
_UNREADABLE = b"<"
MOST_CHARACTERS = 64 * 1024
"""Of a key or prefix in a page: botocore undoes what is escaped in it, and that takes hundreds of
times the memory that it has bytes."""
_DATE_CHARACTERS = 100
"""Of a date: botocore's parser takes hours for one of megabytes."""

_asked = threading.local()


class UnboundedAnswer(HTTPError):
    """An answer that is longer than any of its service, or takes too long."""

    def __init__(self, *, slow: bool = False) -> None:
        super().__init__("too slow" if slow else "too long")
        self.slow = slow


class _Bounds(NamedTuple):
    began: float
    seconds: float
    """For what has a byte a second."""
    longest: float
    most: float
    streamed: bool
    slowest: int = SLOWEST_BYTES

    def ends(self, came: int) -> float:
        """Return until when the next of its bytes is waited for, after so many."""
        return self.began + min(self.longest, self.seconds + came / self.slowest)

    def of_body(self) -> "_Bounds":
        """Return those of the body that follows; its reader bounds its bytes."""
        first, began = seconds_left(BODY_SECONDS), time.monotonic()
        if first < BODY_SECONDS:
            return _Bounds(began, first, BODY_SECONDS, math.inf, True, SLOWEST_AWAITED_BYTES)
        return _Bounds(began, first, math.inf, math.inf, True, SLOWEST_BODY_BYTES)


def bound_answers(client: Any, service: str) -> None:
    """Bound all that a botocore client reads; bodies that are streamed in time alone."""
    http = client._endpoint.http_session
    # botocore has no setting for this; nothing is connected yet.
    http._pool_classes_by_scheme.update(http=_Pool, https=BoundedPool)
    seconds = client.meta.config.read_timeout * _PATIENCE
    marked = "json" not in client.meta.service_model.protocol
    http.send = partial(_send, http.send, seconds, marked)
    client._endpoint._response_parser_factory.set_parser_defaults(timestamp_parser=_date)
    if service == "s3":
        client.meta.events.register_first("after-call.s3.ListObjectsV2", _require_keys)
    if service in _MORE:
        operation, most = _MORE[service]
        client.meta.events.register(
            f"before-send.{service}.{operation}", partial(_may_be_longer, most)
        )


def _date(value: Any) -> Any:
    if isinstance(value, str) and len(value) > _DATE_CHARACTERS:
        raise ResponseParserError("a date that is none")
    return parse_timestamp(value)


def _require_keys(parsed: dict[str, Any], **_: Any) -> None:
    """Raise for a page with what can be no key, before botocore works on it."""
    inside = [*parsed.get("Contents", ()), *parsed.get("CommonPrefixes", ())]
    for one in (parsed, *inside):
        if any(isinstance(text, str) and len(text) > MOST_CHARACTERS for text in one.values()):
            raise UnboundedAnswer


def _may_be_longer(most: int, request: Any, **_: Any) -> None:
    request.most_bytes = most


def _send(send: Callable[[Any], Any], seconds: float, marked: bool, request: Any) -> Any:
    streamed: bool = request.stream_output
    most: int = getattr(request, "most_bytes", MOST_BYTES)
    longest = seconds_left(LONGEST_SECONDS)
    _asked.bounds = _Bounds(time.monotonic(), seconds, longest, most, streamed)
    try:
        answer = send(request)
        if not streamed or answer.status_code >= 300:
            _make_plain(answer, marked=marked)
    except HTTPClientError as error:
        if isinstance(cause := error.kwargs.get("error"), UnboundedAnswer):
            raise cause from None  # at once: botocore asks again for what is only broken
        raise
    finally:
        _asked.bounds = None
    return answer


def _make_plain(answer: Any, *, marked: bool) -> None:
    """Keep what would become many times as large from the parser; raise for what is long.

    Args:
        answer: of botocore.
        marked: whether XML is read of it; else JSON.
    """
    content: bytes = answer.content
    declared = marked and declares(content)
    if len(content) > MOST_BYTES:
        marks = MARKS if marked else (b"{", b"[")
        if declared or has_more(content, MOST_MARKS, marks):
            raise UnboundedAnswer
    if declared:
        answer._content = _UNREADABLE  # as the web page that it mostly is


class _Metered(SocketIO):
    """What comes from a socket, up to a number of bytes and a moment.

    One that is there becomes this class, and what it was: a wrapper costs a GET a twentieth.
    """

    _sock: Any
    _wait: float | None
    bounds: _Bounds
    _came: int

    def bound(self, bounds: _Bounds) -> None:
        if not hasattr(self, "bounds"):
            self._wait = self._sock.gettimeout()
        elif self._sock.gettimeout() != self._wait:
            self._sock.settimeout(self._wait)
        self.bounds, self._came = bounds, 0

    def readinto(self, b: Any) -> int | None:
        ends = self.bounds.ends(self._came)
        rest = ends - time.monotonic()
        if rest <= 0:
            raise UnboundedAnswer(slow=True)
        if self._wait is None or rest < self._wait:
            self._sock.settimeout(rest)
        try:
            count = super().readinto(b)
        except TimeoutError:
            if time.monotonic() >= ends:
                raise UnboundedAnswer(slow=True) from None
            raise
        self._came += count or 0
        if self._came > self.bounds.most:
            raise UnboundedAnswer
        return count


class _Answer(HTTPResponse):
    def __init__(self, sock: Any, *args: Any, **more: Any) -> None:
        super().__init__(sock, *args, **more)
        bounds: _Bounds | None = getattr(_asked, "bounds", None)
        self._streamed = bounds is not None and bounds.streamed
        if bounds is not None:
            raw: Any = self.fp.raw
            raw.__class__ = _Metered
            raw.bound(bounds)

    def begin(self) -> None:
        super().begin()
        file: Any = self.fp
        if self._streamed and self.status < 300 and file is not None:
            file.raw.bound(file.raw.bounds.of_body())


class _Connection(AWSHTTPConnection):
    response_class = _Answer


class BoundedConnection(AWSHTTPSConnection):
    """A connection over TLS whose answers are bounded."""

    response_class = _Answer


class _Pool(AWSHTTPConnectionPool):
    ConnectionCls = _Connection


class BoundedPool(AWSHTTPSConnectionPool):
    """Connections over TLS whose answers are bounded."""

    ConnectionCls = BoundedConnection
