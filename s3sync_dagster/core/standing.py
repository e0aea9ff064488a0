"""Whether records of a source before may go: what stands in their place, or why nothing has to.

A source was moved, or ended. Its records of an object go where the source that has the object by
now has them, in Chroma and not by the catalog's word alone: Chroma may have been put back from a
copy of before, which has what was and lacks what is. Or they go on evidence, as all records do.
"""

from collections.abc import Collection
from enum import Enum

from s3sync_dagster.core.state import ObjectState
from s3sync_dagster.model.source import DeleteMode, Source


class Nobody(Enum):
    """In the place of a source that came after: there is none."""

    ENDED = "ended"
    """The last one was deleted with its records, as a person had said."""


Heir = Source | Nobody
"""Who has the objects of a source before by now."""


def may_go(
    heir: Heir | None,
    *,
    etags: Collection[str],
    standing: Collection[str | None],
    gone: bool,
    said: bool = False,
) -> bool:
    """Return whether a text of a source before may go, in a collection.

    Args:
        heir: who has its object by now; None: nobody knows, so that it stays.
        etags: of its bytes, as its records name them.
        standing: of the bytes of the heir's documents of the object all of whose records stand, in
            whichever collection. Mode ``append`` keeps the text that it had first: there only one
            of the very same bytes stands for it.
        gone: whether the catalog has evidence that no text of the object is to stand. A mode that
            keeps what is gone takes none.
        said: a person has said that what no document of the heir follows goes, and none does.
    """
    if heir is None:
        return False
    if said or heir is Nobody.ENDED:
        return True
    if heir.mode is DeleteMode.APPEND:
        return any({one} == {*etags} for one in standing)
    return bool(standing) or (gone and heir.mode is DeleteMode.MIRROR)


def may_tell(known: ObjectState | None) -> bool:
    """Return whether what is known of an object that is there may tell that no text of it is to be.

    One that is indexed has text: where that lacks in Chroma it is written again.
    """
    return known is not None and (known.skip_reason is not None or known.outcome != "indexed")
