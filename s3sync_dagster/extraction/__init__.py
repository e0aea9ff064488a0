"""Bytes to Document."""

from s3sync_dagster.core.filetypes import kind_of
from s3sync_dagster.extraction.extract import extract_document

__all__ = ["extract_document", "kind_of"]
