"""What the outside says of a source that is about to be made: database, collection, bucket."""

from dataclasses import replace
from typing import Protocol

import sqlalchemy as sa
from pydantic import SecretStr

from s3sync_dagster.api.context import Context
from s3sync_dagster.catalog.cipher import open_cipher
from s3sync_dagster.catalog.credentials import AwsKeys
from s3sync_dagster.catalog.sources import Completed
from s3sync_dagster.engine.pages import look
from s3sync_dagster.engine.store_ports import ObjectStore
from s3sync_dagster.model.errors import AccessDenied, MissingEngine, NotFound, NotPossible
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.model.source import Source
from s3sync_dagster.ports.places import open_store


def require_database(here: Context, tenant: str, database: str) -> None:
    """Raise ``NotFound`` unless Chroma has the database."""
    if not here.chroma.directory.has_database(tenant, database):
        raise NotFound(
            f"There is no database {database!r} in Chroma's tenant {tenant!r}; make it there.",
            reason="database_not_found",
        )


def check_target(here: Context, source: Source) -> None:
    """Check the database, and the collection where it exists.

    Raises:
        NotFound: the database does not exist.
        EmbeddingMismatch: the collection holds vectors of another model.
        Conflict: the collection is marked ``finished_ingest``.
        NotPossible: sparse vectors are asked for, and this Chroma indexes none.
    """
    require_database(here, source.tenant, source.database_name)
    directory = here.chroma.directory
    found = directory.find(source.collection_name, source.tenant, source.database_name)
    if source.embedding.sparse_model and found is None and not directory.cloud:
        # Only an attempt tells a distributed Chroma, which can, from a single node.
        _open(here, source, create=True)
    elif found is not None:
        _open(here, source, create=False)


def _open(here: Context, source: Source, *, create: bool) -> None:
    sparse = source.embedding.sparse_model is not None
    try:
        here.chroma.open(
            source.collection_name,
            tenant=source.tenant,
            database=source.database_name,
            embedder=here.parts.embedder_for(source.embedding),
            create=create,
        )
    except (NotPossible, MissingEngine) as error:
        if isinstance(error, MissingEngine) and not (sparse and create):
            raise
        # What the engine is missing for would be refused in the end.
        raise NotPossible(
            "This Chroma server indexes no sparse vectors: leave embedding.sparse out, and search "
            "with POST /s3sync/v1/search, which ranks by vectors and words together."
        ) from None


class HasKeys(Protocol):
    """A payload that may bring a pair of keys."""

    @property
    def aws_access_key_id(self) -> SecretStr | None: ...  # noqa: D102
    @property
    def aws_secret_access_key(self) -> SecretStr | None: ...  # noqa: D102
    @property
    def aws_session_token(self) -> SecretStr | None: ...  # noqa: D102


def inline_keys(fields: HasKeys) -> AwsKeys | None:
    """Return the pair of keys of a payload, None when it has none."""
    if fields.aws_access_key_id is None or fields.aws_secret_access_key is None:
        return None
    token = fields.aws_session_token
    return AwsKeys(
        access_key_id=fields.aws_access_key_id.get_secret_value(),
        secret_access_key=fields.aws_secret_access_key.get_secret_value(),
        session_token=None if token is None else token.get_secret_value(),
    )


def check_credential(here: Context, source: Source) -> None:
    """Raise ``NotFound`` for a credential id that the tenant does not have."""
    for credential_id in source.place.credential_ids:
        here.catalog.credentials.info(credential_id, tenant=source.tenant)


def check_bucket(here: Context, source: Source, *, keys: AwsKeys | None) -> None:
    """List one key or the like, which finds a wrong key, bucket, region or endpoint.

    A plain refusal passes where the contract asks for s3:GetObject alone: without a prefix and
    without listings. Whoever lists then gets the refusal.

    Raises:
        S3SyncError: what the bucket's errors mean.
    """
    store = _store(here, source, keys)
    try:
        look(store, source.place.path_prefix)
    except AccessDenied as error:
        lists = source.place.path_prefix or source.list_interval_seconds
        if lists or error.reason != AccessDenied.reason:
            raise
    finally:
        if keys is not None:  # opened for this look alone
            store.close()


def with_keys(here: Context, keys: AwsKeys | None) -> Completed:
    """Return what stores keys that came inline, with the source that is to have their id.

    Raises (when it is called):
        Throttled: the tenant has as many stored credentials as it may.
    """
    if keys is None:
        return lambda source, _: source
    cipher = open_cipher(here.parts.settings)

    def completed(source: Source, tx: sa.Connection) -> Source:
        stored = here.catalog.credentials.add(
            keys,
            tenant=source.tenant,
            cipher=cipher,
            most=here.options.credentials_per_tenant,
            within=tx,
        )
        return _with_credential(source, stored.id)

    return completed


def _store(here: Context, source: Source, keys: AwsKeys | None) -> ObjectStore:
    if keys is None:
        return here.parts.store_for(source)
    given = (keys.access_key_id, keys.secret_access_key, keys.session_token)
    surroundings = replace(here.parts.surroundings, resolve_credential=lambda _: given)
    return open_store(_with_credential(source, 0), surroundings)


def _with_credential(source: Source, credential_id: int) -> Source:
    assert isinstance(source.place, S3Place)  # no other place is given keys
    credentials = replace(source.place.credentials, credential_id=credential_id)
    return replace(source, place=replace(source.place, credentials=credentials))
