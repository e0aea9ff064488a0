"""Words of texts are counted where that costs little: long texts in a worker, with its limits.

A character of Chinese is a word that takes 80 bytes, so 10 MB of text, which 14 KB of a PDF unfold
to, are a gigabyte and ten seconds in which no other thread goes on.
"""

from dataclasses import dataclass

from s3sync_dagster.engine.ports import WorkerPool, WorkLimits
from s3sync_dagster.extraction.answers import share_of
from s3sync_dagster.extraction.words import MIN_SHARE, share_in_words, word_recall

TEXT_LIMITS = WorkLimits(seconds=120, memory_bytes=900 * 1024**2)
"""For what a worker does with a text alone."""
_SHORT = 50_000
"""Characters: 10 MB and 50 ms at most."""
_WORDS = "s3sync_dagster.extraction.words"


@dataclass(frozen=True, slots=True)
class WordCounter:
    """Counts words; raises ``LimitExceeded`` for texts that are too long even for a worker."""

    pool: WorkerPool

    def recall(self, wanted: str, found: str) -> float:
        """Return what ``words.word_recall`` does."""
        if len(wanted) + len(found) <= _SHORT:
            return word_recall(wanted, found)
        task = self.pool.submit(f"{_WORDS}:word_recall", wanted, found, limits=TEXT_LIMITS)
        return share_of(task.result())

    def is_text(self, text: str) -> bool:
        """Return what ``words.is_text`` does."""
        if len(text) <= _SHORT:
            return share_in_words(text) >= MIN_SHARE
        task = self.pool.submit(f"{_WORDS}:share_in_words", text, limits=TEXT_LIMITS)
        return share_of(task.result()) >= MIN_SHARE
