"""Whose records are a source's own to write over and to take away: one rule for all who ask.

What a document has is its source's, and the catalog knows it. Any other record names who wrote it.
That is the source itself, in a collection that is not its own only of its bucket and prefix
(``lives.is_of``): another installation's source may have its id. Or it is one in whose place it
stands, or one that is no more and took its records along: those the catalog knows, and where the
latter had any (``core.lives``), which a Chroma that was put back from a copy has again.

A catalog that was put back from a copy has forgotten who came after it, for good: that all was
looked through says nothing of it. Two things prove that such a writer was no neighbour:

* its id: a source that is moved gets one that follows from the source before, and from where it
  went. So has a copy of the catalog that is moved for a trial, beside one that was never put back:
  that one has forgotten nobody, and asks for no such id;
* what it wrote, where the object is gone, or the source writes over it: just this id, in this
  bucket, below this prefix, of what the source selects. The source had the id by the time of the
  backup. Another installation may have got it since, and has no object there either. That
  holds on AWS alone, where a bucket has its name for itself: two servers may have one each,
  and which one is asked the environment may say.

Where neither is so the writer may be at work: another installation, with the same Chroma.
"""

import json
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from s3sync_dagster.core.keys import document_id
from s3sync_dagster.core.lives import Lives, Place, of_place
from s3sync_dagster.core.plan import split_record_id
from s3sync_dagster.core.selection import decide
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.source import Source

_NAMESPACE = uuid.UUID("1d7a4a5e-4b0f-5c55-9d0b-7f2f0c9e6a31")


def is_free(free: Mapping[str, Lives | None], place: Place, metadata: Mapping[str, Any]) -> bool:
    """Return whether a record may be written over by who has its id.

    Args:
        free: ids of the sources of which that holds, with the lives of those that ended; None:
            wherever it stands, since it is a source before.
        place: where it stands.
        metadata: its own.
    """
    owner = str(metadata.get("s3sync_source") or "")
    if owner not in free:
        return False
    lives = free[owner]
    return lives is None or lives.over(place, metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Writers:
    """Who may have written records of a source in a collection, by what the catalog knows."""

    source_id: str
    place: Place
    """Where the records stand."""
    places: Collection[Place]
    """Collections which may be that of whom the source became: where the records are, and its own,
    as what a sidecar or a request names is nobody's. None where no catalog was put back from a
    copy. That all was looked through since makes no move known."""
    own: Collection[str]
    """Ids: of the source, and of those before it. Empty among them: records that name nobody are
    its own."""
    others: Collection[str] = ()
    """Ids of all other sources that the catalog knows, those too whose records were to stay."""
    free: Mapping[str, Lives | None] = field(default_factory=dict[str, Lives | None])
    """See ``is_free``."""
    asked: Collection[str] = ()
    """Servers that were asked for the source where it names none itself; empty among them: AWS."""

    def wrote(
        self, record_id: str, metadata: Mapping[str, Any], *, held_by: Source | None = None
    ) -> bool:
        """Return whether one of them wrote a record.

        Args:
            record_id: of the record.
            metadata: its own.
            held_by: the source, where it had the id by the time of a backup which its catalog was
                put back from, and writes now, or has lost the object.
        """
        owner = str(metadata.get("s3sync_source") or "")
        if owner in self.own or is_free(self.free, self.place, metadata):
            return True
        if not owner or owner in self.others:
            return False
        bucket = str(metadata.get("s3sync_bucket") or "")
        if owner in (_successor(self.source_id, *place, bucket) for place in self.places):
            return True
        return (
            held_by is not None
            and _has_its_name_for_itself(held_by, self.asked)
            and would_write(held_by, record_id, metadata)
        )


def successor_id(before_id: str, source: Source) -> str:
    """Return the id of a source that stands in another one's place.

    The same move has the same, so that one that is done again knows its records.

    Args:
        before_id: of the source before.
        source: as it is to be.
    """
    return _successor(
        before_id,
        source.tenant,
        source.database_name,
        source.collection_name,
        source.place.identity().bucket_name,
    )


def _successor(before_id: str, *where: str) -> str:
    return str(uuid.uuid5(_NAMESPACE, json.dumps([before_id, *where])))


def _has_its_name_for_itself(source: Source, asked: Collection[str]) -> bool:
    place = source.place.identity()
    return place.place_type == "s3" and not place.endpoint_url and not any(asked)


def would_write(source: Source, record_id: str, metadata: Mapping[str, Any]) -> bool:
    """Return whether a source would write the record of an object of its place under this id."""
    if not of_place(source, metadata):
        return False
    key = str(metadata["document_key"])
    if decide(source, ObjectRef(key=key, etag="", size=-1)) is not None:
        return False
    custom_id = metadata.get("custom_id")
    own = custom_id if isinstance(custom_id, str) else None
    name = document_id(key, custom_id=own, id_prefix=source.id_prefix)
    return split_record_id(record_id)[0] == name
