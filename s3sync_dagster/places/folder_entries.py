"""Entries of a folder: how their names stand in keys, and how they are opened through no link."""

import errno
import hashlib
import os
import stat
from collections.abc import Generator, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from s3sync_dagster.core.keys import MAX_OBJECT_KEY_BYTES
from s3sync_dagster.core.selection import BAD_NAME
from s3sync_dagster.model.errors import AccessDenied, Unavailable

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""How a folder is opened: not through a link."""
_ROOM_BELOW = 64
"""Bytes of a key that a folder leaves for what it holds; a deeper one is not entered."""
VANISHED = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG})
"""It is not there any more, or a link or a socket by now, whose target is not ours."""


class NotEntered(FileNotFoundError):
    """A folder that is left alone: to whoever asks it is not there."""


class Name(NamedTuple):
    """A name in a folder; they sort in the order of keys."""

    text: bytes
    """As it stands in keys, with a slash for a folder that is entered."""
    raw: bytes
    entered: bool
    marked: str | None
    """Why it is no file of ours."""


class Folder(NamedTuple):
    """A folder that a listing is in; paths are empty or end with a slash."""

    key: bytes
    raw: bytes
    marked: str | None


def open_folder(root: int, path: bytes, *, private: Path | None) -> int:
    """Return the descriptor of a folder below another, reached through no link.

    Args:
        root: descriptor of the other one.
        path: empty, or with a slash at its end.
        private: a folder that is never entered; to whoever asks it is not there.
    """
    here = os.dup(root)
    try:
        for part in path.split(b"/")[:-1]:
            following = os.open(part, FOLDER, dir_fd=here)
            os.close(here)
            here = following
            if private is not None and _is_same(here, private):
                raise NotEntered(errno.ENOENT, "private")
    except OSError:
        os.close(here)
        raise
    return here


def enter(
    root: int, path: bytes, *, private: Path | None, seen: dict[bytes, set[bytes]] | None = None
) -> int:
    """Return the descriptor of a folder, as ``open_folder`` does.

    One that the folder above it names, and that cannot be entered, has not vanished: mount points
    whose server is away are such.

    Args:
        root: descriptor of the whole.
        path: empty, or with a slash at its end.
        private: a folder that is never entered.
        seen: folder -> folders that it named a moment ago, where many are asked for in a row.

    Raises:
        OSError: of ``VANISHED`` where it has, or is left alone.
    """
    for last in (False, True):  # it may have been replaced just then
        try:
            return open_folder(root, path, private=private)
        except NotEntered:
            raise
        except OSError as error:
            if error.errno not in VANISHED or not _is_named(root, path, private, seen):
                raise
            if last:
                raise OSError(errno.ESTALE, "named, and not to be entered") from None
    raise AssertionError


def _is_named(
    root: int, path: bytes, private: Path | None, seen: dict[bytes, set[bytes]] | None = None
) -> bool:
    """Return whether the folder above one names it as a folder, or is itself such a one."""
    above, _, name = path[:-1].rpartition(b"/")
    above = above + b"/" if above else b""
    if seen is not None and name not in seen.get(above, {name}):
        return False
    try:
        holder = open_folder(root, above, private=private)
    except OSError as error:
        if error.errno not in VANISHED:
            raise
        return _is_named(root, above, private, seen)
    try:
        with os.scandir(holder) as entries:
            if seen is None:
                return any(
                    os.fsencode(one.name) == name and one.is_dir(follow_symlinks=False)
                    for one in entries
                )
            named = {os.fsencode(one.name) for one in entries if one.is_dir(follow_symlinks=False)}
        seen[above] = named
        return name in named
    finally:
        os.close(holder)


@contextmanager
def holder_of(
    root: int,
    key: str,
    *,
    skip: AbstractSet[bytes],
    private: Path | None,
    seen: dict[bytes, set[bytes]] | None = None,
) -> Generator[tuple[int, bytes]]:
    """Give the folder that would hold a file, and the file's name in it.

    Args:
        root: descriptor of the whole.
        key: of the file.
        skip: names of folders that are not entered.
        private: a folder that is not either.
        seen: see ``enter``.

    Raises:
        OSError: of ``VANISHED`` where listings enter no such folder; else it cannot be opened.
    """
    parts = key.split("/")
    bad = any(one in ("", ".", "..") or "\0" in one for one in parts)
    if bad or any(one.encode() in skip for one in parts[:-1]):
        raise NotEntered(errno.ENOENT, "none to listings as well")
    path, _, name = key.encode().rpartition(b"/")
    holder = enter(root, path + b"/" if path else b"", private=private, seen=seen)
    try:
        yield holder, name
    finally:
        os.close(holder)


def still_gone(
    root: int, keys: Sequence[str], *, skip: AbstractSet[bytes], private: Path | None
) -> list[str]:
    """Return those of the keys that are of nothing, or of folders.

    A file counts where its path is named part by part: file systems that do not tell ``A`` from
    ``a`` find it by other names, too.

    Args:
        root: see ``holder_of``, as ``skip`` and ``private``.
        keys: of files.
        skip: names.
        private: a folder.
    """
    by_folder: dict[str, list[str]] = {}
    for key in keys:
        by_folder.setdefault(key[: key.rfind("/") + 1], []).append(key)
    there: set[str] = set()
    seen: dict[bytes, set[bytes]] = {}
    for path, inside in by_folder.items():
        with refusals(f"The folder {path!r}"):
            try:
                any_file = holder_of(root, f"{path}any", skip=skip, private=private, seen=seen)
                with any_file as (holder, _):
                    found = _there(holder, {one[len(path) :].encode(): one for one in inside})
                    there |= found if found and _is_spelt(root, path.encode(), private) else set()
            except OSError as error:
                if error.errno not in VANISHED:
                    raise
    return [key for key in keys if key not in there]


def _there(folder: int, keys: dict[bytes, str]) -> set[str]:
    """Return those of the keys, by their names, whose files a folder has and names."""
    found: dict[bytes, str] = {}
    for name, key in keys.items():
        try:
            one = os.stat(name, dir_fd=folder, follow_symlinks=False)
        except ValueError:  # a NUL: the name of none
            continue
        except OSError as error:
            if error.errno not in VANISHED:
                raise
            continue
        if not stat.S_ISDIR(one.st_mode):
            found[name] = key
    if not found:
        return set()
    with os.scandir(folder) as entries:
        return {found[raw] for one in entries if (raw := os.fsencode(one.name)) in found}


def _is_spelt(root: int, path: bytes, private: Path | None) -> bool:
    """Return whether each folder of a path is named as it stands there."""
    parts = path.split(b"/")[:-1]
    return all(
        _is_named(root, b"/".join(parts[:depth]) + b"/", private)
        for depth in range(1, len(parts) + 1)
    )


def open_within(root: str, folder: str, *, private: Path | None) -> int:
    """Return the descriptor of a folder that has to lie below another, wherever links lead.

    What its path leads to is opened part by part and through no link: one that appears meanwhile,
    in its place or above it, leads nowhere.

    Raises:
        AccessDenied: ``folder_not_allowed``.
        OSError: it cannot be opened.
    """
    top, real = os.path.realpath(root), os.path.realpath(folder)
    if not Path(real).is_relative_to(top):
        raise AccessDenied(
            f"The folder {folder!r} leads elsewhere by now: it has to lie below {root!r}.",
            reason="folder_not_allowed",
        )
    path = os.path.relpath(real, top)
    start = os.open(top, FOLDER)
    try:
        return open_folder(
            start, b"" if path == os.curdir else os.fsencode(path) + b"/", private=private
        )
    finally:
        os.close(start)


def _is_same(folder: int, other: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(folder), other.stat())
    except FileNotFoundError:
        return False


def name_of(raw: bytes, is_folder: bool, at: Folder, taken: set[bytes]) -> Name:
    """Return how a name stands in keys; one that can stand in none is marked, and not entered.

    Marked are names that are no UTF-8 and paths longer than a key may be: they are shown with
    their bytes escaped, or cut with a digest, and counted as skipped.
    """
    marked, text, room = at.marked, raw, MAX_OBJECT_KEY_BYTES - len(at.key)
    try:
        raw.decode()
    except UnicodeDecodeError:
        text, marked = raw.decode(errors="backslashreplace").encode(), BAD_NAME
    too_long = len(text) > (room - _ROOM_BELOW if is_folder else room)
    if too_long or (text != raw and text in taken):
        digest = b"~" + hashlib.sha256(raw).hexdigest()[:16].encode()
        cut = text[: max(room - len(digest), 0)].decode(errors="ignore").encode()
        text, marked = cut + digest, BAD_NAME
    entered = is_folder and not too_long
    return Name(text + b"/" if entered else text, raw, entered, marked)


@contextmanager
def refusals(what: str) -> Generator[None]:
    """Turn what the system refuses into our errors. Gone is for the caller to say."""
    try:
        yield
    except PermissionError:
        raise AccessDenied(
            f"{what} may not be read by this user: give it the right, or name the folder in "
            "skip_folders."
        ) from None
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise Unavailable(f"{what}: too many files are open.", reason="io_error") from None
        raise Unavailable(
            f"{what} could not be read ({os.strerror(error.errno or 0)}).", reason="io_error"
        ) from None
