"""What holds for every document, whatever is in it."""

from s3sync_dagster.chunking import chunk_document
from s3sync_dagster.chunking.languages import GRAMMARS
from s3sync_dagster.engine.ports import ModelLimits, WorkerPool
from s3sync_dagster.model.document import Chunk, Document
from s3sync_dagster.model.source import ChunkingConfig

LIMITS = ModelLimits(default_size_bytes=1024)
FORMATS = ("markdown", "text", "csv", "json", "jsonl", "xml", "log")
KINDS = tuple(dict.fromkeys((*FORMATS, *GRAMMARS)))
"""Formats, and languages of format ``code``."""


def document_of(kind: str, text: str) -> Document:
    if kind in FORMATS:
        return Document(text=text, format=kind)
    return Document(text=text, format="code", language=kind)


def chunks_of(kind: str, text: str, size: int, pool: WorkerPool | None = None) -> list[Chunk]:
    return chunk_document(
        document_of(kind, text),
        object_key="folder/file",
        config=ChunkingConfig(max_size_bytes=size),
        limits=LIMITS,
        pool=pool,
    )


def check(text: str, chunks: list[Chunk], size: int) -> None:
    data = text.encode("utf-8", "replace")
    if not text.strip():
        assert chunks == []
        return
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    assert chunks[0].start_byte == 0
    assert chunks[-1].end_byte == len(data)
    lines = 1
    for number, chunk in enumerate(chunks):
        if number:
            assert chunk.start_byte == chunks[number - 1].end_byte
            assert data[chunk.start_byte - 1 : chunk.start_byte + 1] != b"\r\n"
        raw = data[chunk.start_byte : chunk.end_byte]
        own = raw.decode()  # raises where a character was cut
        assert 0 < len(raw)
        assert 0 < len(chunk.text.encode()) <= size
        stored = own[:-1] if own.endswith("\n") and len(own) > 1 else own
        assert chunk.text.endswith(stored) if chunk.repeated_header else chunk.text == stored
        assert chunk.start_line == lines
        assert chunk.end_line == lines + stored.count("\n")
        before = data[: chunk.start_byte].decode()
        assert chunk.start_col == len(before) - before.rfind("\n")
        lines += own.count("\n")
