"""The context prefix: one line, embedded and not stored."""

from s3sync_dagster.chunking import chunk_document
from s3sync_dagster.chunking.context import MAX_CONTEXT_BYTES, context_prefix
from s3sync_dagster.chunking.outline import Piece
from s3sync_dagster.engine.ports import ModelLimits
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.source import ChunkingConfig
from s3sync_dagster_tests.chunking.invariants import chunks_of


def test_off_by_default():
    assert chunks_of("markdown", "# One\n\ntext\n", 256)[0].context == ""


def test_names_path_headings_and_the_fence_that_was_opened():
    text = "# Guide\n\n## Install\n\nRun it.\n\n```bash\n" + "make all\n" * 60 + "```\n"
    chunks = chunk_document(
        Document(text=text, format="markdown"),
        object_key="docs/guide.md",
        config=ChunkingConfig(max_size_bytes=200, context=True),
        limits=ModelLimits(default_size_bytes=1024),
    )
    assert chunks[0].context == "docs/guide.md > Guide\n"
    assert chunks[2].context == "docs/guide.md > Guide > Install > ```bash\n"
    assert chunks[2].heading_path == "Guide > Install"
    assert not chunks[2].text.startswith("```")


def test_long_paths_lose_their_middle_first():
    steps = tuple(("heading", f"heading number {n} " * 4) for n in range(20))
    line = context_prefix("folder/" * 40 + "file.md", Piece(0, 1, steps))
    assert len(line.encode()) <= MAX_CONTEXT_BYTES
    assert line.startswith("…")
    assert "file.md > heading number" in line
    assert line.rstrip().endswith("heading number 19")


def test_key_with_line_breaks_stays_one_line():
    assert context_prefix("a\nb\tc.md", Piece(0, 1)) == "a b c.md\n"
