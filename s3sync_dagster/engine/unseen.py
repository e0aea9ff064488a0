"""What a place may have although its listing, which does not know all there is, did not name it."""

from collections.abc import Callable, Collection, Iterator
from typing import cast

from s3sync_dagster.core.state import DocumentPhase
from s3sync_dagster.engine.catalog_port import CatalogPort
from s3sync_dagster.engine.moving import ask_for_unseen
from s3sync_dagster.engine.pages import confirm_gone
from s3sync_dagster.engine.store_ports import ObjectStore, UnsureStore
from s3sync_dagster.model.source import Source


def look_for_unseen(source: Source, *, store: ObjectStore, catalog: CatalogPort) -> None:
    """Have looked for what this source, and the sources before it, have records of.

    A listing that lacks it is no evidence: before it can be any, the place was asked for each.
    """
    cast("UnsureStore", store).learn(_with_records(source, catalog))
    ask_for_unseen(source, store=store, catalog=catalog)


def confirm_unseen(
    source: Source,
    named: Collection[str],
    *,
    store: ObjectStore,
    catalog: CatalogPort,
    renew: Callable[[], object],
) -> None:
    """Have a place that may lack what is there say of each key of before that it is not there.

    Args:
        source: the new one.
        named: keys that its listing has named, and the catalog does not know of by now.
        store: of its place.
        catalog: knows the sources before it.
        renew: called from time to time: a place is asked key by key.

    Raises:
        S3SyncError: it does not: the listing is not complete.
    """
    if not hasattr(store, "confirm_gone"):
        return
    for keys in catalog.moves.unseen(source.id):
        inside = [key for key in keys if key.startswith(source.place.path_prefix)]
        confirm_gone(store, [key for key in inside if key not in named])
        renew()


def _with_records(source: Source, catalog: CatalogPort) -> Iterator[dict[str, str]]:
    after = 0
    while page := catalog.documents.of_source(source.id, after_id=after):
        after = page[-1].id
        yield {
            one.object_key: one.etag or "unread"
            for one in page
            if one.phase is not DocumentPhase.REMOVING
        }
