"""Chroma's HTTP API: one request with a deadline, retries, and errors of our own.

The public API is spoken directly. Chroma's Python client has neither timeouts nor retries, hides
the status behind exceptions that do not tell it, and costs each run a second of imports.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, cast

import httpx

from s3sync_dagster.core.patience import WRITE_SECONDS
from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.engine.retry import call_with_retries
from s3sync_dagster.http_bounds import UnboundedAnswer, bounded_client
from s3sync_dagster.model.errors import (
    AccessDenied,
    Conflict,
    FixConfiguration,
    InvalidSetting,
    LimitExceeded,
    NotFound,
    S3SyncError,
    Throttled,
    Unavailable,
)
from s3sync_dagster.ports.chroma_answers import not_chroma
from s3sync_dagster.ports.chroma_errors import index_damaged, may_pass, told_apart

if TYPE_CHECKING:
    from ssl import SSLContext

RETRIED = frozenset({408, 425, 500, 502, 503, 504})
INDEX_BEHIND = "index_behind"
HUNG_UP = "chroma_hung_up"
SELDOM_PASSES = {
    "chroma_error": 3,
    "bad_answer": 3,
    "answer_too_long": 1,
    INDEX_BEHIND: 4,
    HUNG_UP: 3,
}
"""A broken index and a full disk are HTTP 500 as well: they do not pass by waiting. A connection
that broke after the request was sent may mean that just this request ended the server."""
ASKED_ONCE = {**SELDOM_PASSES, HUNG_UP: 1}
QUESTIONS = frozenset({"query"})
"""Operations with something of a stranger's in them: never sent to a server again that they may
have ended. Nothing is lost, and who asked may ask again."""
CONNECT_SECONDS = 10.0
MOST_BYTES = 256 * 1024 * 1024
"""Of an answer."""


class ChromaHttp:
    """A connection to one server. Safe for several threads.

    Messages do not say where it is: tenants of the API read them.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float = WRITE_SECONDS,
        tries: int = 8,
        verify: SSLContext | str | bool = True,
        clock: Clock | None = None,
    ) -> None:
        """Connect at the first request.

        Args:
            url: scheme, host and port; a path before ``/api/v2`` is kept.
            headers: sent with each request, such as a proxy's authorization.
            timeout_seconds: a call ends within it, retries included.
            tries: requests that one call sends at most.
            verify: False, a CA file or a context, as httpx takes it.
            clock: time and chance.

        Raises:
            InvalidSetting: the URL is none.
        """
        self._clock = clock or Clock()
        self._timeout_seconds = timeout_seconds
        self._tries = tries
        self.sent: Counter[str] = Counter()
        """Requests that went over the wire, by operation."""
        parsed = _parse_url(url)
        self._client = bounded_client(
            MOST_BYTES,
            timeout_seconds,
            base_url=str(parsed).rstrip("/") + "/api/v2/",
            headers={"user-agent": "s3sync-dagster", **(headers or {})},
            **way_options(url, verify=_ca_context(verify)),
        )

    def call(
        self,
        operation: str,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        subject: str,
        params: Mapping[str, Any] | None = None,
        within: float | None = None,
        read: Callable[[Any], Any] = lambda answer: answer,
    ) -> Any:
        """Return the decoded answer of a request that may be repeated.

        Args:
            operation: name in ``sent``.
            method: of HTTP.
            path: below ``/api/v2/``, escaped.
            body: sent as JSON.
            subject: what messages name, such as ``collection 'docs'``.
            params: of the query string.
            within: one request, answered within so many seconds; None: with patience.
            read: returns what the decoded answer says; raises ``not_chroma`` for what is none of
                Chroma's, which is asked again.

        Raises:
            S3SyncError: see ``docs/chroma.md`` for which.
        """
        content = None if body is None else _encode(body)
        try:
            return call_with_retries(
                lambda seconds: read(
                    self._send(operation, method, path, content, params, seconds, subject)
                ),
                clock=self._clock,
                timeout_seconds=self._timeout_seconds if within is None else within,
                tries=self._tries if within is None else 1,
                tries_by_reason=ASKED_ONCE if operation in QUESTIONS else SELDOM_PASSES,
            )
        except Unavailable as error:
            if error.reason != INDEX_BEHIND:
                raise
            raise index_damaged(error.message) from None

    def close(self) -> None:
        """Close idle connections."""
        self._client.close()

    def _send(
        self,
        operation: str,
        method: str,
        path: str,
        content: bytes | None,
        params: Mapping[str, Any] | None,
        seconds: float,
        subject: str,
    ) -> Any:
        self.sent[operation] += 1
        try:
            response = self._client.request(
                method,
                path,
                content=content,
                params=params,
                headers=None if content is None else {"content-type": "application/json"},
                timeout=httpx.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds)),
            )
        except httpx.TimeoutException:
            raise Unavailable(
                f"Chroma did not answer within {seconds:.0f} s ({operation}, {subject})",
                reason="chroma_timeout",
            ) from None
        except UnboundedAnswer:
            raise Unavailable(
                "what answers at the address of Chroma answers more than Chroma ever does, or "
                f"does not end ({operation}, {subject})",
                reason="answer_too_long",
            ) from None
        except httpx.TransportError as problem:
            if _untrusted(problem):
                raise InvalidSetting(
                    "the certificate of Chroma is not trusted here: name its CA file "
                    "(SSL_CERT_FILE)",
                    reason="untrusted_certificate",
                ) from None
            if not isinstance(problem, httpx.ConnectError):
                raise Unavailable(
                    f"Chroma ended the connection before it answered ({operation}, {subject})",
                    reason=HUNG_UP,
                ) from None
            raise Unavailable(
                f"Chroma cannot be reached ({type(problem).__name__})",
                reason="chroma_unreachable",
            ) from None
        if not response.is_success:
            raise _failure(response, subject=subject)
        return _decode(response)


