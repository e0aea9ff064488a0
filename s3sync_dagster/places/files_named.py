"""Whether a folder names a file whose own address denies it: then one of the two is wrong."""

import threading
import time
from collections.abc import Callable, Sequence

from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.places.files_walk import Listed

MOST_NAMES = 200_000
"""That are remembered from one call to the next."""


class NamedFiles:
    """What the folders of a web server name, asked for where a file of one is answered with a 404.

    Several servers may stand behind one address, and one of them not have got a file yet. What was
    told of a folder is good for twice as long as it took, so that many files that are gone do not
    have a large one listed once for each.

    Args:
        listed: returns what a folder holds.
        shown: the store's address, for messages.
    """

    def __init__(self, listed: Listed, *, shown: str) -> None:
        self._listed, self._shown = listed, shown
        self._lock = threading.Lock()
        self._folder, self._names, self._until = "", frozenset[str](), 0.0
        self._looked: dict[str, dict[str, bool]] = {}
        """Folder -> its names, and whether each is a folder."""
        self._looked_until = 0.0

    def require_unnamed(self, key: str, clock: Callable[[], float] = time.monotonic) -> None:
        """Refuse to take a file for gone that its folder names.

        Raises:
            Unavailable: ``store_failed``, where it does, or the folder cannot be listed.
        """
        folder, _, name = key.rpartition("/")
        with self._lock:
            if self._folder != folder or clock() >= self._until:
                began = clock()
                self._names = frozenset(self._named_in(folder))
                self._folder, self._until = folder, 3 * clock() - 2 * began
            there = name in self._names
        if there:
            raise Unavailable(
                f"The folder of {key!r} names it, and the store {self._shown!r} answers that it is "
                "not there: neither is believed.",
                reason="store_failed",
            )

    def still_gone(
        self, keys: Sequence[str], clock: Callable[[], float] = time.monotonic
    ) -> list[str]:
        """Return those of the keys, which a listing lacks, that their folders do not name now.

        Of a name that is removed and comes again while its folder is read nobody has to tell: SFTP
        and WebDAV servers tell what readdir does.

        Args:
            keys: of files.
            clock: in seconds.
        """
        with self._lock:
            began = clock()
            if began >= self._looked_until:
                self._looked.clear()
            gone: list[str] = []
            for key in keys:
                folder, _, name = key.rpartition("/")
                if self._look(folder).get(name, True):
                    gone.append(key)
            self._looked_until = max(self._looked_until, 3 * clock() - 2 * began)
            if sum(map(len, self._looked.values())) > MOST_NAMES:
                self._looked.clear()
            return gone

    def _look(self, folder: str) -> dict[str, bool]:
        """Return what a folder holds, nothing where it is gone.

        Many that went from one folder are not asked for one by one.
        """
        if folder in self._looked:
            return self._looked[folder]
        names: dict[str, bool] = {}
        if not self._is_known_to_be_gone(folder):
            try:
                names = {one.name: one.kind == "folder" for one in self._listed(folder)}
            except FileNotFoundError:
                self._look(folder.rpartition("/")[0])
        return self._looked.setdefault(folder, names)

    def _is_known_to_be_gone(self, folder: str) -> bool:
        while folder:
            above, _, name = folder.rpartition("/")
            if above in self._looked:
                return not self._looked[above].get(name, False)
            folder = above
        return False

    def _named_in(self, folder: str) -> list[str]:
        try:
            return [one.name for one in self._listed(folder) if one.kind == "file"]
        except FileNotFoundError:  # it went with what it held
            return []
