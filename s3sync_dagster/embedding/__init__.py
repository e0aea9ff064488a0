"""Texts to vectors: local models, endpoints, and a cache of what was inferred."""

from s3sync_dagster.embedding.kinds import open_embedder

__all__ = ["open_embedder"]
