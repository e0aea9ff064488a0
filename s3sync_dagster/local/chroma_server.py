"""One Chroma server per data folder, shared by all that work on it; the last one out stops it.

Two locks in ``HOME/chroma`` (``flock``, freed by the kernel however a process ends):

* ``.lock`` is taken before the server starts and handed on to the server process as an open
  descriptor: it is held exactly as long as a server lives, whatever happens to its parent.
* ``.users`` is held shared by every process that uses the server. Who leaves and can take it
  alone was the last one, and stops the server.

``server.json`` beside them has pid and address. A server whose users were all killed stays
until the next user comes and goes.

Chroma asks nobody who he is and takes every ``Host``. So it listens on a loopback address that
no page in a browser can guess; people and their programs reach it through ``chroma_door``.
"""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeGuard

import httpx
import psutil

from s3sync_dagster.local.home import writable
from s3sync_dagster.local.loopback import free_port, unguessable_host
from s3sync_dagster.local.privacy import OTHERS, make_private, private_file
from s3sync_dagster.local.signals import interrupted_later
from s3sync_dagster.model.errors import Conflict, FixConfiguration, Unavailable
from s3sync_dagster.ports.chroma_http import way_options
from s3sync_dagster.settings import Settings

_PROGRAM = "s3sync_dagster.ports.chroma_program"
START_SECONDS = 60.0
"""How long a server may take to answer, measured: 0.6 s idle, more than 20 where six programs want
each core. One that ends is not waited for."""
FIND_SECONDS = START_SECONDS + 5
"""How long a server that somebody else is starting is waited for."""
SILENT_SECONDS = 3.0
"""So long a wait needs no word; a longer one is told, with what is waited for."""
STOP_SECONDS = 10.0
"""How long a server may take to end after SIGTERM, measured: 4 s under load."""


@dataclass(frozen=True, slots=True)
class ChromaServer:
    """A server that answers."""

    url: str
    pid: int | None = None
    """None for a server that another machine or person runs."""
    started: bool = False
    """True when this process started it."""


@contextlib.contextmanager
def use_chroma(settings: Settings) -> Iterator[ChromaServer]:
    """Give the Chroma of ``S3SYNC_CHROMA_URL``, else this home's, started when nobody has yet.

    Raises:
        Unavailable: the server named by URL does not answer (``chroma_unavailable``).
        Conflict: another process holds the data folder and does not answer (``chroma_locked``).
        FixConfiguration: the server ends or stays silent at its start (``chroma_start``).
    """
    if settings.chroma_url is not None:
        if not answers(settings.chroma_url):
            raise Unavailable(
                f"No Chroma answers at {_without_password(settings.chroma_url)}: start it, or "
                "correct S3SYNC_CHROMA_URL or --chroma-url.",
                reason="chroma_unavailable",
            )
        yield ChromaServer(settings.chroma_url)
        return
    folder = settings.home / "chroma"
    with writable(settings.home):
        make_private(settings.home)
        folder.mkdir(mode=0o700, exist_ok=True)
        (settings.home / "logs").mkdir(mode=0o700, exist_ok=True)
        users = (folder / ".users").open("a")
    with users:
        _lock_shared(users)
        server = _find_or_start(folder, settings)
        try:
            yield server
        finally:
            _leave(users, folder)


def running_chroma(settings: Settings) -> ChromaServer | None:
    """Return this home's server when one answers; starts nothing."""
    return _running(settings.home / "chroma")


def revive_chroma(settings: Settings, server: ChromaServer) -> ChromaServer | None:
    """Start a server that died again at its old address; None when it lives or others did so.

    For a process inside ``use_chroma`` that lives long, such as the supervisor.
    """
    folder = settings.home / "chroma"
    with (folder / ".lock").open("a") as lock:
        if not _try_lock(lock):
            return None
        return _start(folder, lock, settings, at=httpx.URL(server.url))


def stop_unused_chroma(folder: Path) -> None:
    """Stop the server of ``folder`` when nobody uses it: what killed users have left behind."""
    with (folder / ".users").open("a") as users:
        _leave(users, folder)


def answers(url: str, *, timeout_seconds: float = 5.0) -> bool:
    """Say whether a Chroma server answers its heartbeat at ``url``."""
    try:
        with httpx.Client(timeout=timeout_seconds, **way_options(url)) as http:
            reply = http.get(f"{url}/api/v2/heartbeat")
        return reply.status_code == 200 and "nanosecond heartbeat" in reply.json()
    except (httpx.HTTPError, ValueError):
        return False


_started: list[subprocess.Popen[bytes]] = []
"""Servers of this process. They may outlive it: nobody waits for them, and none is forgotten."""


