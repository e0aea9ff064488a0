"""Foreign files with a known text: this project beside docling, markitdown and unstructured.

``python -m benchmarks.extraction.foreign fetch --folder FOLDER`` clones the public repositories
whose test data these are (about 2 GB; nothing of them is kept here). Then
``python -m benchmarks.extraction.foreign score --folder FOLDER --out FOLDER2 [--half report]
[--reader NAME=PYTHON ...] [--only pdf]`` reads and scores them, and
``... refusals`` lists what is not read, of all files, and ``... words`` compares the words of PDFs
with those of ``pdftotext`` (poppler-utils). ``... changes --before FOLDER3`` counts the words that
each file lost and gained since another version put its answers there (its ``--out`` of
``refusals``). Answers are kept below ``--out`` by reader; ``--again`` reads anew. Without a half
both are scored: look at ``tune`` while you change something.
"""

import argparse
import json
import sys
import tempfile
from collections import defaultdict
from pathlib import Path, PurePosixPath
from statistics import median
from typing import Any

from benchmarks.extraction.foreign.cases import Case, find_cases, find_files
from benchmarks.extraction.foreign.changed_words import changes_of, print_changes
from benchmarks.extraction.foreign.readers import Reader
from benchmarks.extraction.foreign.repositories import ALL
from benchmarks.extraction.foreign.scores import NOTHING, Scores, named_headings, score
from benchmarks.extraction.foreign.word_recall import (
    pdfs_below,
    pdftotext,
    print_recalls,
    recall_of,
)

_MAX_SHOWN = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("fetch", "score", "refusals", "words", "changes"))
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path(tempfile.gettempdir()) / "foreign")
    parser.add_argument("--before", type=Path, help="of ``changes``: the other version's --out")
    parser.add_argument("--half", choices=("tune", "report"))
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--reader", action="append", default=[])
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--worst", action="store_true")
    options = parser.parse_args()
    if options.what == "changes" and (options.before is None or not options.before.is_dir()):
        parser.error("changes needs --before: what another version was given as --out")
    if options.what == "fetch":
        for repository in ALL:
            repository.clone(options.folder)
        return
    find = {"score": find_cases, "words": pdfs_below}.get(options.what, find_files)
    cases = [
        case
        for case in find(options.folder)
        if (not options.half or case.half == options.half)
        and (not options.only or case.group in options.only)
    ]
    if options.what == "words":
        options.out /= "words"  # other pages than those of the same files with a truth
    entries: list[str] = options.reader or ["product"]
    names = {name: python for name, _, python in (entry.partition("=") for entry in entries)}
    answers = {
        name: read_all(
            Reader(name, python or sys.executable), cases, options.out, again=options.again
        )
        for name, python in names.items()
    }
    if options.what == "changes":
        found = changes_of(cases, kept_answers(cases, options.before), answers["product"])
        print_changes(found, files=len(cases), shown=_MAX_SHOWN * (10 if options.worst else 1))
    elif options.what == "refusals":
        print_refusals(cases, answers)
    elif options.what == "words":
        for name, given in answers.items():
            recalls = [
                (case, recall_of(pdftotext(case.content), answer.get("text", "")))
                for case, answer in zip(cases, given, strict=True)
            ]
            print(name)
            known = [(case, recall) for case, recall in recalls if recall is not None]
            print_recalls(known, worst=_MAX_SHOWN if options.worst else 0)
    else:
        print_scores(cases, answers, worst=options.worst)


def read_all(reader: Reader, cases: list[Case], out: Path, *, again: bool) -> list[dict[str, Any]]:
    """Return what a reader gives for each file, from the folder where it is kept already."""
    answers: list[dict[str, Any]] = []
    for number, case in enumerate(cases):
        kept = _place_of(case, out, reader.name)
        if again or not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / PurePosixPath(case.path).name.replace("\n", " ")
                file.write_bytes(case.content)
                kept.write_text(json.dumps(reader.read(file)))
            print(f"\r{reader.name} {number + 1}/{len(cases)}", end="", file=sys.stderr)
        answers.append(json.loads(kept.read_text()))
    reader.close()
    return answers


