"""Which server the environment names for a bucket whose source names none."""

# botocore has no types: what it gives is unknown here, and Any beyond this file.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import os
from urllib.parse import urlsplit

from botocore import exceptions as aws
from botocore.session import Session

from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.ports.aws_session import DEFAULT_REGION, quick_session

AWS_DOMAINS = (".amazonaws.com", ".amazonaws.com.cn")
_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_KEYS = frozenset({"endpoint_url", "services"})
"""What of a profile may name an endpoint."""


def configured_endpoint(place: S3Place) -> str | None:
    """Return the URL that ``AWS_ENDPOINT_URL`` and its like name for a place, as botocore takes it.

    Nothing is sent, and no credentials are looked for. None: the place has an endpoint of its own,
    or AWS itself is asked.

    Raises:
        InvalidSetting: what is named is no URL.
    """
    if place.endpoint_url is not None:
        return None
    given = place.credentials
    keys = (given.credential_id, given.access_key_id_env, given.role_arn)
    profile = given.profile if keys == (None, None, None) else None  # as open_session has it
    nobody = dict.fromkeys(("aws_access_key_id", "aws_secret_access_key"), "nobody")
    try:
        session = quick_session(profile)
        if not _may_name_one(session):
            return None
        client = session.create_client("s3", region_name=place.region or DEFAULT_REGION, **nobody)
    except aws.ProfileNotFound:
        return None  # it names nothing; who opens the place tells that it is missing
    except (aws.BotoCoreError, ValueError):
        raise InvalidSetting(
            "the endpoint that AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL or AWS's profile names is not "
            "a URL such as https://s3.example.org, or AWS's files cannot be read"
        ) from None
    url: str = client.meta.endpoint_url
    client.close()
    host = urlsplit(url)
    if (host.hostname or "").endswith(AWS_DOMAINS) or "@" in host.netloc:
        return None  # a password in it would stand in the catalog as it is
    return url.rstrip("/")


def _may_name_one(session: Session) -> bool:
    """Return whether a client has to be asked, which costs 50 CPU-ms: mostly nothing is named."""
    named = any(os.environ.get(name) for name in _VARIABLES)
    return named or not _KEYS.isdisjoint(session.get_scoped_config())
