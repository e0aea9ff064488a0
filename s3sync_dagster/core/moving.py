"""When the source before a moved one may go."""

from dataclasses import dataclass

from s3sync_dagster.core.guard import needs_approval


@dataclass(frozen=True, slots=True, kw_only=True)
class Succession:
    """How far a source has come in the place of the one before it."""

    listed: bool
    """Whether it has a listing that is complete."""
    left_out: int
    """Objects that its newest complete listing met and could not take up, for a quota."""
    keeps: bool
    """Whether one of the two has a mode that keeps records whose objects are gone."""
    working: int
    """Documents of the one before whose keys wait or are worked on, and have none there yet."""
    unfinished: int
    """Documents of the one before whose objects are there, and nothing works on them."""
    left: int
    """Documents of the one before that stand."""
    taken: int
    """Documents of the one before that the new one took over where they stood."""
    failed: int
    """Documents of the one before whose keys have failed in the new one, and have none there."""
    asked: int
    """Documents that a request asked the one before for, and nobody the new one."""
    gone: int
    """Documents of the one before whose key the new one does not take, or its place has not."""

    @property
    def total(self) -> int:
        """Documents that the one before had, in its own hands or the new one's."""
        return self.left + self.taken


def why_it_stays(name: str, now: Succession) -> str | None:
    """Return why the records of the source before stay; None: they may go.

    Args:
        name: of the new source, which was the other's.
        now: how far it has come.
    """
    way = f"`s3sync source move {name} --now` removes them all the same"
    if not now.listed:
        return "the records of before stay until the first listing is complete"
    if now.left_out:
        return (
            f"the records of before stay: {now.left_out} objects were left out of the listing, as "
            f"the tenant has all that it may have; {way}"
        )
    if now.working:
        return f"the records of before stay until the keys of {now.working} documents are worked on"
    if now.unfinished:
        return (
            f"{now.unfinished} documents of before stay, whose objects were not worked on, such as "
            f"those of cancelled invocations; {way}"
        )
    if now.failed:
        return f"{now.failed} documents of before stay, whose keys have failed since; {way}"
    if now.asked:
        return f"{now.asked} documents of before stay, which requests had asked for; {way}"
    if now.keeps and now.gone:
        return (
            f"{now.gone} of {now.total} documents of before have no successor and stay, as the "
            f"source's mode keeps what is gone; {way}"
        )
    if needs_approval(now.gone, total=now.total):
        return f"{now.gone} of {now.total} documents of before have no successor and stay; {way}"
    return None
