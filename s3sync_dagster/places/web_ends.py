"""The end of a crawl that has seen all: pages that name another one, or were moved, are joined."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from s3sync_dagster.places.web_address import host_of
from s3sync_dagster.places.web_evidence import (
    count_misses,
    hidden,
    miss,
    missed_once_more,
    ripen,
)
from s3sync_dagster.places.web_known import Task
from s3sync_dagster.places.web_memory import NOINDEX, SiteMemory

if TYPE_CHECKING:
    from s3sync_dagster.places.web import WebPlace

LONGEST = 100
"""Pages, each of which leads to the next."""


def end_crawl(memory: SiteMemory, place: "WebPlace", *, hosts: frozenset[str]) -> None:
    """Join pages, and let misses count from now on.

    Pages are joined with the one as which they want to be known, where the site has that, and one
    that was moved for good is gone where it tells what is at the new address: one that was listed
    so far counts as missed. Whoever is led back to itself, by other pages or by an address that was
    moved there, is the page.

    Args:
        memory: of the site, with nothing left to look at.
        place: what the source takes.
        hosts: of the site.
    """
    with memory.step():
        joined, moved = memory.joined("joined"), memory.joined("moved")
        ends = _Ends(memory, place, hosts, (*joined, *moved))
        for task in [task for task in joined if ends.leads_back(task.key)]:
            ends.stay(task)
        left = [task for task in joined if task.key in ends.targets]
        keys = {task.key for task in left}
        for task in [task for task in left if ends.is_last(task, keys)]:
            ends.stay(task)
        others = [task for task in left if task.key in ends.targets]
        for task, end in [(task, ends.of(task)) for task in others]:
            known = memory.page(task.key)
            if end == "listed" and (known is None or known.canonical is not None):
                miss(memory, task, known)
            else:
                ends.stay(task)
        told_at = dict(memory.missed())
        for task, end in [(task, ends.of(task)) for task in moved]:
            known = memory.page(task.key)
            if known is not None and end is not None:
                known = missed_once_more(known, told_at[task.key])
            else:
                memory.take_miss_back(task.key)
            memory.end_task(task, hidden(known))
        memory.leave_beyond(place.most_pages)
        count_misses(memory)
        memory.forget_unvisited()
        ripen(memory)
        memory.forget_before()


class _Ends:
    """Where pages lead that name another one, or that were moved.

    Args:
        memory: of the site.
        place: what the source takes.
        hosts: of the site.
        tasks: of those pages.
    """

    def __init__(
        self,
        memory: SiteMemory,
        place: "WebPlace",
        hosts: frozenset[str],
        tasks: Iterable[Task],
    ) -> None:
        self._memory, self._place, self._hosts = memory, place, hosts
        self.targets = {task.key: task.target for task in tasks if task.target is not None}

    def leads_back(self, key: str) -> bool:
        """Return whether a page is led back to itself."""
        return key in self._chain(self.targets.get(key))

    def is_last(self, task: Task, others: Collection[str]) -> bool:
        """Return whether no other page stands between a page and an end that is none."""
        return self.of(task) != "listed" and not any(
            one in others for one in self._chain(task.target)
        )

    def stay(self, task: Task) -> None:
        """List a page that wants to be known as another one: it leads to none that is there."""
        del self.targets[task.key]
        self._memory.end_task(task, "listed")
        known = self._memory.page(task.key)
        if known is not None:
            self._memory.change(task.key, replace(known, misses=0))

    def of(self, task: Task) -> str | None:
        """Return what is at the end of what a page is joined with or was moved to.

        ``listed`` is a page, ``missing`` none, by what the site says, also of one that wants to be
        in no index, or by an address that this source does not take; None: it did not tell.
        """
        target = next(reversed(self._chain(task.target)), None)
        if target is None or host_of(target) not in self._hosts:
            return None
        if not self._place.takes(target):
            return "missing"
        met = self._memory.end_of(target)
        end = met[0] if met is not None else None
        return "missing" if end == NOINDEX else end if end in ("listed", "missing") else None

    def _chain(self, target: str | None) -> dict[str, None]:
        """Return where a page leads, one after the other, up to what leads on no more, or back."""
        passed: dict[str, None] = {}
        while target is not None and target not in passed and len(passed) < LONGEST:
            passed[target] = None
            target = self.targets.get(target)
        return passed
