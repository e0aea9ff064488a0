"""When the source before a moved one may go."""

from dataclasses import dataclass

from s3sync_dagster.core.guard import needs_approval


@dataclass(frozen=True, slots=True, kw_only=True)
class Succession:
    """How far a source has come in the place of the one before it."""

    listed: bool
    """Whether it has a listing that is complete."""
    keeps: bool
    """Whether one of the two has a mode that keeps records whose objects are gone."""
    working: int
    """Documents of the one before whose keys wait or are worked on, and have none there yet."""
    left: int
    """Documents of the one before that stand."""
    written: int
    """Documents that are whole, of the new one."""
    failed: int
    """Documents of the one before whose keys have failed in the new one, and have none there."""
    asked: int
    """Documents that a request asked the one before for, and nobody the new one."""
    gone: int
    """Documents of the one before whose key the new one does not take, or its place has not."""


def why_it_stays(name: str, now: Succession) -> str | None:
    """Return why the records of the source before stay; None: they may go.

    Args:
        name: of the new source, which was the other's.
        now: how far it has come.
    """
    way = f"`s3sync source move {name} --now` removes them all the same"
    if not now.listed:
        return "the records of before stay until the first listing is complete"
    if now.working:
        return f"the records of before stay until the keys of {now.working} documents are worked on"
    if now.failed:
        return f"{now.failed} documents of before stay, whose keys have failed since; {way}"
    if now.asked:
        return f"{now.asked} documents of before stay, which requests had asked for; {way}"
    if now.keeps and now.gone:
        return (
            f"{now.gone} of {now.left} documents of before have no successor and stay, as the "
            f"source's mode keeps what is gone; {way}"
        )
    if needs_approval(now.gone, total=max(now.left, now.written)):
        return f"{now.gone} of {now.left} documents of before have no successor and stay; {way}"
    return None
