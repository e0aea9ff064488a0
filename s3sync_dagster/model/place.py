"""Where the objects of a source are: one frozen value for each type of place.

A place owns what differs from type to type: its address, its identity, the link to an object,
the order of its listing, and what it takes to get in. ``ports/places.py`` opens its store.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Literal, NamedTuple, Self
from urllib.parse import quote, urlencode, urlsplit

from s3sync_dagster.model.errors import InvalidSetting

S3_FORM = "s3://BUCKET/PREFIX"
"""How people write an S3 place, for help texts."""
_DIRECTORY_BUCKET_SUFFIX = "--x-s3"


class PlaceIdentity(NamedTuple):
    """What makes two places the same one, by the catalog's columns."""

    place_type: str
    endpoint_url: str
    """Which server; empty: the one that all know by the type."""
    bucket_name: str
    """Bucket or the like."""
    path_prefix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialsConfig:
    """Where AWS credentials come from. Never a secret itself: names of variables, profiles, ids."""

    profile: str | None = None
    access_key_id_env: str | None = None
    secret_access_key_env: str | None = None
    session_token_env: str | None = None
    credential_id: int | None = None
    """Row of the catalog's encrypted credentials."""
    role_arn: str | None = None
    external_id: str | None = None


class _Place:
    """What every place answers besides, as most answer it.

    Each has also ``type``, ``path_prefix`` (what all its keys begin with), ``queue_url`` (what
    tells of changes), ``address`` and ``identity``.
    """

    __slots__ = ()
    asset_prefix: ClassVar[str] = "s3"
    """First part of the names in Dagster: ``s3/<source>``, ``s3_<source>``."""
    kind: ClassVar[str]
    """What Dagster shows the asset as."""
    owned: ClassVar[bool] = False
    """The objects are ours: they lie in the data folder and go with their source."""

    @property
    def credential_id(self) -> int | None:
        """Return the row of the catalog whose secrets open the place."""
        return None

    @property
    def ordered(self) -> bool:
        """Return whether a listing comes in the order of the keys' bytes."""
        return True

    def link(self, key: str) -> str | None:
        """Return a URL of an object for a browser, None where there is none."""
        del key
        return None

    def with_changes(self, **changes: Any) -> Self:
        """Return a copy with some fields replaced."""
        return replace(self, **changes)  # type: ignore[type-var]


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Place(_Place):
    """A bucket and prefix of S3 or of a server that speaks its API."""

    bucket_name: str
    path_prefix: str = ""
    """Plain starts-with on the full key."""
    region: str | None = None
    endpoint_url: str | None = None
    addressing_style: Literal["auto", "path", "virtual"] = "auto"
    credentials: CredentialsConfig = field(default_factory=CredentialsConfig)
    requester_pays: bool = False
    expected_bucket_owner: str | None = None
    queue_url: str | None = None
    """SQS queue with the bucket's events."""
    type: Literal["s3"] = "s3"
    kind: ClassVar[str] = "s3"

    @property
    def credential_id(self) -> int | None:
        """Return the row of the catalog whose secrets open the bucket."""
        return self.credentials.credential_id

    @property
    def ordered(self) -> bool:
        """Return whether a listing is in order: that of a directory bucket is not."""
        return not self.bucket_name.endswith(_DIRECTORY_BUCKET_SUFFIX)

    def address(self, key: str | None = None) -> str:
        """Return the address of an object, without a key that of the place."""
        return f"s3://{self.bucket_name}/{self.path_prefix if key is None else key}"

    def identity(self) -> PlaceIdentity:
        """Return what makes two places the same one."""
        return PlaceIdentity(self.type, self.endpoint_url or "", self.bucket_name, self.path_prefix)

    def link(self, key: str) -> str:
        """Return the object's page in the AWS console, or its address on another server."""
        if self.endpoint_url is None:
            query = {"prefix": key} | ({"region": self.region} if self.region else {})
            return f"https://console.aws.amazon.com/s3/object/{self.bucket_name}?{urlencode(query)}"
        endpoint = urlsplit(self.endpoint_url)
        host, folder = endpoint.netloc.rpartition("@")[2], endpoint.path.rstrip("/")
        if self.addressing_style == "virtual":
            host = f"{self.bucket_name}.{host}"
        else:
            folder = f"{folder}/{self.bucket_name}"
        return f"{endpoint.scheme}://{host}{folder}/{quote(key)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadPlace(_Place):
    """What people uploaded (contract: ``file_upload``), kept in the data folder.

    In Dagster it is called ``s3/<source>`` as ever: another word would cut the source off from
    its partitions and its history.
    """

    type: Literal["file_upload"] = "file_upload"
    kind: ClassVar[str] = "file"
    owned: ClassVar[bool] = True
    path_prefix: ClassVar[str] = ""
    queue_url: ClassVar[str | None] = None

    def address(self, key: str | None = None) -> str:
        """Return the address of an object, without a key that of the place."""
        return f"upload:/{key or ''}"

    def identity(self) -> PlaceIdentity:
        """Return what makes two places the same one: each collection has its own."""
        return PlaceIdentity(self.type, "", self.type, "")


Place = S3Place | UploadPlace
PLACES: Mapping[str, type[Place]] = {"s3": S3Place, "file_upload": UploadPlace}
"""By the tag of the value, which is the contract's source type."""


def place_from_json(data: Mapping[str, Any]) -> Place:
    """Return a place from its JSON; unknown fields of a newer version are ignored."""
    kind = PLACES[data.get("type", "s3")]
    values = {f.name: data[f.name] for f in fields(kind) if f.name in data}
    if "credentials" in values:
        known = {f.name for f in fields(CredentialsConfig)}
        given = values["credentials"]
        values["credentials"] = CredentialsConfig(
            **{key: value for key, value in given.items() if key in known}
        )
    return kind(**values)


def parse_place(text: str) -> S3Place:
    """Return the place that a person wrote; the prefix is taken as it is.

    Raises:
        InvalidSetting: the text names none.
    """
    match = re.fullmatch(r"s3://([^/]+)(?:/(.*))?", text, flags=re.DOTALL)
    if match is None:
        raise InvalidSetting(f"{text!r} is no place: write s3://BUCKET or {S3_FORM}.")
    return S3Place(bucket_name=match.group(1), path_prefix=match.group(2) or "")
