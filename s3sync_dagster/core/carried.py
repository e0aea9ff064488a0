"""What an object carries besides its bytes (``x-amz-meta-*``, tags) as metadata of its records.

A source names each piece that it wants: an object may carry anything, and names of others never
meet those of the contract or of this program.
"""

from collections.abc import Mapping
from email.errors import HeaderParseError
from email.header import decode_header

from s3sync_dagster.core.facts import KeyFacts
from s3sync_dagster.core.patience import is_due
from s3sync_dagster.core.state import DocumentPhase, ObjectState, Target
from s3sync_dagster.model.document import MetadataValue
from s3sync_dagster.model.errors import FixConfiguration
from s3sync_dagster.model.place import Carried
from s3sync_dagster.model.source import Source

REASON = "invalid_object_metadata"


def carried_metadata(
    key: str,
    wanted: Carried,
    *,
    metadata: Mapping[str, str],
    unread: int,
    tags: Mapping[str, str],
) -> dict[str, MetadataValue]:
    """Return the metadata that an object carries: metadata key -> text; tags win.

    What the object does not carry gives nothing.

    Args:
        key: the object key, for messages.
        wanted: what the source asks for.
        metadata: the object's user metadata, names in lower case.
        unread: how many of them the server did not send.
        tags: the object's.

    Raises:
        FixConfiguration: a value that was asked for cannot be told (``invalid_object_metadata``).
    """
    if wanted.metadata and unread:
        raise FixConfiguration(
            f"object {key!r} has {unread} user metadata that are no HTTP headers, so that S3 does "
            "not send them: nobody can tell whether object_metadata names one; write them anew "
            "with names and values of printable ASCII (others as RFC 2047 has them)",
            reason=REASON,
        )
    found: dict[str, MetadataValue] = {}
    for name, under in wanted.metadata.items():
        if name in metadata:
            found[under] = _decoded(metadata[name], name=name, key=key)
    found.update({under: tags[name] for name, under in wanted.tags.items() if name in tags})
    return found


def asks(source: Source) -> bool:
    """Return whether a source takes what objects carry."""
    return source.place.carried != Carried()


def names_readers(source: Source) -> bool:
    """Return whether what objects carry says who may read them."""
    return not {*source.reader_keys}.isdisjoint(source.place.carried.keys())


def differs(facts: KeyFacts, targets: tuple[Target, ...], now: Mapping[str, MetadataValue]) -> bool:
    """Return whether a document of these targets was written with what the object carried else."""
    names = {target.collection_name for target in targets}
    return any(
        dict(one.carried) != dict(now)
        for one in facts.documents
        if one.phase is DocumentPhase.CLEAN and one.collection_name in names
    )


def next_look(source: Source, *, now: float) -> float | None:
    """Return when a listing has it looked at again what an unchanged object carries; None: never.

    Args:
        source: the object's.
        now: POSIX seconds.
    """
    every = source.place.metadata_interval_seconds
    return now + every if every and asks(source) else None


def is_look_due(known: ObjectState, source: Source, *, now: float) -> bool:
    """Return whether the time has come that ``next_look`` told, or it was told none yet."""
    every = source.place.metadata_interval_seconds
    if not every or not asks(source):
        return False
    return is_due(known.next_retry_at, now=now, at_most=every)


def _decoded(value: str, *, name: str, key: str) -> str:
    """Return a value as people wrote it: ASCII, RFC 2047's words, or UTF-8 sent as it is."""
    try:
        parts = decode_header(value)
        if [type(piece) for piece, _ in parts] == [str]:
            # HTTP libraries read headers as Latin-1; who sends other letters sends UTF-8.
            text = value if value.isascii() else value.encode("latin-1").decode()
        else:
            text = "".join(
                piece if isinstance(piece, str) else piece.decode(charset or "latin-1")
                for piece, charset in parts
            )
            text.encode()
    except (HeaderParseError, LookupError, ValueError):
        raise FixConfiguration(
            f"x-amz-meta-{name} of object {key!r} is neither ASCII nor UTF-8 nor a word of RFC "
            "2047 that can be read: write it anew, or take it out of object_metadata",
            reason=REASON,
        ) from None
    return text
