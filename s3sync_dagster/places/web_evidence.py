"""When a page is gone: what several whole crawls of a home said, and lay far enough apart."""

from dataclasses import replace

from s3sync_dagster.places.web_known import Page, Task
from s3sync_dagster.places.web_memory import SiteMemory

APART_SECONDS = 3600.0
"""Between two crawls, or answers, that both count: those that follow each other see one outage."""
GONE_SECONDS = 14 * 86_400.0
"""A page that is gone is asked for so long: its removal may wait for a person, and the site may
come back before it is carried out."""
UNREAD_SECONDS = 7 * 86_400.0
"""After so long a home that could never read some page knows the site all the same."""

LEARNT = "learnt"
"""Note of a home that was told of the pages that records are of."""


def hidden(known: Page | None) -> str:
    """Return how a page ends of which nothing new was told: it is listed if it was."""
    return "nothing" if known is None or known.gone else "kept"


def missed_once_more(known: Page, at: float) -> Page:
    """Return a page after a crawl that missed it, at a time in seconds since 1970."""
    if known.gone or (known.misses and 0 <= at - known.missed_at < APART_SECONDS):
        return known
    if known.misses and known.missed_at > at:  # the clock was ahead
        return replace(known, missed_at=at)
    return replace(known, misses=known.misses + 1, missed_at=at)


def miss(memory: SiteMemory, task: Task, known: Page | None) -> None:
    """Note that a crawl did not find a page; the second in a row takes it away."""
    if known is None:
        return memory.end_task(task, "missing")
    at = known.asked_at if task.outcome == "joined" else memory.now()
    memory.miss(task.key, at)
    gone = missed_once_more(known, at).gone
    return memory.end_task(task, "missing" if gone else "kept")


def count_misses(memory: SiteMemory) -> None:
    """Let the misses of a crawl count that has ended whole."""
    now = memory.now()
    for key, at in memory.missed():
        known = memory.page(key)
        if known is None:
            continue
        if known.canonical is None and at < known.asked_at <= now:  # a batch has read it since
            memory.list_after_all(key)
        elif _is_over(known, now):
            memory.forget(key)
        else:
            memory.change(key, missed_once_more(known, at))


def _is_over(known: Page, now: float) -> bool:
    """Return whether nobody asks any more for a page that is gone, not joined or kept out."""
    only_gone = known.gone and known.canonical is None and not known.noindex
    return only_gone and now - known.missed_at > GONE_SECONDS


def ripen(memory: SiteMemory) -> None:
    """Note, at the end of a crawl, whether what is not listed is not there.

    What a home has never seen may have been indexed by another one, or before its files were lost:
    it is gone when two crawls of this home did not find it, of which the first could read all, and
    the second asked for what has records.
    """
    now = memory.now()
    begun, whole = (memory.note(name) for name in ("begun_at", "whole_at"))
    since = min(float(begun or now), now)
    memory.take_note("begun_at", str(since))
    if whole is not None:
        if now - float(whole) >= APART_SECONDS and memory.note(LEARNT):
            memory.take_note("tells_missing", "yes")
        memory.take_note("whole_at", str(min(float(whole), now)))
    elif not memory.count_unread() or now - since >= UNREAD_SECONDS:
        memory.take_note("whole_at", str(now))
