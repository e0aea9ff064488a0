"""What a source does with an object, and what became of it: for ``why`` at every door."""

from dataclasses import dataclass

from s3sync_dagster.catalog import Catalog
from s3sync_dagster.catalog.rights import seen_keys
from s3sync_dagster.catalog.views import ObjectRow
from s3sync_dagster.core.keys import validate_object_key
from s3sync_dagster.core.rights import Rights
from s3sync_dagster.core.selection import explain
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One source's answer about one key."""

    decision: list[str]
    """Step by step, why the source takes the object or not."""
    row: ObjectRow | None
    """None: the bucket was not seen to have it, or has it no more."""
    known: bool
    """The catalog has heard of the key, also where the object is gone."""


def explain_key(catalog: Catalog, source: Source, key: str, *, rights: Rights) -> Explained:
    """Return what a source does with the object of a key.

    Of one that is kept from the reader only what the settings say of any such key is told.

    Raises:
        InvalidSetting: S3 cannot have such a key.
    """
    validate_object_key(key, field="key")
    seen = key in seen_keys(catalog, rights, source, [key])
    known = catalog.work.object(source.id, key) if seen else None
    ref = ObjectRef(
        key=key,
        etag=known.etag if known else "",
        size=known.size if known else -1,
        storage_class=known.storage_class if known else "STANDARD",
    )
    rows = catalog.views.object_rows(source.id, key=key) if seen else []
    return Explained(
        decision=explain(source, ref), row=rows[0] if rows else None, known=known is not None
    )
