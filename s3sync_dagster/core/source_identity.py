"""What makes a source the same one: where its objects are, and where its records are."""

from dataclasses import dataclass
from typing import Literal

from s3sync_dagster.model.source import Source

_NAMES = {"place_type": "type", "bucket_name": "bucket"}
_TARGET = ("tenant", "database_name", "collection_name")

Fate = Literal["followed", "left", "waiting"]
"""What became of the object of a document that was left behind: its successor is whole; it is gone
or no longer selected; it is still to be indexed, or failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftBehind:
    """How many documents stand where a source was before, by what became of their objects."""

    followed: int
    left: int
    waiting: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.followed + self.left + self.waiting


def identity_changes(before: Source, after: Source) -> dict[str, tuple[str, str]]:
    """Return what differs of what a source is, by the setting's name: before and after."""
    old, new = _identity(before), _identity(after)
    return {name: (old[name], new[name]) for name in old if old[name] != new[name]}


def target_changes(before: Source, after: Source) -> bool:
    """Return whether the records are to stand in another collection."""
    return any(getattr(before, name) != getattr(after, name) for name in _TARGET)


def refusal(before: Source, after: Source) -> str:
    """Return the sentence for a declaration that is refused, with the ways out."""
    changes = ", ".join(
        f"{name} {old!r} -> {new!r}" for name, (old, new) in identity_changes(before, after).items()
    )
    return (
        f"The source {before.name!r} is declared as another one ({changes}); it stays as it was, "
        f"with all its settings. Move it with `s3sync source move {before.name}`, or declare it "
        "as before."
    )


def _identity(source: Source) -> dict[str, str]:
    place = source.place.identity()._asdict()
    return {
        **{_NAMES.get(name, name): value for name, value in place.items()},
        **{name: getattr(source, name) for name in _TARGET},
        "id_prefix": source.id_prefix,
    }
