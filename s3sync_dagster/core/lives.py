"""Lives of sources that ended: whose a record is that bears the id of one.

A source has ended where it was moved, or deleted. One of code that is declared again begins another
life, with an id of its own. A Chroma that was put back from a copy of before has records of a life
that ended, as a worker has left them that was late; so has another installation that got such a
source since, with the id that follows from its name. Each life is known by where it had its
records. Where that is not known nothing is told by the id alone: the catalog was put back from a
copy, or it ended before it was noted.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from s3sync_dagster.model.source import Source

Place = tuple[str, str, str]
"""Tenant, database and name of a collection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """Where a source had its records until it ended."""

    places: Collection[Place]
    """Collections that it had written to, and its own."""
    bucket_name: str
    path_prefix: str
    kept: bool = False
    """A person's word: its records stay."""
    chroma: str | None = None
    """Address of the Chroma that its declaration named; None: the environment's."""
    moved_to: str | None = None
    """Id of the source that came in its place; None: it was deleted."""

    def had(self, place: Place, metadata: Mapping[str, Any]) -> bool:
        """Return whether a record that bears its id, and stands there, was its own."""
        return place in self.places and names_place(self.bucket_name, self.path_prefix, metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lives:
    """All lives of one id that ended, as far as they are known."""

    ended: Sequence[Life] = ()
    leaving: Life | None = None
    """The one that ends now: it was moved, or is deleted and its records are to stay."""

    def at(self, chroma: str | None) -> "Lives":
        """Return those that may have had records in a Chroma, by its address; None: not known.

        Who asks for a right over records asks here. What a person has kept stays wherever it is
        met: one server has many names.
        """
        if chroma is None:
            return self
        here = [one for one in self._all() if one.kept or one.chroma in (None, chroma)]
        ended = [one for one in here if one is not self.leaving]
        return replace(self, ended=ended, leaving=self.leaving if self.leaving in here else None)

    @property
    def places(self) -> set[Place]:
        """Collections where records may stand that are over."""
        return {place for one in self._all() if not one.kept for place in one.places}

    def kept(self, place: Place, metadata: Mapping[str, Any]) -> bool:
        """Return whether a record was to stay when its source ended: nobody's to take away."""
        return any(one.kept and one.had(place, metadata) for one in self._all())

    def over(self, place: Place, metadata: Mapping[str, Any]) -> bool:
        """Return whether a record was of a life that ended and took its records along."""
        had = any(one.had(place, metadata) for one in self._all())
        return had and not self.kept(place, metadata)

    def _all(self) -> list[Life]:
        return [*self.ended, *([] if self.leaving is None else [self.leaving])]


NONE_ENDED = Lives()


def is_of(source: Source, place: Place, metadata: Mapping[str, Any]) -> bool:
    """Return whether a record that bears a source's id is the source's, where it stands.

    The id of one of code follows from its name: another installation of the same repository has
    the same, with a bucket and a collection of its own, maybe in the same database.
    """
    if place[:2] != (source.tenant, source.database_name):
        return False
    return place[2] == source.collection_name or of_place(source, metadata)


def of_place(source: Source, metadata: Mapping[str, Any]) -> bool:
    """Return whether a record is of an object in a source's bucket, below its prefix."""
    return names_place(source.place.identity().bucket_name, source.place.path_prefix, metadata)


def names_place(bucket_name: str, path_prefix: str, metadata: Mapping[str, Any]) -> bool:
    """Return whether a record is of an object in a bucket, below a prefix."""
    key = metadata.get("document_key")
    return (
        isinstance(key, str)
        and metadata.get("s3sync_bucket") == bucket_name
        and key.startswith(path_prefix)
    )
