"""How far the invocation of a whole commit or site has come: a listing, and what it asked for."""

from dataclasses import dataclass

from s3sync_dagster.core.state import ListingRow, ListingState
from s3sync_dagster.model.invocation import InvocationStatus

REPLACED = "replaced by a new listing"
"""Why a listing has failed that another one answers for: a person began it anew."""


@dataclass(frozen=True, slots=True)
class WholeState:
    """What is told of it."""

    status: InvocationStatus
    error: str | None = None


def state_of_whole(listing: ListingRow | None, *, live: int, failed: int, name: str) -> WholeState:
    """Return how far it is.

    Args:
        listing: the first of the source that began after it was asked for, and was not replaced.
        live: keys of the source that wait or are worked on.
        failed: objects of the source that could not be indexed.
        name: of the source.
    """
    if listing is None:
        return WholeState(InvocationStatus.PENDING)
    match listing.state:
        case ListingState.RUNNING:
            return WholeState(InvocationStatus.PROCESSING)
        case ListingState.FAILED:
            return WholeState(InvocationStatus.FAILED, listing.error or "It could not be listed.")
        case ListingState.BLOCKED:
            return WholeState(
                InvocationStatus.FAILED,
                f"{listing.gone} documents would be removed, which a person has to allow: "
                f"`s3sync approve-deletes {name} {listing.id}`. All else is done.",
            )
        case ListingState.COMPLETE | ListingState.APPROVED:
            if live:
                return WholeState(InvocationStatus.PROCESSING)
            if listing.left_out:
                return WholeState(
                    InvocationStatus.FAILED,
                    f"{listing.left_out} new files or pages were left out: the tenant has all the "
                    "objects that it may have. All others are done.",
                )
            if failed:
                return WholeState(
                    InvocationStatus.FAILED,
                    f"{failed} files or pages could not be indexed, all others are: "
                    f"`s3sync failures --source {name}`.",
                )
            return WholeState(InvocationStatus.COMPLETE)
