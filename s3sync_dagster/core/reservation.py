"""What a batch takes of the work that is due, and whether a source gets another one."""

from collections.abc import Sequence
from dataclasses import dataclass

from s3sync_dagster.core.suspects import suspects_together
from s3sync_dagster.model.invocation import Trigger

MAX_KEYS = 500
MAX_BYTES = 256 * 1024**2
MAX_LIVE = 2
_BACKGROUND = Trigger.LISTING.priority
"""Priority of work that neither a person nor an event asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Take:
    """What a batch may take."""

    max_keys: int = MAX_KEYS
    max_bytes: int = MAX_BYTES
    max_live: int = MAX_LIVE
    max_of_tenant: int | None = None
    """Live batches of all sources of the tenant together; None: any number."""
    by_hand: bool = False
    """True for a person's own sync, which waits for no back-off and works on a paused source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A pending invocation whose time has come."""

    object_key: str
    priority: int
    """See ``Trigger.priority``."""
    deaths: int
    """Workers that died while it was begun."""
    size: int
    """Bytes of its object; 0 or less: not known."""


def may_reserve(live: Sequence[int], priority: int, *, max_live: int) -> bool:
    """Return whether a source gets a batch beside its live ones.

    One beyond the full number is for people and events, while listings hold all the others.

    Args:
        live: priorities of the source's live batches.
        priority: of the batch that is asked for.
        max_live: batches of a source at a time.
    """
    if len(live) < max_live:
        return True
    return (
        len(live) == max_live
        and priority < _BACKGROUND
        and all(other >= _BACKGROUND for other in live)
    )


def next_due(healthy: Sequence[Due], suspects: Sequence[Due], *, busy: bool) -> Sequence[Due]:
    """Return whom the next batch is for.

    Suspects of a worker's death are served apart from others: when nothing else is due, or beside
    a live batch, so that work that never ends does not keep them waiting. Those with fewer deaths
    come first, and never together with those of more.

    Args:
        healthy: those without deaths, best first.
        suspects: the others, those with the fewest deaths first.
        busy: the source has a live batch.
    """
    if healthy and not (suspects and busy):
        return healthy
    return [one for one in suspects if one.deaths == suspects[0].deaths]


def keys_of_batch(due: Sequence[Due], take: Take) -> list[str]:
    """Return distinct keys, best first, within the batch's bounds (at least one where any is due).

    Args:
        due: healthy ones, or suspects with the same number of deaths, best first.
        take: the bounds.
    """
    deaths = due[0].deaths if due else 0
    limit = suspects_together(deaths) if deaths else take.max_keys
    keys = dict[str, None]()
    size = 0
    for one in due:
        if one.object_key in keys:
            continue
        size += max(one.size, 0)
        if keys and (len(keys) >= limit or size > take.max_bytes):
            break
        keys[one.object_key] = None
    return list(keys)
