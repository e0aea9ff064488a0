"""What a source still has to embed, by what its catalog knows of objects that were never read."""

from typing import Protocol

from s3sync_dagster.catalog import Catalog
from s3sync_dagster.core.estimate import Estimate, estimate
from s3sync_dagster.model.source import Source

SAMPLE = 5000
"""Objects that are looked at; with more of them the others are taken to be like these."""


class Live(Protocol):
    """Counts of objects, as the catalog and the API have them."""

    @property
    def pending(self) -> int: ...  # noqa: D102
    @property
    def processing(self) -> int: ...  # noqa: D102


def still_to_embed(catalog: Catalog, source: Source, counts: Live) -> Estimate | None:
    """Return what objects come to that were never read; None: there are none.

    Args:
        catalog: at most ``SAMPLE`` rows of it are read.
        source: the source.
        counts: its objects by state, as they are now.
    """
    waiting = counts.pending + counts.processing
    unread = catalog.views.unread(source.id, limit=SAMPLE) if waiting else []
    if not unread:
        return None
    found = estimate(source, unread)
    return found.times(max(1.0, waiting / SAMPLE)) if len(unread) == SAMPLE else found
