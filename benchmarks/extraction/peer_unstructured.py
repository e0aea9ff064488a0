"""unstructured on some files; runs in an environment of its own.

``PYTHON peer_unstructured.py FILE ...`` with ``pip install 'unstructured[docx,pptx,xlsx,csv,md,
epub,odt]'`` prints a JSON line for each file: CPU-seconds of the best of three calls, and the text
as Markdown. Its spaCy model is downloaded from GitHub at the first use; where that is not possible
a blank English pipeline takes its place, which is faster and finds fewer titles by grammar.
"""

import json
import re
import sys
import time
from html import unescape

import spacy
from unstructured.nlp import tokenize
from unstructured.partition.auto import partition


def use_blank_pipeline() -> None:
    blank = spacy.blank("en")
    blank.add_pipe("sentencizer")
    tokenize._get_nlp = lambda: blank


def as_markdown(element) -> str:
    kind = type(element).__name__
    if kind == "Title":
        return "# " + element.text
    if kind == "ListItem":
        return "- " + element.text
    table = getattr(element.metadata, "text_as_html", None)
    if kind != "Table" or not table:
        return element.text
    lines = []
    for row in re.findall(r"<tr.*?</tr>", table, re.DOTALL):
        cells = re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>|<t[dh][^>]*/>", row, re.DOTALL)
        texts = (unescape(re.sub(r"<[^>]+>", " ", cell)).strip() for cell in cells)
        lines.append("| " + " | ".join(texts) + " |")
        if len(lines) == 1:
            lines.append("|" + " - |" * len(cells))
    return "\n".join(lines)


def main() -> None:
    try:
        tokenize._get_nlp()
    except RuntimeError:
        use_blank_pipeline()
    for name in sys.argv[1:]:
        try:
            elements = partition(name)
            seconds = float("inf")
            for _ in range(3):
                started = time.process_time()
                elements = partition(name)
                seconds = min(seconds, time.process_time() - started)
            text = "\n\n".join(as_markdown(element) for element in elements)
            answer = {"name": name, "seconds": seconds, "text": text}
        except Exception as error:  # noqa: BLE001 (a format that it does not read here)
            answer = {"name": name, "error": type(error).__name__}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
