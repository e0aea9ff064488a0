"""HTTP to an embedding endpoint: requests side by side, retries, batches that shrink on refusal."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from s3sync_dagster.embedding.pace import Pace
from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.engine.retry import call_with_retries
from s3sync_dagster.http_bounds import UnboundedAnswer, bounded_client
from s3sync_dagster.model.errors import (
    AccessDenied,
    InvalidSetting,
    LimitExceeded,
    NotFound,
    S3SyncError,
    Throttled,
    Unavailable,
)

if TYPE_CHECKING:
    from s3sync_dagster.engine.ports import Vector, Vectors

TRANSIENT = frozenset({408, 425, 500, 502, 503, 504})
REFUSED = frozenset({400, 413, 422})
"""What endpoints answer to a batch or a text that is too long for them."""
BATCH_TEXTS, MOST_TEXTS = 64, 128
"""Of a request: so many, and up to twice as many where all requests under way are full of a quick
endpoint's texts."""
BATCH_BYTES = 256 * 1024
CONCURRENCY = 8
"""Requests under way: a far service answers each in a tenth of a second, whatever is in it."""
SLOW_SECONDS, LEAST_TEXTS = 1.0, 4
"""Texts that one request would take so long for are shared by all that may be under way, so many
each at least: an endpoint that is asked for few texts at a time has one request otherwise."""
TIMEOUT_SECONDS = 120.0
QUESTION_SECONDS = 20.0
"""Of pauses that a question waits for: somebody waits for it, in a thread of a server."""
TRIES = 8
CONNECT_SECONDS = 10.0
MOST_BYTES = 32 * 1024 * 1024
"""Of an answer: 128 vectors of 8,192 numbers take 24 MB."""
MOST_LISTS = 100_000
"""In an answer: each takes far more memory than it has bytes."""
SHOWN_LENGTHS = 5
"""Of vectors that should have one, which people are shown."""
_ASKED_ONCE = {"answer_too_long": 1, "throttled": 1}
"""The pace has asked again already, as long as there was time."""
Row = TypeVar("Row")


