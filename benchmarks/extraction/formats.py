"""Scores and CPU time by format: this project, docling's own converter, unstructured.

``python -m benchmarks.extraction.formats [--unstructured PYTHON]``: one document of known Markdown
in each format. Prints a Markdown table: words kept (recall), tables (TEDS), headings (MHS), as
``scores.py`` defines them, and CPU-milliseconds of the best of three calls; those of programs that
a reader starts (LibreOffice) are counted too.
"""

import argparse
import shutil
import tempfile

from benchmarks.extraction import format_files, layouts, scores
from benchmarks.extraction.peers import docling_reader, ours, read_with_unstructured, timed

DOCUMENTS = 8


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
    theirs = read_with_unstructured(python, files) if python else {}
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
