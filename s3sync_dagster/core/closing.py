"""Documents that are kept from readers: what their object carries is not known to be in them.

Where tags or user metadata say who may read, a right that was taken away ends with the records that
say it. What is not written (an archived object, append mode, bytes or tags that cannot be read)
would go on saying it: its documents are for nobody with groups until they are written, or a look
finds that the object carries what they say.
"""

from dataclasses import dataclass

from s3sync_dagster.core.carried import names_readers
from s3sync_dagster.core.decision import Decision
from s3sync_dagster.core.deed import Deed
from s3sync_dagster.core.state import DocumentPhase
from s3sync_dagster.model.errors import FixInput
from s3sync_dagster.model.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """Ids of documents."""

    closed: tuple[int, ...] = ()
    """Kept from readers with groups from now on."""
    opened: tuple[int, ...] = ()
    """Not any more: they say what their object carries."""


def closing_of(deed: Deed, source: Source) -> Closing:
    """Return whose documents are closed and opened as a key ends.

    Of an object that is gone nothing tells any more: what a mode keeps of it stays as it is.
    """
    end = deed.end
    if not names_readers(source) or end.verdict == "gone" or end.held_back:
        return Closing()
    closed, opened = list[int](), list[int]()
    looks = deed.looked is not None and looked_at_again(end, source)
    for one in end.facts.documents:
        if one.phase is DocumentPhase.REMOVING or one.collection_name in deed.written:
            continue
        whole = one.phase is DocumentPhase.CLEAN
        if looks and whole and dict(one.carried) == dict(deed.looked or {}):
            opened += [one.id] if one.untold else []
        else:
            closed.append(one.id)
    return Closing(closed=tuple(closed), opened=tuple(opened))


def looked_at_again(end: Decision, source: Source) -> bool:
    """Return whether somebody looks again what the object of a key that ends so carries.

    Without an interval events alone tell of it, whatever the object is. With one listings look,
    which leave alone what its bytes or the settings end for good.
    """
    if not source.place.metadata_interval_seconds:
        return True
    if end.verdict == "fail":
        return not isinstance(end.error, FixInput)
    return end.verdict in ("unchanged", "write") or end.reason == "archived"
