"""Reads the files that it is told of, a line each: ``reader_process.py NAME``.

It runs in the peers' own environments too, so it imports nothing of this project but the reader.
"""

import json
import os
import pathlib
import resource
import sys
import time
import warnings


def product():
    from s3sync_dagster.extraction import extract_document
    from s3sync_dagster.model.source import ExtractionConfig
    from s3sync_dagster.workers import open_pool

    pool = open_pool(workers=1)

    def read(path):
        content = pathlib.Path(path).read_bytes()
        config = ExtractionConfig()
        document = extract_document(content, name=path, config=config, pool=pool)
        return document.text, document.warnings

    return read


def docling():
    from docling.document_converter import DocumentConverter

    converter = DocumentConverter()
    return lambda path: (converter.convert(path).document.export_to_markdown(), ())


def markitdown():
    from markitdown import MarkItDown  # type: ignore[import-not-found]

    converter = MarkItDown()
    return lambda path: (converter.convert(path).text_content, ())


def unstructured():
    from unstructured.partition.auto import partition  # type: ignore[import-not-found]

    def line(element):
        kind = type(element).__name__
        if kind == "Title":
            return "# " + element.text
        html = getattr(element.metadata, "text_as_html", None)
        return html if kind == "Table" and html else element.text

    return lambda path: ("\n\n".join(map(line, partition(path, strategy="fast"))), ())


def used():
    own, children = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def below(parent):
    """Return CPU seconds of all living processes below one: workers are the server's children."""
    ticks = os.sysconf("SC_CLK_TCK")
    parents, times = {}, {}
    for folder in pathlib.Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(folder.name)] = int(fields[1])
            times[int(folder.name)] = sum(map(int, fields[11:15])) / ticks
    total, found = 0.0, {parent}
    while True:
        new = {pid for pid, above in parents.items() if above in found} - found
        if not new:
            return total
        total += sum(times[pid] for pid in new)
        found |= new


def main():
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    warnings.simplefilter("ignore")
    read = {
        "product": product,
        "docling": docling,
        "markitdown": markitdown,
        "unstructured": unstructured,
    }[sys.argv[1]]()
    out.write("{}\n")
    out.flush()
    for line in sys.stdin:
        before, began = used() + below(os.getpid()), time.time()
        answer = {}
        try:
            answer["text"], noticed = read(line.rstrip("\n"))
            answer["warnings"] = list(noticed)
        except Exception as error:  # noqa: BLE001 (what a reader raises is a result here)
            answer["reason"] = getattr(error, "reason", type(error).__name__)
        answer["cpu"] = used() + below(os.getpid()) - before
        answer["seconds"] = time.time() - began
        answer["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        out.write(json.dumps(answer) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
