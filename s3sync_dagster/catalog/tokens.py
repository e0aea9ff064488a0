"""API tokens: shown once, kept as a hash, each for one tenant and one role."""

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.tables import tokens
from s3sync_dagster.core.rights import EVERYBODY, MAX_GROUPS
from s3sync_dagster.model.errors import InvalidSetting, NotFound

Role = Literal["owner", "member"]
ROLES: tuple[Role, ...] = ("owner", "member")
TOKEN_PREFIX = "s3s_"
"""What all tokens begin with, so that a scanner for secrets knows a leaked one."""
MAX_TENANT_LENGTH = 256
MAX_GROUP_LENGTH = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken:
    """What is known of a token after it was made: not the token itself."""

    id: int
    hint: str
    """Its first characters, for people who have several."""
    tenant: str
    role: Role
    name: str
    created_at: datetime
    revoked_at: datetime | None = None
    groups: tuple[str, ...] = ()
    """Of a member: what it may read of sources that say who may."""


class Tokens:
    """The table ``tokens``."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def create(
        self, *, tenant: str, role: Role, name: str = "", groups: Sequence[str] = ()
    ) -> tuple[ApiToken, str]:
        """Make a token; the second value is the token itself, which is not kept.

        Raises:
            InvalidSetting: the tenant's name, the role or a group is not possible.
        """
        if groups and role == "owner":
            raise InvalidSetting("An owner reads everything: groups are for members.")
        if len(groups) > MAX_GROUPS or not all(map(_is_group, groups)):
            raise InvalidSetting(
                f"A token has at most {MAX_GROUPS} groups, each of 1 to {MAX_GROUP_LENGTH} "
                f"printable characters, and not {EVERYBODY!r}, which stands for everybody."
            )
        if role not in ROLES:
            raise InvalidSetting(f"role {role!r} is neither 'owner' nor 'member'.")
        if not tenant or len(tenant) > MAX_TENANT_LENGTH or not tenant.isprintable():
            raise InvalidSetting(
                f"tenant has to be 1 to {MAX_TENANT_LENGTH} printable characters, "
                "the name of a tenant of Chroma."
            )
        token = TOKEN_PREFIX + secrets.token_urlsafe(32)
        with self._db.write() as tx:
            row = tx.execute(
                tokens.insert()
                .values(
                    sha256=_digest(token),
                    hint=token[: len(TOKEN_PREFIX) + 4],
                    tenant=tenant,
                    role=role,
                    name=name,
                    created_at=self._db.now(),
                    groups=sorted(set(groups)) or sa.null(),
                )
                .returning(tokens)
            ).one()
        return _token_of(row), token

    def find(self, token: str) -> ApiToken | None:
        """Return what a token stands for; None when it is unknown or revoked."""
        # The database compares hashes: how long that takes tells nothing about a token.
        with self._db.read() as tx:
            row = tx.execute(
                sa.select(tokens).where(
                    tokens.c.sha256 == _digest(token), tokens.c.revoked_at.is_(None)
                )
            ).first()
        return _token_of(row) if row else None

    def stands(self, token_id: int) -> bool:
        """Return whether a token is known and not revoked."""
        query = sa.select(tokens.c.id).where(tokens.c.id == token_id, tokens.c.revoked_at.is_(None))
        with self._db.read() as tx:
            return tx.execute(query).first() is not None

    def rows(self) -> list[ApiToken]:
        """Return all tokens, the revoked ones too, oldest first."""
        with self._db.read() as tx:
            return [_token_of(row) for row in tx.execute(sa.select(tokens).order_by(tokens.c.id))]

    def configured(self) -> bool:
        """Return whether a token was ever made: from then on the API asks for one."""
        with self._db.read() as tx:
            return tx.execute(sa.select(tokens.c.id).limit(1)).first() is not None

    def revoke(self, token_id: int) -> ApiToken:
        """End a token; ending it twice changes nothing. Raises ``NotFound``."""
        now = self._db.now()
        with self._db.write() as tx:
            row = tx.execute(
                tokens.update()
                .where(tokens.c.id == token_id)
                .values(revoked_at=sa.func.coalesce(tokens.c.revoked_at, now))
                .returning(tokens)
            ).first()
        if row is None:
            raise NotFound(
                f"No API token {token_id}; `s3sync token list` shows those there are.",
                reason="token_not_found",
            )
        return _token_of(row)


def _is_group(text: str) -> bool:
    return 0 < len(text) <= MAX_GROUP_LENGTH and text.isprintable() and text != EVERYBODY


def _digest(token: str) -> str:
    # 256 random bits need no salt and no slow hash.
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


def _token_of(row: sa.Row[Any]) -> ApiToken:
    return ApiToken(
        id=row.id,
        hint=row.hint,
        tenant=row.tenant,
        role=row.role,
        name=row.name,
        created_at=datetime.fromtimestamp(row.created_at, UTC),
        revoked_at=datetime.fromtimestamp(row.revoked_at, UTC) if row.revoked_at else None,
        groups=tuple(row.groups or ()),
    )
