"""Keys whose worker died: who is suspected, how suspects are isolated, and when one is poison.

A worker dies of a file, or of the weather. Who was begun when it died is tried again with a few
others, with fewer after each further death, until it is alone: only what kills its worker alone
is known to be at fault.
"""

from dataclasses import dataclass

BEGUN_AT_ONCE = 16
"""Keys that are begun together, and so are suspects together when their worker dies."""
DEATHS_ALONE = 3
"""A key whose worker died so often while it was alone is failed."""
SILENT_DEATHS = 2
"""After so many workers that died with a key in their batch, but not begun, every step of it is
suspected too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Deaths:
    """Workers that died with a key in their batch."""

    begun: int
    """While it was begun."""
    alone: int
    """Those of them that had no other key."""
    silent: int
    """While it was not begun."""

    def after(self, *, begun: bool, alone: bool) -> "Deaths":
        """Return the deaths when one more worker has died.

        Args:
            begun: the key was begun.
            alone: it was the only one of its batch.
        """
        if not begun:
            return Deaths(begun=self.begun, alone=self.alone, silent=self.silent + 1)
        return Deaths(begun=self.begun + 1, alone=self.alone + alone, silent=self.silent)

    @property
    def poison(self) -> bool:
        """Whether the key is not tried again before somebody asks for it."""
        return self.alone >= DEATHS_ALONE


NOT_PROVEN = frozenset({"worker_crashed", "timeout"})
"""Ends of an extraction that may be its host's fault: a worker that was killed, or too slow."""
TRIES_ALONE = 2
"""Further tries of such a document, with nothing beside it, before its bytes are blamed."""


def keeps_its_mark(deaths: int, silent_deaths: int) -> bool:
    """Return whether a batch with such a key leaves its keys marked as begun until each is settled.

    Whatever step kills the worker then, its key is among the marked ones.
    """
    return deaths > 0 or silent_deaths >= SILENT_DEATHS


def suspects_together(deaths: int) -> int:
    """Return how many keys with so many deaths (at least one) go into one batch."""
    return max(1, BEGUN_AT_ONCE >> deaths)
