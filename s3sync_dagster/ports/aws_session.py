"""Credentials of a source to a session of AWS: the only place that sees secrets of AWS."""

# botocore has no types: what it gives is unknown here, and Any beyond this file.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false
# pyright: reportUnknownLambdaType=false

from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import datetime
from email.utils import parsedate_to_datetime
from functools import cache
from json import JSONDecodeError
from typing import Any

from botocore import exceptions as aws
from botocore import session as aws_session
from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    CredentialProvider,
    CredentialResolver,
    DeferredRefreshableCredentials,
)
from botocore.loaders import Loader, create_loader
from botocore.utils import parse_timestamp

from s3sync_dagster.model.errors import AccessDenied, InvalidSetting
from s3sync_dagster.model.key_ids import looks_like_id
from s3sync_dagster.model.place import CredentialsConfig
from s3sync_dagster.ports.aws_bounds import bound_answers
from s3sync_dagster.ports.aws_errors import transport_error

ResolveEnv = Callable[[str], str | None]
"""Value of an environment variable by its name."""
ResolveCredential = Callable[[int], tuple[str, str, str | None]]
"""Access key id, secret access key and session token of a row of the catalog."""

DEFAULT_REGION = "us-east-1"
HTTP_DATE_LENGTH = len("Sun, 06 Nov 1994 08:49:37 GMT")
SESSION_NAME = "s3sync-dagster"
_STS = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2})


class AwsSession:
    """Credentials, a region, and clients that use them.

    It is botocore's session without boto3 around it: that loads what copies large files by
    several processes, which nothing here does.
    """

    def __init__(self, inner: aws_session.Session) -> None:
        self._inner = inner

    @property
    def region_name(self) -> str | None:
        """The region that was given, else that of AWS's own chain (variables, profile)."""
        return self._inner.get_config_variable("region")

    def client(
        self,
        service: str,
        *,
        region_name: str | None,
        endpoint_url: str | None,
        config: Config | None = None,
    ) -> Any:
        """Return botocore's client of a service; nothing is sent yet.

        Raises:
            BotoCoreError: settings of AWS's own chain that are no good.
            ValueError: an endpoint that is no URL.
        """
        with credentials_told():
            client = self._inner.create_client(
                service, region_name=region_name, endpoint_url=endpoint_url, config=config
            )
        bound_answers(client, service)
        return client


@contextmanager
def credentials_told() -> Generator[None]:
    """Let what botocore meets in files and programs that give credentials be one of its errors.

    It lets the system's own through: for a token's file that is missing, or a
    ``credential_process`` that cannot be run or writes no JSON.
    """
    try:
        yield
    except (FileNotFoundError, NotADirectoryError, PermissionError, JSONDecodeError) as error:
        raise aws.CredentialRetrievalError(
            provider="file or program", error_msg=type(error).__name__
        ) from None


def open_session(
    credentials: CredentialsConfig,
    *,
    region: str | None,
    resolve_env: ResolveEnv,
    resolve_credential: ResolveCredential | None = None,
) -> AwsSession:
    """Return a session with a source's credentials; nothing is sent yet.

    The first that is given counts: catalog credential, variables, profile, AWS's default chain.
    With ``role_arn`` these only serve to assume the role, and its temporary credentials are
    renewed before they end.

    Raises:
        AccessDenied: ``no_credentials``, ``profile_not_found``.
        InvalidSetting: an incomplete pair.
    """
    key_id, secret, token = _keys(
        credentials, resolve_env=resolve_env, resolve_credential=resolve_credential
    )
    try:
        session = quick_session(credentials.profile if key_id is None else None, region=region)
        if key_id is not None:
            session.set_credentials(key_id, secret, token)
        else:
            _require_profile(session)
        if credentials.role_arn is not None:
            with credentials_told():
                session = _assuming(session, credentials=credentials, role_arn=credentials.role_arn)
    except aws.BotoCoreError as error:
        raise transport_error(error, doing="opening an AWS session", endpoint=None) from None
    return AwsSession(session)


def _require_profile(session: aws_session.Session) -> None:
    """Raise for a profile that does not exist, which botocore may notice only at a request."""
    if _has_profile(session) and session.profile not in session.available_profiles:
        raise aws.ProfileNotFound(profile=session.profile)


