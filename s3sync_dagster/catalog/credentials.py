"""AWS keys of tenants: encrypted at rest, named by integers, never returned."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from s3sync_dagster.catalog.database import Database
from s3sync_dagster.catalog.tables import credentials, sources
from s3sync_dagster.model.errors import Conflict, InvalidSetting, NotFound, Throttled

if TYPE_CHECKING:
    from s3sync_dagster.catalog.cipher import Cipher


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsKeys:
    """A key pair, with a session token where it is a temporary one."""

    access_key_id: str = field(repr=False)
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        """Refuse with ``InvalidSetting`` what would end a line of a request's head."""
        if not f"{self.access_key_id}{self.session_token or ''}".isprintable():
            raise InvalidSetting(
                "The access key id and the session token stand in requests: they have no line ends "
                "or other control characters."
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialInfo:
    """What people see of a stored credential."""

    id: int
    tenant: str
    hint: str
    """Begin and end of the access key id, such as ``AKIA...WXYZ``."""
    created_at: datetime


class Credentials:
    """The table ``credentials``."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def add(
        self,
        keys: AwsKeys,
        *,
        tenant: str,
        cipher: Cipher,
        most: int | None = None,
        within: sa.Connection | None = None,
    ) -> CredentialInfo:
        """Store a key pair and return its id; the same pair of a tenant keeps its id.

        Raises ``Throttled`` (``too_many_credentials``) for a tenant that has ``most`` already: each
        of them that looks alike is opened to be compared, while nobody else writes.

        Args:
            keys: what is stored.
            tenant: whose it is.
            cipher: seals it.
            most: so many the tenant may have; None: any number.
            within: the transaction of what needs it; None: one of its own.
        """
        hint = _hint(keys.access_key_id)
        with self._db.write() if within is None else nullcontext(within) as tx:
            self._db.lock_tenant(tx, tenant)
            own = tx.execute(sa.select(credentials).where(credentials.c.tenant == tenant)).all()
            for row in own:
                if row.access_key_hint == hint and _opened(row, cipher) == keys:
                    return _info_of(row)
            if most is not None and len(own) >= most:
                raise Throttled(
                    f"A tenant has {most} stored credentials at most: delete one.",
                    reason="too_many_credentials",
                    retry_after_seconds=60.0,
                )
            return _info_of(
                tx.execute(
                    credentials.insert()
                    .values(
                        tenant=tenant,
                        access_key_hint=hint,
                        encrypted=_sealed(keys, tenant, cipher),
                        created_at=self._db.now(),
                    )
                    .returning(credentials)
                ).one()
            )

    def info(self, credential_id: int, *, tenant: str | None = None) -> CredentialInfo:
        """Return what people may see. Raises ``NotFound``, also for another tenant's."""
        return _info_of(self._row(credential_id, tenant))

    def keys(self, credential_id: int, *, cipher: Cipher, tenant: str | None = None) -> AwsKeys:
        """Return the key pair. Raises ``NotFound``; ``InvalidSetting`` with another key."""
        return _opened(self._row(credential_id, tenant), cipher)

    def rows(self, *, tenant: str | None = None) -> list[CredentialInfo]:
        """Return all credentials, oldest first."""
        query = sa.select(credentials).order_by(credentials.c.id)
        if tenant is not None:
            query = query.where(credentials.c.tenant == tenant)
        with self._db.read() as tx:
            return [_info_of(row) for row in tx.execute(query)]

    def delete(self, credential_id: int, *, tenant: str | None = None) -> None:
        """Forget a credential. Raises ``NotFound``; ``Conflict`` while a source uses it."""
        place = sources.c.config["place"]
        named = (
            place["credentials"]["credential_id"],
            place["saved_token"],
            place["webhook_secret"],
        )
        uses = sa.or_(*(one.as_integer() == credential_id for one in named))
        with self._db.write() as tx:
            self._db.lock_places(tx)  # a source that is stored with it meanwhile is seen
            _find(tx, credential_id, tenant)
            user = tx.execute(sa.select(sources.c.name).where(uses)).first()
            if user is not None:
                raise Conflict(
                    f"Credential {credential_id} is used by the source {user.name!r}: give that "
                    "one another credential, or delete it first.",
                    reason="credential_in_use",
                )
            tx.execute(credentials.delete().where(credentials.c.id == credential_id))

    def unreadable(self, cipher: Cipher) -> int:
        """Return how many credentials this cipher does not open."""
        with self._db.read() as tx:
            rows = tx.execute(sa.select(credentials.c.encrypted)).scalars().all()
        count = 0
        for row in rows:
            try:
                cipher.decrypt(bytes(row))
            except InvalidSetting:
                count += 1
        return count

    def rotate(self, cipher: Cipher) -> int:
        """Encrypt every credential again with the cipher's first key; returns how many.

        ``cipher.begin_rotation`` gives the cipher, ``cipher.finish_rotation`` follows.
        """
        with self._db.write() as tx:
            rows = tx.execute(sa.select(credentials)).all()
            for row in rows:
                tx.execute(
                    credentials.update()
                    .where(credentials.c.id == row.id)
                    .values(encrypted=cipher.encrypt(cipher.decrypt(bytes(row.encrypted))))
                )
        return len(rows)

    def _row(self, credential_id: int, tenant: str | None) -> sa.Row[Any]:
        with self._db.read() as tx:
            return _find(tx, credential_id, tenant)


def _find(tx: sa.Connection, credential_id: int, tenant: str | None) -> sa.Row[Any]:
    query = sa.select(credentials).where(credentials.c.id == credential_id)
    if tenant is not None:
        query = query.where(credentials.c.tenant == tenant)
    row = tx.execute(query).first()
    if row is None:
        raise NotFound(f"No stored credential {credential_id}.", reason="credential_not_found")
    return row


def _sealed(keys: AwsKeys, tenant: str, cipher: Cipher) -> bytes:
    # The tenant lies inside, so that a row cannot be handed to another tenant by editing it.
    text = json.dumps([tenant, keys.access_key_id, keys.secret_access_key, keys.session_token])
    return cipher.encrypt(text.encode())


def _opened(row: sa.Row[Any], cipher: Cipher) -> AwsKeys:
    tenant, key_id, secret, token = json.loads(cipher.decrypt(bytes(row.encrypted)))
    if tenant != row.tenant:
        raise NotFound(f"No stored credential {row.id}.", reason="credential_not_found")
    return AwsKeys(access_key_id=key_id, secret_access_key=secret, session_token=token)


def _hint(access_key_id: str) -> str:
    if len(access_key_id) < 12:
        return "..."
    return f"{access_key_id[:4]}...{access_key_id[-4:]}"


def _info_of(row: sa.Row[Any]) -> CredentialInfo:
    return CredentialInfo(
        id=row.id,
        tenant=row.tenant,
        hint=row.access_key_hint,
        created_at=datetime.fromtimestamp(row.created_at, UTC),
    )
