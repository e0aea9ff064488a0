"""What a statement of the catalog touches on Postgres, and which of two may change places."""

import re
from dataclasses import dataclass
from functools import cache

from s3sync_dagster.catalog.kept_counts import document_counts, kept, object_counts
from s3sync_dagster.catalog.tables import documents, metadata, objects

TABLES = frozenset([*metadata.tables, *kept.tables])
NAMED_LOCKS = "named locks"
_TRIGGERED = {objects.name: object_counts.name, documents.name: document_counts.name}
_NAMES = re.compile(rf"\b({'|'.join(sorted(TABLES))})\b")
_WRITTEN = re.compile(r"\b(?:INSERT INTO|UPDATE|DELETE FROM)\s+(\w+)")
_WAITS_ONLY = re.compile(
    r"SELECT (?:1 FROM sources WHERE id = %\(id\)s FOR UPDATE|pg_advisory_xact_lock\(.*\))"
)
_LOCKING = re.compile(r"\bFOR (?:NO KEY )?UPDATE\b|\bFOR (?:KEY )?SHARE\b|\bLOCK TABLE\b")


@dataclass(frozen=True, slots=True)
class Step:
    """A statement, or the end of a transaction."""

    reads: frozenset[str] = frozenset()
    """Tables of which it sees what is committed."""
    locks: frozenset[str] = frozenset()
    """Tables of which it writes or locks rows: it may wait for another one, or the other for it."""
    writes: frozenset[str] = frozenset()
    """Those of them that it writes, by triggers too."""
    frees: frozenset[str] = frozenset()
    """Of a transaction that ends: all that it locked."""
    shows: frozenset[str] = frozenset()
    """All that it wrote, and that others see from here on."""
    waits_only: bool = False
    """Whether it takes one lock and reads nothing besides: while it waits it is as if it had not
    begun. Any other statement that had to wait has begun to look before."""

    def meets(self, other: "Step") -> bool:
        """Return whether it may matter which of the two comes first."""
        return bool(
            self.locks & other.locks
            or self.frees & other.locks
            or other.frees & self.locks
            or self.shows & other.reads
            or other.shows & self.reads
        )


@cache
def step_of(statement: str) -> Step:
    """Return what a statement does, rather too much than too little: its tables by their names."""
    names = frozenset(_NAMES.findall(statement))
    written = frozenset(_WRITTEN.findall(statement)) & TABLES
    written |= {_TRIGGERED[name] for name in written & _TRIGGERED.keys()}
    locked = names if _LOCKING.search(statement) else frozenset[str]()
    if "pg_advisory" in statement:
        locked |= {NAMED_LOCKS}
    return Step(
        reads=names,
        locks=locked | written,
        writes=written,
        waits_only=_WAITS_ONLY.fullmatch(statement) is not None,
    )
