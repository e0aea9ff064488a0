"""What people did: rows that are added and read, and go when old or many.

That of a command alone is changed, once: it is there before the command does anything.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import sqlalchemy as sa

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.tables import audit

MAX_TEXT = 500
"""Characters that are kept of a text: what people send may be of any length."""

NOBODY = "nobody"
"""The role of who sent a token or a signature that nobody has."""

BEGUN = "begun"
"""The outcome of a command that goes on, or that was killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One thing that somebody did or tried to do. It holds no payload, so no secret."""

    at: float
    """Seconds since 1970, by the clock of who wrote it; of a command, when it began."""
    tenant: str | None
    """None for the command line, which knows no tenants."""
    who: str
    """``token 3 (ci)``, ``anybody`` on a server without tokens, ``os user`` and a name."""
    role: str
    door: Literal["api", "console", "dagster", "chroma", "cli"]
    address: str | None
    """Where the request came from; None for the command line."""
    action: str
    """Method and route, or the command."""
    subject: str
    """Ids of the path, or the names that the command was given."""
    outcome: str
    """The status of the answer; ``done``, ``begun`` or the reason of an error for commands."""


class Audit:
    """The table ``audit``."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(self, entries: Sequence[AuditEntry]) -> None:
        """Keep entries."""
        if not entries:
            return
        with self._db.write() as tx:
            tx.execute(audit.insert(), [_values(entry) for entry in entries])

    def begin(self, entry: AuditEntry) -> int:
        """Keep the entry of what is about to be done, as ``BEGUN``; returns its number."""
        begun = audit.insert().values(_values(replace(entry, outcome=BEGUN)))
        with self._db.write() as tx:
            return tx.execute(begun.returning(audit.c.id)).scalar_one()

    def end(self, number: int | None, entry: AuditEntry) -> None:
        """Say how it ended, once.

        Args:
            number: what ``begin`` returned; None where it failed.
            entry: the same one. It is kept as a new one where that of the beginning is no more
                there: old, or of a catalog that another one has replaced since.
        """
        same = (audit.c.id == number, audit.c.at == entry.at, audit.c.outcome == BEGUN)
        values = _values(entry)
        ended = audit.update().where(*same).values(outcome=values["outcome"])
        with self._db.write() as tx:
            if number is None or tx.execute(ended).rowcount == 0:
                tx.execute(audit.insert().values(values))

    def rows(
        self,
        *,
        tenant: str | None = None,
        of_nobody: bool = False,
        since: float = 0.0,
        until: float | None = None,
        who: str = "",
        what: str = "",
        before: int | None = None,
        limit: int = 100,
    ) -> list[tuple[int, AuditEntry]]:
        """Return entries with their numbers, the newest first.

        Args:
            tenant: of this one alone; None: of all, and of the command line.
            of_nobody: besides a tenant's those of none: the command line, unknown tokens.
            since: no older ones, in seconds since 1970.
            until: no newer ones.
            who: only those by whom this stands in, case aside.
            what: only those in whose action, subject or outcome this stands, case aside.
            before: only those with a smaller number.
            limit: at most so many.
        """
        query = sa.select(audit).where(audit.c.at >= since).order_by(audit.c.id.desc()).limit(limit)
        if tenant is not None:
            own = audit.c.tenant == tenant
            query = query.where(sa.or_(own, audit.c.tenant.is_(None)) if of_nobody else own)
        if until is not None:
            query = query.where(audit.c.at <= until)
        if who:
            query = query.where(audit.c.who.icontains(who, autoescape=True))
        if what:
            texts = (audit.c.action, audit.c.subject, audit.c.outcome)
            query = query.where(sa.or_(*(one.icontains(what, autoescape=True) for one in texts)))
        if before is not None:
            query = query.where(audit.c.id < before)
        with self._db.read() as tx:
            return [_entry_of(row) for row in tx.execute(query)]

    def prune(self, *, older_than_seconds: float, most: int | None = None) -> int:
        """Forget what is older; returns how many entries that were.

        Args:
            older_than_seconds: by the database's clock.
            most: so many of each tenant's owners are kept, so many of its members, and so many of
                nobody: the newest. What members do pushes nothing out that owners did. Commands
                stay.
        """
        aged = audit.c.at < self._db.now() - older_than_seconds
        gone = self._db.delete_in_parts(audit.c.id, aged)
        if most is None:
            return gone
        asked = sa.or_(audit.c.tenant.is_not(None), audit.c.role == NOBODY)
        own = sa.select(audit.c.tenant, audit.c.role).where(asked)
        many = own.group_by(audit.c.tenant, audit.c.role).having(sa.func.count() > most)
        with self._db.read() as tx:
            groups = tx.execute(many).all()
        for tenant, role in groups:
            these = sa.and_(audit.c.tenant == tenant, audit.c.role == role)
            newest = sa.select(audit.c.id).where(these).order_by(audit.c.id.desc())
            with self._db.read() as tx:
                oldest = tx.execute(newest.offset(most - 1).limit(1)).scalar_one()
            gone += self._db.delete_in_parts(audit.c.id, sa.and_(these, audit.c.id < oldest))
        return gone


def _values(entry: AuditEntry) -> dict[str, Any]:
    return {
        name: value[:MAX_TEXT].replace("\0", "") if isinstance(value, str) else value
        for name, value in asdict(entry).items()
    }


def _entry_of(row: sa.Row[Any]) -> tuple[int, AuditEntry]:
    values = {column.name: row[at] for at, column in enumerate(audit.c)}
    return values.pop("id"), AuditEntry(**values)
