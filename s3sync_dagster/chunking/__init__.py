"""Text to chunks: code, Markdown, tables, records, text and lines within a size budget."""

from s3sync_dagster.chunking.document import chunk_document

__all__ = ["chunk_document"]
