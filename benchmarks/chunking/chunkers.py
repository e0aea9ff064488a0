"""Ours and the peers behind one shape: name and bytes in, byte ranges out."""

import os
from collections.abc import Callable, Iterable, Sequence

os.environ["COCOINDEX_DISABLE_USAGE_TRACKING"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

Chunk = Callable[[str, bytes], Sequence[tuple[int, int]]]


def ours(limit: int, language: str) -> Chunk:
    from s3sync_dagster.chunking import chunk_document
    from s3sync_dagster.engine.ports import ModelLimits
    from s3sync_dagster.model.document import Document
    from s3sync_dagster.model.source import ChunkingConfig

    config = ChunkingConfig(max_size_bytes=limit)
    limits = ModelLimits(default_size_bytes=limit)

    def chunk(name: str, data: bytes) -> list[tuple[int, int]]:
        document = Document(
            text=data.decode(),
            format="markdown" if language == "markdown" else "code",
            language=language,
        )
        chunks = chunk_document(document, object_key=name, config=config, limits=limits)
        return [(c.start_byte, c.end_byte) for c in chunks]

    return chunk


def contract_lines(limit: int, language: str) -> Chunk:
    del language

    def chunk(_name: str, data: bytes) -> list[tuple[int, int]]:
        return _greedy(data, limit, max_lines=10)

    return chunk


def greedy_lines(limit: int, language: str) -> Chunk:
    del language

    def chunk(_name: str, data: bytes) -> list[tuple[int, int]]:
        return _greedy(data, limit, max_lines=1_000_000)

    return chunk


def _greedy(data: bytes, limit: int, *, max_lines: int) -> list[tuple[int, int]]:
    spans = []
    start = end = lines = 0
    while end < len(data):
        following = data.find(b"\n", end) + 1 or len(data)
        if end > start and (following - start > limit or lines == max_lines):
            spans.append((start, end))
            start, lines = end, 0
        end = min(following, start + limit)
        lines += 1
    spans.append((start, end))
    return spans


def cast(limit: int, language: str) -> Chunk:
    """Split-then-merge over the syntax tree, the usual baseline of papers."""
    parser = _parser(language)

    def chunk(_name: str, data: bytes) -> list[tuple[int, int]]:
        ends: list[int] = []
        _cast_ends(parser.parse(data).root_node, limit, ends)
        ends = sorted({end for end in ends if end < len(data)} | {len(data)})
        return list(zip([0, *ends[:-1]], ends, strict=True))

    return chunk


def _cast_ends(node, limit: int, ends: list[int]) -> None:
    start = size = 0
    for child in node.children:
        length = child.end_byte - child.start_byte
        if length > limit:
            if size:
                ends.append(child.start_byte)
            _cast_ends(child, limit, ends)
            size = 0
        elif size and child.end_byte - start > limit:
            ends.append(child.start_byte)
            size = 0
        if length <= limit:
            if not size:
                start = child.start_byte
            size = child.end_byte - start
    if size:
        ends.append(node.end_byte)


def cocoindex(limit: int, language: str) -> Chunk:
    from cocoindex.ops.text import RecursiveSplitter

    splitter = RecursiveSplitter()

    def chunk(_name: str, data: bytes) -> list[tuple[int, int]]:
        chunks = splitter.split(data.decode(), limit, language=language)
        return [(c.start.byte_offset, c.end.byte_offset) for c in chunks]

    return chunk


def semantic_text_splitter(limit: int, language: str) -> Chunk:
    from semantic_text_splitter import CodeSplitter, MarkdownSplitter

    if language == "markdown":
        splitter = MarkdownSplitter(limit, trim=False)
    else:
        splitter = CodeSplitter(_pointer(language), limit, trim=False)

    def chunk(_name: str, data: bytes) -> list[tuple[int, int]]:
        pairs = splitter.chunk_indices(data.decode())
        return _from_characters(data, ((at, at + len(text)) for at, text in pairs))

    return chunk


def llama_index(limit: int, language: str) -> Chunk:
    if language == "markdown":
        from llama_index.core.node_parser import MarkdownNodeParser
        from llama_index.core.schema import Document

        parser = MarkdownNodeParser()

        def split(text: str) -> list[str]:
            return [n.get_content() for n in parser.get_nodes_from_documents([Document(text=text)])]
    else:
        from llama_index.core.node_parser import CodeSplitter

        splitter = CodeSplitter(language=language, max_chars=limit, parser=_parser(language))
        split = splitter.split_text

    def chunk(_name: str, data: bytes) -> list[tuple[int, int]]:
        try:
            texts = split(data.decode())
        except ValueError:  # it refuses files whose tree begins with an error
            return [(0, len(data))]
        return _find(data, (text.encode() for text in texts))

    return chunk


def langchain(limit: int, language: str) -> Chunk:
    from langchain_text_splitters import Language, RecursiveCharacterTextSplitter

    names = {"javascript": "js", "typescript": "ts"}
    splitter = RecursiveCharacterTextSplitter.from_language(
        Language(names.get(language, language)),
        chunk_size=limit,
        chunk_overlap=0,
        add_start_index=True,
        strip_whitespace=False,
    )

    def chunk(_name: str, data: bytes) -> list[tuple[int, int]]:
        found = splitter.create_documents([data.decode()])
        starts = [(d.metadata["start_index"], d.page_content) for d in found]
        return _from_characters(data, ((at, at + len(text)) for at, text in starts))

    return chunk


def semchunk(limit: int, language: str) -> Chunk:
    import semchunk as package

    del language
    chunker = package.chunkerify(len, limit)

    def chunk(_name: str, data: bytes) -> list[tuple[int, int]]:
        _, offsets = chunker(data.decode(), offsets=True)
        return _from_characters(data, offsets)

    return chunk


def chonkie_recursive(limit: int, language: str) -> Chunk:
    from chonkie import RecursiveChunker

    del language
    chunker = RecursiveChunker(chunk_size=limit)

    def chunk(_name: str, data: bytes) -> list[tuple[int, int]]:
        return _from_characters(
            data, ((c.start_index, c.end_index) for c in chunker(data.decode()))
        )

    return chunk


OURS: dict[str, Callable[[int, str], Chunk]] = {
    "ours": ours,
    "cAST baseline": cast,
    "whole lines, greedy": greedy_lines,
    "lines (10 lines)": contract_lines,
}
PEERS: dict[str, Callable[[int, str], Chunk]] = {
    "cocoindex": cocoindex,
    "semantic-text-splitter": semantic_text_splitter,
    "llama-index": llama_index,
    "langchain Recursive": langchain,
    "semchunk": semchunk,
    "chonkie Recursive": chonkie_recursive,
}


def _pointer(language: str):
    import importlib
    import warnings

    from units import GRAMMARS

    warnings.simplefilter("ignore", DeprecationWarning)
    module, function = GRAMMARS.get(language, ("tree_sitter_markdown", "language"))
    return getattr(importlib.import_module(module), function)()


def _parser(language: str):
    from tree_sitter import Language, Parser

    return Parser(Language(_pointer(language)))


def _from_characters(data: bytes, ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    if data.isascii():
        return list(ranges)
    text = data.decode()
    offsets = [0]
    for char in text:
        offsets.append(offsets[-1] + len(char.encode()))
    return [(offsets[start], offsets[end]) for start, end in ranges]


def _find(data: bytes, texts: Iterable[bytes]) -> list[tuple[int, int]]:
    spans = []
    position = 0
    for text in texts:
        start = data.find(text, position)
        if start < 0:
            start = position
        position = start + len(text)
        spans.append((start, position))
    return spans