def quick_session(profile: str | None = None, *, region: str | None = None) -> aws_session.Session:
    """Return a botocore session that opens clients and reads listings quickly.

    Each session would read the service models anew (70 ms a client), and botocore's own parser of
    times tries many forms: three quarters of the time of a page of 1,000 keys, a tenth of a GET.
    """
    session = aws_session.Session(profile=profile)
    session.register_component("data_loader", _shared_loader())
    if region is not None:
        session.set_config_variable("region", region)
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=read_time)
    return session


@cache
def _shared_loader() -> Loader:
    return create_loader()


def read_time(value: Any) -> datetime:
    """Return the moment of a time in one of the two forms that S3 writes; botocore reads others."""
    if isinstance(value, str):
        with suppress(ValueError):
            if value.endswith("Z"):
                return datetime.fromisoformat(value)
            if len(value) == HTTP_DATE_LENGTH and value.endswith(" GMT"):
                return parsedate_to_datetime(value)
    return parse_timestamp(value)


def _keys(
    credentials: CredentialsConfig,
    *,
    resolve_env: ResolveEnv,
    resolve_credential: ResolveCredential | None,
) -> tuple[str | None, str | None, str | None]:
    if credentials.credential_id is not None:
        if resolve_credential is None:
            raise InvalidSetting("credential_id needs a catalog, which is not open here")
        return resolve_credential(credentials.credential_id)
    names = (credentials.access_key_id_env, credentials.secret_access_key_env)
    if names == (None, None):
        return None, None, None
    if None in names:
        raise InvalidSetting("access_key_id_env and secret_access_key_env have to come together")
    key_id, secret = (_variable(name or "", resolve_env=resolve_env) for name in names)
    if not looks_like_id(key_id, variable=names[0] or ""):
        raise AccessDenied(
            f"the value of {names[0]!r} is not that of a key's id, and goes to no server in the "
            "clear: is it a secret? give the id a variable of its own, such as AWS_ACCESS_KEY_ID",
            reason="no_credentials",
        )
    if credentials.session_token_env is None:
        return key_id, secret, None
    return key_id, secret, _variable(credentials.session_token_env, resolve_env=resolve_env)


def _variable(name: str, *, resolve_env: ResolveEnv) -> str:
    value = resolve_env(name)
    if not value:
        raise AccessDenied(
            f"the variable {name!r}, which the source's credentials name, is not set here",
            reason="no_credentials",
        )
    return value


def _assuming(
    session: aws_session.Session, *, credentials: CredentialsConfig, role_arn: str
) -> aws_session.Session:
    """Return a session whose credentials come from STS when they are first needed."""
    region = session.get_config_variable("region") or DEFAULT_REGION
    base = quick_session(session.profile if _has_profile(session) else None)
    found = session.get_credentials()
    if found is None:
        raise transport_error(
            aws.NoCredentialsError(), doing=f"assuming role {role_arn!r}", endpoint=None
        )
    extra = {"RoleSessionName": SESSION_NAME}
    if credentials.external_id is not None:
        extra["ExternalId"] = credentials.external_id

    def sts(service: str, **more: Any) -> Any:
        client = base.create_client(service, region_name=region, config=_STS, **more)
        bound_answers(client, service)
        return client

    fetcher = AssumeRoleCredentialFetcher(
        client_creator=sts,
        source_credentials=found,
        role_arn=role_arn,
        extra_args=extra,
    )
    role = DeferredRefreshableCredentials(
        refresh_using=fetcher.fetch_credentials, method=_RoleProvider.METHOD
    )
    assumed = quick_session(region=region)
    assumed.register_component("credential_provider", CredentialResolver([_RoleProvider(role)]))
    return assumed


def _has_profile(session: aws_session.Session) -> bool:
    return session.profile not in (None, "default")


class _RoleProvider(CredentialProvider):
    """Hands one prepared set of refreshing credentials to botocore's chain."""

    METHOD = "assume-role"

    def __init__(self, credentials: DeferredRefreshableCredentials) -> None:
        super().__init__()
        self._credentials = credentials

    def load(self) -> Any:
        return self._credentials
