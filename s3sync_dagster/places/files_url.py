"""Addresses of file stores as people write them, taken apart."""

import re
from typing import NamedTuple
from urllib.parse import unquote

from s3sync_dagster.model.errors import InvalidSetting

FORMS = {
    "gs": "gs://BUCKET/FOLDER",
    "abfs": "abfs://CONTAINER@ACCOUNT.dfs.core.windows.net/FOLDER",
    "sftp": "sftp://USER@HOST/FOLDER",
    "davs": "davs://USER@HOST/FOLDER",
    "index+https": "index+https://HOST/FOLDER",
    "fsspec+": "fsspec+PROTOCOL://...",
}
_ALIASES = {"abfss": "abfs"}
_KNOWN = frozenset({"gs", "abfs", "abfss", "sftp", "dav", "davs", "index+https", "index+http"})
_SCHEME = re.compile(r"([a-z][a-z0-9]*(?:\+[a-z0-9]+)?)://(.*)", re.DOTALL)
_OTHERS = "fsspec+"
_NOT_HERE = {
    "file": "write its path: a folder is a type of its own",
    "local": "write its path: a folder is a type of its own",
    "s3": "a bucket of S3 is a type of its own",
    "s3a": "a bucket of S3 is a type of its own",
    "http": "write index+http://HOST/FOLDER, or https://HOST/ for a site",
    "https": "write index+https://HOST/FOLDER, or https://HOST/ for a site",
}
MAX_CHARACTERS = 1024


class StoreUrl(NamedTuple):
    """A store's address in its parts; it holds no secret."""

    protocol: str
    """``gs``, ``abfs``, ``sftp``, ``dav(s)``, ``index+http(s)`` or ``fsspec+X``."""
    user: str
    """Of an ``abfs`` address the container."""
    host: str
    """With its port; of a ``gs`` address the bucket."""
    path: str
    """Without a slash at either end."""

    @property
    def is_other(self) -> bool:
        """Whether fsspec alone knows what speaks the protocol."""
        return self.protocol.startswith(_OTHERS)

    @property
    def server(self) -> str:
        """Which server, container or bucket, with the protocol."""
        return f"{self.protocol}://{self.user}{'@' if self.user else ''}{self.host}"


def is_store(text: str) -> bool:
    """Return whether a text is the address of a file store, right or wrong."""
    found = _SCHEME.match(text)
    return found is not None and (found[1] in _KNOWN or found[1].startswith(_OTHERS))


def parse_store_url(text: str) -> StoreUrl:
    """Return an address in its parts.

    Raises:
        InvalidSetting: it is none, or holds a password.
    """
    found = _SCHEME.match(text)
    if found is None or not is_store(text):
        raise InvalidSetting(f"store_url is none of {', '.join(FORMS.values())}.")
    protocol, rest = _ALIASES.get(found[1], found[1]), found[2]
    if found[1].removeprefix(_OTHERS) in _NOT_HERE and found[1] not in _KNOWN:
        raise InvalidSetting(f"store_url: {_NOT_HERE[found[1].removeprefix(_OTHERS)]}.")
    where, _, path = rest.partition("/")
    user, _, host = where.rpartition("@")
    if ":" in user:
        raise InvalidSetting(
            "store_url holds a password: it belongs into token_env or saved_token."
        )
    if len(text) > MAX_CHARACTERS or re.search(r"[\s\x00-\x1f\x7f?#\\]|::", text):
        raise InvalidSetting(
            f"store_url has blanks, control characters, ?, # or ::, or more than {MAX_CHARACTERS} "
            "characters."
        )
    if protocol.startswith(("dav", "index")):
        path = unquote(path)
    path = path.strip("/")
    if any(part in ("", ".", "..") for part in path.split("/")) and path:
        raise InvalidSetting("store_url has a path that is not in its shortest form.")
    parts = StoreUrl(protocol, user, host, path)
    _check(parts)
    return parts


def _check(parts: StoreUrl) -> None:
    if parts.is_other:
        return
    host, _, port = parts.host.partition(":")
    fits = re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", host) is not None
    fits = fits and (not port or (port.isdecimal() and 0 < int(port) < 65_536))
    match parts.protocol:
        case "gs":
            fits = fits and not parts.user and not port
        case "abfs":
            fits = fits and re.fullmatch(r"[a-z0-9$][a-z0-9-]{0,62}", parts.user) is not None
        case "sftp":
            fits = fits and bool(parts.user) and bool(parts.path)
        case _:
            pass
    if not fits:
        form = FORMS.get(parts.protocol) or FORMS[f"{parts.protocol}s"]
        raise InvalidSetting(f"store_url has to look like {form}.")
