"""What a listing would do now, without doing it."""

from collections import Counter

from s3sync_dagster.api.manage_wire import DryRun
from s3sync_dagster.core.page import reconcile_page
from s3sync_dagster.core.selection import decide
from s3sync_dagster.model.source import Source
from s3sync_dagster.wiring import Parts

BUDGET_SECONDS = 20.0
SHOWN_KEYS = 100


def dry_run(parts: Parts, source: Source, *, budget_seconds: float = BUDGET_SECONDS) -> DryRun:
    """List the prefix, decide on every object, and change nothing.

    Raises:
        S3SyncError: the bucket cannot be listed.
    """
    store, catalog, clock = parts.store_for(source), parts.catalog, parts.clock
    totals: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    keys: list[str] = []
    cursor: str | None = None
    deadline = clock.monotonic() + budget_seconds
    last = False
    while not last and clock.monotonic() < deadline:
        asked_at = clock.now().timestamp()
        page = store.list_page(source.path_prefix, start_after=cursor)
        until = page.objects[-1].key if page.objects else cursor
        last = page.last or until == cursor
        window = catalog.listings.window(source.id, after=cursor, until=None if last else until)
        commit = reconcile_page(
            source,
            page.objects,
            window,
            cursor=until,
            selected_before=totals["selected"],
            asked_at=asked_at,
        )
        skipped.update(
            skip.reason for ref in page.objects if (skip := decide(source, ref)) is not None
        )
        totals.update(
            listed=commit.listed,
            selected=commit.selected,
            work=len(commit.invoke),
            new=commit.new,
            changed=commit.changed,
            gone=len(commit.missing),
        )
        keys += commit.invoke[: SHOWN_KEYS - len(keys)]
        cursor = until
    return DryRun(
        complete=last,
        listed=totals["listed"],
        selected=totals["selected"],
        work=totals["work"],
        new=totals["new"],
        changed=totals["changed"],
        gone=totals["gone"],
        skipped=dict(skipped),
        work_keys=keys,
    )
