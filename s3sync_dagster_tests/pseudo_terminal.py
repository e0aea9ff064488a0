"""A program on a terminal: what it draws, when, and keys that reach its whole foreground group."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Self

_ADOPT = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); "
    "os.execv(sys.argv[1], sys.argv[1:])"
)
"""Makes the terminal that of its session: only then Ctrl-C is a signal to all in front."""


class PseudoTerminal:
    """A process whose standard streams are a terminal of its own, as a person's shell gives it.

    Attributes:
        writes: what was written, each piece with its monotonic time.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        columns: int = 100,
    ) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.writes: list[tuple[float, bytes]] = []
        variables = {**(os.environ if environment is None else environment), "TERM": "xterm"}
        for name in ("COLUMNS", "LINES"):  # a test run of several workers has them set
            variables.pop(name, None)
        self.popen = subprocess.Popen(
            [sys.executable, "-S", "-c", _ADOPT, *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env=variables,
            start_new_session=True,
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.popen.poll() is None:
            os.killpg(self.popen.pid, signal.SIGKILL)
            self.end()

    def press(self, key: str) -> None:
        """Press a key; ``\\x03`` is Ctrl-C, which the terminal turns into signals."""
        os.write(self._ours, key.encode())

    def raw(self) -> str:
        """Return all that was written."""
        return b"".join(piece for _, piece in self.writes).decode(errors="replace")

    def text(self) -> str:
        """Return it without what moves the cursor and colours the letters."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.raw()).replace("\r\n", "\n")

    def wait_for(self, condition: Callable[[], bool], seconds: float = 120.0) -> None:
        """Wait for something while the program runs."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.popen.poll() is None, self.text()
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.02)

    def end(self, seconds: float = 120.0) -> int:
        """Wait for the end; return the exit code."""
        code = self.popen.wait(seconds)
        self._reader.join(10)
        os.close(self._ours)
        return code

    def _read(self) -> None:
        while True:
            try:
                piece = os.read(self._ours, 65536)
            except OSError:  # Linux says so when nobody has the other end any more
                return
            if not piece:
                return
            self.writes.append((time.monotonic(), piece))
