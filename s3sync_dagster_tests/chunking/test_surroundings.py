"""What stands around chunks is bounded: a title of few bytes stands around very many."""

import tracemalloc
from dataclasses import replace

import pytest

from s3sync_dagster.chunking import chunk_document, surroundings
from s3sync_dagster.core.records import build_records
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.errors import LimitExceeded
from s3sync_dagster.model.source import ChunkingConfig
from s3sync_dagster_tests.chunking.invariants import LIMITS
from s3sync_dagster_tests.sources import s3_source

STYLES = "=-~^\"'`#*+"
TITLE = "\U0001f600" + "long title " * 14
"""One character outside of the basic plane makes each of the string's take four bytes."""


def below_titles(text):
    """Return a text below as many titles as there are styles of them."""
    titles = [f"{number} {TITLE}\n{style * 190}\n\n" for number, style in enumerate(STYLES)]
    return "\n".join(titles) + text


def cut(text, **config):
    return chunk_document(
        Document(text=text, format="text"),
        object_key="a.txt",
        config=ChunkingConfig(**{"max_size_bytes": 16, **config}),
        limits=LIMITS,
    )


def records_of(chunks):
    return build_records(
        s3_source(id="i", name="n", bucket_name="bucket", collection_name="texts"),
        object_key="a.txt",
        document_id="a",
        etag="e",
        version_key="e",
        custom_id=None,
        metadata={},
        chunks=chunks,
    )


@pytest.mark.parametrize("context", [False, True])
def test_chunks_below_one_title_share_what_stands_around_them(context):
    text = below_titles("".join(f"l{number:013}\n\n" for number in range(300)))
    chunks = [one for one in cut(text, context=context) if one.text.startswith("l00")]
    assert len(chunks) == 300
    path = " > ".join(f"{number} {TITLE.strip()}" for number in range(len(STYLES)))
    assert len(path.encode()) > 1024
    for name in ("heading_path", "context"):
        assert len({id(getattr(one, name)) for one in chunks}) == 1
    assert path.startswith(chunks[0].heading_path)
    assert 1020 < len(chunks[0].heading_path.encode()) <= 1024
    whole = [replace(one, heading_path=path) for one in chunks]
    assert records_of(chunks) == records_of(whole)


def test_long_titles_around_many_chunks_take_no_memory_for_each():
    text = below_titles("".join(f"l{number:013}\n\n" for number in range(3000)))
    cut(text)  # what is loaded once is none of theirs
    tracemalloc.start()
    try:
        chunks = cut(text)
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert held < 1000 * len(chunks)  # 7,000 where each has a string of its own


@pytest.mark.parametrize("context", [False, True])
def test_titles_that_differ_around_each_chunk_have_an_end(monkeypatch, context):
    text = "".join(f"{number} {TITLE}\n{'=' * 190}\n\nbody of it\n\n" for number in range(50))
    assert len({one.heading_path for one in cut(text, context=context)}) >= 50
    monkeypatch.setattr(surroundings, "AROUND_BYTES", 20_000)
    with pytest.raises(LimitExceeded, match="max_size_bytes") as caught:
        cut(text, context=context)
    assert caught.value.reason == "too_many_chunks"


def test_a_context_counts_for_each_chunk_that_has_it(monkeypatch):
    text = f"{TITLE}\n{'=' * 190}\n\n" + "".join(f"l{number:013}\n\n" for number in range(300))
    monkeypatch.setattr(surroundings, "AROUND_BYTES", 100_000)
    assert len(cut(text)) > 300
    with pytest.raises(LimitExceeded):
        cut(text, context=True)
