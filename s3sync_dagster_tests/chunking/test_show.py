"""What `s3sync chunks FILE` prints."""

from s3sync_dagster.chunking import chunk_document
from s3sync_dagster.chunking.show import render_html, render_terminal
from s3sync_dagster.engine.ports import ModelLimits
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.source import ChunkingConfig

DOCUMENT = Document(text="# One\n\nfirst <b>\x1b[2J\n\n# Two\n\nsecond\n", format="markdown")
CHUNKS = chunk_document(
    DOCUMENT,
    object_key="a.md",
    config=ChunkingConfig(max_size_bytes=24),
    limits=ModelLimits(default_size_bytes=1024),
)


def test_terminal_names_each_chunk_and_disarms_control_characters():
    shown = render_terminal(DOCUMENT, CHUNKS)
    assert "lines 1:1-" in shown
    assert "tree_sitter markdown · One" in shown
    assert "\x1b[2J" not in shown
    assert f"{len(CHUNKS)} chunks" in shown


def test_page_escapes_the_text():
    page = render_html(DOCUMENT, CHUNKS, "<a & b>")
    assert "<b>\x1b" not in page
    assert "first &lt;b&gt;" in page
    assert "<title>&lt;a &amp; b&gt;</title>" in page
    assert page.count("<section ") == len(CHUNKS)
    assert page.count('<a href="#chunk-') == len(CHUNKS)
