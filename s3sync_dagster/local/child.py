"""One supervised process: started in its own group, watched, started again, ended in time."""

import contextlib
import logging
import os
import signal
import socket
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path

from s3sync_dagster.local.guardian import Guardian
from s3sync_dagster.local.logs import keep_short
from s3sync_dagster.local.privacy import OTHERS, private_file
from s3sync_dagster.local.signals import interrupted_later

_log = logging.getLogger(__name__)

RESTARTS = 5
"""So many in ``RESTART_WINDOW_SECONDS``; one more and the child counts as broken."""
RESTART_WINDOW_SECONDS = 600.0


class Restarts:
    """How often a part was started again lately."""

    def __init__(self) -> None:
        self._moments: deque[float] = deque()

    def one_more(self, now: float) -> bool:
        """Count a restart; False, and not counted, when there were ``RESTARTS`` lately."""
        while self._moments and now - self._moments[0] > RESTART_WINDOW_SECONDS:
            self._moments.popleft()
        if len(self._moments) >= RESTARTS:
            return False
        self._moments.append(now)
        return True


class Child:
    """A process that should run until it is told to end.

    Children get the default reaction to SIGINT and SIGTERM because this process has handlers
    of its own (``stop_on_signals``): Dagster copies SIGINT's to SIGTERM, and one that starts
    with SIGINT ignored could not be ended. Their own process group keeps Ctrl-C from them.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str],
        log: Path,
        guardian: Guardian | None = None,
        listener: socket.socket | None = None,
    ) -> None:
        """Keep how it is started.

        Args:
            name: for people.
            command: with its arguments.
            environment: all of it.
            log: what gets what it says.
            guardian: ends it when this process was killed.
            listener: where it serves, as ``--fd``. It stays open here while it is started again.
        """
        self.name = name
        self.log = log
        self._kept_open = [] if listener is None else [listener.fileno()]
        self._command = [*command, *(f"--fd={one}" for one in self._kept_open)]
        self._environment = dict(environment)
        self._guardian = guardian
        self._process: subprocess.Popen[bytes] | None = None
        self._groups: list[int] = []
        self._restarts = Restarts()

    @property
    def pid(self) -> int | None:
        """The process, None before the first start."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the process."""
        keep_short(self.log)
        with interrupted_later(), open(self.log, "ab", opener=private_file) as output:
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=self._kept_open,
                process_group=0,
                umask=OTHERS,
            )
            self._groups.append(self._process.pid)
            if self._guardian:
                self._guardian.watch(self._process.pid)

    def exit_code(self) -> int | None:
        """Return how it ended; None while it runs."""
        return self._process.poll() if self._process else None

    def revive(self) -> bool:
        """Start it again when it has ended; False when it has done so too often."""
        self._forget_empty_groups()
        code = self.exit_code()
        if code is None:
            return True
        if not self._restarts.one_more(time.monotonic()):
            _log.error("%s has ended %d times: given up", self.name, RESTARTS + 1)
            return False
        _log.warning("%s ended (%s): started again, see %s", self.name, _how(code), self.log)
        self.start()
        return True

    def ask_to_end(self) -> None:
        """Send SIGTERM to the process itself; its children are its own business first."""
        if self._process and self._process.poll() is None:
            self._process.terminate()

    def end(self, seconds: float) -> None:
        """Wait up to ``seconds``, then kill; nothing of its groups is left afterwards."""
        if self._process:
            try:
                self._process.wait(max(seconds, 0.0))
            except subprocess.TimeoutExpired:
                _log.info("%s did not end in time: killed", self.name)
        for group in self._groups:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        if self._process:
            self._process.wait()

    def _forget_empty_groups(self) -> None:
        """Earlier groups may hold run workers that finish; an empty one's number is used again."""
        for group in self._groups[:-1]:
            try:
                os.killpg(group, 0)
            except (ProcessLookupError, PermissionError):
                self._groups.remove(group)
                if self._guardian:
                    self._guardian.forget(group)


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
