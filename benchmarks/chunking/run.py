"""The chunking table: ours, the peers where they are installed, the same files and units for all.

    .venv/bin/python benchmarks/chunking/run.py [--limits 1024 2048 8192] [--languages python ...]

Peers run in their own environment, one process per chunker:

    python -m venv benchmarks/chunking/.peers
    benchmarks/chunking/.peers/bin/pip install -r benchmarks/chunking/peers.txt
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from chunkers import OURS, PEERS
from corpus import read_corpus
from metrics import measure
from units import units_of

COLUMNS = ("fill", "tiny", "over", "inside", "intact", "doc", "exact", "edit", "MB/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limits", type=int, nargs="+", default=[2048])
    parser.add_argument("--languages", nargs="*")
    parser.add_argument("--chunkers", nargs="*", help="names as in the table")
    parser.add_argument("--only", help=argparse.SUPPRESS)  # one chunker, JSON on stdout
    parser.add_argument("--per-language", action="store_true")
    options = parser.parse_args()
    if options.only:
        print(json.dumps(_rows(options.only, options.limits, options.languages)))
        return
    peers = HERE / ".peers" / "bin" / "python"
    names = options.chunkers or [*OURS, *(PEERS if peers.exists() else ())]
    results: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for name in names:
        interpreter = sys.executable if name in OURS else str(peers)
        command = [interpreter, __file__, "--only", name, "--limits", *map(str, options.limits)]
        if options.languages:
            command += ["--languages", *options.languages]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            print(f"{name}: failed\n{done.stderr[-500:]}", file=sys.stderr)
            continue
        results[name] = json.loads(done.stdout.splitlines()[-1])
    for limit in options.limits:
        print(f"\n### limit {limit:,} bytes\n")
        _print_table(results, str(limit), per_language=options.per_language)


def _rows(name: str, limits: list[int], languages: list[str] | None):
    build = (OURS | PEERS)[name]
    corpus = read_corpus(languages)
    rows: dict[str, dict[str, dict[str, float]]] = {}
    for language, files in corpus.items():
        if language == "tables":
            continue
        units = [units_of(language, data) for _, data in files]
        for limit in limits:
            chunk = build(limit, language)
            chunk(*files[0])  # loads what is loaded once
            score = measure(files, units, chunk, limit=limit, clock=time.process_time)
            row = score.row(limit)
            row |= {k: 100 * whole / of for k, (of, whole) in score.kinds.items() if of}
            rows.setdefault(str(limit), {})[language] = row
    return rows


def _print_table(results, limit: str, *, per_language: bool) -> None:
    groups: dict[str, list[str]] = {"code": [], "markdown": []}
    for rows in results.values():
        for language in rows[limit]:
            group = "markdown" if language == "markdown" else "code"
            if language not in groups[group]:
                groups[group].append(language)
            if per_language:
                groups.setdefault(language, [language])
    for group, languages in groups.items():
        if not languages:
            continue
        extra = ("fence", "table") if group == "markdown" else ()
        print(f"| {group} | " + " | ".join((*COLUMNS, *extra)) + " |")
        print("|---" * (len(COLUMNS) + len(extra) + 1) + "|")
        for name, rows in results.items():
            chosen = [rows[limit][language] for language in languages if language in rows[limit]]
            cells = [_mean(chosen, column) for column in (*COLUMNS, *extra)]
            print(f"| {name} | " + " | ".join(cells) + " |")
        print()


def _mean(rows: list[dict[str, float]], column: str) -> str:
    values = [row[column] for row in rows if column in row]
    if not values:
        return "-"
    if column == "MB/s":  # each language has about as many bytes: time adds up, not speed
        return f"{len(values) / sum(1 / value for value in values):.1f}"
    return f"{sum(values) / len(values):.1f}"


if __name__ == "__main__":
    main()
