"""The contract of chunk_document: tiling, limits, positions, settings."""

import pytest

from s3sync_dagster.chunking import chunk_document
from s3sync_dagster.engine.ports import ModelLimits
from s3sync_dagster.model.document import Document, Page
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.source import ChunkingConfig

LIMITS = ModelLimits(default_size_bytes=2048)


def chunks_of(text, key="a.txt", *, kind="text", size=None, limits=LIMITS, **config):
    return chunk_document(
        Document(text=text, format=kind),
        object_key=key,
        config=ChunkingConfig(max_size_bytes=size, **config),
        limits=limits,
    )


def test_document_without_text_gives_no_chunks():
    assert chunks_of("") == []
    assert chunks_of(" \n\t\n") == []


def test_small_document_is_one_chunk_with_its_language():
    (chunk,) = chunks_of("def f():\n    return 1\n", "a.py", kind="code")
    assert chunk.text == "def f():\n    return 1"
    assert (chunk.start_line, chunk.start_col, chunk.end_line, chunk.end_col) == (1, 1, 2, 12)
    assert (chunk.start_byte, chunk.end_byte) == (0, 22)
    assert (chunk.strategy, chunk.language) == ("tree_sitter", "python")


def test_functions_stay_whole_and_name_themselves():
    text = "".join(
        f"# about {n}\ndef name_{n}(x):\n    y = x + {n}\n    return y\n\n\n" for n in range(9)
    )
    chunks = chunks_of(text, "a.py", kind="code", size=128)
    assert all(c.text.startswith("# about") for c in chunks)
    assert "name_0" in {c.symbol for c in chunks} or len(chunks) < 9


def test_csv_repeats_the_header_row_and_never_cuts_a_row():
    rows = [f'{n},"line one\nline two {n}",x' for n in range(50)]
    text = "id,text,flag\n" + "\n".join(rows) + "\n"
    chunks = chunks_of(text, "a.csv", kind="csv", size=200)
    assert len(chunks) > 3
    assert all(c.text.startswith("id,text,flag\n") for c in chunks)
    assert [c.repeated_header for c in chunks] == [False] + [True] * (len(chunks) - 1)
    assert all(c.text.endswith("x") for c in chunks)


def test_lines_strategy_is_the_contracts():
    text = "".join(f"line {n}\n" for n in range(25))
    chunks = chunks_of(text, type="lines")
    assert [(c.start_line, c.end_line) for c in chunks] == [(1, 10), (11, 20), (21, 25)]
    assert {c.strategy for c in chunks} == {"lines"}
    assert "\n".join(c.text for c in chunks) + "\n" == text


def test_markdown_keeps_the_heading_path():
    text = "# Guide\n\n" + "".join(f"## Part {n}\n\n{'word ' * 40}\n\n" for n in range(5))
    chunks = chunks_of(text, "a.md", kind="markdown", size=300)
    assert [c.heading_path for c in chunks][1:] == [f"Guide > Part {n}" for n in range(1, 5)]
    assert all(c.text.lstrip("\n").startswith("#") for c in chunks)


def test_page_is_that_of_the_first_character():
    text = "é one. " * 40 + "\n\n" + "two. " * 40
    pages = (Page(start=0, label="1"), Page(start=text.index("two"), label="2"))
    chunks = chunk_document(
        Document(text=text, format="text", pages=pages),
        object_key="a.pdf",
        config=ChunkingConfig(max_size_bytes=330),
        limits=LIMITS,
    )
    assert [c.page for c in chunks] == ["1", "2"]


@pytest.mark.parametrize("size", [0, 1, -5, 16_385])
def test_impossible_sizes_are_refused(size):
    with pytest.raises(InvalidSetting, match=r"max_size_bytes"):
        chunks_of("text", size=size)


def test_impossible_lines_are_refused():
    with pytest.raises(InvalidSetting, match=r"max_lines"):
        chunks_of("text", type="lines", max_lines=0)
