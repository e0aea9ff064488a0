"""Listings that are made of inventory reports, which are hours old.

A report changes nothing of what is known: where it says something else, or lacks an object, the
bucket itself is asked by a HEAD, whose answer is as new as a listing's. What nobody knows of yet is
taken from the report, and its GET tells. So no clock has to say what is newer.

Where the listing before left something that no report tells, the bucket itself is listed.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from s3sync_dagster.core.page import contradicts
from s3sync_dagster.core.state import ListedReport, ListingState
from s3sync_dagster.engine.pages import first_object
from s3sync_dagster.model.errors import FixConfiguration, S3SyncError
from s3sync_dagster.model.object import ObjectRef

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from s3sync_dagster.core.state import ListingRow, ObjectState
    from s3sync_dagster.engine.catalog_port import CatalogPort
    from s3sync_dagster.engine.listing import Stretch
    from s3sync_dagster.engine.store_ports import ObjectStore, ReportedStore
    from s3sync_dagster.model.source import Source

REFUSED = "inventory_report_refused"
HEADS_AT_ONCE = 500
"""Keys of a stretch of which the bucket is asked, within the lease of their listing."""
FALSELY_ABSENT = 20
"""More such keys of a stretch show that the report is one of other keys."""
DAY = 86_400.0
"""A report may lack what was written shortly before it (AWS: eventually consistent)."""


def is_reported(store: ObjectStore) -> bool:
    """Return whether a store's listings are made of reports."""
    return hasattr(store, "newest_report")


def nothing_new(source: Source, *, store: ObjectStore, catalog: CatalogPort) -> str | None:
    """Return a sentence where no report has come since the last listing; None: list.

    Costs one LIST of the place where reports are delivered. What failed is asked again, as each
    listing would, when its time has come.
    """
    if not is_reported(store):
        return None
    last = catalog.reports.last(source.id)
    used = last.report if last is not None else None
    if last is None or used is None or used.settings != settings_digest(source):
        return None
    if _wants_list(source, catalog=catalog):
        return None
    if last.state in (ListingState.FAILED, ListingState.RUNNING) and not used.refused:
        return None
    try:
        if _reported(store).newest_report(used, again=False) is not None:
            return None
    except S3SyncError:
        return None  # the listing meets it again, and tells
    retried = catalog.reports.retry_due(source.id)
    again = f"; {retried} keys that failed are tried again" if retried else ""
    return f"no inventory report after that of {used.name}{again}"


def take_report(
    source: Source, listing: ListingRow, *, owner: str, store: ObjectStore, catalog: CatalogPort
) -> tuple[ObjectStore, ListingRow | None]:
    """Return what a listing reads: the store itself, or the report that it is made of.

    The listing is None where it is no longer this owner's.

    Raises:
        FixConfiguration: ``no_inventory_report``, ``inventory_report_refused``.
    """
    if not is_reported(store):
        return store, listing
    reported, report = _reported(store), listing.report
    if report is None and listing.cursor is not None:
        return store, listing  # begun as a LIST, before the source had reports
    if report is None:
        report = _chosen(source, reported, catalog=catalog)
    elif report.place != reported.inventory:  # what is left of it is asked of the bucket
        report = replace(report, place=reported.inventory, name="", created_at=0.0, listed=True)
    begun = listing
    if report != listing.report:
        begun = catalog.reports.note(listing, report, owner=owner)
    opened = store if report.listed else cast("ObjectStore", reported.open_report(report))
    return opened, begun


def note_refusal(
    listing: ListingRow, error: S3SyncError, *, owner: str, catalog: CatalogPort
) -> None:
    """Remember a report that could not be believed, so that no tick reads it again."""
    if listing.report is not None and error.reason == REFUSED:
        catalog.reports.amend(listing, owner=owner, refused=True)


def confirmed(
    source: Source,
    stretch: Stretch,
    listing: ListingRow,
    *,
    owner: str,
    store: ObjectStore,
    catalog: CatalogPort,
) -> Stretch:
    """Return a stretch of a report as the bucket's own listing would tell it now.

    Raises:
        FixConfiguration: ``inventory_report_refused``, where it lacks what has long been there.
        S3SyncError: the bucket could not be asked.
    """
    if listing.report is None or listing.report.listed or not is_reported(store):
        return stretch
    if stretch.last and not stretch.refs and not listing.listed:
        _require_empty(source, listing.report, store=store)
    stretch, doubted = _in_doubt(source, stretch, catalog=catalog)
    if not doubted:
        return stretch
    known = dict(stretch.window.objects)
    told = {ref.key: ref for ref in stretch.refs}
    answers = _reported(store).heads(doubted)
    _require_complete(answers, [key for key in doubted if key not in told], listing.report)
    if unasked := len(doubted) - len(answers):
        catalog.reports.amend(
            listing,
            owner=owner,
            unasked=unasked,
            error=f"HEADs of {listing.report.unasked + unasked} keys that the report contradicts "
            "were refused: they stay as they were, and the bucket itself is listed next.",
        )
    for key in doubted:
        state = known.get(key)
        answer = answers.get(key)
        if answer is not None:
            told[key] = replace(answer, version_id=None)  # as listings tell it
        elif key in answers or state is None:
            told.pop(key, None)
        elif state.missed:
            told.pop(key, None)
            del known[key]  # neither seen nor missed
        else:
            told[key] = _as_known(state)
    return replace(
        stretch,
        refs=tuple(told[key] for key in sorted(told)),
        window=replace(stretch.window, objects=known),
    )


