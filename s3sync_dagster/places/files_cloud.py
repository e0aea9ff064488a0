"""Google Cloud Storage and Azure Blob: stores without folders, listed page by page."""

# ruff: noqa: D102  (the base class says what each method is for)

import json
import logging
from typing import Any, NamedTuple

from s3sync_dagster.model.errors import InvalidSetting, ObjectChanged, Unavailable
from s3sync_dagster.places.cloud_bounds import bound_azure, bounded_response
from s3sync_dagster.places.files_access import Access, Entry, Streamed, require_same

PAGE_KEYS = 1000
_TOKEN_URIS = (
    "https://oauth2.googleapis.com/token",
    "https://accounts.google.com/o/oauth2/token",
    "https://www.googleapis.com/oauth2/v4/token",
)
"""Where Google gives tokens for keys of service accounts; the signed request goes there."""


class Page(NamedTuple):
    """One answer of a listing."""

    entries: list[Entry]
    """Their names are whole paths, without the store's own folder."""
    token: str | None
    """None: no page follows."""


class FlatAccess(Access):
    """A store whose listing has pages of whole paths."""

    flat = True
    exact_etags = True

    def page(self, system: Any, token: str | None, limit: int = PAGE_KEYS) -> Page:
        """Return a page of the listing, in one request."""
        raise NotImplementedError

    @property
    def prefix(self) -> str:
        """What all names of the source begin with."""
        return f"{self.url.path}/" if self.url.path else ""


class GoogleStorage(FlatAccess):
    """``gs``: an object's generation tells each write from the one before."""

    extra = "gcs"
    what = "A source in Google Cloud Storage"

    def open(self) -> Any:
        # Not gcsfs.GCSFileSystem: that one asks for each bucket's layout over gRPC first.
        from gcsfs.core import GCSFileSystem  # noqa: PLC0415  (only these sources pay for it)

        log = logging.getLogger("gcsfs")
        if log.level == logging.NOTSET:  # it logs what it raises as well, with a traceback
            log.setLevel(logging.CRITICAL)
        return GCSFileSystem(
            token=self._token(),
            access="read_only",
            requests_timeout=60,
            # What was uploaded packed is counted, and comes in ranges, as it lies there.
            session_kwargs={
                "auto_decompress": False,
                "headers": {"Accept-Encoding": "identity"},
                "response_class": bounded_response(marked=False),
            },
            use_listings_cache=False,
            skip_instance_cache=True,
        )

    def _token(self) -> Any:
        if self.secret is not None:
            try:
                found = json.loads(self.secret)
            except ValueError:
                found = None
            if not isinstance(found, dict):
                raise InvalidSetting(
                    "The secret of a source in Google Cloud Storage is the JSON of a service "
                    "account's key, not its file's name."
                )
            if found.get("token_uri", _TOKEN_URIS[0]) not in _TOKEN_URIS:  # type: ignore[reportUnknownMemberType]
                raise InvalidSetting(
                    "The token_uri of a service account's key is another than Google's own, "
                    f"{_TOKEN_URIS[0]}."
                )
            return found  # type: ignore[reportUnknownVariableType]
        import google.auth  # noqa: PLC0415  (as above)
        from google.auth.exceptions import DefaultCredentialsError  # noqa: PLC0415  (as above)

        try:
            google.auth.default()
        except DefaultCredentialsError:
            return "anon"  # public buckets
        return "google_default"

    def close(self, system: Any) -> None:
        if system._session is not None:
            system.close_session(system.loop, system._session)

    def path(self, key: str) -> str:
        return f"{self.url.host}/{self.prefix}{key}"

    def page(self, system: Any, token: str | None, limit: int = PAGE_KEYS) -> Page:
        more: dict[str, Any] = {"pageToken": token} if token else {}
        answer = system.call(
            "GET", "b/{}/o", self.url.host, prefix=self.prefix, maxResults=limit, json_out=True,
            fields="kind,nextPageToken,items(name,size,generation,updated,contentEncoding)", **more,
        )  # fmt: skip
        if answer.get("kind") != "storage#objects":
            # Any other JSON would pass for the last page of a listing.
            raise Unavailable("The server gave no page of a listing.", reason="store_failed")
        entries = [self._told(one) for one in answer.get("items", ())]
        return Page(entries, answer.get("nextPageToken"))

    def info(self, system: Any, key: str) -> Entry:
        name = f"{self.prefix}{key}"
        return self._told(system.call("GET", "b/{}/o/{}", self.url.host, name, json_out=True))

    def opened(self, system: Any, key: str, found: Entry) -> Any:
        ranges = _Ranges(system, system.url(self.path(key)), found)
        return Streamed(system.loop, ranges.read, lambda: None)

    def _told(self, item: dict[str, Any]) -> Entry:
        return self.entry(item["name"][len(self.prefix) :], {**item, "type": "file"})


