"""``/s3sync/v1/credentials``: AWS key pairs of the tenant. They come in and never go out."""

from fastapi import APIRouter, Path, Response

from s3sync_dagster.api.access import OwnerCaller
from s3sync_dagster.api.checking import inline_keys
from s3sync_dagster.api.context import Here
from s3sync_dagster.api.manage_wire import CredentialPayload, CredentialShown
from s3sync_dagster.api.openapi import errors
from s3sync_dagster.api.routing import StrictRoute
from s3sync_dagster.catalog.cipher import open_cipher
from s3sync_dagster.catalog.credentials import CredentialInfo
from s3sync_dagster.model.errors import InvalidSetting

router = APIRouter(prefix="/s3sync/v1/credentials", tags=["Credentials"], route_class=StrictRoute)

_BIGGEST = 2**31 - 1


@router.get("", operation_id="list_credentials", responses=errors(401, 403, 429, 500, 503))
def list_credentials(caller: OwnerCaller, here: Here) -> list[CredentialShown]:
    """List stored key pairs: id and a hint of each."""
    return [_show(info) for info in here.catalog.credentials.rows(tenant=caller.tenant)]


@router.post(
    "",
    operation_id="create_credential",
    status_code=201,
    responses=errors(400, 401, 403, 413, 429, 500, 503),
)
def create_credential(
    payload: CredentialPayload, caller: OwnerCaller, here: Here
) -> CredentialShown:
    """Store a key pair, encrypted; the same pair keeps its id."""
    keys = inline_keys(payload)
    if keys is None:
        raise InvalidSetting("aws_access_key_id and aws_secret_access_key are both needed.")
    cipher = open_cipher(here.parts.settings)
    most = here.options.credentials_per_tenant
    return _show(here.catalog.credentials.add(keys, tenant=caller.tenant, cipher=cipher, most=most))


@router.delete(
    "/{credential_id}",
    operation_id="delete_credential",
    status_code=204,
    response_class=Response,
    responses=errors(400, 401, 403, 404, 409, 429, 500, 503),
)
def delete_credential(
    caller: OwnerCaller, here: Here, credential_id: int = Path(ge=1, le=_BIGGEST)
) -> None:
    """Forget a key pair that no source uses."""
    here.catalog.credentials.delete(credential_id, tenant=caller.tenant)


def _show(info: CredentialInfo) -> CredentialShown:
    return CredentialShown(id=info.id, hint=info.hint, created_at=info.created_at)
