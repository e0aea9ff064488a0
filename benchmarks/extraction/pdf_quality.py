"""PDF scores side by side: this project, liteparse as it comes, pdfium's plain text.

``python -m benchmarks.extraction.pdf_quality [documents] [layout ...]``
"""

import sys
import time

from benchmarks.extraction import layouts, scores
from s3sync_dagster.extraction.pdf.layout import read_with_liteparse
from s3sync_dagster.extraction.pdf.scans import join_pages
from s3sync_dagster.extraction.pdf.text_layer import read_with_pdfium
from s3sync_dagster.model.source import ExtractionConfig


def ours(content: bytes) -> str:
    pages = read_with_liteparse(content, name="a.pdf", config=ExtractionConfig())
    return join_pages(list(pages.texts), pages, engine="liteparse", warnings=[]).text


def liteparse(content: bytes) -> str:
    from liteparse import LiteParse

    parser = LiteParse(ocr_enabled=False, output_format="markdown", quiet=True, max_pages=9999)
    return parser.parse(content).text


def pdfium(content: bytes) -> str:
    return "\n\n".join(read_with_pdfium(content, name="a.pdf", config=ExtractionConfig()).texts)


ENGINES = {"ours": ours, "liteparse": liteparse, "pdfium text": pdfium}


def measure(layout: str, count: int) -> dict[str, dict[str, float]]:
    """Return mean scores, worst recall and CPU-milliseconds a document by engine."""
    pairs = []
    for seed in range(count):
        truth = layouts.make_markdown(seed)
        pairs.append((truth, layouts.LAYOUTS[layout](truth)))
    table = {}
    for name, read in ENGINES.items():
        started = time.process_time()
        found = [read(content) for _, content in pairs]
        seconds = time.process_time() - started
        both = [(truth, text) for (truth, _), text in zip(pairs, found, strict=True)]
        table[name] = {
            "NID": _mean([scores.nid(*pair) for pair in both]),
            "TEDS": _mean([scores.teds(*pair) for pair in both]),
            "MHS": _mean([scores.mhs(*pair) for pair in both]),
            "worst recall": min(scores.recall(*pair) for pair in both),
            "ms": seconds / count * 1000,
        }
    return table


def _mean(values: list[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known)


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    for layout in sys.argv[2:] or layouts.LAYOUTS:
        print(f"\n{layout}, {count} documents")
        for name, row in measure(layout, count).items():
            shown = "  ".join(f"{key} {value:7.3f}" for key, value in row.items())
            print(f"  {name:12} {shown}")


if __name__ == "__main__":
    main()
