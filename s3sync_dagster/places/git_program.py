"""The program ``git``, run without prompts, hooks, helpers or anybody's configuration.

Secrets reach it as configuration in its environment, never in a URL, an argument or a file. What
it says on standard error is read for what went wrong and never repeated.
"""

import base64
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from s3sync_dagster.model.errors import (
    AccessDenied,
    FixConfiguration,
    InvalidSetting,
    MissingEngine,
    S3SyncError,
    Unavailable,
)
from s3sync_dagster.places.disk_room import LEAST_FREE_BYTES, is_short, size_of
from s3sync_dagster.ports.addresses import is_address
from s3sync_dagster.ports.aws_guard import TRUSTED_TENANTS, AddressGuard

ASK_SECONDS = 60.0
"""For a question to the server, and for what happens on this disk alone."""
FETCH_SECONDS = 900.0
"""For a fetch of files, and for whoever waits until another one's has ended. No tick of a sensor
waits for so long: it goes on beside it."""
SILENT_SECONDS = 60
"""A transfer of less than 1,000 bytes a second for so long is given up."""
LOOK_SECONDS = 0.25
MAX_ANSWER_BYTES = 128 * 1024 * 1024
"""Of what git prints, such as the list of a commit's files."""
MEMORY_BYTES = 1024**3
"""Of each process of git: it holds what a server says, and what its objects unfold to."""
MAX_TOLD_BYTES = 1024 * 1024
"""Of what git says on standard error, where the server may speak as well."""
_TOLD_BYTES = 64 * 1024
_PORTS = {"http": 80, "https": 443, "ssh": 22}
_PROXIES = {
    "http": ("http_proxy", "all_proxy"),
    "https": ("https_proxy", "HTTPS_PROXY", "all_proxy"),
}
_NOWHERE = "255.255.255.255"
"""No connection can be made to it: git fails where it would not ask the proxy after all."""
LEAST_VERSION = (2, 38)
"""Of git: ``cat-file -z``, ``http.curloptResolve``."""
_PASSED_ON = (
    "HOME", "https_proxy", "HTTPS_PROXY", "http_proxy", "no_proxy", "NO_PROXY", "all_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "GIT_SSL_CAINFO", "SSH_AUTH_SOCK", "TMPDIR",
)  # fmt: skip
_PLAIN = {
    "core.bigFileThreshold": "64m",  # larger files pass through in pieces
    "core.hooksPath": os.devnull,
    "credential.helper": "",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "fetch.writeCommitGraph": "false",
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "1000",
    "pack.threads": "1",
    "http.lowSpeedTime": str(SILENT_SECONDS),
    "protocol.version": "2",
    "submodule.recurse": "false",
}

