"""What a sync would do now: reads the listing and the catalog, changes neither."""

import math
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import closing
from dataclasses import dataclass, field

from s3sync_dagster.core.estimate import Estimate, estimate
from s3sync_dagster.core.guard import needs_approval
from s3sync_dagster.core.page import reconcile_page
from s3sync_dagster.core.sidecar import is_sidecar
from s3sync_dagster.core.state import ObjectState
from s3sync_dagster.engine.catalog_port import CatalogPort
from s3sync_dagster.engine.listing import PAGE_KEYS, Stretch, next_stretch
from s3sync_dagster.engine.pages import confirm_gone, open_pages
from s3sync_dagster.engine.store_ports import ObjectStore
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.source import DeleteMode, Source

SHOWN_KEYS = 100


@dataclass(slots=True, kw_only=True)
class DryRun:
    """What would become of each object; ``indexed`` to ``failed`` add up to ``listed``."""

    complete: bool = False
    """False: the time was up before the end of the prefix."""
    listed: int = 0
    selected: int = 0
    """Of those, which the source's settings take."""
    indexed: int = 0
    """New objects that would be read."""
    updated: int = 0
    """Changed or outdated ones."""
    retried: int = 0
    """Those that failed or were not finished, and would be tried again."""
    unchanged: int = 0
    skipped: dict[str, int] = field(default_factory=dict[str, int])
    failed: dict[str, int] = field(default_factory=dict[str, int])
    """Those that failed by their bytes, which are the same: they would not be read."""
    removed: int = 0
    """Objects whose records would go: gone from the bucket, or no longer selected."""
    needs_approval: bool = False
    """True when the guard would stop the removals."""
    bytes: int = 0
    """Of the objects that would be read."""
    keys: list[str] = field(default_factory=list[str])
    """The first ``SHOWN_KEYS`` of them."""
    estimated_chunks: int = 0
    """Of those, which the model would read; by ``core.estimate``, as what follows."""
    estimated_text_bytes: int = 0
    estimated_tokens: int = 0


def dry_run(
    source: Source,
    *,
    catalog: CatalogPort,
    store: ObjectStore,
    now: float = math.inf,
    time_left: Callable[[], bool] = lambda: True,
    on_page: Callable[[int], None] | None = None,
) -> DryRun:
    """List the prefix and compare it with the catalog; nothing else is asked or changed.

    What sidecars ask for is not known without reading them: their objects count as their own.

    Args:
        source: which the catalog may not know yet.
        catalog: what is known of its objects.
        store: its bucket.
        now: back-offs that end later are waited for (POSIX seconds); a sync by hand waits for none.
        time_left: asked before each page; when it says no, what is counted so far is the answer.
        on_page: called with the number of listed objects after each page.

    Raises:
        S3SyncError: the bucket cannot be listed.
    """
    count = _Count(source, now)
    cursor: str | None = None
    last = False
    with closing(open_pages(store, source.place.path_prefix)) as pages:
        while not last and time_left():
            asked = pages.next(cursor, limit=PAGE_KEYS)
            if asked is None:
                continue
            stretch = next_stretch(source, asked.page, cursor, listings=catalog.listings)
            live = catalog.listings.live(source.id, [ref.key for ref in stretch.refs])
            confirm_gone(store, count.page(stretch, live))
            cursor, last = stretch.cursor, stretch.last
            if on_page is not None:
                on_page(count.result.listed)
    count.result.complete = last
    return count.finished()


class _Count:
    """Adds up page by page."""

    def __init__(self, source: Source, now: float) -> None:
        self.result = DryRun()
        self._source = source
        self._now = now
        self._held = 0
        self._skipped: Counter[str] = Counter()
        self._failed: Counter[str] = Counter()

    def page(self, stretch: Stretch, live: Collection[str]) -> Sequence[str]:
        """Count a page; return the keys that it lacks."""
        refs, window = stretch.refs, stretch.window
        commit = reconcile_page(
            self._source,
            refs,
            window,
            cursor=stretch.cursor,
            selected_before=self.result.selected,
            asked=0,
            now=self._now,
        )
        self.result.selected += commit.selected
        verdicts = {ref.key: reason for ref, reason in commit.upserts}
        asked = {*commit.invoke, *live}
        for ref in refs:
            known = window.objects.get(ref.key)
            reason = verdicts.get(ref.key, known.skip_reason if known else None)
            self._object(ref, known, reason, work=ref.key in asked)
        self._held += sum(_has_records(known) for known in window.objects.values())
        gone = sum(_has_records(window.objects[key]) for key in commit.missing)
        self.result.removed += gone
        self.result.listed += len(refs)
        return commit.missing

    def finished(self) -> DryRun:
        found = self.result
        found.skipped, found.failed = dict(self._skipped), dict(self._failed)
        found.estimated_tokens = Estimate(text_bytes=found.estimated_text_bytes).tokens
        if self._source.mode is not DeleteMode.MIRROR:
            found.removed = 0
        found.needs_approval = needs_approval(found.removed, total=self._held)
        return found

    def _object(
        self, ref: ObjectRef, known: ObjectState | None, reason: str | None, *, work: bool
    ) -> None:
        found = self.result
        if is_sidecar(ref.key, bedrock=self._source.bedrock_sidecars):
            if not work and known is not None and known.outcome == "failed":
                self._rests(known)
            else:
                self._skipped["sidecar"] += 1
        elif reason is not None:
            self._skipped[reason] += 1
            found.removed += _has_records(known)
        elif not work:
            self._rests(known)
        elif known is None or known.gone:
            found.indexed += 1
            self._read(ref)
        elif known.outcome_etag == ref.etag and known.outcome != "indexed":
            found.retried += 1
            self._read(ref)
        elif known.outcome == "indexed" and self._source.mode is DeleteMode.APPEND:
            self._skipped["changed_in_append_mode"] += 1
        elif known.outcome == "indexed":
            found.updated += 1
            self._read(ref)
        elif known.outcome is None:
            found.retried += 1
            self._read(ref)
        else:
            found.indexed += 1
            self._read(ref)

    def _rests(self, known: ObjectState | None) -> None:
        if known is not None and known.outcome == "failed":
            self._failed[known.reason or "unknown"] += 1
        elif known is not None and known.outcome == "skipped":
            self._skipped[known.reason or "unknown"] += 1
        else:
            self.result.unchanged += 1

    def _read(self, ref: ObjectRef) -> None:
        found, read = self.result, estimate(self._source, [(ref.key, ref.size)])
        found.bytes += max(0, ref.size)
        if len(found.keys) < SHOWN_KEYS:
            found.keys.append(ref.key)
        found.estimated_chunks += read.texts
        found.estimated_text_bytes += read.text_bytes


def _has_records(known: ObjectState | None) -> bool:
    return known is not None and not known.gone and known.outcome == "indexed"
