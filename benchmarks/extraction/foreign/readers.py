"""The readers that are compared, each in a process of its own that a hang does not outlive."""

import json
import os
import select
import subprocess
import sys
from pathlib import Path
from typing import Any

MAX_SECONDS = 120.0
_SERVER = Path(__file__).with_name("reader_process.py")


class Reader:
    """A process that reads files, started anew after one that took it down."""

    def __init__(self, name: str, python: str) -> None:
        self.name = name
        self._command = [python, str(_SERVER), name]
        self._process: subprocess.Popen[bytes] | None = None

    def read(self, path: Path) -> dict[str, Any]:
        """Return ``text`` or ``reason``, ``cpu`` in seconds, ``memory`` in bytes."""
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
                if self._command[0] == sys.executable
                else None,
            )
            self._answer()  # it says when it has loaded
        assert self._process.stdin is not None
        self._process.stdin.write(f"{path}\n".encode())
        self._process.stdin.flush()
        answer = self._answer()
        if answer is None:
            self.close()
            return {"reason": "hang or crash", "cpu": MAX_SECONDS, "memory": 0}
        return answer

    def _answer(self) -> dict[str, Any] | None:
        assert self._process is not None
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], MAX_SECONDS)
        line = self._process.stdout.readline() if ready else b""
        return json.loads(line) if line else None

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
