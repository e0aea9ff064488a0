"""What a listing would do now, without doing it."""

from collections import Counter
from contextlib import closing

from s3sync_dagster.api.manage_wire import DryRun
from s3sync_dagster.core.estimate import Estimate, estimate
from s3sync_dagster.core.page import is_held, reconcile_page
from s3sync_dagster.core.selection import decide
from s3sync_dagster.engine.listing import PAGE_KEYS, next_stretch
from s3sync_dagster.engine.pages import confirm_gone, open_pages
from s3sync_dagster.model.source import Source
from s3sync_dagster.wiring import Parts

BUDGET_SECONDS = 20.0
SHOWN_KEYS = 100


def dry_run(parts: Parts, source: Source, *, budget_seconds: float = BUDGET_SECONDS) -> DryRun:
    """List the prefix, decide on every object, and change nothing.

    Raises:
        S3SyncError: the bucket cannot be listed.
    """
    catalog, clock = parts.catalog, parts.clock
    totals: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    keys: list[str] = []
    cursor: str | None = None
    deadline = clock.monotonic() + budget_seconds
    last = False
    store = parts.store_for(source)
    with closing(open_pages(store, source.place.path_prefix)) as pages:
        while not last and clock.monotonic() < deadline:
            asked = pages.next(cursor, limit=PAGE_KEYS)
            if asked is None:
                continue
            stretch = next_stretch(source, asked.page, cursor, listings=catalog.listings)
            cursor, last = stretch.cursor, stretch.last
            commit = reconcile_page(
                source,
                stretch.refs,
                stretch.window,
                cursor=cursor,
                selected_before=totals["selected"],
                asked=0,
                now=clock.now().timestamp(),
            )
            confirm_gone(store, commit.missing)
            live = catalog.listings.live(source.id, commit.invoke)
            work = [
                key
                for key in commit.invoke
                if not is_held(live.get(key), differs=key in commit.differing)
            ]
            skipped.update(
                skip.reason for ref in stretch.refs if (skip := decide(source, ref)) is not None
            )
            sizes = {ref.key: ref.size for ref in stretch.refs}
            read = estimate(source, [(key, sizes.get(key, 0)) for key in work])
            totals.update(
                work_texts=read.texts,
                work_text_bytes=read.text_bytes,
                work_bytes=sum(max(0, sizes.get(key, 0)) for key in work),
                listed=commit.listed,
                selected=commit.selected,
                work=len(work),
                new=commit.new,
                changed=commit.changed,
                gone=len(commit.missing),
            )
            keys += work[: SHOWN_KEYS - len(keys)]
    tokens = Estimate(text_bytes=totals["work_text_bytes"]).tokens
    price = parts.settings.price_of(source.embedding)
    return DryRun(
        complete=last,
        listed=totals["listed"],
        selected=totals["selected"],
        work=totals["work"],
        work_bytes=totals["work_bytes"],
        work_texts=totals["work_texts"],
        work_text_bytes=totals["work_text_bytes"],
        work_tokens=tokens,
        work_price=None if price is None else tokens * price / 1e6,
        new=totals["new"],
        changed=totals["changed"],
        gone=totals["gone"],
        skipped=dict(skipped),
        work_keys=keys,
    )
