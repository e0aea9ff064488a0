"""What `doctor` looks at on this machine: install, data folder, servers."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import sysconfig
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import httpx

from s3sync_dagster.api.passes import pass_headers
from s3sync_dagster.catalog.cipher import OLD_KEYS_VARIABLE, open_cipher
from s3sync_dagster.cli.dagster_door import LOCATION, URL, dagster_door, why_unseen
from s3sync_dagster.engine.ports import WorkLimits
from s3sync_dagster.local.chroma_server import running_chroma, use_chroma
from s3sync_dagster.local.privacy import of_others, open_to_others
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.settings import Settings
from s3sync_dagster.workers import open_pool, sandbox
from s3sync_dagster.workers.environment import GROUPS, groups_folder

if TYPE_CHECKING:
    from s3sync_dagster.wiring import Parts

State = Literal["ok", "note", "broken"]
LOW_DISK_BYTES, FULL_DISK_BYTES = 2 * 1024**3, 64 * 1024**2
"""Below the second Chroma and the catalog cannot write what the smallest run needs."""
CLOCK_BROKEN_SECONDS, CLOCK_NOTE_SECONDS = 300, 30
"""AWS refuses requests when the clock is off by 15 minutes."""
WAIT_SECONDS = 5.0
SILENT_SECONDS = 120.0
"""A daemon gives a sign every 30 s; Dagster itself waits half an hour before it says so."""
SHOWN_OF_OTHERS = 3
_HELD = "s3sync_dagster.workers.held:held"
_COUNTED = "s3sync_dagster.workers.held:is_counted"
_LEFT = {
    "network": "the network",
    "files": "all files of this user",
    "programs": "all programs",
    "processes": "ways to end other processes of this user",
    "modes": "the modes of this user's files",
}


@dataclass(frozen=True, slots=True)
class Check:
    """One line: what was looked at, how it is, and the way out where it is not well."""

    name: str
    state: State
    text: str


def checked(name: str, look: Callable[[], Check | str]) -> Check:
    """Return what a look found; an error of this project's is broken, with its own sentence."""
    try:
        found = look()
    except S3SyncError as error:
        return Check(name, "broken", error.message)
    return found if isinstance(found, Check) else Check(name, "ok", found)


def install_checks() -> Iterator[Check]:
    """Look at the interpreter, bytecode and programs."""
    version = ".".join(map(str, sys.version_info[:3]))
    yield Check("python", "ok", f"{version} at {sys.prefix}")
    yield _bytecode()
    for program, use, package in (
        ("tesseract", "scans and pictures are not read", "tesseract-ocr"),
        ("soffice", "old Office formats are read as plain text", "libreoffice"),
    ):
        found = shutil.which(program)
        missing = f"not installed: {use}; apt-get install {package}, or your system's like of it"
        yield Check(program, "ok" if found else "note", found or missing)


def worker_checks() -> Iterator[Check]:
    """Look at what a worker that reads documents could still do if one took it over."""
    if sandbox.is_off():
        text = f"{sandbox.SWITCH}=off leaves them all rights of this user over files and programs"
        yield Check("workers", "note", text)
        return
    with open_pool(workers=1) as pool:
        limits = WorkLimits(seconds=6 * WAIT_SECONDS)
        yield checked("workers", lambda: _workers(pool.submit(_HELD, limits=limits).result()))
        told = pool.submit(_COUNTED, limits=limits)
        yield checked("worker memory", lambda: _worker_memory(counted=told.result()))


def _workers(held: Sequence[str]) -> Check:
    if not held:
        return Check("workers", "ok", "no network, no files, programs or processes of others")
    left = ", ".join(_LEFT[name] for name in held)
    text = (
        f"a document that takes its reader over has {left}: this kernel or container allows no "
        "Landlock (Linux 5.13; signals: 6.12) or seccomp; a container of its own bounds what is in "
        "reach"
    )
    return Check("workers", "note", text)


def _worker_memory(*, counted: bool) -> Check:
    if counted:
        return Check("worker memory", "ok", "the kernel bounds all of it, its own for them too")
    given = groups_folder()
    if given:
        text = (
            f"{GROUPS} names {given}, where no worker comes in: it takes a folder of cgroup "
            "v2 that is this user's, holds no process itself, and that this process is below of"
        )
        return Check("worker memory", "note", text)
    text = (
        "watched from outside, which does not see what the kernel keeps for them: a control group "
        f"bounds that too ({GROUPS})"
    )
    return Check("worker memory", "ok", text)


def home_checks(settings: Settings) -> Iterator[Check]:
    """Look at the data folder: rights, key file, space."""
    home = settings.home
    state = "ok" if os.access(home, os.W_OK | os.X_OK) else "broken"
    yield Check("data folder", state, f"{home}{'' if state == 'ok' else ' cannot be written'}")
    yield _privacy(settings)
    if (fault := settings.model_dir_fault) is not None:
        yield Check("model folder", "note", fault.rstrip("."))
    yield _key_file(settings)
    yield disk_check(shutil.disk_usage(home).free)


def disk_check(free_bytes: int) -> Check:
    """Judge how much room there is."""
    if free_bytes < FULL_DISK_BYTES:
        text = f"{free_bytes / 1024**2:.0f} MiB free: too little for a sync to end well, make room"
        return Check("disk", "broken", text)
    low = free_bytes < LOW_DISK_BYTES
    advice = ": Chroma and the catalog stop when it is full" if low else ""
    return Check("disk", "note" if low else "ok", f"{free_bytes / 1024**3:.1f} GiB free{advice}")