def _find_or_start(folder: Path, settings: Settings) -> ChromaServer:
    deadline = time.monotonic() + FIND_SECONDS
    tells_at = time.monotonic() + SILENT_SECONDS
    while True:
        # Held by the server alone once it runs: our own copy is closed on the way out.
        with (folder / ".lock").open("a") as lock:
            if _try_lock(lock):
                return _start(folder, lock, settings)
        if server := _running(folder):
            return server
        pid = _read_state(folder).get("pid", "unknown, see `fuser` on that file")
        if time.monotonic() > tells_at:
            tells_at = deadline + 1
            told = f"Waiting for Chroma (pid {pid}), which does not answer yet."
            print(told, file=sys.stderr)  # noqa: T201  (the next answer may be a minute away)
        if time.monotonic() > deadline:
            raise Conflict(
                f"{str(folder / '.lock')!r} is held (pid {pid}), but no Chroma answers there: "
                "end that process, or name another folder in S3SYNC_HOME.",
                reason="chroma_locked",
            )
        time.sleep(0.1)


def _start(
    folder: Path, lock: IO[str], settings: Settings, *, at: httpx.URL | None = None
) -> ChromaServer:
    state = folder / "server.json"
    state.unlink(missing_ok=True)
    log = settings.home / "logs" / "chroma.log"
    host = at.host if at else unguessable_host()
    port = (at and at.port) or free_port(host)
    command = [sys.executable, "-m", _PROGRAM, "run", "--path", str(folder)]
    command += ["--host", host, "--port", str(port)]
    process: subprocess.Popen[bytes] | None = None
    try:
        with interrupted_later(), open(log, "ab", opener=private_file) as output:
            process = subprocess.Popen(
                command,
                env=settings.child_environment() | {"ANONYMIZED_TELEMETRY": "False"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[lock.fileno()],
                umask=OTHERS,
                start_new_session=True,  # Ctrl-C is for the commands, which stop the server last
            )
            _started[:] = [process, *(one for one in _started if one.poll() is None)]
        server = ChromaServer(f"http://{host}:{port}", process.pid, started=True)
        state.write_text(json.dumps({"pid": server.pid, "url": server.url}), "utf-8")
        _wait(lambda: process.poll() is not None or _is_healthy(server), START_SECONDS)
        healthy = process.poll() is None and _is_healthy(server)
    except BaseException:  # also Ctrl-C: nobody else knows of this server yet
        if process is not None:
            _end(process)
        raise
    if not healthy:
        _end(process)
        raise FixConfiguration(
            f"Chroma did not start on {str(folder)!r}: {str(log)!r} says why.",
            reason="chroma_start",
        )
    return server


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _running(folder: Path) -> ChromaServer | None:
    state = _read_state(folder)
    if not isinstance(state.get("pid"), int) or not isinstance(state.get("url"), str):
        return None
    server = ChromaServer(state["url"], state["pid"])
    return server if _is_healthy(server) else None


def _is_healthy(server: ChromaServer) -> bool:
    """A heartbeat is not enough: after a crash the port may belong to another home's server."""
    port = httpx.URL(server.url).port
    try:
        sockets = psutil.Process(server.pid).net_connections(kind="tcp")
    except psutil.Error:
        return False
    listens = any(s.status == psutil.CONN_LISTEN and s.laddr.port == port for s in sockets)
    return listens and answers(server.url)


def _leave(users: IO[str], folder: Path) -> None:
    if not _try_lock(users):
        return  # others still work with the server
    pid = _read_state(folder).get("pid")
    with (folder / ".lock").open("a") as lock:
        if _try_lock(lock) or not _is_chroma(pid, folder):
            return  # no server lives, or one that we know nothing of
        _signal(pid, signal.SIGTERM)
        if not _wait(lambda: _try_lock(lock), STOP_SECONDS):
            _signal(pid, signal.SIGKILL)
            _wait(lambda: _try_lock(lock), STOP_SECONDS)
        (folder / "server.json").unlink(missing_ok=True)
    _reap(pid)


def _is_chroma(pid: int | None, folder: Path) -> TypeGuard[int]:
    """Say whether ``pid`` runs a server on ``folder``: pids are used again."""
    try:
        return pid is not None and str(folder) in psutil.Process(pid).cmdline()
    except psutil.Error:
        return False


def _read_state(folder: Path) -> dict:
    try:
        state = json.loads((folder / "server.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}  # not written yet: the caller waits for it
    return state if isinstance(state, dict) else {}


def _try_lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_shared(users: IO[str]) -> None:
    """Wait for a last user who is stopping the server right now."""
    deadline = time.monotonic() + 2 * STOP_SECONDS + START_SECONDS
    while True:
        try:
            fcntl.flock(users, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Conflict(
                    f"{users.name!r} is held by a process that does not end.",
                    reason="chroma_locked",
                ) from None
            time.sleep(0.05)
        else:
            return


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _reap(pid: int) -> None:
    """Collect the server where it was this process's own child."""
    for process in [one for one in _started if one.pid == pid]:
        if _wait(lambda process=process: process.poll() is not None, 2.0):
            _started.remove(process)


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def _without_password(url: str) -> str:
    return str(httpx.URL(url).copy_with(userinfo=b""))
