"""What makes a source the same one: where its objects are, and where its records are."""

from s3sync_dagster.model.source import Source

_NAMES = {"place_type": "type", "bucket_name": "bucket"}
_TARGET = ("tenant", "database_name", "collection_name")


def identity_changes(before: Source, after: Source) -> dict[str, tuple[str, str]]:
    """Return what differs of what a source is, by the setting's name: before and after."""
    old, new = _identity(before), _identity(after)
    return {name: (old[name], new[name]) for name in old if old[name] != new[name]}


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
