"""Where ``source create`` comes after ``sync``: the place has a source, which works when asked."""

from collections.abc import Iterable

from s3sync_dagster.cli.sync_summary import place_of
from s3sync_dagster.core.source_identity import overlap
from s3sync_dagster.core.state import SourceRow
from s3sync_dagster.model.errors import Conflict
from s3sync_dagster.model.source import AutoSync, Source


def made_by_sync(rows: Iterable[SourceRow], wanted: Source) -> Conflict | None:
    """Return the refusal that leads on, None where no such source has what is wanted."""
    for row in rows:
        there = row.source
        by_hand = row.origin == "catalog" and there.auto_sync is AutoSync.NONE
        prefix = there.place.identity().path_prefix
        has_it = wanted.place.identity().path_prefix.startswith(prefix)
        if by_hand and has_it and overlap(there, wanted):
            return Conflict(
                f"{place_of(wanted)} is in the collection {wanted.collection_name!r} already, by "
                f"the source {there.name!r}, which works when it is asked. To keep that one in "
                f"step by itself: s3sync source edit {there.name} --auto-sync direct",
                reason="source_overlaps",
            )
    return None
