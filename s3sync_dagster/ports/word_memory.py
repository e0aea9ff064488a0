"""What a process remembers of a word index from one question to the next."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

DRIFT = 0.01
"""Share of a count by which the index may have changed since: a rarity is off by 0.01 at most."""
LEAST_KEPT = 1000
"""Records with a word that are counted anew in no time."""
MOST_KEPT = 10_000
"""Words."""
ALL_RECORDS = ""
"""Stands for a word that every record has."""
FREE_SECONDS = 0.02
"""CPU of a look at the catalog that each question can pay."""
RESTS = 20
"""A look that takes longer is not taken again before so many times what it takes beyond that."""
LONGEST_REST_SECONDS = 10.0
"""Also for how long a look serves questions while the next one goes on beside them."""
MOST_READERS = 50
"""Readers with different rights whose records are remembered, a byte each."""
MAY = b"\x01"
"""Of a record: may be seen."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Records of an index file that a reader may see."""

    upto: int = 0
    """All of the documents up to this number are known; what is said of a number stays true."""
    records: bytes = b""
    """By their numbers: ``MAY``, or 0; some may be gone."""


@dataclass(slots=True)
class WordMemory:
    """Counts of common words, and when the collection is looked at again.

    Nothing of it is needed: another process counts and looks for itself.
    """

    _counts: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    """By word: records that have it, and how much the index had been changed then."""
    _shares: dict[str, tuple[float, int]] = field(default_factory=dict[str, tuple[float, int]])
    """By word, likewise: how many of the records that have it have pieces of words."""
    _seen: dict[str, Seen] = field(default_factory=dict[str, Seen])
    _rests_until: float = 0.0
    _recent_until: float = 0.0
    _woken: float = 0.0
    """Looks that began before do not count."""
    _collection_id: str = ""
    _file: str = ""
    _beside: threading.Thread | None = None
    following: threading.Lock = field(default_factory=threading.Lock, repr=False)
    """Held while a thread brings the index in line: the others wait, and find it done."""
    _starting: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def count_of(self, word: str, touched: int) -> int | None:
        """Return how many records have a word, as last counted; None: count them.

        Args:
            word: or ``ALL_RECORDS``.
            touched: rows of the index file that were changed, since it was made.
        """
        number, then = self._counts.get(word, (0, -1))
        return number if touched == then or 0 <= touched - then < DRIFT * number else None

    def keep_count(
        self, word: str, number: int, touched: int, *, looked_at: int | None = None
    ) -> None:
        """Remember how many records have a word.

        Args:
            word: or ``ALL_RECORDS``.
            number: of the records.
            touched: rows of the index file that were changed, since it was made.
            looked_at: records that had to be looked at to know; None: those.
        """
        self._counts.pop(word, None)
        if (number if looked_at is None else looked_at) >= LEAST_KEPT:
            if len(self._counts) >= MOST_KEPT:
                self._counts.clear()
            self._counts[word] = number, touched

    def share_of(self, word: str, touched: int, records: int) -> float | None:
        """Return how many of the records with a word have pieces, as a share; None: look.

        Args:
            word: with what tells the file and the reader from others.
            touched: rows of the index file that were changed, since it was made.
            records: that there are.
        """
        share, then = self._shares.get(word, (0.0, -1))
        known = then >= 0 and 0 <= touched - then <= DRIFT * records
        return share if known else None

    def keep_share(self, word: str, share: float, touched: int) -> None:
        """Remember that; arguments as above."""
        if len(self._shares) >= MOST_KEPT:
            self._shares.clear()
        self._shares[word] = share, touched

    def seen_by(self, reader: str) -> Seen:
        """Return what is known of a reader's records.

        Args:
            reader: tells the file and the rights from all others.
        """
        return self._seen.get(reader) or Seen()

    def keep_seen(self, reader: str, seen: Seen) -> None:
        """Remember a reader's records: whole, since several threads ask for one reader at once.

        Args:
            reader: tells the file and the rights from all others.
            seen: what was known of them, and what came since.
        """
        self._seen.pop(reader, None)
        self._seen[reader] = seen
        for longest_unasked in list(self._seen)[:-MOST_READERS]:
            self._seen.pop(longest_unasked, None)

    def rests(self, now: float, collection_id: str) -> bool:
        """Tell whether the last look at this very collection is recent enough for its cost."""
        return collection_id == self._collection_id and now < self._rests_until

    def is_recent(self, now: float, collection_id: str) -> bool:
        """Tell whether a look at this very collection was dear and is not long ago.

        Then the next one is taken beside the question (``look_beside``).
        """
        return collection_id == self._collection_id and now < self._recent_until

    def looked(
        self, now: float, collection_id: str, *, cpu_seconds: float, began: float | None = None
    ) -> None:
        """Remember a look at the collection.

        Args:
            now: monotonic, at its end.
            collection_id: Chroma's.
            cpu_seconds: that it took.
            began: monotonic: what was written since it may not have seen; None: ``now``.
        """
        if (now if began is None else began) < self._woken:
            return
        rest = RESTS * max(0.0, cpu_seconds - FREE_SECONDS)
        self._collection_id = collection_id
        self._rests_until = now + min(LONGEST_REST_SECONDS, rest)
        self._recent_until = now + LONGEST_REST_SECONDS if rest else 0.0

    def look_beside(self, look: Callable[[], None]) -> None:
        """Have a thread of its own look at the collection, unless one does.

        Where it fails the next question looks for itself, and says why.
        """

        def run() -> None:
            try:
                look()
            except Exception:  # noqa: BLE001  (told by the next question, which meets it too)
                self.wake(time.monotonic())

        with self._starting:
            if self._beside is None or not self._beside.is_alive():
                self._beside = threading.Thread(target=run, name="words")
                self._beside.start()

    def finish(self) -> None:
        """Wait for the look that goes on beside questions."""
        beside = self._beside
        if beside is not None:
            beside.join()

    def wake(self, now: float) -> bool:
        """Have the next question look for itself; return whether it would not have."""
        rested = now < max(self._rests_until, self._recent_until)
        self._rests_until = self._recent_until = 0.0
        self._woken = now
        return rested

    def is_of(self, file: str) -> None:
        """Forget all that is of another file: another process may have made this one anew.

        Args:
            file: tells it from the one that was here before.
        """
        if self._file and file != self._file:
            self.forget()
        self._file = file

    def forget(self) -> None:
        """Forget all: the file was made anew; who looks just now may still write to the other."""
        self._counts.clear()
        self._seen.clear()
        self.wake(time.monotonic())
