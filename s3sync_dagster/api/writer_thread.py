"""A thread that writes what requests put: one writer, since a busy SQLite makes writers wait."""

import threading
from abc import ABC, abstractmethod


class WriterThread(ABC):
    """What writers have alike: they start, are told of changes, and end when all is written."""

    def __init__(self, name: str) -> None:
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Write what waits and end the thread."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join()

    @abstractmethod
    def _work(self) -> None:
        """Write until nothing waits and ``_stopping`` is set."""
