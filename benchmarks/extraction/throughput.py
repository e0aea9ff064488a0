"""CPU time per format on larger files: this project, docling's own converter, unstructured.

``python -m benchmarks.extraction.throughput [--unstructured PYTHON]``: each reader runs in one
process, once to warm up, then three times, of which the best counts.
"""

import argparse
import io
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

from benchmarks.extraction import format_files, layouts
from benchmarks.extraction.peers import (
    docling_reader,
    ours,
    read_here,
    read_with_unstructured,
    timed,
)

NOT_BY_DOCLING = ("a.py", "a.pdf", "a.xlsx")
"""No format of its own; needs models; takes minutes."""


def make_slides(slides: int = 60) -> bytes:
    from pptx import Presentation

    deck = Presentation()
    for number in range(slides):
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = f"Slide {number}"
        slide.placeholders[1].text = "\n".join(f"point {i} of some words" for i in range(8))
        slide.notes_slide.notes_text_frame.text = f"Notes of slide {number}"
    return _saved(deck.save)


def make_rows(rows: int = 20_000) -> bytes:
    import xlsxwriter

    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"constant_memory": True})
    sheet = book.add_worksheet()
    for number in range(rows):
        sheet.write_row(number, 0, [number, f"name {number}", number * 1.5])
    book.close()
    return out.getvalue()


def _saved(save: Callable[[Any], object]) -> bytes:
    out = io.BytesIO()
    save(out)
    return out.getvalue()


def make_files() -> dict[str, bytes]:
    long = "\n".join(layouts.make_markdown(seed) for seed in range(20))
    return {
        "a.py": b"def f(x):\n    return x + 1\n\n\n" * 50_000,
        "a.md": long.encode() * 5,
        "a.csv": b"".join(b"%d,name %d,%d\n" % (i, i, i * 2) for i in range(50_000)),
        "a.html": format_files.make_html(long),
        "a.docx": layouts.make_docx(long),
        "a.pptx": make_slides(),
        "a.xlsx": make_rows(),
        "a.pdf": layouts.make_single(long),
    }


def row(name: str, reader: str, size: int, found: tuple[float, str], base: float) -> str:
    seconds, text = found
    per_text = seconds / max(1, len(text.encode())) * 1e6
    return (
        f"| {name} | {reader} | {seconds * 1000:.1f} | {seconds / size * 1e6:.3f} "
        f"| {per_text:.3f} | {seconds / base:.2f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--unstructured", metavar="PYTHON")
    python = parser.parse_args().unstructured
    docling = docling_reader()
    files = make_files()
    tempfile.tempdir = tempfile.mkdtemp(prefix="throughput-")  # a worker has a folder of its own
    print("| file | reader | CPU ms | CPU s per MB | CPU s per MB of text | times ours |")
    print("|---|---|---|---|---|---|")
    for name, content in files.items():
        size = len(content)
        best = timed(ours, name, content)
        print(row(f"{name}, {size / 1e6:.2f} MB", "this project", size, best, best[0]), flush=True)
        pages = read_here(name, content).page_count
        if pages:
            print(f"| | {pages} pages, {pages / best[0]:.0f} a CPU-second | | | | |")
        if name == "a.html":
            fast = timed(lambda n, c: ours(n, c, html="fast"), name, content)
            print(row("", "this project, `fast`", size, fast, best[0]), flush=True)
        if name not in NOT_BY_DOCLING:
            print(row("", "docling", size, timed(docling, name, content), best[0]), flush=True)
        if python and name != "a.py":
            theirs = read_with_unstructured(python, {name: content})
            if name in theirs:
                print(row("", "unstructured", size, theirs[name], best[0]), flush=True)
    shutil.rmtree(tempfile.tempdir)


if __name__ == "__main__":
    main()
