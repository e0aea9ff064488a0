"""Checks of the parts, asked in parallel and remembered for a moment."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late

from s3sync_dagster.model.errors import S3SyncError

_log = logging.getLogger(__name__)

CHECK_SECONDS = 3.0
REMEMBER_SECONDS = 2.0
Check = Callable[[], None]


class Health:
    """Checks of the parts, each within ``CHECK_SECONDS``."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = dict(checks)
        self._threads = ThreadPoolExecutor(max_workers=len(checks), thread_name_prefix="health")
        self._running: dict[str, Future[str]] = {}
        """The newest check of each part: while one hangs there is no other of its part."""
        self._asking = ThreadPoolExecutor(max_workers=1, thread_name_prefix="health-round")
        self._lock = threading.Lock()
        self._round: Future[dict[str, str]] | None = None
        self._ended = 0.0

    def round(self) -> "Future[dict[str, str]]":
        """Return the round of checks that is going on or has just ended; it is not to be cancelled.

        All who ask wait for one round, and for it alone: whoever has no thread needs none.
        """
        with self._lock:
            stale = time.monotonic() - self._ended > REMEMBER_SECONDS
            if self._round is None or (self._round.done() and stale):
                self._round = self._asking.submit(self._ask)
            return self._round

    def parts(self) -> dict[str, str]:
        """Return ``ok`` or a reason word for each part."""
        return self.round().result()

    def close(self) -> None:
        """Let checks that hang end by themselves."""
        self._asking.shutdown(wait=False, cancel_futures=True)
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _ask(self) -> dict[str, str]:
        for name, check in self._checks.items():
            if name not in self._running or self._running[name].done():
                self._running[name] = self._threads.submit(_outcome, check)
        deadline = time.monotonic() + CHECK_SECONDS
        answers: dict[str, str] = {}
        for name, future in self._running.items():
            try:
                answers[name] = future.result(max(0.0, deadline - time.monotonic()))
            except Late:
                answers[name] = "timeout"
        self._ended = time.monotonic()
        return answers


def _outcome(check: Check) -> str:
    try:
        check()
    except S3SyncError as error:
        return error.reason
    except Exception as error:  # noqa: BLE001  (whatever a check meets, the part is not well)
        _log.warning("health check failed: %s", type(error).__name__)
        return "error"
    return "ok"
