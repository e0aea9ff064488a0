"""Buckets of several makes behind one face, so that one test speaks to them all."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl

from s3sync_dagster.catalog import Catalog
from s3sync_dagster.engine.store_ports import ObjectStore
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.place import UploadPlace
from s3sync_dagster.model.source import Source
from s3sync_dagster.ports.files import IncomingFile
from s3sync_dagster.ports.memory_s3 import MemoryBucket, MemoryObjectStore
from s3sync_dagster.ports.s3 import open_object_store
from s3sync_dagster.ports.uploads import UploadStore
from s3sync_dagster_tests.conftest_aws import AwsEndpoint

AWKWARD_KEYS: tuple[str, ...] = (
    "plain.txt",
    "..",
    ".",
    "...",
    "a/../b",
    "a/./b",
    "a...b",
    "//",
    "/leading",
    "double//slash",
    "trailing/",
    " ",
    " leading space",
    "trailing space ",
    "two  spaces",
    "plus+sign",
    "percent%2F%41%",
    "question?mark#hash&amp;=",
    "colon:semi;at@dollar$comma,",
    "pipe|caret^tilde~back`tick",
    "brackets[1]{2}(3)<4>",
    "[a...z]",
    "quotes'\"",
    "back\\slash",
    "star*bang!",
    "new\nline",
    "carriage\rreturn\r\n",
    "tab\there",
    "control\x01\x1b\x7f",
    "nul\x00byte",
    "c1\x85control",
    "line\u2028separator\u2029",
    "\ufeffbom",
    "twin-\u00e9",
    "twin-e\u0301",
    "emoji-📄",
    "astral-\U0001f9d1\u200d\U0001f4bb-zwj",
    "private-\uffff-end",
    "Case",
    "case",
    "soap",
    "long-" + "k" * 1019,
    "wide-" + "é" * 509,
    "%" * 1024,
)
"""Keys that S3 has and that something on the way may not bear; all at most 1,024 bytes."""


class ObjectWorld(Protocol):
    """A bucket that a test fills directly and reads through the port."""

    store: ObjectStore
    refused_keys: frozenset[str]
    """Of ``AWKWARD_KEYS``: those that this make of bucket cannot have."""

    def put(self, key: str, body: bytes, **arguments: Any) -> str:
        """Write an object, return its etag."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object."""
        ...


@dataclass
class MemoryWorld:
    """The fake."""

    bucket: MemoryBucket
    store: MemoryObjectStore
    refused_keys: frozenset[str] = frozenset()

    def put(self, key: str, body: bytes, **arguments: Any) -> str:
        names = {"StorageClass": "storage_class", "Metadata": "metadata"}
        names |= {"ContentType": "content_type", "Tagging": "tags"}
        if "Tagging" in arguments:
            arguments["Tagging"] = dict(parse_qsl(arguments["Tagging"]))
        ref = self.bucket.put(key, body, **{names[k]: v for k, v in arguments.items()})
        return ref.etag

    def delete(self, key: str) -> None:
        self.bucket.delete(key)


@dataclass
class EndpointWorld:
    """A server over HTTP, and the real port."""

    endpoint: AwsEndpoint
    bucket: str
    store: ObjectStore
    refused_keys: frozenset[str] = frozenset()

    def put(self, key: str, body: bytes, **arguments: Any) -> str:
        return self.endpoint.put(self.bucket, key, body, **arguments)

    def delete(self, key: str) -> None:
        self.endpoint.delete(self.bucket, key)


def memory_world(*, versioned: bool = False) -> MemoryWorld:
    """Return a fresh fake bucket."""
    bucket = MemoryBucket(versioned=versioned)
    return MemoryWorld(bucket, MemoryObjectStore(bucket))


@dataclass
class UploadsWorld:
    """Uploads in a catalog."""

    folder: Path
    store: UploadStore
    refused_keys: frozenset[str] = frozenset()

    def put(self, key: str, body: bytes, **arguments: Any) -> str:
        with IncomingFile(self.folder / "incoming") as incoming:
            incoming.write(body)
            return self.store.commit(
                incoming,
                key,
                content_type=arguments.get("ContentType"),
                metadata=arguments.get("Metadata"),
            ).etag

    def delete(self, key: str) -> None:
        self.store.delete(key)


def uploads_world(catalog: Catalog, folder: Path) -> UploadsWorld:
    """Return a source without uploads yet."""
    catalog.sources.add(
        Source(id="source", name="source", place=UploadPlace(), collection_name="texts")
    )
    store = UploadStore("source", rows=lambda: catalog.uploads, before=folder / "source")
    return UploadsWorld(folder, store)


def endpoint_world(
    endpoint: AwsEndpoint, *, spool_dir: Path, versioned: bool = False
) -> EndpointWorld:
    """Return a fresh bucket of a server."""
    bucket = endpoint.make_bucket("contract", versioned=versioned)
    store = open_object_store(
        endpoint.source(bucket).place, resolve_env=endpoint.resolve_env, spool_dir=spool_dir
    )
    return EndpointWorld(endpoint, bucket, store, refused_keys=endpoint.refused_keys)


def all_refs(store: ObjectStore, prefix: str = "", *, limit: int = 1000) -> list[ObjectRef]:
    """Return a whole listing, page by page."""
    refs: list[ObjectRef] = []
    after: str | None = None
    while True:
        page = store.list_page(prefix, start_after=after, limit=limit)
        refs.extend(page.objects)
        if page.last:
            return refs
        after = page.objects[-1].key
