"""CPU time per format, this project beside docling's own converter, on the same files.

``python -m benchmarks.extraction.throughput``: each reader runs in this process, once to warm up
and once measured. The last column is docling's time divided by ours.
"""

import io
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from benchmarks.extraction import layouts
from s3sync_dagster.extraction import extract_document
from s3sync_dagster.model.source import ExtractionConfig

CONFIG = ExtractionConfig(ocr=False)


class HerePool:
    """Calls functions in this process, so that CPU time can be read."""

    def submit(self, function: str, /, *args: Any, limits: object, **kwargs: Any) -> Future[Any]:
        import importlib

        module, _, name = function.partition(":")
        future: Future[Any] = Future()
        future.set_result(getattr(importlib.import_module(module), name)(*args, **kwargs))
        return future

    def close(self) -> None:
        return


def make_docx(markdown: str) -> bytes:
    from docx import Document

    document = Document()
    for kind, value in layouts._blocks(markdown):
        if kind == "table":
            table = document.add_table(len(value), len(value[0]))
            for i, row in enumerate(value):
                for j, cell in enumerate(row):
                    table.cell(i, j).text = cell
        elif kind == "list":
            for item in value:
                document.add_paragraph(item, style="List Bullet")
        elif kind == "p":
            document.add_paragraph(value)
        else:
            document.add_heading(value, int(kind[1]))
    return _saved(document.save)


def make_pptx(slides: int = 60) -> bytes:
    from pptx import Presentation

    deck = Presentation()
    for number in range(slides):
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = f"Slide {number}"
        slide.placeholders[1].text = "\n".join(f"point {i} of some words" for i in range(8))
        slide.notes_slide.notes_text_frame.text = f"Notes of slide {number}"
    return _saved(deck.save)


def make_xlsx(rows: int = 20_000) -> bytes:
    import xlsxwriter

    out = io.BytesIO()
    book = xlsxwriter.Workbook(out, {"constant_memory": True})
    sheet = book.add_worksheet()
    for number in range(rows):
        sheet.write_row(number, 0, [number, f"name {number}", number * 1.5])
    book.close()
    return out.getvalue()


def make_html(markdown: str) -> bytes:
    parts = []
    for kind, value in layouts._blocks(markdown):
        if kind == "table":
            rows = ("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in value)
            parts.append("<table>" + "".join(rows) + "</table>")
        elif kind == "list":
            parts.append("<ul>" + "".join(f"<li>{item}</li>" for item in value) + "</ul>")
        else:
            parts.append(f"<{kind}>{value}</{kind}>")
    return "\n".join(parts).encode()


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
        "a.html": make_html(long),
        "a.docx": make_docx(long),
        "a.pptx": make_pptx(),
        "a.xlsx": make_xlsx(),
        "a.pdf": layouts.make_single(long),
    }


def measure(read: Callable[[], str]) -> tuple[float, int]:
    """Return CPU-seconds of the second call and the characters it gave."""
    read()
    started = time.process_time()
    text = read()
    return time.process_time() - started, len(text)


def docling_reader() -> Callable[[str, bytes], str] | None:
    from docling.datamodel.base_models import DocumentStream
    from docling.document_converter import DocumentConverter

    converter = DocumentConverter()

    def read(name: str, content: bytes) -> str:
        stream = DocumentStream(name=name, stream=io.BytesIO(content))
        return converter.convert(stream).document.export_to_markdown()

    return read


def main() -> None:
    docling = docling_reader()
    pool = HerePool()
    print("file        input MB   CPU s   CPU s/MB in   CPU s/MB out   docling CPU s   ratio")
    for name, content in make_files().items():
        seconds, size = measure(
            lambda name=name, content=content: (
                extract_document(content, name=name, config=CONFIG, pool=pool).text
            )
        )
        line = f"{name:10} {len(content) / 1e6:9.2f} {seconds:7.3f}"
        line += f" {seconds / len(content) * 1e6:13.3f} {seconds / max(1, size) * 1e6:14.3f}"
        if name not in ("a.py", "a.pdf", "a.xlsx"):  # no format of its own; needs models; hangs
            other, _ = measure(lambda name=name, content=content: docling(name, content))
            line += f" {other:15.3f} {other / seconds:7.1f}"
        print(line, flush=True)


if __name__ == "__main__":
    main()
