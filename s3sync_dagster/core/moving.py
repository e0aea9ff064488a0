"""When documents of the source before a moved one may go: each on its own evidence."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from s3sync_dagster.core.guard import needs_approval


class Standing(StrEnum):
    """How the new source stands to a document of the one before: the evidence, or what lacks."""

    FOLLOWED = "followed"
    """Its successor is whole."""
    LEAVING = "leaving"
    """It was on its way out already, on evidence that was looked at then."""
    TOLD = "told"
    """An event told that the new place has no such object any more, and a HEAD found none."""
    GONE = "gone"
    """The new place has no such object, or the new source does not take it."""
    WORKING = "working"
    """Its key waits or is worked on, or a sidecar does that may ask for it."""
    FAILED = "failed"
    """Its key has failed in the new source."""
    UNFINISHED = "unfinished"
    """Its object is there and nothing works on it, or a listing missed it that is no evidence."""
    KEPT = "kept"
    """Append mode keeps its text: its key has other bytes by now, or its successor has."""
    ASKED = "asked"
    """A request asked the one before for it, its object is there, and nobody asked the new one."""
    ARCHIVED = "archived"
    """Its object is there and archived: nobody can read the text again before it is restored."""
    UNHEARD = "unheard"
    """Nothing asks for it that was read, and a sidecar is there that was not read as it is now."""


CERTAIN = frozenset({Standing.FOLLOWED, Standing.LEAVING})
"""What goes whatever else is known of the two sources."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Succession:
    """How far a source has come in the place of the one before it."""

    listed: bool
    """Whether it has a listing that has seen all pages."""
    held: bool
    """Whether the guard held the newest of these: it is no evidence, nor one approved in part."""
    left_out: int
    """Objects that its newest complete listing met and could not take up, for a quota."""
    keeps: bool
    """Whether one of the two has a mode that keeps records whose objects are gone."""
    standing: Mapping[Standing, int]
    """Documents of the one before that stand, whatever becomes of them; none: 0 or absent."""
    unguarded: int
    """Those among the gone that were on their way out before: the guard has counted them."""
    records: int
    """Records that all of them have at most."""
    had: int
    """Documents that the one before had indexed when it was moved, those left out that went on
    other evidence since, or whose record ids other keys have."""
    went: int
    """Those of it that went without a successor so far."""
    unwritten: int
    """Documents taken over from any source before whose records are not written anew yet."""

    def count(self, standing: Standing) -> int:
        """Return how many documents stand so."""
        return self.standing.get(standing, 0)

    @property
    def left(self) -> int:
        """Documents of the one before that stand."""
        return sum(self.standing.values())

    @property
    def without_successor(self) -> int:
        """Documents that went, or would go, although no other came in their place."""
        return self.went + self.count(Standing.GONE) - self.unguarded

    @property
    def total(self) -> int:
        """Documents that the one before had, those written by late workers included.

        Not what an event took away: beside it all the others would go as "not all of them".
        """
        told = self.count(Standing.TOLD)
        return max(self.had - told, self.went + self.left - told - self.unguarded)


def which_may_go(now: Succession) -> frozenset[Standing]:
    """Return which documents of the source before may go: how they stand is the evidence."""
    going = set(CERTAIN)
    if not now.keeps:
        going.add(Standing.TOLD)
        if now.listed and not now.held and not now.left_out and not _is_too_much(now):
            going.add(Standing.GONE)
    return frozenset(going)


def why_it_stays(name: str, now: Succession) -> str | None:
    """Return why the source before stays, and with it so many documents; None: it may end.

    Args:
        name: of the new source, which was the other's.
        now: how far it has come.
    """
    why = [
        f"{now.count(standing)} {words}"
        for standing, words in _WHY.items()
        if now.count(standing) and standing not in which_may_go(now)
    ]
    asks = any(now.count(one) for one in _PERSON) or (
        now.listed and now.count(Standing.GONE) and Standing.GONE not in which_may_go(now)
    )
    if now.count(Standing.GONE) and Standing.GONE not in which_may_go(now):
        why.append(_why_gone_stay(now))
    going = sum(now.count(one) for one in which_may_go(now))
    if going == now.left and going:
        return f"{going} documents of before ({now.records} records) go now"
    if going:
        why.append(f"{going} go now")
    if why:
        way = f"; `s3sync source move {name} --now` removes them all the same" if asks else ""
        stay = f"{now.left} documents of before ({now.records} records) stay"
        return f"{stay}: {', '.join(why)}{way}"
    if not now.listed:
        return "the source before stays until the first listing is complete"
    return why_unwritten(now)


def why_unwritten(now: Succession) -> str | None:
    """Return why a source before has to be known although nothing of it stands; None: it has not.

    What a mode keeps may never be written: its object is gone, or cannot be read.
    """
    if now.left or not now.unwritten:
        return None
    return (
        f"{now.unwritten} documents that were taken over of the source before are not written anew "
        "yet; what its mode keeps of an object that is gone or cannot be read is written once that "
        "is mended, and goes in mode `mirror`"
    )


_WHY = {
    Standing.WORKING: "until their keys are worked on",
    Standing.UNFINISHED: (
        "whose objects were not worked on, such as those of cancelled invocations, or that a "
        "listing missed which is not approved"
    ),
    Standing.FAILED: "whose keys have failed since",
    Standing.KEPT: "whose text mode `append` keeps, as their keys have other bytes by now",
    Standing.ASKED: "which requests had asked for",
    Standing.ARCHIVED: "whose objects are archived",
    Standing.UNHEARD: "that a sidecar may ask for, as not all were read as they are now",
    Standing.TOLD: "whose objects are gone, as the source's mode keeps what is gone",
}
_PERSON = (
    Standing.UNFINISHED,
    Standing.FAILED,
    Standing.KEPT,
    Standing.ASKED,
    Standing.ARCHIVED,
    Standing.UNHEARD,
)
"""What may stay for ever, unless a person does something."""


def _is_too_much(now: Succession) -> bool:
    """Return whether the guard holds what has no successor.

    What is worked on may be gone, too: beside it all the others would go as "not all of them".
    """
    gone = now.without_successor
    working = now.count(Standing.WORKING)
    return needs_approval(gone, total=now.total) or gone + working >= now.total > 0


def _why_gone_stay(now: Succession) -> str:
    gone = now.count(Standing.GONE)
    if not now.listed:
        return f"{gone} until the first listing is complete"
    if now.held:
        return f"{gone} until a listing is complete that the guard lets pass"
    if now.left_out:
        return (
            f"{gone} without a successor, as {now.left_out} objects were left out of the listing: "
            "the tenant has all that it may have"
        )
    of = f"{now.without_successor} of {now.total} have no successor"
    return f"{of}, and the source's mode keeps what is gone" if now.keeps else of