class Endpoint:
    """One URL that takes texts and gives vectors. Safe for several threads."""

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        tries: int = TRIES,
        concurrency: int = CONCURRENCY,
        clock: Clock | None = None,
    ) -> None:
        """Connect at the first request.

        Raises:
            InvalidSetting: the URL is none.
        """
        parsed = _parse_url(url)
        port = f":{parsed.port}" if parsed.port else ""
        self.address = f"{parsed.scheme}://{parsed.host}{port}{parsed.path}"
        self._url = parsed
        self._clock = clock or Clock()
        self._timeout_seconds = timeout_seconds
        self._tries = tries
        self._concurrency = concurrency
        self._lock = threading.Lock()
        self._batch_texts = MOST_TEXTS
        self._text_seconds: float | None = None  # the least that a text has taken; None: not known
        self._pace = Pace(self._clock)
        self._own = threading.local()
        """``hurried``: whether this thread asks for a question."""
        self._client = bounded_client(
            MOST_BYTES,
            timeout_seconds,
            headers={"user-agent": "s3sync-dagster", **(headers or {})},
        )
        self.requests = 0
        """Requests that went over the wire."""

    def embed(
        self, texts: Sequence[str], ask: Callable[[Sequence[str]], Sequence[Vector]]
    ) -> Vectors:
        """Return one row per text as an array (see ``embed_rows``).

        Raises:
            Unavailable: the rows are not all of one length (``bad_vectors``).
        """
        import numpy as np

        rows = self.embed_rows(texts, ask)
        if len({row.shape for row in rows}) > 1:
            lengths = ", ".join(sorted({str(row.size) for row in rows}, key=int)[:SHOWN_LENGTHS])
            raise Unavailable(
                f"{self.address} gave vectors of different lengths ({lengths}): it answers with "
                "more than one model",
                reason="bad_vectors",
            )
        return np.stack(rows)

    def embed_question(self, text: str, ask: Callable[[Sequence[str]], Sequence[Vector]]) -> Vector:
        """Return the vector of a question: before all texts, and not behind long pauses."""
        self._own.hurried = True
        try:
            return self.embed([text], ask)[0]
        finally:
            self._own.hurried = False

    def embed_rows(
        self, texts: Sequence[str], ask: Callable[[Sequence[str]], Sequence[Row]]
    ) -> list[Row]:
        """Return one row per text; ``ask`` sends one batch (with ``post``) and reads its answer.

        Raises:
            LimitExceeded: the endpoint refuses a text even when it is alone (``text_refused``).
        """
        batches = _batches(texts, self._texts_a_request(len(texts)))
        if len(batches) == 1:
            return self._embed(texts, ask)
        with ThreadPoolExecutor(self._concurrency, thread_name_prefix="embed") as pool:
            parts = pool.map(lambda batch: self._embed(batch, ask), batches)
            return [row for part in parts for row in part]

    def _texts_a_request(self, number: int) -> int:
        with self._lock:
            most, each = self._batch_texts, self._text_seconds
        share = math.ceil(number / self._concurrency)
        if each is None:
            return min(most, BATCH_TEXTS)
        if min(number, BATCH_TEXTS) * each >= SLOW_SECONDS:
            return min(most, max(LEAST_TEXTS, share))
        return min(most, max(BATCH_TEXTS, min(share, int(SLOW_SECONDS / each))))

    def _embed(
        self, texts: Sequence[str], ask: Callable[[Sequence[str]], Sequence[Row]]
    ) -> list[Row]:
        began = self._clock.monotonic()
        try:
            vectors = list(ask(texts))
        except LimitExceeded:
            if len(texts) == 1:
                raise
            half = len(texts) // 2
            with self._lock:
                self._batch_texts = min(self._batch_texts, max(half, 1))
            return [*self._embed(texts[:half], ask), *self._embed(texts[half:], ask)]
        if len(vectors) != len(texts):
            raise Unavailable(
                f"{self.address} gave {len(vectors)} vectors for {len(texts)} texts",
                reason="bad_vectors",
            )
        if len(texts) >= LEAST_TEXTS:  # what a request costs by itself would count for one or two
            each = (self._clock.monotonic() - began) / len(texts)
            with self._lock:  # the least: pauses and tries of a request say nothing of the model
                self._text_seconds = min(each, self._text_seconds or each)
        return vectors

    def post(self, body: Mapping[str, Any]) -> Any:
        """Return the decoded answer.

        Raises:
            AccessDenied: the key is missing or wrong.
            NotFound: no such URL or model.
            LimitExceeded: the endpoint refuses this batch (``text_refused``).
            Unavailable: all tries failed.
        """
        return call_with_retries(
            lambda seconds: self._send(body, seconds),
            clock=self._clock,
            timeout_seconds=self._timeout_seconds,
            tries=self._tries,
            tries_by_reason=_ASKED_ONCE,
        )

    def _send(self, body: Mapping[str, Any], seconds: float) -> Any:
        """Ask until the answer is no refusal of the pace, within the seconds that are left."""
        now, hurried = self._clock.monotonic(), getattr(self._own, "hurried", False)
        deadline = now + seconds
        patience = min(deadline, now + QUESTION_SECONDS) if hurried else deadline
        while (started := self._pace.wait(until=patience, first=hurried)) is not None:
            answer = self._ask_once(body, max(1.0, deadline - self._clock.monotonic()))
            if not isinstance(answer, Throttled):
                self._pace.taken()
                return answer
            self._pace.refused(started, asked_seconds=answer.retry_after_seconds)
        raise Throttled(
            f"the embedding endpoint {self.address} asks for pauses (HTTP 429) that leave no time",
            retry_after_seconds=self._pace.pause_left(),
        )

    def _ask_once(self, body: Mapping[str, Any], seconds: float) -> Any:
        with self._lock:
            self.requests += 1
        timeout = httpx.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds))
        try:
            response = self._client.post(self._url, json=body, timeout=timeout)
        except httpx.TimeoutException:
            raise Unavailable(
                f"the embedding endpoint {self.address} did not answer within {seconds:.0f} s",
                reason="embedding_timeout",
            ) from None
        except UnboundedAnswer:
            raise self._too_long() from None
        except httpx.TransportError as problem:
            raise Unavailable(
                f"the embedding endpoint {self.address} cannot be reached "
                f"({type(problem).__name__})",
                reason="embedding_unreachable",
            ) from None
        if not response.is_success:
            failure = _failure(response, self.address)
            if isinstance(failure, Throttled):
                return failure
            raise failure
        content = response.content
        if content.count(b"[") + content.count(b"{") > MOST_LISTS:
            raise self._too_long()
        try:
            return response.json()
        except (ValueError, RecursionError):
            raise Unavailable(
                f"what answers at {self.address} is no embedding endpoint", reason="bad_vectors"
            ) from None

    def _too_long(self) -> Unavailable:
        return Unavailable(
            f"what {self.address} answers is longer than any answer of an embedding endpoint, or "
            "does not end",
            reason="answer_too_long",
        )


def vector_of(numbers: Any) -> Vector:
    """Return one vector of an answer; what is null or NaN there stays NaN: of a text it may be so.

    Raises ``TypeError`` and ``ValueError`` for what is none.
    """
    import numpy as np

    try:
        made = np.array(numbers, dtype=np.float32)
    except OverflowError:  # a whole number of hundreds of digits
        raise ValueError from None
    if made.ndim != 1:
        raise ValueError
    return made


def _batches(texts: Sequence[str], batch_texts: int) -> list[list[str]]:
    batches: list[list[str]] = [[]]
    size = 0
    for text in texts:
        own = len(text.encode(errors="replace"))
        if batches[-1] and (len(batches[-1]) == batch_texts or size + own > BATCH_BYTES):
            batches.append([])
            size = 0
        batches[-1].append(text)
        size += own
    return batches


def _failure(response: httpx.Response, address: str) -> S3SyncError:
    status = response.status_code
    where = f"{address} (HTTP {status})"
    if status in (401, 403):
        return AccessDenied(f"the embedding endpoint refused the key: {where}")
    if status == 404:
        return NotFound(f"the embedding endpoint does not know this URL or model: {where}")
    if status == 429:
        after = response.headers.get("retry-after", "")
        return Throttled(
            f"the embedding endpoint asks for a pause: {where}",
            retry_after_seconds=min(float(after), 60.0) if after.isdecimal() else 0.0,
        )
    if status in REFUSED:
        return LimitExceeded(
            f"the embedding endpoint refused the text: {where}; a smaller chunking.max_size_bytes "
            "may help",
            reason="text_refused",
        )
    if status in TRANSIENT:
        return Unavailable(
            f"the embedding endpoint failed: {where}", reason="embedding_unavailable"
        )
    return InvalidSetting(f"the embedding endpoint refused the request: {where}")


def _parse_url(url: str) -> httpx.URL:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL("")
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.userinfo:
        raise InvalidSetting(
            "embedding.endpoint_url must look like https://host/v1, without a password"
        )
    return parsed
