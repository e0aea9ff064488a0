"""The story of chunking: a document and a configuration in, chunks out."""

from s3sync_dagster.chunking.cutting import cut_outline
from s3sync_dagster.chunking.languages import GRAMMARS, language_of
from s3sync_dagster.chunking.markdown import outline_markdown
from s3sync_dagster.chunking.outline import Outline, Piece
from s3sync_dagster.chunking.parsing import cut_source, windows
from s3sync_dagster.chunking.positions import locate
from s3sync_dagster.chunking.rows import (
    DEFAULT_LINES_BYTES,
    cut_lines,
    outline_csv,
    outline_records,
)
from s3sync_dagster.core.interfaces import ModelLimits, WorkerPool, WorkLimits
from s3sync_dagster.model.document import Chunk, Document
from s3sync_dagster.model.errors import InvalidSetting, LimitExceeded
from s3sync_dagster.model.source import ChunkingConfig

MIN_SIZE_BYTES = 16
MAX_SIZE_BYTES = 16_384
"""Chroma Cloud refuses longer documents."""
PARSE_LIMITS = WorkLimits(seconds=30.0, memory_bytes=1024**3)
_BINARY_CHECK_BYTES = 8192


def chunk_document(
    document: Document,
    *,
    object_key: str,
    config: ChunkingConfig,
    limits: ModelLimits,
    pool: WorkerPool | None = None,
) -> list[Chunk]:
    """Cut a document into chunks; the same input gives the same chunks everywhere.

    Args:
        document: text and what extraction knows of it.
        object_key: full key; its suffix or name tells the language of code.
        config: strategy and sizes as the source has them.
        limits: default size and token limit of the embedding model.
        pool: where grammars run; without it they run in this process.

    Returns:
        Chunks whose byte ranges tile the document; none for a document without text.

    Raises:
        InvalidSetting: the configured sizes are impossible.
    """
    limit = size_limit(config, limits)
    if not document.text.strip():
        return []
    data = document.text.encode("utf-8", "replace")
    language = _language(document, object_key)
    fallback: str | None = None
    strategy = "lines"
    if config.type == "lines":
        pieces = cut_lines(data, max_lines=config.max_lines, limit=limit)
    else:
        if language is not None and b"\0" not in data[:_BINARY_CHECK_BYTES]:
            strategy = "tree_sitter"
        if len(data) <= limit:
            pieces = [Piece(0, len(data))]
        elif strategy == "tree_sitter" and language != "markdown" and language is not None:
            pieces, fallback = _cut_code(data, language, limit, pool)
        else:
            pieces = cut_outline(data, _outline(data, document, strategy, limit), limit)
    chunks: list[Chunk] = []
    for index, (piece, place) in enumerate(
        zip(pieces, locate(data, pieces, document.pages), strict=True)
    ):
        chunks.append(
            Chunk(
                index=index,
                text=place.text,
                start_line=place.start_line,
                end_line=place.end_line,
                start_col=place.start_col,
                end_col=place.end_col,
                start_byte=piece.start,
                end_byte=piece.end,
                strategy="lines" if fallback else strategy,
                language=language,
                symbol=_joined(piece, "symbol", "."),
                heading_path=_joined(piece, "heading", " > "),
                page=place.page,
                repeated_header=piece.header is not None,
                fallback=fallback,
            )
        )
    return chunks


def size_limit(config: ChunkingConfig, limits: ModelLimits) -> int:
    """Return the most bytes a chunk may have. Raises ``InvalidSetting``."""
    if config.type not in ("tree_sitter", "lines"):
        raise InvalidSetting(
            f"chunking.type is {config.type!r}; it must be 'tree_sitter' or 'lines'."
        )
    if config.type == "lines" and config.max_lines < 1:
        raise InvalidSetting(f"chunking.max_lines is {config.max_lines}; it must be at least 1.")
    size = config.max_size_bytes
    if size is None:
        size = DEFAULT_LINES_BYTES if config.type == "lines" else limits.default_size_bytes
    if not MIN_SIZE_BYTES <= size <= MAX_SIZE_BYTES:
        raise InvalidSetting(
            f"chunking.max_size_bytes is {size}; it must lie between {MIN_SIZE_BYTES} and "
            f"{MAX_SIZE_BYTES} (the longest document that Chroma Cloud stores)."
        )
    return size


def _language(document: Document, object_key: str) -> str | None:
    if document.format == "markdown":
        return "markdown"
    if document.format in ("json", "xml"):
        return document.language or document.format
    if document.format in ("csv", "jsonl", "log"):
        return None
    language = document.language or language_of(object_key, document.text)
    return language if language in GRAMMARS or language == "markdown" else None


def _outline(data: bytes, document: Document, strategy: str, limit: int) -> Outline:
    if strategy == "tree_sitter":
        return outline_markdown(data, limit)
    if document.format == "csv":
        return outline_csv(data, limit)
    if document.format == "jsonl":
        return outline_records(data)
    return Outline()


def _cut_code(
    data: bytes, language: str, limit: int, pool: WorkerPool | None
) -> tuple[list[Piece], str | None]:
    """Return the pieces of source, and the reason where its grammar could not be used."""
    pieces: list[Piece] = []
    fallback: str | None = None
    for start, end in windows(data):
        part = data[start:end]
        try:
            if pool is None:
                found = cut_source(part, language, limit)
            else:
                found = pool.submit(
                    "s3sync_dagster.chunking.parsing:cut_source",
                    part,
                    language,
                    limit,
                    limits=PARSE_LIMITS,
                ).result()
        except LimitExceeded as error:
            fallback = error.reason
            found = cut_outline(part, Outline(), limit)
        pieces.extend(
            Piece(piece.start + start, piece.end + start, piece.path, piece.header)
            for piece in found
        )
    return pieces, fallback


def _joined(piece: Piece, kind: str, separator: str) -> str | None:
    return separator.join(name for of, name in piece.path if of == kind and name) or None