def settings_digest(source: Source) -> str:
    """Return what tells a source from what it was when it was listed last."""
    decides = [source.to_json(), source.fingerprint()]
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]


def _wants_list(source: Source, *, catalog: CatalogPort) -> bool:
    """Return whether the listing before left what no report tells.

    Settings were others since it began, there and back too: what went by under those left no trace.
    It held removals back, keys of which the bucket did not tell, or objects for which there was no
    room: any of them may have changed without an event. Before the first there is no such thing,
    except documents: what it does not tell of them counts, and a report may be older than they are.
    """
    whole = catalog.reports.whole(source.id)
    if whole is None:
        return catalog.reports.has_unlisted(source.id)
    used = whole.report
    held = whole.state is not ListingState.COMPLETE or whole.left_out > 0
    return held or used is None or used.unasked > 0 or used.settings != settings_digest(source)


def _chosen(source: Source, reported: ReportedStore, *, catalog: CatalogPort) -> ListedReport:
    """Return the report of which a new listing is made, or which it makes needless."""
    last = catalog.reports.last(source.id)
    used = last.report if last is not None else None
    if _wants_list(source, catalog=catalog):
        known = used if used is not None and used.place == reported.inventory else None
        return ListedReport(
            place=reported.inventory,
            name=known.name if known is not None else "",
            created_at=known.created_at if known is not None else 0.0,
            settings=settings_digest(source),
            listed=True,
        )
    found = reported.newest_report(used, again=True)
    if found is None:
        raise FixConfiguration(
            "The inventory report that was listed last is gone, and none came after it.",
            reason="no_inventory_report",
        )
    return replace(found, settings=settings_digest(source))


def _in_doubt(
    source: Source, stretch: Stretch, *, catalog: CatalogPort
) -> tuple[Stretch, list[str]]:
    """Return the keys that the report contradicts, and the part of the stretch that has them."""
    known = stretch.window.objects
    told = {ref.key: ref for ref in stretch.refs}
    doubted = {
        key for key in known if key not in told or contradicts(known[key], told[key], source)
    }
    doubted |= catalog.reports.gone(source.id, [key for key in told if key not in known])
    keys = sorted(doubted)
    if len(keys) <= HEADS_AT_ONCE:
        return stretch, keys
    until = keys[HEADS_AT_ONCE - 1]
    window = {key: state for key, state in known.items() if key <= until}
    part = replace(
        stretch,
        refs=tuple(ref for ref in stretch.refs if ref.key <= until),
        window=replace(stretch.window, objects=window, until=until),
        cursor=until,
        last=False,
    )
    return part, keys[:HEADS_AT_ONCE]


def _require_empty(source: Source, report: ListedReport, *, store: ObjectStore) -> None:
    """Refuse a report that names no key, where the bucket has some: it is one of other keys."""
    first = first_object(store, source.place.path_prefix)
    modified = first.last_modified if first is not None else None
    if modified is not None and modified.timestamp() < report.created_at - DAY:
        raise FixConfiguration(
            f"The inventory report {report.name} names no object of the source's prefix, and the "
            "bucket has had some for a day before it: its configuration leaves them out.",
            reason=REFUSED,
        )


def _require_complete(
    answers: Mapping[str, ObjectRef | None], absent: Sequence[str], report: ListedReport
) -> None:
    there = [ref for ref in map(answers.get, absent) if ref is not None]
    written = [ref.last_modified.timestamp() for ref in there if ref.last_modified is not None]
    false = sum(moment < report.created_at - DAY for moment in written)
    if false > FALSELY_ABSENT and 2 * false > len(absent):
        raise FixConfiguration(
            f"The inventory report {report.name} lacks {false} objects of a stretch of keys that "
            "the bucket has had for a day before it: its configuration leaves out a part of the "
            "source's prefix.",
            reason=REFUSED,
        )


def _as_known(state: ObjectState) -> ObjectRef:
    return ObjectRef(
        key=state.object_key,
        etag=state.etag,
        size=state.size,
        storage_class=state.storage_class,
        restored=state.skip_reason != "archived",
    )


def _reported(store: ObjectStore) -> ReportedStore:
    return cast("ReportedStore", store)