def is_loopback_url(url: str) -> bool:
    """Return whether a URL names an address of this machine, which no proxy of others reaches."""
    try:
        return ip_address(httpx.URL(url).host).is_loopback
    except (ValueError, httpx.InvalidURL):
        return False


def way_options(url: str, *, verify: SSLContext | bool = True) -> dict[str, Any]:
    """Return options of an HTTP client: no proxy on the way to this machine, no TLS where none is.

    To read all certificates of this machine takes 25 CPU-ms, for each client.
    """
    here = is_loopback_url(url)
    plain = here and httpx.URL(url).scheme == "http"
    return {"trust_env": not here, "verify": False if plain else verify}


def _parse_url(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL("")
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise InvalidSetting("the Chroma URL must look like http://host:8000 or https://host")
    if parsed.userinfo:
        raise InvalidSetting("the Chroma URL must not hold a password; use a header")
    return parsed


def _untrusted(problem: BaseException | None) -> bool:
    """Return whether a certificate that was refused is behind a failed connection."""
    import ssl  # noqa: PLC0415 - only where a connection failed

    while problem is not None:
        if isinstance(problem, ssl.SSLCertVerificationError):
            return True
        problem = problem.__cause__ or problem.__context__
    return False


def _ca_context(verify: SSLContext | str | bool) -> SSLContext | bool:
    if not isinstance(verify, str):
        return verify
    import ssl  # noqa: PLC0415 - only where a CA file is named

    try:
        return ssl.create_default_context(cafile=verify)
    except (OSError, ssl.SSLError):
        raise InvalidSetting(f"the CA file {verify!r} for Chroma cannot be read") from None


_ABOUT_A_REQUEST = (400, 422)
"""Statuses that may be about the records of a request; others are about the way to Chroma."""


def _encode(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _decode(response: httpx.Response) -> Any:
    if not response.content:
        return None
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        raise not_chroma() from None


def _failure(response: httpx.Response, *, subject: str) -> S3SyncError:
    """Return our error for a status, told apart further by what Chroma says with it."""
    status, said = response.status_code, response.text[:4096]
    where = f"{subject} (HTTP {status})"
    if status in (401, 403):
        return AccessDenied(f"Chroma refused the credentials for {where}")
    if status == 404 and _is_own_word(response):
        return NotFound(f"Chroma does not have {where}")
    if status == 404:
        # Whoever believes this takes every collection for deleted.
        return Unavailable(
            f"What stands before Chroma has no {where}; it is not Chroma's own word.",
            reason="not_chroma",
        )
    if status == 409:
        return Conflict(f"Chroma already has {where}", reason="already_exists")
    if status == 413:
        return LimitExceeded(
            f"Chroma refused a request as too large: {where}", reason="request_too_large"
        )
    if status == 429:
        return _throttled(response, f"Chroma asks for a pause: {where}")
    if may_pass(said):
        return Unavailable(where, reason=INDEX_BEHIND)
    if (error := told_apart(said, where)) is not None:
        return error
    if status in RETRIED:
        reason = "chroma_error" if status == 500 else "chroma_unavailable"
        return Unavailable(f"Chroma failed: {where}", reason=reason)
    if status in _ABOUT_A_REQUEST:
        return InvalidSetting(
            f"Chroma refused a request as invalid: {where}", reason="chroma_refused"
        )
    return FixConfiguration(
        f"What answers at the address of Chroma takes no such request: {where}",
        reason="chroma_misconfigured",
    )


def _is_own_word(response: httpx.Response) -> bool:
    """Return whether Chroma itself says that something is not there (seen: 1.5)."""
    try:
        said = json.loads(response.content)
    except ValueError:
        return False
    answer: dict[str, Any] = cast("dict[str, Any]", said) if isinstance(said, dict) else {}
    return answer.get("error") == "NotFoundError"


def _throttled(response: httpx.Response, message: str) -> Throttled:
    return Throttled(
        message,
        retry_after_seconds=_retry_after_seconds(response.headers.get("retry-after", "")),
    )


def _retry_after_seconds(value: str) -> float:
    """Return the pause a server asks for, as seconds or as a date; 0 for none, 60 at most."""
    if value.isdecimal():  # not by isdigit: that takes a raised two, which is no number
        return min(float(value), 60.0)
    try:
        wanted = parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return 0.0
    return min(max((wanted - Clock().now()).total_seconds(), 0.0), 60.0)
