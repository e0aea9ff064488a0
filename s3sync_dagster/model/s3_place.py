"""A bucket and prefix of S3, as a place of objects."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal
from urllib.parse import quote, urlencode, urlsplit

from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.place import Carried, CredentialsConfig, Place, PlaceIdentity

S3_FORM = "s3://BUCKET/PREFIX"
"""How people write an S3 place, for help texts."""
_DIRECTORY_BUCKET_SUFFIX = "--x-s3"


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Place(Place):
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
    object_metadata: tuple[str, ...] = ()
    """Names of user metadata (``x-amz-meta-*``) that become metadata: ``NAME`` or ``NAME=KEY``."""
    object_tags: tuple[str, ...] = ()
    """Names of tags that become metadata: ``NAME`` or ``NAME=KEY``."""
    metadata_interval_seconds: int = 0
    """Between two looks of listings at both, of objects that did not change; 0: none."""
    inventory: str | None = None
    """Where the reports of an inventory configuration are delivered, ``s3://BUCKET/PREFIX/``: the
    listings are made of them."""
    type: str = "s3"
    kind: ClassVar[str] = "s3"
    form: ClassVar[str] = S3_FORM
    nested: ClassVar[Mapping[str, Any]] = {"credentials": CredentialsConfig}

    @classmethod
    def read(cls, text: str) -> "S3Place | None":
        """Return the bucket that a person wrote; the prefix is taken as it is."""
        match = re.fullmatch(r"s3://([^/]+)(?:/(.*))?", text, flags=re.DOTALL)
        if match is None:
            return None
        return cls(bucket_name=match.group(1), path_prefix=match.group(2) or "")

    @property
    def reports(self) -> "S3Place | None":
        """Return the place to which inventory reports are delivered; None: there are none."""
        if self.inventory is None:
            return None
        match = re.fullmatch(r"s3://([^/]+)/(.+/)", self.inventory, flags=re.DOTALL)
        if match is None:
            raise InvalidSetting(
                "inventory is not s3://BUCKET/PREFIX/ with a slash at its end: the folder of one "
                "inventory configuration, in which a folder for each report lies."
            )
        return replace(
            self,
            bucket_name=match.group(1),
            path_prefix=match.group(2),
            inventory=None,
            queue_url=None,
            object_metadata=(),
            object_tags=(),
            metadata_interval_seconds=0,
            requester_pays=False,
            expected_bucket_owner=None,
        )

    @property
    def credential_id(self) -> int | None:
        """Return the row of the catalog whose secrets open the bucket."""
        return self.credentials.credential_id

    @property
    def carried(self) -> Carried:
        """Return what of an object's user metadata and tags becomes metadata."""
        metadata = {name.lower(): key for name, key in map(_name_and_key, self.object_metadata)}
        return Carried(metadata, dict(map(_name_and_key, self.object_tags)))

    def check(self) -> None:
        """Refuse what buckets do not have, and names of metadata that cannot be told apart."""
        if self.reports is not None and (not self.ordered or self.bucket_name.startswith("arn:")):
            raise InvalidSetting(
                "inventory needs a bucket by its own name: AWS makes no reports of directory "
                "buckets, and they do not name access points."
            )
        if not all("!" <= one <= "~" for one in self.expected_bucket_owner or ""):
            raise InvalidSetting("expected_bucket_owner is the id of an AWS account: 12 digits.")
        wanted = self.carried
        keys = wanted.keys()
        twice = len(keys) != len({*keys}) or len(keys) < len(
            self.object_metadata + self.object_tags
        )
        if twice or not all((*keys, *wanted.metadata, *wanted.tags)):
            raise InvalidSetting(
                "object_metadata and object_tags need names, each once, and give each metadata key "
                "once: write NAME=KEY for one that is to stand under another key."
            )
        if self.object_tags and not self.ordered:
            raise InvalidSetting("object_tags: objects of a directory bucket have no tags.")

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


def _name_and_key(entry: str) -> tuple[str, str]:
    """Return a name and the metadata key under which it stands, which is the name unless told."""
    name, told, key = entry.rpartition("=")
    return (name, key) if told else (entry, entry)
