"""What was possibly meant by a name that nothing has."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

from s3sync_dagster.model.errors import NotFound
from s3sync_dagster.model.source import Source

NAMED = 5
"""Collections that are named where none is spelt alike."""


@contextmanager
def naming_collections(name: str, sources: Iterable[Source]) -> Iterator[None]:
    """Name collections that there are where the one that was asked for does not exist.

    Args:
        name: which was asked for.
        sources: that the asker may know of.

    Raises:
        NotFound: as it came, with names behind it.
    """
    try:
        yield
    except NotFound as error:
        names = sorted({one.collection_name for one in sources} - {name})
        near = get_close_matches(name, names, n=NAMED) or names[:NAMED]
        if not near:
            raise
        more = " and others" if len(names) > len(near) else ""
        told = f"{error.message}; there are {', '.join(map(repr, near))}{more}"
        raise NotFound(told, reason=error.reason) from None
