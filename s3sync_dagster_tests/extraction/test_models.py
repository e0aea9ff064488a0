"""docling's models as an engine: what is said where they are missing, whose pages they may take.

The models themselves need the extra ``pdf-models``; ``benchmarks/extraction/untrained_models.py``
makes a folder with which the whole path runs.
"""

from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from s3sync_dagster.extraction import models
from s3sync_dagster.extraction.engines import engines_for
from s3sync_dagster.extraction.pdf import scans
from s3sync_dagster.extraction.steps import PdfPages
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.errors import LimitExceeded, MissingEngine
from s3sync_dagster.model.source import ExtractionConfig
from s3sync_dagster.workers.environment import worker_environment
from s3sync_dagster_tests.extraction.bad_files import good_pdf
from s3sync_dagster_tests.extraction.conftest import Read

CHOSEN = {".pdf": "docling-models", ".png": "docling-models"}


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(models, "_PACKAGES", ("json", "torch_of_another_name"))
    with pytest.raises(MissingEngine) as caught:
        models.check_models()
    assert caught.value.reason == "missing_package"
    assert "need torch_of_another_name: pip install 's3sync-dagster[pdf-" in caught.value.message


def test_models_are_looked_for_in_the_folder_that_is_configured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr(models, "_PACKAGES", ("json",))
    monkeypatch.delenv("DOCLING_ARTIFACTS_PATH", raising=False)
    with pytest.raises(MissingEngine) as caught:
        models.check_models()
    assert caught.value.reason == "missing_models"
    assert "docling-tools models download" in caught.value.message
    monkeypatch.setenv("DOCLING_ARTIFACTS_PATH", str(tmp_path))
    layout, table = models._WANTED
    (tmp_path / layout).parent.mkdir(parents=True)
    (tmp_path / layout).write_bytes(b"weights")
    with pytest.raises(MissingEngine) as caught:
        models.check_models()
    assert caught.value.message.endswith(f"lacks {table}.")
    assert not models.has_models()
    (tmp_path / table).parent.mkdir(parents=True)
    (tmp_path / table).write_text("{}")
    assert models.check_models() == tmp_path


def test_workers_know_the_folder():
    assert worker_environment({"DOCLING_ARTIFACTS_PATH": "/models", "SECRET": "x"}) == {
        "DOCLING_ARTIFACTS_PATH": "/models",
        **worker_environment({}),
    }


@pytest.mark.parametrize("name", ["a.pdf", "a.png"])
def test_who_chooses_them_without_the_extra_gets_a_reason(read: Read, name: str):
    png = b"\x89PNG\r\n\x1a\n" + bytes(30)
    with pytest.raises(MissingEngine) as caught:
        read(good_pdf() if name == "a.pdf" else png, name, engines=CHOSEN)
    assert caught.value.reason in ("missing_package", "missing_models")


def test_they_read_only_for_sources_that_name_them():
    names = [
        engine.name
        for engines in ({}, CHOSEN)
        for engine in engines_for("pdf", suffix=".pdf", config=ExtractionConfig(engines=engines))
    ]
    assert names == ["liteparse", "pypdfium2", "docling-models"]


class Models:
    """A pool in which the models give a text for each page."""

    def __init__(self, answers: dict[int, str | None]) -> None:
        self.answers = answers
        self.asked: list[list[int]] = []

    def submit(self, function: str, /, *args: Any, limits: object, **kwargs: Any) -> Future[Any]:
        assert function.endswith("models:read_pages")
        self.asked.append(args[1])
        texts = [self.answers[number] for number in args[1]]
        future: Future[Any] = Future()
        if None in texts:
            future.set_exception(LimitExceeded("Too much memory.", reason="out_of_memory"))
        else:
            future.set_result(texts)
        return future

    def close(self) -> None:
        return


def look(found: PdfPages, pool: Models) -> Document:
    return scans.read_scans(found, b"", config=ExtractionConfig(ocr=False), pool=pool)


def test_hard_pages_are_read_by_the_models():
    found = PdfPages(
        texts=("easy", "a b 1 2", ""),
        scans=(2,),
        plain={1: "broken words"},
        hard=(1, 2),
        continued=frozenset({1}),
        engine="liteparse",
    )
    pool = Models({1: "| a | b |\n| - | - |\n| 1 | 2 |", 2: "# Seen"})
    document = look(found, pool)
    assert pool.asked == [[1, 2]]
    assert document.text == "easy\n\n| a | b |\n| - | - |\n| 1 | 2 |\n\n# Seen\n"
    assert document.engine == "liteparse+docling-models"
    assert document.warnings == ()


def test_page_whose_words_the_models_lose_keeps_its_text():
    found = PdfPages(
        texts=("one two three",) * 2,
        scans=(),
        plain={0: "broken words", 1: "broken words"},
        hard=(0, 1),
        engine="liteparse",
    )
    document = look(found, Models({0: "one", 1: "## one two three"}))
    assert document.text == "one two three\n\n## one two three\n"
    assert document.warnings == ("Pages read as plain text, without layout: 1 (broken words).",)


def test_pages_that_meet_a_limit_keep_their_text_and_are_named():
    numbers = tuple(range(10))
    texts = tuple(f"page {number}" for number in numbers)
    found = PdfPages(texts=texts, scans=(), hard=numbers, engine="liteparse")
    pool = Models({number: f"# page {number}" for number in numbers} | {3: None})
    document = look(found, pool)
    assert pool.asked == [[*range(8)], [8, 9]]
    assert document.warnings == ("Pages 1-8 were not read: Too much memory.",)
    assert document.text.startswith("page 0\n")
    assert document.text.endswith("# page 8\n\n# page 9\n")
