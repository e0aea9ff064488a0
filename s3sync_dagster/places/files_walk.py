"""A walk through folders in the order of their names, which another process can go on with."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, unquote

from s3sync_dagster.core.keys import MAX_OBJECT_KEY_BYTES
from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.places.files_access import Entry

STEP_ENTRIES, STEP_SECONDS = 1000, 5.0
"""A step ends after so many files or so long: its listing's lease is renewed between two."""
_SLICE = 64
"""Files that are asked for their versions before the clock is looked at."""
_DEEPEST_BYTES = MAX_OBJECT_KEY_BYTES - 64
"""A folder with a longer path is not entered: links of a server may lead in circles."""
_FILE, _FOLDER = "f", "d"

Listed = Callable[[str], list[Entry]]
"""Returns what a folder holds. Raises ``FileNotFoundError`` where there is none."""
Completed = Callable[[str, list[Entry]], list[Entry]]
"""Returns some files of a folder with their versions, without those that went."""


@dataclass(slots=True)
class _Folder:
    """A folder that the walk is in."""

    path: str
    files: list[Entry]
    """That follow, the next one last."""
    folders: list[str]
    """Names of those that follow, the next one last."""
    last: str
    """Kind and name of what was taken of it last."""


class Walk:
    """Every folder once: first its files, then its folders.

    Args:
        listed: of one folder.
        completed: of files that are taken.
    """

    def __init__(self, listed: Listed, completed: Completed) -> None:
        self._listed, self._completed = listed, completed
        self._stack: list[_Folder] = []
        self._token: str | None = None
        """Where that stack stands."""
        self._lacked = False
        """Whether something was not there, or a folder empty, that was named before."""

    def step(self, token: str | None) -> tuple[list[Entry], str | None]:
        """Return the next files, named by their whole paths, and where the walk goes on.

        Args:
            token: where the step before ended; None: at the begin.

        Raises:
            Unavailable: ``store_failed``, where a folder is named that cannot be listed;
                ``folder_not_mounted``, where the store was emptied meanwhile.
        """
        if token is None:
            self._stack, self._lacked = [self._entered("")], False
        elif token != self._token:
            self._lacked = True  # as far as is known here
            self._return_to(token)
        self._token = None
        ends = time.monotonic() + STEP_SECONDS
        found: list[Entry] = []
        while self._stack and len(found) < STEP_ENTRIES and time.monotonic() < ends:
            at = self._stack[-1]
            if at.files:
                found += self._files(at)
            elif at.folders:
                found += self._go_down(at)
            else:
                self._stack.pop()
        if not self._stack:
            if self._lacked:
                _require_some(self._listed(""))
            return found, None
        at = self._stack[-1]
        self._token = f"{_quoted(at.path)} {_quoted(at.last)}"
        return found, self._token

    def _files(self, at: _Folder) -> list[Entry]:
        taken = [at.files.pop() for _ in range(min(_SLICE, len(at.files)))]
        at.last = _FILE + taken[-1].name
        known = self._completed(at.path, taken)
        self._lacked |= len(known) < len(taken)
        return [one._replace(name=_below(at.path, one.name)) for one in known]

    def _go_down(self, at: _Folder) -> list[Entry]:
        name = at.folders.pop()
        at.last = _FOLDER + name
        path = _below(at.path, name)
        if len(path.encode(errors="surrogateescape")) > _DEEPEST_BYTES:
            return [Entry(path, "deep")]
        if self._push(at.path, name):
            inner = self._stack[-1]
            self._lacked |= not (inner.files or inner.folders)
        return []

    def _push(self, parent: str, name: str, last: str = _FILE) -> bool:
        """Enter a folder; return False where it went since its parent was listed."""
        path = _below(parent, name)
        try:
            self._stack.append(self._entered(path, last))
        except FileNotFoundError:
            beside = self._beside(parent)
            if name in {one.name for one in beside if one.kind == "folder"}:
                raise Unavailable(
                    f"The store names the folder {path!r} and cannot list it: what it holds would "
                    "be taken for gone.",
                    reason="store_failed",
                ) from None
            _require_some(self._listed("") if parent else beside)
            return False
        return True

    def _beside(self, parent: str) -> list[Entry]:
        try:
            return self._listed(parent)
        except FileNotFoundError:  # a folder went with its parent
            return []

    def _entered(self, path: str, last: str = _FILE) -> _Folder:
        """Return what a folder holds behind what was taken of it last."""
        entries = self._listed(path)
        files: list[Entry] = []
        if last.startswith(_FILE):
            files = [one for one in entries if one.kind != "folder" and one.name > last[1:]]
        after = last[1:] if last.startswith(_FOLDER) else ""
        folders = [one.name for one in entries if one.kind == "folder" and one.name > after]
        files.sort(key=lambda one: one.name, reverse=True)
        return _Folder(path, files, sorted(folders, reverse=True), last)

    def _return_to(self, token: str) -> None:
        """Enter the folders on the way to where another process was."""
        path, last = (unquote(part, errors="surrogateescape") for part in token.split(" "))
        names = path.split("/") if path else []
        took = [_FOLDER + name for name in names] + [last]
        self._stack = [self._entered("", took[0])]
        for depth, name in enumerate(names):
            if not self._push("/".join(names[:depth]), name, took[depth + 1]):
                return  # it went meanwhile: on with what follows it


def _require_some(root: list[Entry]) -> None:
    """Refuse to go on where nothing is left of what the walk has met: it may be unmounted."""
    if not root:
        raise Unavailable(
            "The store is empty by now, and was not when its listing began: is it mounted where it "
            "is served? Its records stay as they are.",
            reason="folder_not_mounted",
        )


def _below(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _quoted(text: str) -> str:
    return quote(text, safe="/", errors="surrogateescape")
