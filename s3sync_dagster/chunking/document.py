"""The story of chunking: a document and a configuration in, chunks out."""

from typing import Any

from s3sync_dagster.chunking.budget import Budget, count_tokens
from s3sync_dagster.chunking.context import MAX_CONTEXT_SHARE
from s3sync_dagster.chunking.positions import locate
from s3sync_dagster.chunking.rows import DEFAULT_LINES_BYTES, cut_lines
from s3sync_dagster.chunking.stages import Cut, Stage, cut_document, stage_of
from s3sync_dagster.chunking.surroundings import Surroundings
from s3sync_dagster.engine.ports import ModelLimits, WorkerPool
from s3sync_dagster.model.document import Chunk, Document
from s3sync_dagster.model.errors import InvalidSetting, LimitExceeded
from s3sync_dagster.model.source import ChunkingConfig

MIN_SIZE_BYTES = 16
MAX_SIZE_BYTES = 16_384
"""Chroma Cloud refuses longer documents."""
MAX_CHUNKS = 500_000
"""Of a document: whoever uploads chooses the sizes, and each takes memory of a run."""


class _Draft(Chunk):
    """A chunk while its fields are set, which takes a frozen one ten times as long.

    That came to a fortieth of the time for a source file: a frozen dataclass sets each field
    through a call. This has the same fields, and becomes a ``Chunk`` when all are set.
    """

    __slots__ = ()
    __setattr__ = object.__setattr__
    __delattr__ = object.__delattr__


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
        LimitExceeded: there would be more than ``MAX_CHUNKS``, or too long names around them
            (``too_many_chunks``).
        MissingEngine: the model's tokenizer cannot be read.
    """
    budget = budget_of(config, limits)
    if not document.text or document.text.isspace():
        return []
    data = document.text.encode("utf-8", "replace")  # a lone surrogate becomes a question mark
    stage = stage_of(document, object_key, data)
    if config.type == "lines":
        lines = cut_lines(data, max_lines=config.max_lines, limit=budget.max_bytes, most=MAX_CHUNKS)
        cut = Cut(lines)
        stage = Stage("lines", stage.language, stage.scanner)
    else:
        cut = cut_document(data, stage, budget, pool, most=MAX_CHUNKS)
    if len(cut.pieces) > MAX_CHUNKS:
        raise LimitExceeded(
            f"{object_key!r} would be more than {MAX_CHUNKS:,} chunks: choose a larger "
            "chunking.max_size_bytes or chunking.max_lines, or split the document.",
            reason="too_many_chunks",
        )
    around = Surroundings(object_key, limits if config.context else None)
    names = [around.of(piece) for piece in cut.pieces]
    places = list(locate(data, cut.pieces, document.pages))
    texts = [place[0] for place in places]
    truncated = truncated_tokens(texts, [one[2] for one in names], limits)
    strategy = "lines" if cut.fallback else stage.strategy
    language, fallback = stage.language, cut.fallback
    rows = zip(cut.pieces, places, names, truncated, strict=True)
    chunks: list[Chunk] = []
    new = object.__new__
    for (start, end, _, header), place, (symbol, heading_path, context), tokens in rows:
        text, start_line, end_line, start_col, end_col, page = place
        chunk: Any = new(_Draft)
        chunk.index = len(chunks)
        chunk.text = text
        chunk.start_line = start_line
        chunk.end_line = end_line
        chunk.start_col = start_col
        chunk.end_col = end_col
        chunk.start_byte = start
        chunk.end_byte = end
        chunk.strategy = strategy
        chunk.language = language
        chunk.symbol = symbol
        chunk.heading_path = heading_path
        chunk.page = page
        chunk.context = context
        chunk.repeated_header = header is not None
        chunk.fallback = fallback
        chunk.truncated_tokens = tokens
        chunk.__class__ = Chunk
        chunks.append(chunk)
    return chunks


def budget_of(config: ChunkingConfig, limits: ModelLimits) -> Budget:
    """Return how large chunks may be. Raises ``InvalidSetting``.

    The model's tokens limit a chunk only where the size follows the model: a size that a person
    chose is kept, and what the model then does not read is counted.
    """
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
    if config.max_size_bytes is not None or config.type == "lines" or limits.max_tokens is None:
        return Budget(max_bytes=size)
    return Budget(
        max_bytes=size,
        max_tokens=limits.max_tokens,
        tokenizer_file=limits.tokenizer_file,
        context_tokens=limits.max_tokens // MAX_CONTEXT_SHARE if config.context else 0,
    )


def truncated_tokens(texts: list[str], contexts: list[str], limits: ModelLimits) -> list[int]:
    """Return how many tokens of each chunk the model does not read."""
    if limits.max_tokens is None or limits.tokenizer_file is None:
        return [0] * len(texts)
    read = Budget(
        max_bytes=MAX_SIZE_BYTES,
        max_tokens=limits.max_tokens,
        tokenizer_file=limits.tokenizer_file,
    ).text_tokens
    embedded = [(a + b).encode() for a, b in zip(contexts, texts, strict=True)]
    counts = count_tokens(limits.tokenizer_file, embedded)
    return [max(0, count - (read or count)) for count in counts]
