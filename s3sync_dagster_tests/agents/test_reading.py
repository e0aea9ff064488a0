"""A document read by lines and chunks, over the fake collection that the contracts prove."""

import pytest

from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster.ports.memory_chroma import MemoryCollections
from s3sync_dagster.reading import PAGE, read_chunks

EMBEDDER = open_embedder(EmbeddingConfig(kind="hash"))
CHUNKS = 200
LINES = 3
"""Of each chunk."""


class Counted:
    """A collection that counts the records it gives out."""

    def __init__(self, collection):
        self.collection = collection
        self.given = 0

    def get(self, ids, **options):
        self.given += len(ids)
        return self.collection.get(ids, **options)


@pytest.fixture(scope="module")
def stored():
    made = MemoryCollections().open("docs", tenant="t", database="d", embedder=EMBEDDER)
    texts = ["\n".join(f"line {n * LINES + k + 1}" for k in range(LINES)) for n in range(CHUNKS)]
    records = [
        Record(
            id=f"doc-{n}", document=text, embedding_text=text,
            metadata={"start_line": n * LINES + 1, "end_line": (n + 1) * LINES, "s3sync_chunk": n},
        )
        for n, text in enumerate(texts)
    ]  # fmt: skip
    made.upsert(records, EMBEDDER.embed_documents(texts))
    return made


def read(collection, **options):
    return list(read_chunks(collection, "doc", CHUNKS, **options))


def text(pieces):
    return "\n".join(piece.text for piece in pieces)


def test_all_of_it_is_the_document(stored):
    assert text(read(stored)) == "\n".join(f"line {n}" for n in range(1, CHUNKS * LINES + 1))


@pytest.mark.parametrize(
    ("first", "last"), [(1, 1), (2, 5), (3, 4), (300, 300), (599, 600), (600, 9999), (5, 5)]
)
def test_lines_are_those_that_were_asked_for(stored, first, last):
    counted = Counted(stored)
    pieces = read(counted, start_line=first, end_line=last)
    wanted = range(first, min(last, CHUNKS * LINES) + 1)
    assert text(pieces) == "\n".join(f"line {n}" for n in wanted)
    assert (pieces[0].start_line, pieces[-1].end_line) == (wanted[0], wanted[-1])
    assert counted.given <= PAGE + 8, "looks for the line by halving"


def test_chunks_from_one_on(stored):
    pieces = read(stored, start_chunk=CHUNKS - 2)
    assert [piece.number for piece in pieces] == [CHUNKS - 2, CHUNKS - 1]
    assert read(stored, start_chunk=CHUNKS) == []
    assert read(stored, start_line=CHUNKS * LINES + 1) == []


def test_a_chunk_whose_lines_do_not_match_comes_whole(stored):
    made = MemoryCollections().open("rows", tenant="t", database="d", embedder=EMBEDDER)
    row = "name,year\nferry,1999\ntram,1881"
    record = Record(
        id="doc-0", document=row, embedding_text=row,
        metadata={"start_line": 7, "end_line": 8, "s3sync_repeated_header": True},
    )  # fmt: skip
    made.upsert([record], EMBEDDER.embed_documents([row]))
    [piece] = read_chunks(made, "doc", 1, start_line=8, end_line=8)
    assert (piece.text, piece.start_line, piece.end_line) == (row, 7, 8)
