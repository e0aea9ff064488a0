"""What makes a source the same one: where its objects are, and where its records are."""

from urllib.parse import urlsplit

from s3sync_dagster.model.source import Source

_NAMES = {"place_type": "type", "bucket_name": "bucket"}
_TARGET = ("tenant", "database_name", "collection_name")


def identity_changes(before: Source, after: Source) -> dict[str, tuple[str, str]]:
    """Return what differs of what a source is, by the setting's name: before and after."""
    old, new = _identity(before), _identity(after)
    return {name: (old[name], new[name]) for name in old if old[name] != new[name]}


def overlap(one: Source, other: Source) -> bool:
    """Return whether two sources would write the same records, or one has what the other has.

    Of one place and target: the same prefix, or one in the other without an ``id_prefix`` that
    keeps their records apart.
    """
    mine, theirs = one.place.identity(), other.place.identity()
    if mine[:-1] != theirs[:-1] or any(getattr(one, n) != getattr(other, n) for n in _TARGET):
        return False
    return prefixes_overlap(
        (mine.path_prefix, one.id_prefix), (theirs.path_prefix, other.id_prefix)
    )


def prefixes_overlap(one: tuple[str, str], other: tuple[str, str]) -> bool:
    """Return ``overlap`` of two sources of one place and target: prefix and ``id_prefix``."""
    nested = one[0].startswith(other[0]) or other[0].startswith(one[0])
    return one[0] == other[0] or (nested and one[1] == other[1])


def server_name(url: str | None) -> str:
    """Return the server of a URL as one text, however it is spelt; without a password in it.

    What is no URL stays what it is: who asks it tells that it is none.
    """
    try:
        parts = urlsplit(url or "")
        port = parts.port
    except ValueError:
        return url or ""
    if not parts.netloc:
        return url or ""
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    at = f":{port}" if port not in (None, usual) else ""
    return f"{parts.scheme}://{host}{at}{parts.path.rstrip('/')}"


def refusal(before: Source, after: Source) -> str:
    """Return the sentence for a declaration that is refused, with the ways out."""
    changes = ", ".join(
        f"{name} {old!r} -> {new!r}" for name, (old, new) in identity_changes(before, after).items()
    )
    return (
        f"The source {before.name!r} is declared as another one ({changes}); it stays as it was, "
        "with all its settings. Declare it as before, or move it, new records first: "
        f"`s3sync source move {before.name}`."
    )


def _identity(source: Source) -> dict[str, str]:
    place = source.place.identity()._asdict()
    return {
        **{_NAMES.get(name, name): value for name, value in place.items()},
        **{name: getattr(source, name) for name in _TARGET},
        "id_prefix": source.id_prefix,
    }
