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
                raise FileNotFoundError(errno.ENOENT, "private")
    except OSError:
        os.close(here)
        raise
    return here


@contextmanager
def holder_of(
    root: int, key: str, *, skip: AbstractSet[bytes], private: Path | None
) -> Generator[tuple[int, bytes]]:
    """Give the folder that would hold a file, and the file's name in it.

    Args:
        root: descriptor of the whole.
        key: of the file.
        skip: names of folders that are not entered.
        private: a folder that is not either.

    Raises:
        OSError: of ``VANISHED`` where listings enter no such folder; else it cannot be opened.
    """
    parts = key.split("/")
    bad = any(one in ("", ".", "..") or "\0" in one for one in parts)
    if bad or any(one.encode() in skip for one in parts[:-1]):
        raise FileNotFoundError(errno.ENOENT, "none to listings as well")
    path, _, name = key.encode().rpartition(b"/")
    holder = open_folder(root, path + b"/" if path else b"", private=private)
    try:
        yield holder, name
    finally:
        os.close(holder)


def still_gone(
    root: int, keys: Sequence[str], *, skip: AbstractSet[bytes], private: Path | None
) -> list[str]:
    """Return those of the keys that are of nothing, or of folders.

    A file counts where its folder names it: file systems that do not tell ``A`` from ``a`` find it
    by another name, too.

    Args:
        root: see ``holder_of``, as ``skip`` and ``private``.
        keys: of files.
        skip: names.
        private: a folder.
    """
    gone: list[str] = []
    names: dict[bytes, frozenset[bytes]] = {}
    for key in keys:
        path, _, name = key.encode().rpartition(b"/")
        with refusals(f"The file {key!r}"):
            try:
                with holder_of(root, key, skip=skip, private=private) as (holder, _):
                    found = os.stat(name, dir_fd=holder, follow_symlinks=False)
                    if path not in names:
                        with os.scandir(holder) as entries:
                            names[path] = frozenset(os.fsencode(one.name) for one in entries)
            except OSError as error:
                if error.errno not in VANISHED:
                    raise
                gone.append(key)
                continue
        if name not in names[path] or stat.S_ISDIR(found.st_mode):
            gone.append(key)
    return gone


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
