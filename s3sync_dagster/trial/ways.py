"""A way to make records: each source's settings as they are, or as they would be."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from s3sync_dagster.core.source_rules import validate_source
from s3sync_dagster.engine.ports import Embedder
from s3sync_dagster.model.embedding_kinds import EMBEDDING_KINDS
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.source import EmbeddingConfig, Source
from s3sync_dagster.wiring import Parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """Settings, and the model that they name."""

    sources: Mapping[str, Source]
    """By id. Their record ids are their own, so that no two meet."""
    embedding: EmbeddingConfig
    embedder: Embedder

    @property
    def local(self) -> bool:
        """Whether the model runs in this process; else an endpoint is asked, and may be paid."""
        return EMBEDDING_KINDS[self.embedding.kind].local

    @property
    def described(self) -> bool:
        """Whether an endpoint is asked what pictures show."""
        return any(one.extraction.vision_url for one in self.sources.values())


def open_way(parts: Parts, sources: Iterable[Source]) -> Way:
    """Return the way of these sources, which fill one collection.

    A local model is opened without the vector cache, for what it costs is to be measured. What an
    endpoint gave is kept there: nobody pays for it twice.

    Raises:
        InvalidSetting: a setting breaks its rule.
        MissingEngine: a local model is not at hand.
    """
    # Sparse vectors are asked by none of the rankings; a collection has one model.
    plain = [
        replace(one, id_prefix=one.id, embedding=replace(one.embedding, sparse_model=None))
        for one in sources
    ]
    for one in plain:
        validate_source(one)
    embedding = plain[0].embedding
    local = EMBEDDING_KINDS[embedding.kind].local
    return Way(
        sources={one.id: one for one in plain},
        embedding=embedding,
        embedder=parts.new_embedder(embedding, cache=None if local else parts.vector_cache),
    )


def require_change(today: Iterable[Source], tried: Iterable[Source]) -> None:
    """Refuse with ``InvalidSetting`` settings that would leave every record as it is."""
    pairs = zip(today, tried, strict=True)
    if all(before.fingerprint() == after.fingerprint() for before, after in pairs):
        raise InvalidSetting("What is tried is what counts today: no record would be another one.")