def server_checks(parts: Parts) -> Iterator[Check]:
    """Look at the catalog, Chroma and Dagster."""
    yield checked("catalog", lambda: _catalog(parts))
    if parts.catalog.credentials.rows():
        yield checked("stored credentials", lambda: _credentials(parts))
    yield checked("chroma", lambda: _chroma(parts))
    yield checked("dagster", lambda: _dagster(parts.settings))


def clock_check(url: str, now: float) -> Check:
    """Compare the clock with what a server says in its Date header."""
    try:
        answer = httpx.head(url, timeout=WAIT_SECONDS)
        told = parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (httpx.HTTPError, KeyError, ValueError):
        return Check("clock", "note", f"{url} does not tell the time: not compared")
    off = abs(now - told)
    if off >= CLOCK_BROKEN_SECONDS:
        text = f"off by {off:.0f} s against {url}: set it, S3 refuses requests beyond 15 minutes"
        return Check("clock", "broken", text)
    state: State = "note" if off >= CLOCK_NOTE_SECONDS else "ok"
    return Check("clock", state, f"off by {off:.0f} s against {url}")


def _bytecode() -> Check:
    missing = total = 0
    folders: list[Path] = []
    for package in ("s3sync_dagster", "dagster", "sqlalchemy"):
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            continue
        folder = Path(spec.origin).parent
        sources = list(folder.rglob("*.py"))
        absent = sum(
            not Path(importlib.util.cache_from_source(str(source))).exists() for source in sources
        )
        total, missing = total + len(sources), missing + absent
        if absent > len(sources) // 10:
            folders.append(folder)
    if not folders:
        return Check("bytecode", "ok", f"compiled ({total - missing} of {total} files)")
    where = sysconfig.get_path("purelib") if len(folders) > 1 else folders[0]
    text = f"{missing} of {total} files have none, every start is slower: make install, or "
    return Check("bytecode", "note", text + f"{sys.executable} -m compileall -q {where}")


def _privacy(settings: Settings) -> Check:
    if planted := [str(one) for one in islice(of_others(settings.home), SHOWN_OF_OTHERS)]:
        text = f"{' '.join(planted)} of other users of this machine: chown what is yours, and "
        return Check("privacy", "broken", text + "remove what is not, or name another folder")
    folders = [settings.home]
    if not settings.dagster_home.is_relative_to(settings.home):
        folders.append(settings.dagster_home)
    exposed = [str(one) for one in folders if open_to_others(one)]
    if not exposed:
        return Check("privacy", "ok", "nobody else may look into the data folder")
    names = " ".join(exposed)
    text = f"other users of this machine may look into {names}: chmod 700 {names}"
    ours = open_to_others(settings.home)  # an instance of one's own is as its owner wants it
    return Check("privacy", "broken" if ours else "note", text)


def _key_file(settings: Settings) -> Check:
    path = settings.encryption_key_file
    if settings.encryption_key:
        return Check("encryption key", "ok", "from the environment")
    if not path.exists():
        return Check("encryption key", "broken", f"{path} is gone: bring it back from your backup")
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        text = f"{path} can be read by others (mode {mode:o}): chmod 600 {path}"
        return Check("encryption key", "broken", text)
    return Check("encryption key", "ok", str(path))


def _catalog(parts: Parts) -> str:
    database = parts.catalog.database
    sources = len(parts.catalog.sources.rows())
    return f"{database.shown()}, {sources} sources"


def _credentials(parts: Parts) -> Check:
    stored, name = parts.catalog.credentials, "stored credentials"
    number, unread = len(stored.rows()), stored.unreadable(open_cipher(parts.settings))
    if not unread:
        return Check(name, "ok", f"{number} can be read")
    text = (
        f"{unread} of {number} cannot be read with the encryption key of this home: bring the key "
        f"back with which they were stored, or name it in {OLD_KEYS_VARIABLE}"
    )
    return Check(name, "broken", text)


def _chroma(parts: Parts) -> str:
    settings = parts.settings
    if settings.chroma_url is None and settings.chroma_api_key is None:
        running = running_chroma(settings)
        return running.url if running else "not running here; the next command starts it"
    if settings.chroma_url is not None and settings.chroma_api_key is None:
        with use_chroma(settings) as server:  # says quickly that nobody answers
            return server.url
    parts.collections.heartbeat()  # type: ignore[attr-defined]
    return settings.chroma_url or "Chroma Cloud"


def _dagster(settings: Settings) -> Check | str:
    door = dagster_door(settings)
    if door is None:
        return why_unseen(settings)
    log = settings.home / "logs" / "webserver.log"
    way = f"start it, or correct {URL}" if door.named else f"{log} says why"
    try:
        headers = pass_headers(settings)
        answer = httpx.get(f"{door.url}/server_info", headers=headers, timeout=WAIT_SECONDS)
        version = answer.json().get("dagster_webserver_version")
        with door.open(timeout_seconds=WAIT_SECONDS) as dagster:
            there, state = dagster.locations(), dagster.location().state
            beat = dagster.newest_heartbeat()
    except (httpx.HTTPError, ValueError, S3SyncError):
        return Check("dagster", "broken", f"{door.url} does not answer: {way}")
    shown = f"{door.url} (version {version})"
    if door.named and door.location not in there:
        has = ", ".join(map(repr, there)) or "none"
        told = (
            f"{shown}: it has no code location {door.location!r}: name yours in {LOCATION} ({has})"
        )
        return Check("dagster", "broken", told)
    if state in ("broken", "unreachable"):
        return Check("dagster", "broken", f"{shown}: its definitions are {state}, see its logs")
    if beat is None or time.time() - beat > SILENT_SECONDS:
        return Check("dagster", "broken", f"{shown}: no daemon gives a sign, nothing is dispatched")
    return f"{shown}, definitions {state}"
