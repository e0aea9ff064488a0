import subprocess
import sys
from typing import Any

import pytest

from s3sync_dagster.extraction.engines import engines_for
from s3sync_dagster.extraction.warming import warm_up
from s3sync_dagster.model.source import ExtractionConfig
from s3sync_dagster.workers import open_pool
from s3sync_dagster_tests.extraction.corpus import CORPUS


class Calls:
    def __init__(self):
        self.functions = []

    def close(self):
        raise AssertionError

    def submit(self, function, *_arguments, limits, **_named) -> Any:
        assert limits.seconds > 0
        self.functions.append(function.partition(".extraction.")[2])


def warmed(names, **engines):
    calls = Calls()
    warm_up(names, config=ExtractionConfig(engines=engines), pool=calls)
    return calls.functions


def test_each_reader_is_started_once_and_text_starts_none():
    names = ["a.html", "b/c.HTM", "d.docx", "e.py", "f.md", "g.zip", "h", "i.unknown"]
    assert sorted(warmed(names)) == ["readers:read_docx", "readers:read_html_fast"]


def test_what_cannot_be_read_is_left_to_its_own_reading():
    assert warmed(["a.html"], **{".html": "no such engine"}) == []


@pytest.mark.parametrize(("installed", "started"), [([], ["legacy:read_doc"]), (["soffice"], [])])
def test_a_format_that_a_program_reads_starts_no_reader(installed, started, tmp_path, monkeypatch):
    """Whatever this machine has: with LibreOffice old formats are its business."""
    for program in installed:
        (tmp_path / program).write_text("#!/bin/sh\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert warmed(["b.doc"]) == started


def test_a_warm_worker_reads_as_a_cold_one_does():
    with open_pool(workers=1) as pool:
        warm_up(["a.html"], config=ExtractionConfig(), pool=pool)
        engine = engines_for("html", suffix=".html", config=ExtractionConfig())[0]
        page = b"<html><body><h1>Title</h1><p>text</p></body></html>"
        document = pool.submit(
            engine.function,
            page,
            name="a.html",
            config=ExtractionConfig(),
            limits=engine.limits(len(page)),
        ).result(timeout=60)
    assert document.text == "# Title\n\ntext\n"


FIRST_DOCUMENT = """
import importlib, sys
from s3sync_dagster.extraction import readers
from s3sync_dagster.model.source import ExtractionConfig
function, name = sys.argv[1:]
for module in readers.PRELOAD[function]:
    importlib.import_module(module)
before = set(sys.modules)
getattr(readers, function)(sys.stdin.buffer.read(), name=name, config=ExtractionConfig())
print(*sorted(set(sys.modules) - before))
"""


@pytest.mark.parametrize("name", ["fish.html", "plan.docx"])
def test_a_document_finds_all_of_docling_loaded(name):
    kind = name.rpartition(".")[2]
    done = subprocess.run(
        [sys.executable, "-c", FIRST_DOCUMENT, f"read_{kind}", name],
        input=CORPUS[name](),
        capture_output=True,
        timeout=60,
        check=True,
    )
    late = [module for module in done.stdout.decode().split() if module.startswith("docling")]
    assert late == []