class AzureBlob(FlatAccess):
    """``abfs``: a blob's etag changes with each write."""

    extra = "azure"
    what = "A source in Azure Blob Storage"

    def open(self) -> Any:
        from adlfs import AzureBlobFileSystem  # noqa: PLC0415  (only these sources pay for it)

        account, _, domain = self.url.host.partition(".")
        domain = domain.replace("dfs.", "blob.", 1)
        host = {"account_host": f"{account}.{domain}"} if domain and not self._connects else {}
        system = AzureBlobFileSystem(
            account_name=account,
            **host,
            connection_timeout=15,
            read_timeout=60,
            use_listings_cache=False,
            skip_instance_cache=True,
            **self._proof(),
        )
        bound_azure(system.service_client)
        if system.service_client.account_name != account:
            raise InvalidSetting(
                "The connection string of an Azure source is one of another account than its "
                "store_url names."
            )
        return system

    @property
    def _connects(self) -> bool:
        """Whether the secret is a connection string, which names the server itself."""
        return "AccountName=" in (self.secret or "")

    def _proof(self) -> dict[str, Any]:
        secret = self.secret
        if secret is None:
            from azure.identity.aio import DefaultAzureCredential  # noqa: PLC0415  (as above)

            return {"credential": DefaultAzureCredential(), "anon": False}
        if self._connects:
            return {"connection_string": secret}
        if "sig=" in secret:
            return {"sas_token": secret.lstrip("?")}
        return {"account_key": secret}

    def path(self, key: str) -> str:
        return f"{self.url.user}/{self.prefix}{key}"

    def page(self, system: Any, token: str | None, limit: int = PAGE_KEYS) -> Page:
        from fsspec.asyn import sync  # noqa: PLC0415  (as above)

        found: Any = sync(system.loop, self._page, system, token, limit)
        return found

    async def _page(self, system: Any, token: str | None, limit: int) -> Page:
        async with system.service_client.get_container_client(self.url.user) as container:
            pages = container.list_blobs(
                name_starts_with=self.prefix or None, include=["metadata"], results_per_page=limit
            ).by_page(continuation_token=token)
            async for page in pages:
                blobs = [blob async for blob in page]
                found = [self._told(blob) for blob in blobs if not _is_folder(blob)]
                return Page(found, pages.continuation_token or None)
        return Page([], None)

    def info(self, system: Any, key: str) -> Entry:
        from fsspec.asyn import sync  # noqa: PLC0415  (as above)

        found: Any = sync(system.loop, self._properties, system, f"{self.prefix}{key}")
        return found

    def opened(self, system: Any, key: str, found: Entry) -> Any:
        from fsspec.asyn import sync  # noqa: PLC0415  (as above)

        file: Any = sync(system.loop, self._streamed, system, f"{self.prefix}{key}", found)
        return file

    async def _streamed(self, system: Any, name: str, found: Entry) -> Streamed:
        from azure.core import MatchConditions  # noqa: PLC0415  (as above)
        from azure.core.exceptions import ResourceModifiedError  # noqa: PLC0415  (as above)

        blob = system.service_client.get_blob_client(self.url.user, name)
        same = {"etag": f'"{found.version}"', "match_condition": MatchConditions.IfNotModified}
        try:
            body = await blob.download_blob(**same, decompress=False)
        except ResourceModifiedError:
            raise ObjectChanged(f"blob {name!r} was overwritten before it could be read") from None
        require_same(found, self._told(body.properties))
        return Streamed(system.loop, body.read, lambda: None)

    async def _properties(self, system: Any, name: str) -> Entry:
        from azure.core.exceptions import ResourceNotFoundError  # noqa: PLC0415  (as above)

        async with system.service_client.get_blob_client(self.url.user, name) as blob:
            try:
                return self._told(await blob.get_blob_properties())
            except ResourceNotFoundError as error:
                raise FileNotFoundError(name) from error

    def _told(self, blob: Any) -> Entry:
        told = {
            "type": "file", "size": blob.size, "etag": blob.etag,
            "last_modified": blob.last_modified,
            "contentEncoding": blob.content_settings.content_encoding,
        }  # fmt: skip
        return self.entry(blob.name[len(self.prefix) :], told)


class _Ranges:
    """An object of Google, range by range; each answer tells of which generation it is."""

    def __init__(self, system: Any, url: str, found: Entry) -> None:
        self._system, self._url, self._found, self._at = system, url, found, 0

    async def read(self, size: int) -> bytes:
        found, at = self._found, self._at
        if at >= found.size:
            return b""
        asked = {"Range": f"bytes={at}-{min(at + size, found.size) - 1}"}
        if found.encoding:  # else the server unpacks it, whole
            asked["Accept-Encoding"] = "gzip"
        headers, piece = await self._system._call("GET", self._url, headers=asked)
        generation = headers.get("X-Goog-Generation", found.version)
        whole = headers.get("Content-Range", f"/{len(piece)}").rpartition("/")[2]
        require_same(found, found._replace(version=generation, modified=None, size=int(whole)))
        self._at += len(piece)
        return piece


def _is_folder(blob: Any) -> bool:
    """Return whether a blob stands for a folder, as accounts with a hierarchy have them."""
    metadata = {name.lower(): value for name, value in (blob.metadata or {}).items()}
    return metadata.get("hdi_isfolder") == "true"
