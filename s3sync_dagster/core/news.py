"""What listings, events and requests tell of objects, weighed against what is known of them."""

from collections.abc import Mapping, Sequence

from s3sync_dagster.core.events import compare_sequencers
from s3sync_dagster.core.state import ObjectState
from s3sync_dagster.model.object import ObjectRef

Told = tuple[ObjectRef, str | None]
"""An object and selection's reason for skipping it; None: it is taken."""
BEYOND_LIMIT = "document_limit"
"""Reason of what stands behind the first so many objects that a source takes."""


def outdated_news(known: Mapping[str, ObjectState], sequencers: Mapping[str, str]) -> set[str]:
    """Return the keys whose event is older than one that was told before.

    Only sequencers of equal length are believed (see ``core.events``).
    """
    old: set[str] = set()
    for key, sequencer in sequencers.items():
        state = known.get(key)
        before = (state.sequencer if state is not None else None) or ""
        if len(before) == len(sequencer) and compare_sequencers(before, sequencer) == 1:
            old.add(key)
    return old


def doubted(known: Mapping[str, ObjectState], told: Sequence[Told]) -> list[Told]:
    """Return what events told, without the details that something else contradicts.

    Two tellers whose order is not known leave an etag that may be old: a document that has just
    this etag would pass for unchanged. An empty one makes the next reader ask the bucket.
    """
    answer: list[Told] = []
    for ref, skip in told:
        state = known.get(ref.key)
        if state is not None and _contradicts(state, ref):
            answer.append((ObjectRef(key=ref.key, etag="", size=-1), skip))
        else:
            answer.append((ref, skip))
    return answer


def unchanged_since(
    known: Mapping[str, ObjectState],
    told: Sequence[Told],
    asked: Mapping[str, ObjectState | None],
) -> list[Told]:
    """Return what the bucket told of objects of which nothing else was told since it was asked.

    Args:
        known: what the catalog knows now.
        told: what the bucket answered.
        asked: what was known of each key when it was asked; None: nothing.
    """
    return [one for one in told if _is_as_it_was(known.get(one[0].key), asked.get(one[0].key))]


def _is_as_it_was(now: ObjectState | None, asked: ObjectState | None) -> bool:
    """Return whether nothing was told in between: the etag alone may be as before all the same."""
    if now is None:  # what was gone is forgotten in time
        return asked is None or asked.gone
    if asked is None or (now.gone, now.told_count) != (asked.gone, asked.told_count):
        return False
    return now.gone or now.etag == asked.etag  # old news blank it, and tell nothing


def beyond_limit(before: int, limit: int | None) -> bool:
    """Return whether an object is left out, given the selected ones before it in key order."""
    return limit is not None and before >= limit


def limited(told: Sequence[Told], *, limit: int | None, before: Mapping[str, int]) -> list[Told]:
    """Return what was told, with the reason for what stands beyond the source's limit.

    Listings count exactly; between two of them an object is taken when fewer selected keys than
    the limit stand before it.

    Args:
        told: objects with selection's verdict by the object alone.
        limit: the source's ``document_limit``.
        before: selected objects that stand before each taken key.
    """
    left_out = {key for key, number in before.items() if beyond_limit(number, limit)}
    return [
        (ref, BEYOND_LIMIT if skip is None and ref.key in left_out else skip) for ref, skip in told
    ]


def _contradicts(state: ObjectState, ref: ObjectRef) -> bool:
    if state.gone:
        return True
    worked_on = state.outcome == "indexed" and state.outcome_etag == state.etag
    return state.etag != ref.etag and not worked_on
