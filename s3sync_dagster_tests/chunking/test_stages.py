"""Who cuts what, where grammars run, and what happens when one fails."""

from concurrent.futures import Future
from dataclasses import replace

import pytest

from s3sync_dagster.chunking import chunk_document
from s3sync_dagster.chunking.languages import GRAMMARS, grammar, language_of
from s3sync_dagster.chunking.outline import Path, Piece
from s3sync_dagster.engine.ports import ModelLimits
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.errors import LimitExceeded, Unavailable
from s3sync_dagster.model.source import ChunkingConfig
from s3sync_dagster_tests.chunking.invariants import check, chunks_of

CODE = "".join(f"# about {n}\ndef name_{n}(x):\n    return x + {n}\n\n\n" for n in range(60))


class FailingPool:
    """A pool whose workers all end with one error."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.calls: list[str] = []

    def submit(self, function, /, *args, limits, **kwargs):
        self.calls.append(function)
        assert limits.seconds < 120
        future = Future()
        future.set_exception(self.error)
        return future

    def close(self) -> None:
        """Nothing to end."""


class AnsweringPool(FailingPool):
    """A pool whose workers were taken over."""

    def __init__(self, answer: object) -> None:
        super().__init__(Exception())
        self.answer = answer

    def submit(self, function, /, *args, limits, **kwargs):
        future = Future()
        future.set_result(self.answer)
        return future


@pytest.mark.parametrize("reason", ["timeout", "worker_crashed", "out_of_memory"])
def test_failed_worker_gives_text_pieces_with_the_reason(reason):
    pool = FailingPool(LimitExceeded("It failed.", reason=reason))
    chunks = chunks_of("python", CODE, 256, pool)
    check(CODE, chunks, 256)
    assert pool.calls == ["s3sync_dagster.chunking.parsing:cut_source"]
    assert {(c.fallback, c.strategy, c.language) for c in chunks} == {(reason, "lines", "python")}
    assert all(chunk.text.startswith("# about") for chunk in chunks)  # indentation still tells


SIZE = len(CODE)
SEVENTEEN: Path = tuple(("symbol", "x") for _ in range(17))


@pytest.mark.parametrize(
    "pieces",
    [
        None,
        [],
        "pieces",
        (Piece(0, SIZE),),
        [(0, SIZE, (), None)],
        [Piece(0, SIZE - 1)],
        [Piece(0, SIZE + 1)],
        [Piece(1, SIZE)],
        [Piece(0, 10), Piece(5, SIZE)],
        [Piece(0, 0), Piece(0, SIZE)],
        [Piece(0, SIZE, (), (0, SIZE))],
        [Piece(0, SIZE, SEVENTEEN)],
    ],
)
def test_pieces_of_no_grammar_are_text_pieces_with_the_reason(pieces):
    chunks = chunks_of("python", CODE, 256, AnsweringPool(pieces))
    check(CODE, chunks, 256)
    assert {chunk.fallback for chunk in chunks} == {"worker_crashed"}


def test_a_worker_cuts_no_character():
    text = CODE + "# ö\n"
    cut = len(text.encode()) - 2  # behind the first byte of the letter
    chunks = chunks_of("python", text, 256, AnsweringPool([Piece(0, cut), Piece(cut, cut + 2)]))
    check(text, chunks, 256)
    assert {chunk.fallback for chunk in chunks} == {"worker_crashed"}


def test_other_errors_of_the_pool_are_not_swallowed():
    with pytest.raises(Unavailable):
        chunks_of("python", CODE, 256, FailingPool(Unavailable("The pool was closed.")))


def test_worker_and_process_give_the_same_chunks(pool):
    assert chunks_of("python", CODE, 256, pool) == chunks_of("python", CODE, 256)


def test_only_what_is_larger_than_the_limit_reaches_a_worker():
    pool = FailingPool(LimitExceeded("It failed.", reason="timeout"))
    (chunk,) = chunks_of("python", CODE, 16_384, pool)
    assert (chunk.fallback, chunk.strategy) == (None, "tree_sitter")
    for kind in ("markdown", "text", "csv", "jsonl", "log"):
        chunks_of(kind, CODE, 64, pool)
    assert pool.calls == []


def test_large_json_is_cut_without_its_grammar():
    pool = FailingPool(LimitExceeded("It failed.", reason="timeout"))
    element = '{"id": 1, "name": "some name", "tags": ["a", "b"]},\n'
    text = '{"rows": [\n' + element * 90_000 + "{}]}"
    chunks = chunks_of("json", text, 2048, pool)
    assert pool.calls == []
    assert {chunk.fallback for chunk in chunks} == {"too_large_to_parse"}
    assert all(chunk.text.startswith('{"id"') for chunk in chunks[1:-1])
    assert chunks[5].symbol == "rows"


def test_json_whose_worker_died_is_still_cut_between_elements():
    element = '{"id": 1, "name": "some name"},\n'
    text = "[\n" + element * 300 + "{}]"
    chunks = chunks_of("json", text, 512, FailingPool(LimitExceeded("No.", reason="timeout")))
    assert all(chunk.text.startswith('{"id"') for chunk in chunks[1:-1])


@pytest.mark.parametrize(
    ("key", "text", "language"),
    [
        ("a/b.py", "", "python"),
        ("a/B.TSX", "", "tsx"),
        ("a/Makefile", "", "make"),
        ("Dockerfile", "", "dockerfile"),
        ("Dockerfile.dev", "", "dockerfile"),
        ("x/build.dockerfile", "", "dockerfile"),
        ("bin/run", "#!/bin/sh\n", "bash"),
        ("bin/run", "#!/usr/bin/env python3.12\n", "python"),
        ("bin/run", "#!/usr/bin/env -S node --no-warnings\n", "javascript"),
        ("bin/run", "#!/usr/bin/perl -w\n", "perl"),
        ("bin/run", "text", None),
        ("notes.txt", "#!/bin/sh\n", "bash"),
        ("a.unknown", "", None),
    ],
)
def test_language_is_told_by_name_suffix_or_shebang(key, text, language):
    assert language_of(key, text) == language


@pytest.mark.parametrize("language", GRAMMARS)
def test_grammars_load_from_their_wheels(language):
    assert grammar(language).abi_version >= 13


def test_unknown_language_is_kept_and_cut_by_layout():
    document = Document(text=CODE, format="code", language="cobol")
    for form in ("code", "text", "json", "xml"):
        chunks = chunk_document(
            replace(document, format=form),
            object_key="a.cob",
            config=ChunkingConfig(max_size_bytes=128),
            limits=ModelLimits(default_size_bytes=1024),
        )
        check(CODE, chunks, 128)
        assert {c.language for c in chunks} == {form if form in ("json", "xml") else "cobol"}


def test_binary_looking_text_is_cut_by_lines():
    (chunk,) = chunks_of("python", "x\0 = 1\n", 256)
    assert (chunk.strategy, chunk.language) == ("lines", None)


def test_language_of_extraction_wins_over_the_name():
    chunks = chunk_document(
        Document(text=CODE, format="code", language="python"),
        object_key="no-suffix",
        config=ChunkingConfig(max_size_bytes=64),
        limits=ModelLimits(default_size_bytes=1024),
    )
    assert {chunk.language for chunk in chunks} == {"python"}
    assert [chunk.symbol for chunk in chunks] == [f"name_{n}" for n in range(60)]
