"""The end of a source that was moved: its records leave when its successor is whole."""

from collections.abc import Callable
from functools import partial

from s3sync_dagster.core.moving import why_it_stays
from s3sync_dagster.engine.catalog_port import CatalogPort
from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.engine.deleting import take_down
from s3sync_dagster.engine.ports import Collections
from s3sync_dagster.model.source import Source


def how_far(source: Source, *, catalog: CatalogPort) -> str | None:
    """Return why records of the source before still stand; None where there was none."""
    for before in catalog.moves.left_by(source.id):
        if catalog.sources.deleting(before.id) is not None:
            return "the records of before are being deleted"
        why = why_it_stays(source.name, catalog.moves.succession(source, before))
        return why or "the records of before go with the next tick of the dispatcher"
    return None


def finish_move(
    source: Source,
    *,
    catalog: CatalogPort,
    collections: Callable[[], Collections],
    clock: Clock,
    log: Callable[[str], None],
    now: bool = False,
    budget_seconds: float = 20.0,
) -> str | None:
    """Take down what a source stands in the place of, once it is whole.

    Who dies in between leaves a source that waits, or one that is being deleted: the next call
    goes on.

    Args:
        source: the new one.
        catalog: the catalog.
        collections: opens Chroma.
        clock: time.
        log: takes the last word.
        now: a person's word that the records of before may go, whole or not.
        budget_seconds: for this call, of each source before.

    Returns:
        A sentence on how far it came; None where nothing is left of a move.

    Raises:
        S3SyncError: Chroma or the catalog does not answer; the next call goes on.
    """
    for before in catalog.moves.left_by(source.id):
        if catalog.sources.deleting(before.id) is None:
            why = why_it_stays(source.name, catalog.moves.succession(source, before))
            if why is not None and not now:
                return f"{source.name}: {why}"
            catalog.sources.mark_deleting(before.id, keep_records=False)

        line = take_down(
            before,
            catalog=catalog,
            collections=collections,
            clock=clock,
            drop_partitions=partial(_hand_over, catalog, source.id, before.id),
            log=log,
            budget_seconds=budget_seconds,
        )
        if catalog.sources.deleting(before.id) is not None:
            return line
    return None


def _hand_over(catalog: CatalogPort, source_id: str, before_id: str, _until: float) -> bool:
    return catalog.moves.hand_over(before_id, source_id)
