"""Ends the supervisor's children when the supervisor dies without ending them (SIGKILL).

Runs as ``python -m s3sync_dagster.local.guardian HOME`` and reads its standard input: one
process group per line (``-N`` takes one back), then ``done`` from a supervisor that has cleaned
up by itself. An end of input without ``done`` means that the supervisor is dead. While it lives
it holds the lock of the stack, so that the next ``s3sync up`` waits for the end of the clean-up.
"""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

GRACE_SECONDS = 8.0
"""Between SIGTERM to all groups and SIGKILL; run workers get the SIGTERM too."""


class Guardian:
    """The supervisor's end of the pipe."""

    def __init__(self, home: Path, *, environment: dict[str, str], keep_open: list[int]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "s3sync_dagster.local.guardian", str(home)],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=keep_open,
            start_new_session=True,  # out of reach of Ctrl-C
        )
        assert self._process.stdin is not None
        self._input: IO[bytes] = self._process.stdin

    def watch(self, group: int) -> None:
        """Remember a process group."""
        self._tell(f"{group}\n")

    def forget(self, group: int) -> None:
        """A group is empty: its number may soon belong to somebody else."""
        self._tell(f"-{group}\n")

    def dismiss(self) -> None:
        """Let it end: everything is cleaned up."""
        self._tell("done\n")
        with contextlib.suppress(BrokenPipeError):
            self._input.close()
        self._process.wait()

    def _tell(self, line: str) -> None:
        with contextlib.suppress(BrokenPipeError):  # somebody killed it: nothing to guard with
            self._input.write(line.encode())
            self._input.flush()


def main() -> None:
    """Watch until the input ends."""
    groups: list[int] = []
    for line in sys.stdin:
        if line.strip() == "done":
            return
        if line.startswith("-"):
            groups.remove(int(line[1:]))
        else:
            groups.append(int(line))
    for group in groups:
        _signal(group, signal.SIGTERM)
    deadline = time.monotonic() + GRACE_SECONDS
    while time.monotonic() < deadline and any(_signal(group, 0) for group in groups):
        time.sleep(0.1)
    for group in groups:
        _signal(group, signal.SIGKILL)
    # Imported here: until now this process weighed 10 MB.
    from s3sync_dagster.local.chroma_server import stop_unused_chroma  # noqa: PLC0415

    stop_unused_chroma(Path(sys.argv[1]) / "chroma")


def _signal(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    main()
