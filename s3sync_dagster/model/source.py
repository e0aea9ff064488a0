"""What is kept in step with what: a source and its configuration."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Literal, Self

from s3sync_dagster.model.document import MetadataValue
from s3sync_dagster.model.place import Carried, Place, place_from_json

CHUNKER_VERSION = 2
"""Bumped by hand when the chunker cuts differently: documents become outdated."""
EXTRACTOR_VERSION = 12
"""Bumped by hand when extraction gives other text: documents become outdated."""


class AutoSync(StrEnum):
    """Who starts work (contract: ``auto_sync``)."""

    NONE = "none"
    DIRECT = "direct"
    METADATA = "metadata"


class DeleteMode(StrEnum):
    """What happens to records whose object changed or went away."""

    MIRROR = "mirror"
    APPEND = "append"
    KEEP_DELETED = "keep_deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkingConfig:
    """How documents are cut (contract: ``chunking``)."""

    type: Literal["tree_sitter", "lines"] = "tree_sitter"
    max_size_bytes: int | None = None
    """None: follows the model for ``tree_sitter``, 4,096 for ``lines``; never above 16,384."""
    max_lines: int = 10
    """Only for ``lines``."""
    context: bool = False
    """Embed path, headings or symbol before the text (not stored)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingConfig:
    """Which model makes the vectors."""

    kind: str = "minilm"
    """One of ``model.embedding_kinds``."""
    model: str | None = None
    """Model name where the kind knows several; for ``onnx`` its folder, or its name there."""
    task: Mapping[str, str] | None = None
    """Contract: ``dense.task`` with ``task_name``, ``document_prompt``, ``query_prompt``."""
    endpoint_url: str | None = None
    """Base URL for ``openai``; its key comes from the variable ``api_key_env``."""
    api_key_env: str | None = None
    sparse_model: str | None = None
    sparse_key: str = "sparse_embedding"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractionConfig:
    """Engines and choices of extraction."""

    engines: Mapping[str, str] = field(default_factory=dict[str, str])
    """Suffix -> engine, such as ``{".pdf": "pypdfium2"}``; empty: see docs/formats.md."""
    ocr: bool = True
    """Read scans and images where Tesseract is installed."""
    ocr_languages: str = "eng"
    """Tesseract's form: ``eng+deu``."""
    boilerplate: bool = True
    """Keep navigation, header and footer of web pages."""
    vision_url: str | None = None
    """OpenAI-compatible endpoint that describes pictures; None: not used."""
    vision_model: str | None = None
    vision_api_key_env: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A configured place and collection.

    Field names follow the Sync API where it has them (``spec``: create source).
    """

    id: str
    """UUID with hyphens; stands on each record as ``s3sync_source``."""
    name: str
    """Letters, digits and underscores; names the asset, the job and the sensor."""
    place: Place
    collection_name: str
    tenant: str = "default_tenant"
    database_name: str = "default_database"
    id_prefix: str = ""
    """Before each record id, at most 56 bytes."""
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict[str, MetadataValue])
    """Added to each record."""
    path_metadata: str | None = None
    """Pattern whose named groups become metadata, see ``core.path_metadata``."""
    path_metadata_whole_key: bool = False
    """The pattern is searched for in the key with its prefix, not in what is behind it."""
    reader_keys: tuple[str, ...] = ()
    """Metadata keys whose values are the groups that may read a document, see ``core.rights``;
    empty: whoever may search."""
    bedrock_sidecars: bool = False
    """Objects named ``KEY.metadata.json`` say what the metadata of ``KEY`` are, see
    ``core.bedrock``."""
    include_globs: tuple[str, ...] = ()
    exclude_globs: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    """Lower case with the dot; empty: all."""
    max_size_bytes: int = 200 * 1024 * 1024
    document_limit: int | None = None
    """The first so many selected keys in key order."""
    chunking: ChunkingConfig = ChunkingConfig()
    enrich: str | None = None
    """``package.module:function`` that gets the documents of a batch before they are cut, see
    ``engine.batch.enrich``."""
    embedding: EmbeddingConfig = EmbeddingConfig()
    extraction: ExtractionConfig = ExtractionConfig()
    auto_sync: AutoSync = AutoSync.DIRECT
    list_interval_seconds: int = 300
    """0: never listed by a sensor."""
    mode: DeleteMode = DeleteMode.MIRROR
    on_config_change: Literal["keep", "reindex"] = "keep"
    adopt: bool = False
    """Take over records with our ids that another or no source wrote."""
    run_fails_from: int = 1
    """So many keys that failed and had not before end a run in failure; 0: it never does."""

    @property
    def renews_outdated(self) -> bool:
        """Whether documents that another configuration made are written anew.

        Always where their metadata says who may read: a group that lost the right would keep it.
        """
        return self.on_config_change == "reindex" or bool(self.reader_keys)

    def fingerprint(self) -> str:
        """Return 16 hex digits over all that decides a document's records but its bytes."""
        decides: dict[str, Any] = {
            "chunking": asdict(self.chunking),
            "extraction": {
                key: value
                for key, value in asdict(self.extraction).items()
                if not key.endswith("_env")
            },
            "embedding": {
                key: value
                for key, value in asdict(self.embedding).items()
                if key not in ("endpoint_url", "api_key_env")
            },
            "metadata": dict(self.metadata),
            "versions": [CHUNKER_VERSION, EXTRACTOR_VERSION],
        }
        if self.path_metadata is not None:  # what was written without it is not outdated
            decides["path_metadata"] = self.path_metadata
            if self.path_metadata_whole_key:
                decides["path_metadata_whole_key"] = True
        carried = self.place.carried
        if carried != Carried():
            decides["carried"] = [dict(carried.metadata), dict(carried.tags)]
        if reading := self.place.reading:
            decides["reading"] = dict(reading)
        if self.bedrock_sidecars:
            decides["bedrock_sidecars"] = True
        if self.enrich is not None:
            decides["enrich"] = self.enrich
        text = json.dumps(decides, sort_keys=True, default=dict)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """Return a form that ``from_json`` reads back; holds no secret."""
        return json.loads(json.dumps(asdict(self), default=dict))

    def settings(self) -> dict[str, Any]:
        """Return all settings as API and command line show them: those of the place among them."""
        values = self.to_json()
        place = values.pop("place")
        return {**values, **place}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Build a source from ``to_json``'s form, or from that of ``settings``.

        Unknown fields of a newer version are ignored.
        """
        known = {f.name for f in fields(cls)}
        values = {key: value for key, value in data.items() if key in known}
        values["place"] = place_from_json(data.get("place", data))
        for key, kind in _NESTED.items():
            if key in values:
                inner = {f.name for f in fields(kind)}
                values[key] = kind(**{k: v for k, v in values[key].items() if k in inner})
        for key in ("reader_keys", "include_globs", "exclude_globs", "extensions"):
            if key in values:
                values[key] = tuple(values[key])
        if "auto_sync" in values:
            values["auto_sync"] = AutoSync(values["auto_sync"])
        if "mode" in values:
            values["mode"] = DeleteMode(values["mode"])
        return cls(**values)

    @property
    def server(self) -> str:
        """The server that it names itself; empty: none."""
        return self.place.identity().endpoint_url

    def with_changes(self, **changes: Any) -> Self:
        """Return a copy with some fields replaced."""
        return replace(self, **changes)


_NESTED: dict[str, type] = {
    "chunking": ChunkingConfig,
    "embedding": EmbeddingConfig,
    "extraction": ExtractionConfig,
}