_BOUNDED = 'ulimit -d "$0" 2>/dev/null; exec "$@"'
"""What it maps of its own packs is no memory; a system without such a bound has none."""
_ENDS_WITH_US = ("setpriv", "--pdeathsig", "TERM", "timeout", "--kill-after=5")
"""A server that never ends its answer would have a git for ever that outlives who bounds it: git's
children do not end with it. ``timeout`` is told that we have ended, and tells the whole group. By
programs, where the system has them: in a process with threads nothing may run before an exec.
"""
_LATER_SECONDS = 10.0
"""Our own bound comes first; the other one is for where we have ended before it was listened to."""
_ALONE: Mapping[str, str] = {}
"""Configuration of what asks nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """Where a repository is, and how to get in."""

    url: str
    """Without any secret."""
    handed: str
    """What git is told: the URL, or the form of scp."""
    protocols: frozenset[str]
    """That git may speak."""
    user: str = "x-access-token"
    token: str | None = field(default=None, repr=False)
    guard: AddressGuard | None = None
    """Ends what leads to addresses that are not of the internet; None: anywhere."""
    resolve_env: Callable[[str], str | None] = field(repr=False)


class GitProgram:
    """Runs git on one bare repository of ours.

    Args:
        folder: of the repository.
        remote: where it comes from.
    """

    def __init__(self, folder: Path, remote: Remote) -> None:
        self.folder = folder.absolute()  # git runs elsewhere
        self._remote = remote

    def ask(self, *arguments: str, room: Callable[[int], None] | None = None) -> bytes:
        """Return what git prints; nothing is asked of the network.

        Args:
            arguments: of git.
            room: is told how many bytes that is, before they are in memory; what it raises ends
                the question.

        Raises:
            S3SyncError: see ``_refusal``.
        """
        return self._run(arguments, self._environment(_ALONE), seconds=ASK_SECONDS, room=room)

    def ask_remote(self, *arguments: str) -> bytes:
        """Return what git prints after it asked the server."""
        return self._run(arguments, self._environment(self._way_in()), seconds=ASK_SECONDS)

    def fetch(self, *arguments: str, most_bytes: int, lock: int, seconds: float) -> None:
        """Fetch within bounds of time and disk.

        Args:
            arguments: of git.
            most_bytes: that the repository may need meanwhile.
            lock: open file that a fetch holds as well which outlives this process.
            seconds: that it may take.

        Raises:
            FixConfiguration: ``repository_too_large``.
        """
        self._run(
            arguments,
            self._environment(self._way_in()),
            seconds=seconds,
            most_bytes=most_bytes,
            pass_fds=(lock,),
        )

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Return a process that answers on standard output what it is asked on standard input."""
        return self._popen(
            arguments,
            self._environment(_ALONE),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def require_version(self) -> None:
        """Raise ``MissingEngine`` where git is missing or too old."""
        words = self._run(("version",), self._environment(_ALONE), seconds=ASK_SECONDS).split()
        numbers = words[2].split(b".")[:2] if len(words) > 2 else []
        if not all(one.isdigit() for one in numbers) or tuple(map(int, numbers)) < LEAST_VERSION:
            least = ".".join(map(str, LEAST_VERSION))
            raise MissingEngine(f"git {least} or newer is needed.", reason="git_missing")

    def _environment(self, configuration: Mapping[str, str]) -> dict[str, str]:
        remote = self._remote
        values = {name: remote.resolve_env(name) for name in _PASSED_ON}
        environment = {name: value for name, value in values.items() if value}
        if remote.guard is not None:
            # curl would give whom it finds in this user's own ~/.netrc for a tenant's repository.
            environment["HOME"] = os.devnull
        settings = {**_PLAIN, **configuration}
        environment |= {
            "PATH": remote.resolve_env("PATH") or os.defpath,
            "LC_ALL": "C",
            "GIT_DIR": str(self.folder),
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ASKPASS": "false",
            "SSH_ASKPASS": "false",
            "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=20",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_ALLOW_PROTOCOL": (
                "none" if configuration is _ALONE else ":".join(sorted(remote.protocols))
            ),
            "GIT_CONFIG_COUNT": str(len(settings)),
        }
        for number, (name, value) in enumerate(settings.items()):
            environment[f"GIT_CONFIG_KEY_{number}"] = name
            environment[f"GIT_CONFIG_VALUE_{number}"] = value
        return environment

    def _way_in(self) -> dict[str, str]:
        """Return the configuration with which the server is asked."""
        remote = self._remote
        parts = urlsplit(remote.url)
        found = {"remote.origin.url": remote.handed}
        if remote.token is not None:
            plain = f"{remote.user}:{remote.token}".encode()
            header = f"Authorization: Basic {base64.b64encode(plain).decode()}"
            found[f"http.{parts.scheme}://{parts.netloc}/.extraHeader"] = header
        if remote.guard is not None:
            proxied = any(map(remote.resolve_env, _PROXIES.get(parts.scheme, ())))
            host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 443)
            address = _public_address(host, port, remote.guard, proxied=proxied)
            # git connects to the address that was looked at, whatever the name says by then. It
            # tells a proxy the name alone: who goes past it (no_proxy) is for git to say.
            if ":" not in host:  # an address has no name that could lead elsewhere
                found["http.curloptResolve"] = f"{host}:{port}:{address}"
        return found

    def _popen(
        self,
        arguments: Sequence[str],
        environment: dict[str, str],
        *,
        stdout: Any,
        stderr: Any,
        stdin: int = subprocess.DEVNULL,
        pass_fds: tuple[int, ...] = (),
        seconds: float | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start git; where it is waited for ``seconds`` it ends with this thread."""
        git = shutil.which("git", path=environment["PATH"])
        if git is None:
            raise MissingEngine(
                "The program git is not installed: install it (`apt install git`).",
                reason="git_missing",
            )
        program = [git, *arguments]
        if seconds is not None and _ends_with_us(environment["PATH"]):
            program = [*_ENDS_WITH_US, f"{seconds + _LATER_SECONDS:.0f}", *program]
        return subprocess.Popen(
            ["/bin/sh", "-c", _BOUNDED, str(MEMORY_BYTES // 1024), *program],
            env=environment,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=pass_fds,
            start_new_session=True,  # with its children it is ended as one
            cwd="/",  # this process's own may have been removed, and git needs one
        )

    def _run(
        self,
        arguments: Sequence[str],
        environment: dict[str, str],
        *,
        seconds: float,
        most_bytes: int | None = None,
        pass_fds: tuple[int, ...] = (),
        room: Callable[[int], None] | None = None,
    ) -> bytes:
        ends = time.monotonic() + seconds
        # Into files: a tree that unfolds without end fills a file up to its bound, and no memory.
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as told:
            process = self._popen(
                arguments, environment, stdout=out, stderr=told, pass_fds=pass_fds, seconds=seconds
            )
            try:
                while process.poll() is None:
                    if time.monotonic() > ends:
                        raise Unavailable(
                            f"git {arguments[0]} took more than {seconds:g} seconds.",
                            reason="git_timeout",
                        )
                    self._require_room(out.fileno(), told.fileno(), most_bytes)
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(LOOK_SECONDS)
            finally:
                end(process)
            self._require_room(out.fileno(), told.fileno(), most_bytes)
            if process.returncode:
                told.seek(0)
                text = told.read(_TOLD_BYTES).decode(errors="replace")
                raise self._refusal(arguments[0], process.returncode, text)
            if room is not None:
                room(os.fstat(out.fileno()).st_size)
            out.seek(0)
            return out.read()

    def _require_room(self, out: int, told: int, most_bytes: int | None) -> None:
        if os.fstat(told).st_size > MAX_TOLD_BYTES:
            raise Unavailable(
                "The server of the repository says more beside its files than is heard.",
                reason="git_failed",
            )
        if os.fstat(out).st_size > MAX_ANSWER_BYTES:
            raise FixConfiguration(
                "The repository has more files than are listed.", reason="repository_too_large"
            )
        if most_bytes is not None and is_short(self.folder.parent):
            raise Unavailable(
                "The disk of the data folder has less than "
                f"{LEAST_FREE_BYTES // 1024**2} MiB left: no repository is fetched until there is "
                "room. Its records stay as they are.",
                reason="disk_full",
            )
        if most_bytes is not None and size_of(self.folder) > most_bytes:
            raise FixConfiguration(
                f"The repository needs more than {most_bytes} bytes: raise S3SYNC_GIT_MAX_BYTES.",
                reason="repository_too_large",
            )

    def _refusal(self, doing: str, code: int, told: str) -> S3SyncError:
        parts = urlsplit(self._remote.url)
        where = f"The repository {parts.path!r} at {parts.hostname or 'this machine'!r}"
        # What a server says in words of its own git tells again, where it counts, on another line.
        lines = told.lower().splitlines()
        text = "\n".join(one for one in lines if not one.startswith("remote:"))
        if "out of memory" in text:
            return FixConfiguration(
                f"{where} is more than git takes into {MEMORY_BYTES} bytes of memory.",
                reason="repository_too_large",
            )
        if any(
            word in text
            for word in ("authentication failed", "could not read username", "permission denied",
                         "error: 401", "error: 403", "host key verification failed")
        ):  # fmt: skip
            return AccessDenied(
                f"{where} lets nobody in with these credentials: give a token that may read it "
                "(token_env or saved_token); for ssh a key and the host's own in known_hosts.",
                reason="git_access_denied",
            )
        if (
            "not our ref" in text
            or "couldn't find remote ref" in text
            or "unadvertised object" in text
            or "mismatched algorithms" in text
        ):
            return FixConfiguration(
                f"{where} has no such commit, or gives none by its id: name another ref (a branch "
                "or a tag). Its records stay as they are.",
                reason="git_ref_not_found",
            )
        if "not found" in text or "does not exist" in text or "does not appear to be a git" in text:
            return FixConfiguration(
                f"{where} does not exist, or is private: check the name, or give a token.",
                reason="repository_not_found",
            )
        if "unable to update url base from redirection" in text or "error: 30" in text:
            return FixConfiguration(
                f"{where} was moved: name its new address in a new source.",
                reason="repository_moved",
            )
        if "transport" in text and "not allowed" in text:
            return InvalidSetting(
                f"{where} is reached by a protocol that this server does not speak "
                "(S3SYNC_GIT_PROTOCOLS).",
                reason="git_protocol",
            )
        if "dumb http" in text:
            return InvalidSetting(
                f"{where} is served as files alone, and not by git's own protocol: name another "
                "URL, such as that of the server's git-http-backend, or one of ssh.",
                reason="git_protocol",
            )
        return Unavailable(
            f"git {doing} ended with the code {code} for {where[0].lower()}{where[1:]}: is it "
            "reachable?",
            reason="git_failed",
        )


@cache
def _ends_with_us(path: str) -> bool:
    """Return whether the programs are there, and know what they are asked for (util-linux 2.33)."""
    found = shutil.which(_ENDS_WITH_US[0], path=path)
    if found is None:
        return False
    tried = [found, *_ENDS_WITH_US[1:], "5", "/bin/sh", "-c", ":"]
    return subprocess.run(tried, capture_output=True, check=False).returncode == 0


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process with its children, if it has not ended by itself."""
    if process.poll() is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            process.kill()
        process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _public_address(host: str, port: int, guard: AddressGuard, *, proxied: bool) -> str:
    """Return an address of a host; where only the proxy knows its name, one that leads nowhere."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        if proxied:
            return _NOWHERE
        raise _no_address(host) from None
    addresses = [str(entry[4][0]) for entry in found]
    if not addresses or not all(guard.allows(one) for one in addresses):
        if not is_address(host):
            raise _no_address(host)
        raise InvalidSetting(
            f"{host!r} leads to an address that is not of the internet: only tenants in "
            f"{TRUSTED_TENANTS} may go there.",
            reason="private_address",
        )
    return f"[{addresses[0]}]" if ":" in addresses[0] else addresses[0]


def _no_address(host: str) -> Unavailable:
    """Return one answer for names that nobody has, and for those that lead inside."""
    return Unavailable(
        f"The name {host!r} is not known here, or leads to an address that is not of the internet: "
        f"only tenants in {TRUSTED_TENANTS} may go there.",
        reason="git_failed",
    )
