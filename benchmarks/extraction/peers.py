"""The readers that are compared: this project, docling's own converter, unstructured."""

import importlib
import io
import json
import resource
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from s3sync_dagster.extraction import extract_document
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.source import ExtractionConfig

Read = Callable[[str, bytes], str]
CALLS = 3
MAX_SECONDS = 40
"""For four calls of a reader on one file."""


class HerePool:
    """Calls functions in this process, so that CPU time can be read."""

    def submit(self, function: str, /, *args: Any, limits: object, **kwargs: Any) -> Future[Any]:
        module, _, name = function.partition(":")
        future: Future[Any] = Future()
        future.set_result(getattr(importlib.import_module(module), name)(*args, **kwargs))
        return future

    def close(self) -> None:
        return


def read_here(name: str, content: bytes, **engines: str) -> Document:
    """Return this project's document; engines by suffix, such as ``html="fast"``."""
    named = {"." + key: engine for key, engine in engines.items()}
    config = ExtractionConfig(ocr=False, engines=named)
    return extract_document(content, name=name, config=config, pool=HerePool())


def ours(name: str, content: bytes, **engines: str) -> str:
    return read_here(name, content, **engines).text


def docling_reader() -> Read:
    from docling.datamodel.base_models import DocumentStream
    from docling.document_converter import DocumentConverter

    converter = DocumentConverter()

    def read(name: str, content: bytes) -> str:
        stream = DocumentStream(name=name, stream=io.BytesIO(content))
        return converter.convert(stream).document.export_to_markdown()

    return read


def read_with_unstructured(python: str, files: Mapping[str, bytes]) -> dict[str, tuple[float, str]]:
    """Return CPU-seconds (best of three) and text by file, of those that it reads in time."""
    peer = Path(__file__).with_name("peer_unstructured.py")
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        paths = [str(Path(folder) / name) for name in files]
        printed = "".join(_run(python, str(peer), path) for path in paths)
    answers = [json.loads(line) for line in printed.splitlines() if line[:1] == "{"]
    return {
        Path(answer["name"]).name: (answer["seconds"], answer["text"])
        for answer in answers
        if "text" in answer
    }


def _run(*command: str) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=MAX_SECONDS
        )
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout


def timed(read: Read, name: str, content: bytes) -> tuple[float, str]:
    """Return CPU-seconds of the best of three calls, after one to warm up, and the text.

    Those of programs that a reader starts (LibreOffice) are counted too.
    """
    text = read(name, content)
    best = float("inf")
    for _ in range(CALLS):
        before = _cpu_seconds()
        text = read(name, content)
        best = min(best, _cpu_seconds() - before)
    return best, text


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
