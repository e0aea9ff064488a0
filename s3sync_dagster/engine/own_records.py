"""Which records may be deleted by their id."""

from collections.abc import Sequence

from s3sync_dagster.core.plan import possible_ids
from s3sync_dagster.core.state import DocumentState
from s3sync_dagster.engine.ports import CollectionPort


def ids_to_delete(
    collection: CollectionPort, documents: Sequence[DocumentState], *, look: bool = False
) -> list[str]:
    """Return the ids of records that documents have, or may have, in a collection.

    Whoever wrote a document to this very collection has looked whose its ids are. In one that was
    made anew under the name they may be somebody else's: there each record says whose it is.

    Args:
        collection: where.
        documents: whose.
        look: ask each record whose it is, whatever is known: nobody holds the ids meanwhile.
    """
    ids: list[str] = []
    for one in documents:
        names = possible_ids(one)
        if look or one.collection_id != collection.id:
            found = collection.get(names)
            names = [
                name
                for name in names
                if name in found and found[name].metadata.get("s3sync_source") == one.source_id
            ]
        ids += names
    return ids
