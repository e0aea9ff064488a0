"""Whether a folder names a file whose own address denies it: then one of the two is wrong."""

import threading
import time
from collections.abc import Callable

from s3sync_dagster.model.errors import Unavailable
from s3sync_dagster.places.files_walk import Listed


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

    def _named_in(self, folder: str) -> list[str]:
        try:
            return [one.name for one in self._listed(folder) if one.kind == "file"]
        except FileNotFoundError:  # it went with what it held
            return []