def kept_answers(cases: list[Case], out: Path) -> list[dict[str, Any]]:
    """Return what the product gave for each file in an earlier run into this folder.

    Raises:
        SystemExit: it was not asked for one of them.
    """
    places = [_place_of(case, out, "product") for case in cases]
    if missing := next((place for place in places if not place.exists()), None):
        raise SystemExit(f"{missing} is missing: run refusals into this folder with that version.")
    return [json.loads(place.read_text()) for place in places]


def _place_of(case: Case, out: Path, reader: str) -> Path:
    return out / reader / case.repository.replace("/", "+") / f"{case.path}.json"


def print_scores(
    cases: list[Case], answers: dict[str, list[dict[str, Any]]], *, worst: bool
) -> None:
    """Print a row for each format and reader: median and tenth percentile, or the mean."""
    groups: dict[str, list[int]] = defaultdict(list)
    for place, case in enumerate(cases):
        groups[case.group].append(place)
    columns = ("format", "reader", "files", "failed", "recall", "precision", "order", "cells")
    columns += ("headings", "CPU s")
    print("| " + " | ".join(columns) + " |\n" + "|-" * len(columns) + "|")
    for group, places in sorted(groups.items()):
        for name, given in answers.items():
            scored = {place: _score(cases[place], given[place]) for place in places}
            failed = sum("text" not in given[place] for place in places)
            print(
                f"| {group} | {name} | {len(places)} | {failed} "
                f"| {_spread(_known(cases, scored, 'recall'))} "
                f"| {_spread(_known(cases, scored, 'precision'))} "
                f"| {_mean(_known(cases, scored, 'order'))} "
                f"| {_mean(_known(cases, scored, 'cells'))} "
                f"| {_mean(_known(cases, scored, 'headings'))} "
                f"| {_spread([given[p]['cpu'] for p in places], high=True)} |"
            )
            if group.endswith("headings"):
                texts = [(cases[place].truth, given[place].get("text", "")) for place in places]
                named = [named_headings(truth, text) or 0.0 for truth, text in texts]
                print(f"    headings, without what outlines hardly ever name: {_mean(named)}")
            if worst:
                _print_worst(cases, scored, given)


def _print_worst(cases: list[Case], scored: dict[int, Scores], given: list[dict[str, Any]]) -> None:
    for name in ("recall", "precision", "order", "cells", "headings"):
        ranked = sorted(
            (value, place)
            for place, scores in scored.items()
            if cases[place].knows(name)
            and (value := getattr(scores, name)) is not None
            and value < 0.95
        )
        for value, place in ranked[:_MAX_SHOWN]:
            reason = given[place].get("reason", "")
            print(f"    {name} {value:.2f} {cases[place].repository} {cases[place].path} {reason}")


def _score(case: Case, answer: dict[str, Any]) -> Scores:
    wanted = score(case.truth, case.truth)
    found = score(case.truth, answer["text"]) if "text" in answer else NOTHING
    return Scores(
        recall=found.recall,
        precision=found.precision,
        order=found.order,
        cells=None if wanted.cells is None else found.cells,
        headings=None if wanted.headings is None else found.headings,
    )


def _known(cases: list[Case], scored: dict[int, Scores], column: str) -> list[float]:
    values = (getattr(one, column) for place, one in scored.items() if cases[place].knows(column))
    return [value for value in values if value is not None]


def _spread(values: list[float], *, high: bool = False) -> str:
    if not values:
        return "–"
    ranked = sorted(values)
    end = ranked[-1] if high else ranked[len(ranked) // 10]
    return f"{median(ranked):.2f}/{end:.2f}"


def _mean(values: list[float]) -> str:
    return f"{sum(values) / len(values):.2f}" if values else "–"


def print_refusals(cases: list[Case], answers: dict[str, list[dict[str, Any]]]) -> None:
    """Print each file that this project does not read, and how many words the others find."""
    others = [name for name in answers if name != "product"]
    for place, (case, answer) in enumerate(zip(cases, answers["product"], strict=True)):
        if "text" in answer:
            continue
        words = ", ".join(
            f"{name} {len(answers[name][place].get('text', '').split())}" for name in others
        )
        print(f"{answer['reason']:15} {case.repository} {case.path} [{words}]")


if __name__ == "__main__":
    main()
