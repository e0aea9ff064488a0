"""The settings of sources as type checkers read them; at run time they are made of the table.

Made by ``python -m s3sync_dagster_tests.typed_settings``: change the table, not this file.
"""

from typing import Any, Literal

import pydantic


class S3Settings(pydantic.BaseModel):
    """What sources of this type of place have."""

    name: str
    bucket_name: str
    path_prefix: str = ""
    collection_name: str
    endpoint_url: str | None = None
    tenant: str = "default_tenant"
    database_name: str = "default_database"
    id_prefix: str = ""
    adopt: bool = False
    run_fails_from: int = 1
    region: str | None = None
    addressing_style: Literal["auto", "path", "virtual"] = "auto"
    queue_url: str | None = None
    inventory: str | None = None
    auto_sync: Literal["none", "direct", "metadata"] = "direct"
    list_interval: int = 300
    mode: Literal["mirror", "append", "keep_deleted"] = "mirror"
    include_globs: list[str] = []
    exclude_globs: list[str] = []
    extensions: list[str] = []
    max_size_bytes: int = 209715200
    document_limit: int | None = None
    metadata: dict[str, Any] = {}
    path_metadata: str | None = None
    path_metadata_whole_key: bool = False
    object_metadata: list[str] = []
    object_tags: list[str] = []
    metadata_interval: int = 0
    bedrock_sidecars: bool = False
    enrich: str | None = None
    reader_keys: list[str] = []
    on_config_change: Literal["keep", "reindex"] = "keep"
    profile: str | None = None
    credential_id: int | None = None
    access_key_id_env: str | None = None
    secret_access_key_env: str | None = None
    session_token_env: str | None = None
    role_arn: str | None = None
    external_id: str | None = None
    requester_pays: bool = False
    expected_bucket_owner: str | None = None
    chunking: dict[str, Any] = {}
    embedding: dict[str, Any] = {}
    extraction: dict[str, Any] = {}


class FolderSettings(pydantic.BaseModel):
    """What sources of this type of place have."""

    name: str
    collection_name: str
    tenant: str = "default_tenant"
    database_name: str = "default_database"
    id_prefix: str = ""
    adopt: bool = False
    run_fails_from: int = 1
    auto_sync: Literal["none", "direct", "metadata"] = "direct"
    list_interval: int = 300
    mode: Literal["mirror", "append", "keep_deleted"] = "mirror"
    include_globs: list[str] = []
    exclude_globs: list[str] = []
    extensions: list[str] = []
    max_size_bytes: int = 209715200
    document_limit: int | None = None
    metadata: dict[str, Any] = {}
    path_metadata: str | None = None
    path_metadata_whole_key: bool = False
    bedrock_sidecars: bool = False
    enrich: str | None = None
    reader_keys: list[str] = []
    on_config_change: Literal["keep", "reindex"] = "keep"
    folder: str
    marker: str | None = None
    file_version: Literal["stat", "mtime", "content"] = "stat"
    skip_folders: list[str] = [".git", "lost+found", ".snapshot"]
    chunking: dict[str, Any] = {}
    embedding: dict[str, Any] = {}
    extraction: dict[str, Any] = {}


class GitSettings(pydantic.BaseModel):
    """What sources of this type of place have."""

    name: str
    path_prefix: str = ""
    collection_name: str
    tenant: str = "default_tenant"
    database_name: str = "default_database"
    id_prefix: str = ""
    adopt: bool = False
    run_fails_from: int = 1
    auto_sync: Literal["none", "direct", "metadata"] = "direct"
    list_interval: int = 300
    mode: Literal["mirror", "append", "keep_deleted"] = "mirror"
    include_globs: list[str] = []
    exclude_globs: list[str] = []
    extensions: list[str] = []
    max_size_bytes: int = 209715200
    document_limit: int | None = None
    metadata: dict[str, Any] = {}
    path_metadata: str | None = None
    path_metadata_whole_key: bool = False
    bedrock_sidecars: bool = False
    enrich: str | None = None
    reader_keys: list[str] = []
    on_config_change: Literal["keep", "reindex"] = "keep"
    repository: str
    ref: str | None = None
    text_only: bool = True
    token_env: str | None = None
    saved_token: int | None = None
    webhook_secret: int | None = None
    chunking: dict[str, Any] = {}
    embedding: dict[str, Any] = {}
    extraction: dict[str, Any] = {}


class WebSettings(pydantic.BaseModel):
    """What sources of this type of place have."""

    name: str
    path_prefix: str = ""
    collection_name: str
    tenant: str = "default_tenant"
    database_name: str = "default_database"
    id_prefix: str = ""
    adopt: bool = False
    run_fails_from: int = 1
    auto_sync: Literal["none", "direct", "metadata"] = "direct"
    list_interval: int = 300
    mode: Literal["mirror", "append", "keep_deleted"] = "mirror"
    include_globs: list[str] = []
    exclude_globs: list[str] = []
    extensions: list[str] = []
    max_size_bytes: int = 209715200
    document_limit: int | None = None
    metadata: dict[str, Any] = {}
    path_metadata: str | None = None
    path_metadata_whole_key: bool = False
    bedrock_sidecars: bool = False
    enrich: str | None = None
    reader_keys: list[str] = []
    on_config_change: Literal["keep", "reindex"] = "keep"
    starting_url: str
    max_depth: int | None = None
    page_limit: int | None = None
    include_path_regexes: list[str] = []
    exclude_path_regexes: list[str] = []
    other_hosts: list[str] = []
    sitemaps: bool = True
    delay_milliseconds: int = 250
    chunking: dict[str, Any] = {}
    embedding: dict[str, Any] = {}
    extraction: dict[str, Any] = {}


class FilesSettings(pydantic.BaseModel):
    """What sources of this type of place have."""

    name: str
    collection_name: str
    tenant: str = "default_tenant"
    database_name: str = "default_database"
    id_prefix: str = ""
    adopt: bool = False
    run_fails_from: int = 1
    auto_sync: Literal["none", "direct", "metadata"] = "direct"
    list_interval: int = 300
    mode: Literal["mirror", "append", "keep_deleted"] = "mirror"
    include_globs: list[str] = []
    exclude_globs: list[str] = []
    extensions: list[str] = []
    max_size_bytes: int = 209715200
    document_limit: int | None = None
    metadata: dict[str, Any] = {}
    path_metadata: str | None = None
    path_metadata_whole_key: bool = False
    bedrock_sidecars: bool = False
    enrich: str | None = None
    reader_keys: list[str] = []
    on_config_change: Literal["keep", "reindex"] = "keep"
    marker: str | None = None
    token_env: str | None = None
    saved_token: int | None = None
    store_url: str
    chunking: dict[str, Any] = {}
    embedding: dict[str, Any] = {}
    extraction: dict[str, Any] = {}
