"""Who declares a source in code: seen when, for which Chroma, and who contradicts.

A declaration says itself again at each tick of its listing sensor and in each of its runs; the
catalog keeps what was said last.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from s3sync_dagster.core.patience import CLOCKS_DIFFER_SECONDS

REFRESH_SECONDS = 20.0
"""A declaration that says nothing new is written down so often at most."""
HOLDS_SECONDS = 120.0
"""A code location that was silent for so long declares a source no more: another one may. Longer
than a reload and the sensor ticks of many sources."""
FORGOTTEN_SECONDS = 300.0
"""A listed source that no code has declared for so long is one that nothing lists."""
CLOUD = "https://api.trychroma.com"
_PORTS = {"http": 80, "https": 443}
_HERE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What the catalog keeps of the code that declares a source."""

    at: float
    """POSIX seconds, when it was last seen, within ``REFRESH_SECONDS``."""
    by: str | None = None
    """Name of its code location; None where nobody knows it."""
    chroma: str | None = None
    """``chroma_address`` of the one that it names; None: the environment names it."""
    rival: str | None = None
    """Another code location that declares the source otherwise."""
    rival_at: float = 0.0
    """POSIX seconds, when that was last seen, within ``REFRESH_SECONDS``."""

    @classmethod
    def from_json(cls, kept: dict[str, Any] | None) -> "Declaration | None":
        """Return it from its JSON; what a newer version has besides is left out."""
        if kept is None:
            return None
        return cls(**{name: kept[name] for name in cls.__slots__ if name in kept})

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self)

    def holds(self, now: float) -> bool:
        """Return whether that code still declares the source, as far as can be told."""
        return _age(self.at, now) < HOLDS_SECONDS

    def forgotten(self, now: float) -> bool:
        """Return whether no code declares the source any more, where one says so at each tick."""
        return _age(self.at, now) >= FORGOTTEN_SECONDS

    def rivalry(self, name: str, now: float) -> str | None:
        """Return the sentence for a source that two code locations declare; None: one does."""
        if self.rival is None or _age(self.rival_at, now) >= HOLDS_SECONDS:
            return None
        return (
            f"The source {name!r} is declared by the code location {self.rival!r}, too, with other "
            f"settings; those of {self.by!r} count. Give one of the two another name."
        )


def declared_anew(
    was: Declaration | None, *, by: str | None, chroma: str | None, same: bool, now: float
) -> tuple[Declaration | None, bool]:
    """Return what the catalog is to keep of a declaration, and whether its settings count.

    The first code location that declares a source keeps it while it goes on doing so. Old and new
    code of one location, as in a rolling deploy, are no rivals: what came last counts.

    Args:
        was: what is kept; None: nothing.
        by: the code location that declares it now; None: not known.
        chroma: that it names.
        same: whether its settings are those that the source has.
        now: POSIX seconds.

    Returns:
        None for the first where what is kept stays.
    """
    if was is None:
        return Declaration(at=now, by=by, chroma=chroma), True
    if None not in (by, was.by) and by != was.by and was.holds(now):
        if same and chroma == was.chroma:
            return None, True
        fresh = by == was.rival and _age(was.rival_at, now) < REFRESH_SECONDS
        return (None if fresh else replace(was, rival=by, rival_at=now)), False
    said = replace(was, at=now, by=by or was.by, chroma=chroma)
    stays = _age(was.at, now) < REFRESH_SECONDS and said == replace(was, at=now)
    return (None if stays else said), True


def chroma_address(url: str) -> str:
    """Return what tells one Chroma server from another: scheme, host and port, and no secret."""
    parts = urlsplit(url)
    host = (parts.hostname or "").lower()
    host = "localhost" if host in _HERE else f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}:{parts.port or _PORTS.get(parts.scheme, 0)}"


def _age(at: float, now: float) -> float:
    """Return the seconds since then; a time of a clock that was put right since is long ago."""
    return now - at if at <= now + CLOCKS_DIFFER_SECONDS else float("inf")
