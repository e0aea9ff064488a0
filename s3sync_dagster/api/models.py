"""Embedding and chunking between the wire and a source: every model under its own name."""

from dataclasses import dataclass, replace

from s3sync_dagster.api.wire_source import (
    ChunkingShown,
    DenseModel,
    DenseShown,
    Embedding,
    EmbeddingShown,
    SparseShown,
    Task,
    TaskShown,
)
from s3sync_dagster.model.embedding_kinds import BM25, EMBEDDING_KINDS, QWEN, SPLADE
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.source import ChunkingConfig, EmbeddingConfig
from s3sync_dagster.settings import Settings

DEFAULT_TASK = "generic_retrieval"
DEFAULT_SPARSE_KEY = "sparse_embedding"
LINES_MAX_SIZE_BYTES = 4096
_NAMES = {kind.model_name: name for name, kind in EMBEDDING_KINDS.items() if kind.model_name}
_ALIASES = {alias: name for name, kind in EMBEDDING_KINDS.items() for alias in kind.aliases}


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which models this server can use."""

    cloud: bool
    """Chroma Cloud's embedding service, or one that speaks its wire, is configured."""

    @classmethod
    def of(cls, settings: Settings) -> "ModelChoice":
        """Return what the settings allow."""
        return cls(cloud=bool(settings.chroma_api_key or settings.chroma_embed_url))

    def default(self) -> EmbeddingConfig:
        """Return what a source gets that names no model."""
        if not self.cloud:
            return EmbeddingConfig(kind="minilm")
        return EmbeddingConfig(kind="chroma-cloud", model=QWEN, task={"task_name": DEFAULT_TASK})

    def upload_default(self, *, sparse: bool) -> EmbeddingConfig:
        """Return what uploads get: the contract adds Splade where sparse vectors are indexed."""
        if not (self.cloud and sparse):
            return self.default()
        return replace(self.default(), sparse_model=SPLADE, sparse_key=DEFAULT_SPARSE_KEY)

    def configured(
        self, embedding: Embedding | None, *, legacy: DenseModel | str | None = None
    ) -> EmbeddingConfig:
        """Return the configuration that a payload asks for.

        Raises:
            InvalidSetting: a model that this server does not have; the message names the
                variable that is missing.
        """
        older = DenseModel(model=legacy) if isinstance(legacy, str) else legacy
        newer = embedding.dense if embedding else None
        if newer and older and newer.model != older.model:
            raise InvalidSetting(
                "embedding.dense and its older form embedding_model name different models."
            )
        dense = newer or older
        config = self.default() if dense is None else self._dense(dense)
        sparse = embedding.sparse if embedding else None
        if sparse is None:
            return config
        model = sparse.model or (SPLADE if self.cloud else BM25)
        if model == SPLADE and not self.cloud:
            raise _needs_cloud("embedding.sparse.model", SPLADE)
        return replace(config, sparse_model=model, sparse_key=sparse.key or DEFAULT_SPARSE_KEY)

    def _dense(self, dense: DenseModel) -> EmbeddingConfig:
        kind = _NAMES.get(dense.model) or _ALIASES.get(dense.model)
        if kind is None:
            known = ", ".join(sorted(_NAMES))
            raise InvalidSetting(
                f"embedding.dense.model {ascii(dense.model)[:120]} is not known here; "
                f"this server knows {known}."
            )
        if kind == "chroma-cloud":
            if not self.cloud:
                raise _needs_cloud("embedding.dense.model", QWEN)
            task = _task(dense.task) if dense.task else {"task_name": DEFAULT_TASK}
            return EmbeddingConfig(kind=kind, model=QWEN, task=task)
        if dense.task is not None:
            raise InvalidSetting(f"embedding.dense.task has a meaning with {QWEN} only.")
        return EmbeddingConfig(kind=kind)


def show_embedding(config: EmbeddingConfig) -> EmbeddingShown:
    """Return what the wire says of a source's models."""
    task = None
    if config.task and config.task.get("task_name"):
        task = TaskShown(
            task_name=config.task["task_name"],
            document_prompt=config.task.get("document_prompt"),
            query_prompt=config.task.get("query_prompt"),
        )
    sparse = None
    if config.sparse_model:
        sparse = SparseShown(key=config.sparse_key, model=config.sparse_model)
    model = config.model or EMBEDDING_KINDS[config.kind].model_name or config.kind
    return EmbeddingShown(dense=DenseShown(model=model, task=task), sparse=sparse)


def show_chunking(chunking: ChunkingConfig, embedding: EmbeddingConfig) -> ChunkingShown:
    """Return what the wire says of a source's chunking, defaults filled in."""
    if chunking.type == "lines":
        return ChunkingShown(
            type="lines",
            max_size_bytes=chunking.max_size_bytes or LINES_MAX_SIZE_BYTES,
            max_lines=chunking.max_lines,
        )
    return ChunkingShown(
        type="tree_sitter",
        max_size_bytes=chunking.max_size_bytes or EMBEDDING_KINDS[embedding.kind].chunk_bytes,
    )


def _task(task: Task) -> dict[str, str]:
    values = {
        "task_name": task.task_name,
        "document_prompt": task.document_prompt,
        "query_prompt": task.query_prompt,
    }
    return {name: value for name, value in values.items() if value is not None}


def _needs_cloud(field: str, model: str) -> InvalidSetting:
    return InvalidSetting(
        f"{field} {model!r} comes from Chroma Cloud's embedding service: set CHROMA_API_KEY, or "
        "CHROMA_EMBED_URL for a service that speaks its wire, and restart the server.",
        reason="model_not_configured",
    )
