"""Keep Chroma collections in step with S3 buckets, folders and the like, on Dagster.

The names below are the ones that a Dagster project of your own needs, and the ones that stay. Each
is loaded when it is first asked for, so that this import costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from s3sync_dagster.defs.asset_keys import asset_keys
    from s3sync_dagster.defs.building import build_definitions
    from s3sync_dagster.defs.chroma_resource import (
        ChromaResource,
        CloudConfig,
        HttpConfig,
        LocalConfig,
    )
    from s3sync_dagster.defs.component import (
        FilesSyncComponent,
        FolderSyncComponent,
        GitSyncComponent,
        S3SyncComponent,
        WebSyncComponent,
    )
    from s3sync_dagster.defs.resources import (
        FilesSource,
        FolderSource,
        GitSource,
        S3Source,
        WebSource,
    )
    from s3sync_dagster.model.errors import S3SyncError

__all__ = [
    "ChromaResource",
    "CloudConfig",
    "FilesSource",
    "FilesSyncComponent",
    "FolderSource",
    "FolderSyncComponent",
    "GitSource",
    "GitSyncComponent",
    "HttpConfig",
    "LocalConfig",
    "S3Source",
    "S3SyncComponent",
    "S3SyncError",
    "WebSource",
    "WebSyncComponent",
    "__version__",
    "asset_keys",
    "build_definitions",
]

__version__ = "0.1.0"

_PLACES = {
    "ChromaResource": "defs.chroma_resource",
    "CloudConfig": "defs.chroma_resource",
    "FilesSource": "defs.resources",
    "FilesSyncComponent": "defs.component",
    "FolderSource": "defs.resources",
    "FolderSyncComponent": "defs.component",
    "GitSource": "defs.resources",
    "GitSyncComponent": "defs.component",
    "HttpConfig": "defs.chroma_resource",
    "LocalConfig": "defs.chroma_resource",
    "S3Source": "defs.resources",
    "S3SyncComponent": "defs.component",
    "S3SyncError": "model.errors",
    "WebSource": "defs.resources",
    "WebSyncComponent": "defs.component",
    "asset_keys": "defs.asset_keys",
    "build_definitions": "defs.building",
}


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = value  # asked for once
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
