"""Scores and CPU time by format: this project, docling's own converter, unstructured.

``python -m benchmarks.extraction.formats [--unstructured PYTHON]``: one document of known Markdown
in each format. Prints a Markdown table: words kept (recall), tables (TEDS), headings (MHS), as
``scores.py`` defines them, and CPU-milliseconds of the best of three calls; those of programs that
a reader starts (LibreOffice) are counted too.
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.extraction import format_files, layouts, scores
from benchmarks.extraction.throughput import HerePool, docling_reader
from s3sync_dagster.extraction import extract_document
from s3sync_dagster.model.source import ExtractionConfig

Read = Callable[[str, bytes], str]
DOCUMENTS = 8
CALLS = 3


def ours(name: str, content: bytes, **engines: str) -> str:
    config = ExtractionConfig(
        ocr=False, engines={"." + key: engine for key, engine in engines.items()}
    )
    return extract_document(content, name=name, config=config, pool=HerePool()).text


def timed(read: Read, name: str, content: bytes) -> tuple[float, str]:
    """Return CPU-seconds of the best of three calls, after one to warm up, and the text."""
    text = read(name, content)
    best = float("inf")
    for _ in range(CALLS):
        before = sum(os.times()[:4])
        text = read(name, content)
        best = min(best, sum(os.times()[:4]) - before)
    return best, text


def unstructured_reader(
    python: str,
) -> Callable[[dict[str, bytes]], dict[str, tuple[float, str]]]:
    peer = Path(__file__).with_name("peer_unstructured.py")

    def read(files: dict[str, bytes]) -> dict[str, tuple[float, str]]:
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                (Path(folder) / name).write_bytes(content)
            paths = [str(Path(folder) / name) for name in files]
            done = subprocess.run(
                [python, str(peer), *paths], capture_output=True, text=True, check=True
            )
        answers = [json.loads(line) for line in done.stdout.splitlines() if line[:1] == "{"]
        return {
            Path(answer["name"]).name: (answer["seconds"], answer["text"])
            for answer in answers
            if "text" in answer
        }

    return read


def row(label: str, truth: str, found: tuple[float, str] | None, *, size: int) -> str:
    if found is None:
        return f"| {label} | – | – | – | – | – |"
    seconds, text = found
    shown = [scores.recall(truth, text), scores.teds(truth, text), scores.mhs(truth, text)]
    cells = ["–" if score is None else f"{score:.3f}" for score in shown]
    return f"| {label} | {' | '.join(cells)} | {seconds * 1000:.0f} | {seconds / size * 1e6:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--unstructured", metavar="PYTHON")
    python = parser.parse_args().unstructured
    markdown = "\n".join(layouts.make_markdown(seed) for seed in range(DOCUMENTS))
    files = format_files.make_files(markdown)
    theirs = unstructured_reader(python)(files) if python else {}
    docling = docling_reader()
    tempfile.tempdir = tempfile.mkdtemp(prefix="formats-")  # a worker has a folder of its own
    print("| Format | Engine | recall | TEDS | MHS | CPU ms | CPU s per MB |")
    print("|---|---|---|---|---|---|---|")
    for name, content in files.items():
        suffix = name.partition(".")[2]
        truth = format_files.tables_only(markdown) if suffix == "xlsx" else markdown
        print(row(f"{suffix} | this project", truth, timed(ours, name, content), size=len(content)))
        if suffix == "html":
            fast = timed(lambda n, c: ours(n, c, html="fast"), name, content)
            print(row("| this project, `fast`", truth, fast, size=len(content)))
        if suffix not in ("pdf", "rtf"):  # needs models; is LibreOffice's work there too
            print(row("| docling alone", truth, timed(docling, name, content), size=len(content)))
        if python:
            print(row("| unstructured", truth, theirs.get(name), size=len(content)))
    shutil.rmtree(tempfile.tempdir)


if __name__ == "__main__":
    main()
