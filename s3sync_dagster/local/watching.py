"""``s3sync sync --watch``: what changes in a folder is brought in line at once.

The file system tells which files changed, and each is asked for again before anything is done. A
listing stays the truth: it is made at the start, at the source's interval, and whenever what was
told is not the change of a few files.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from s3sync_dagster.core.events import ObjectEvent
from s3sync_dagster.core.outcome import KeyOutcome
from s3sync_dagster.local.oneshot import run_keys
from s3sync_dagster.local.oneshot_report import Progress
from s3sync_dagster.model.errors import FixConfiguration, NotPossible, S3SyncError
from s3sync_dagster.model.place import Place, WatchedFolder
from s3sync_dagster.model.source import Source
from s3sync_dagster.starting import collect_as_usual

if TYPE_CHECKING:
    from s3sync_dagster.wiring import Parts

MOST_KEYS = 1000
"""Of one look; more are listed."""
LIST_SECONDS = 300
"""Between two listings of a source that is not listed by itself."""
_DEBOUNCE_MS, _STEP_MS, _LOOK_MS = 400, 50, 500
"""What changes within so long is one look; a look ends when nothing changed for a step."""


def require_watched(place: Place) -> WatchedFolder:
    """Return the folder of a place whose changes are followed.

    Raises:
        NotPossible: ``not_watched``, for a place that no file system tells of.
    """
    watched = place.watched()
    if watched is None:
        raise NotPossible(
            f"--watch follows the changes of a folder; {place.address()} is none: it is listed.",
            reason="not_watched",
        )
    return watched


def keep_watching(
    parts: Parts,
    source: Source,
    *,
    list_whole: Callable[[], object],
    told: Callable[[Sequence[KeyOutcome]], None],
    note: Callable[[str], None],
) -> NoReturn:
    """List a folder, then follow its changes until a signal ends the process.

    Args:
        parts: of this process.
        source: of a folder.
        list_whole: brings the source in line with a whole listing.
        told: takes how each changed key ended.
        note: takes sentences for people, such as why a round failed.

    Raises:
        NotPossible: ``not_watched``, for a place that no file system tells of.
        FixConfiguration: ``watch_failed``, where there is no folder, or are no more watches.
        KeyboardInterrupt: at the end.
    """
    place = require_watched(source.place)
    collect_as_usual()
    inode, looks = _inode(place), _watch(place)
    waiting = _next_paths(looks, place)  # from here on nothing that changes is missed
    list_whole()
    every = source.list_interval_seconds or LIST_SECONDS
    due = time.monotonic() + every
    private = os.path.realpath(parts.settings.home)

    def is_known(key: str) -> bool:
        return bool(parts.catalog.views.object_rows(source.id, key=key, limit=1))

    def was_folder(path: str) -> bool:
        return bool(parts.catalog.views.object_rows(source.id, prefix=f"{path}/", limit=1))

    while True:
        events = told_by(waiting, place, private, is_known=is_known, was_folder=was_folder)
        there = _inode(place)
        if there is not None and there != inode:  # another folder in its place, as deploys do
            inode, looks, events = there, _watch(place), None
            _next_paths(looks, place)  # the listing sees what came before
        try:
            if events is None or time.monotonic() > due:
                due = time.monotonic() + every
                list_whole()
            elif events:
                run_keys(parts, source, events, told=told, progress=Progress())
        except S3SyncError as error:
            note(f"{error.message} The next listing tries again.")
        waiting = _next_paths(looks, place)


def _watch(place: WatchedFolder) -> Iterator[Any]:
    from watchfiles import watch  # noqa: PLC0415  (only who watches pays for it)

    return watch(
        place.folder,
        watch_filter=None,
        debounce=_DEBOUNCE_MS,
        step=_STEP_MS,
        rust_timeout=_LOOK_MS,
        yield_on_timeout=True,
        ignore_permission_denied=True,
    )


def _inode(place: WatchedFolder) -> tuple[int, int] | None:
    """Return which folder is there now; None: none, until one comes back."""
    try:
        found = Path(place.folder).stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _next_paths(looks: Iterator[Any], place: WatchedFolder) -> set[str]:
    try:
        return {path for _, path in next(looks)}
    except OSError:
        raise FixConfiguration(
            f"The changes of {place.folder!r} cannot be followed: is it there, and are the "
            "system's watches used up (fs.inotify.max_user_watches)?",
            reason="watch_failed",
        ) from None


def told_by(
    paths: set[str],
    place: WatchedFolder,
    private: str,
    *,
    is_known: Callable[[str], bool],
    was_folder: Callable[[str], bool],
) -> dict[str, ObjectEvent] | None:
    """Return what became of each file, None where only a listing tells.

    A folder that came or went is told of alone, and not what it holds; nor is what it held where a
    file or a link has taken its place.

    Args:
        paths: that changed, absolute.
        place: the folder.
        private: this program's own folder, whose changes are its own.
        is_known: returns whether a key is one of the source's.
        was_folder: returns whether the source has keys below a path.
    """
    events: dict[str, ObjectEvent] = {}
    for path in paths:
        inside = path.removeprefix(place.folder.rstrip("/") + "/")
        real = f"{os.path.realpath(path)}/"
        if inside == path or real.startswith(f"{private}/"):
            continue
        if set(inside.split("/")) & set(place.skip_folders):
            continue
        try:
            key = os.fsencode(inside).decode()
        except UnicodeDecodeError:
            return None
        try:
            mode = os.lstat(path).st_mode
        except OSError:
            mode = None
        unclear = not is_known(key) if mode is None else stat.S_ISDIR(mode)
        if unclear or was_folder(key):
            return None
        kind = "removed" if mode is None else "created"
        events[key] = ObjectEvent(bucket="", key=key, kind=kind)
    return events if len(events) <= MOST_KEYS else None
