"""A real ``chroma run`` and real model files; ``conftest.py`` makes the fixtures known."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from s3sync_dagster.local.loopback import free_port

START_SECONDS = 180.0


@dataclass
class ChromaServer:
    """One ``chroma run`` with its data folder."""

    path: Path
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def kill(self) -> None:
        """Send SIGKILL and wait: the folder stays as the crash left it."""
        self.process.kill()
        self.process.wait(30)

    def stop(self) -> None:
        """Send SIGTERM, which lets Chroma finish; SIGKILL after 30 s."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()

    def restart(self) -> None:
        """Start again on the same folder and port."""
        self.process = _spawn(self.path, self.port, self.log)
        _wait_until_healthy(self)


def start_chroma(path: Path) -> ChromaServer:
    """Start ``chroma run`` on ``path`` and a free port; the caller stops it.

    Raises:
        RuntimeError: no heartbeat within three minutes, or three taken ports in a row.
    """
    path.mkdir(parents=True, exist_ok=True)
    log = path.parent / f"{path.name}.chroma.log"
    for _ in range(3):
        port = free_port()
        server = ChromaServer(path=path, port=port, process=_spawn(path, port, log), log=log)
        with suppress(ChildProcessError):
            _wait_until_healthy(server)
            return server
    raise RuntimeError(f"chroma run did not start: {log.read_text()[-2000:]}")


def _spawn(path: Path, port: int, log: Path) -> subprocess.Popen[bytes]:
    # What `chroma` runs, without the Python client that its script loads first.
    command = [sys.executable, "-m", "s3sync_dagster.ports.chroma_program", "run"]
    command += ["--path", str(path), "--host", "127.0.0.1", "--port", str(port)]
    with log.open("ab") as out:
        return subprocess.Popen(
            command,
            stdout=out,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "ANONYMIZED_TELEMETRY": "False"},
        )


def _wait_until_healthy(server: ChromaServer) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            raise ChildProcessError("chroma run ended")
        with suppress(httpx.HTTPError):
            # Without TLS nothing is verified: to read all certificates costs 25 CPU-ms a look.
            answer = httpx.get(f"{server.url}/api/v2/heartbeat", timeout=2, verify=False)
            # A second look: the answer may come from whoever has the port while ours gives up.
            time.sleep(0.05)
            if answer.status_code == 200 and server.process.poll() is None:
                return
        time.sleep(0.05)
    server.kill()
    raise RuntimeError(f"chroma run gave no heartbeat: {server.log.read_text()[-2000:]}")


@pytest.fixture(scope="session")
def chroma_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of one server for all tests of this process. Use collection names of your own."""
    server = start_chroma(tmp_path_factory.mktemp("chroma") / "data")
    yield server.url
    server.kill()  # SIGTERM would wait for the connections that tests left open


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder for converted models. Outlives the session: a conversion takes three seconds."""
    return tmp_path_factory.getbasetemp().parent / "s3sync-models"
