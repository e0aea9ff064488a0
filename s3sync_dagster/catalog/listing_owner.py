"""Who has a running listing: a process, by its lease, or between two ticks a data folder."""

from typing import Any, Literal

import sqlalchemy as sa

from s3sync_dagster.core.patience import is_due

LEASE_SECONDS = 90.0
KEPT_SECONDS = 1200.0
"""So long a listing that can go on in one data folder alone is left to that between two ticks: a
slow one may be the next after a quarter of an hour."""
_OF_A_HOME = ":"
"""Behind it, in an owner's name, stands the process: where nothing does, there is none."""


def next_of(
    row: sa.Row[Any], owner: str, *, fresh: bool, kept: bool, now: float
) -> Literal["leave", "go on", "anew"]:
    """Return what is to be done with a running listing by who wants to list its source.

    Hosts that take turns would end each other's for ever: what stays in another data folder is left
    to that, and begun anew where it did not go on.

    Args:
        row: of the listing.
        owner: who wants to.
        fresh: from the first page.
        kept: whether what it goes on with lies in the owner's data folder.
        now: of the database.
    """
    stays = is_home(row.owner or "")
    longest = KEPT_SECONDS if stays else LEASE_SECONDS
    live = not is_due(row.lease_until, now=now, at_most=longest)
    if stays and not fresh and not kept:
        return "leave" if live else "anew"
    if live and not stays and row.owner != owner:
        return "leave"
    return "anew" if fresh else "go on"


def is_home(owner: str) -> bool:
    """Return whether an owner is a data folder, and no process."""
    return owner.endswith(_OF_A_HOME)


def kept_by(owner: str, *, now: float) -> dict[str, Any]:
    """Return the values of a listing that stays in the data folder of its owner."""
    home = owner.partition(_OF_A_HOME)[0]
    return {"lease_until": now + KEPT_SECONDS, "owner": home + _OF_A_HOME}
