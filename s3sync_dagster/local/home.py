"""First open of a data folder: folders, Dagster's instance and the key file, once, under a lock."""

import base64
import contextlib
import fcntl
import importlib.metadata
import importlib.resources
import os
import secrets
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from s3sync_dagster.local.privacy import make_private
from s3sync_dagster.model.errors import FixConfiguration, InvalidSetting, Unavailable
from s3sync_dagster.settings import Settings

INIT_SECONDS = 120.0
"""How long a process waits for another one that opens the same home for the first time."""

_MANAGED = (
    "# Managed by s3sync: replaced when the package changes. Delete this line to keep edits.\n"
)
_OPEN_INSTANCE = "from s3sync_dagster.local.home import open_instance; open_instance()"


def prepare_home(settings: Settings, *, dagster: bool = True) -> None:
    """Create what every process expects to find; cheap when it is there already.

    Dagster's SQLite schema is created here by one process: a webserver and a daemon that
    create it at the same moment can leave it broken for good.

    Args:
        settings: of this process.
        dagster: False leaves Dagster's schema to ``open_dagster``.

    Raises:
        InvalidSetting: the folder cannot be written (``home_not_writable``).
        Unavailable: another process has held the lock too long (``home_locked``).
        FixConfiguration: Dagster cannot open its instance (``dagster_instance``).
    """
    with writable(settings.home):
        make_private(settings.home)
        for name in ("logs", "owners", "chroma", "cache"):
            (settings.home / name).mkdir(mode=0o700, exist_ok=True)
        settings.dagster_home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _init_lock(settings.init_lock):
            _write_dagster_yaml(settings.dagster_home)
            _make_key_file(settings)
            if dagster:
                _open_dagster(settings, _in_a_child)


def open_dagster(settings: Settings) -> None:
    """Create or migrate Dagster's schema in this process, which is about to import Dagster.

    Raises:
        FixConfiguration, Unavailable: as ``prepare_home`` does.
    """
    with _init_lock(settings.init_lock):
        _open_dagster(settings, _here)


def open_instance() -> None:
    """Open Dagster's instance, which creates its schema, and bring an older one up to date.

    One that a ``dagster.yaml`` of one's own names may be that of a team: who migrates its tables
    beneath older programs is for them to say (``dagster instance migrate``).
    """
    import dagster as dg  # noqa: PLC0415  (heavy: 0.8 CPU-seconds)

    with dg.DagsterInstance.get() as instance:
        if is_managed(Path(instance.root_directory)):
            instance.upgrade()
        instance.get_runs_count()


def is_managed(dagster_home: Path) -> bool:
    """Return whether Dagster's instance is this home's own, in files that nobody else has."""
    path = dagster_home / "dagster.yaml"
    return not path.exists() or path.read_text("utf-8", "replace").startswith(_MANAGED)


def shipped(name: str) -> str:
    """Return the text of a file that the package ships, such as ``dagster.yaml``."""
    return importlib.resources.files("s3sync_dagster.local").joinpath(name).read_text("utf-8")


@contextlib.contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Turn a file system's refusal into one sentence that names the folder."""
    try:
        yield
    except OSError as error:
        raise InvalidSetting(
            f"{str(folder)!r} cannot be written ({os.strerror(error.errno or 0)}): "
            "name another folder in S3SYNC_HOME.",
            reason="home_not_writable",
        ) from error


@contextlib.contextmanager
def _init_lock(path: Path) -> Iterator[None]:
    deadline = time.monotonic() + INIT_SECONDS
    with path.open("a") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Unavailable(
                        f"Another process has held {str(path)!r} for {INIT_SECONDS:.0f} s.",
                        reason="home_locked",
                    ) from None
                time.sleep(0.05)
        yield


def _write_dagster_yaml(folder: Path) -> None:
    path = folder / "dagster.yaml"
    wanted = _MANAGED + shipped("dagster.yaml")
    present = path.read_text("utf-8") if path.exists() else _MANAGED
    if present.startswith(_MANAGED) and present != wanted:
        # Renamed into place: a process that reads it meanwhile sees the old file or the new one.
        fresh = path.with_suffix(".new")
        fresh.write_text(wanted, "utf-8")
        fresh.replace(path)


def _make_key_file(settings: Settings) -> None:
    path = settings.encryption_key_file
    if settings.encryption_key or path.exists():
        return
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    key = base64.urlsafe_b64encode(secrets.token_bytes(32))
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _open_dagster(settings: Settings, open_it: Callable[[Settings, TextIO], bool]) -> None:
    version = importlib.metadata.version("dagster")
    marker = settings.dagster_home / ".opened-by-s3sync"
    if marker.exists() and marker.read_text("utf-8") == version:
        return
    log = settings.home / "logs" / "dagster-instance.log"
    with log.open("a", encoding="utf-8") as output:
        opened = open_it(settings, output)
    if not opened:
        raise FixConfiguration(
            f"Dagster cannot open its instance in {str(settings.dagster_home)!r}: "
            f"{str(log)!r} says why.",
            reason="dagster_instance",
        )
    marker.write_text(version, "utf-8")


def _in_a_child(settings: Settings, log: TextIO) -> bool:
    """Spare callers that need no Dagster its import."""
    result = subprocess.run(
        [sys.executable, "-c", _OPEN_INSTANCE],
        env=settings.child_environment(),
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        check=False,
    )
    return result.returncode == 0


def _here(_settings: Settings, log: TextIO) -> bool:
    try:
        with contextlib.redirect_stdout(log):  # it tells what it migrates
            open_instance()
    except Exception:  # noqa: BLE001  (whatever Dagster raises is in the log)
        traceback.print_exc(file=log)
        return False
    return True
