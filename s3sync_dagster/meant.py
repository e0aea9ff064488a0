"""What was possibly meant by a name that nothing has."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

from s3sync_dagster.model.errors import NotFound
from s3sync_dagster.model.source import Source

NAMED = 5
"""Collections that are named where none is spelt alike."""

FILLED_BY_NONE = (
    "no source here fills a collection yet: `s3sync sync PLACE --collection NAME` makes one"
)
"""What to do where no source has a collection."""

NEAR = 3
"""Sources that are named because they are spelt alike."""


def no_source(
    name: str, names: Iterable[str], *, otherwise: str, filling: Iterable[str] = ()
) -> NotFound:
    """Return the error of who names a source that there is not, with the names that are near.

    Args:
        name: which was asked for.
        names: of all sources that the asker may know of; of no others.
        otherwise: where he finds those there are, when none is near.
        filling: those of them that fill a collection of that name.
    """
    written = {one.casefold(): one for one in names}
    near = [written[one] for one in get_close_matches(name.casefold(), written, n=NEAR)]
    if fillers := sorted(filling)[:NEAR]:
        told = f"No source {name!r}; the collection {name!r} is filled by the source "
        told += f"{' and by '.join(map(repr, fillers))}."
    elif near:
        told = f"No source {name!r}. Did you mean {' or '.join(map(repr, near))}?"
    else:
        told = f"No source {name!r}; {otherwise}."
    return NotFound(told, reason="source_not_found")


@contextmanager
def naming_collections(
    name: str, sources: Iterable[Source], *, otherwise: str = ""
) -> Iterator[None]:
    """Name collections that there are where the one that was asked for does not exist.

    Args:
        name: which was asked for.
        sources: that the asker may know of.
        otherwise: what to do where they fill none.

    Raises:
        NotFound: as it came, with names behind it.
    """
    try:
        yield
    except NotFound as error:
        filled = {one.collection_name for one in sources}
        if not filled and otherwise:
            raise NotFound(f"{error.message}; {otherwise}", reason=error.reason) from None
        names = sorted(filled - {name})
        near = get_close_matches(name, names, n=NAMED) or names[:NAMED]
        if not near:
            raise
        more = " and others" if len(names) > len(near) else ""
        told = f"{error.message}; there are {', '.join(map(repr, near))}{more}"
        raise NotFound(told, reason=error.reason) from None
