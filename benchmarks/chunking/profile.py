"""Where the time goes: parse, look for cuts, choose them, place them.

.venv/bin/python benchmarks/chunking/profile.py [--limit 2048]
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from corpus import read_corpus

from s3sync_dagster.chunking.budget import Budget
from s3sync_dagster.chunking.cutting import cut_outline
from s3sync_dagster.chunking.markdown import outline_markdown
from s3sync_dagster.chunking.parsing import parse
from s3sync_dagster.chunking.positions import locate
from s3sync_dagster.chunking.syntax import outline_syntax

ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, default=2048)
    limit = parser.parse_args().limit
    corpus = read_corpus()
    markdown = {"markdown": corpus.pop("markdown")}
    corpus.pop("tables", None)
    for name, files in (("code", corpus), ("markdown", markdown)):
        best: dict[str, float] = {}
        for _ in range(ROUNDS):
            for step, seconds in _measure(files, limit).items():
                best[step] = min(best.get(step, seconds), seconds)
        total = sum(best.values())
        size = sum(len(data) for found in files.values() for _, data in found if len(data) > limit)
        print(f"{name}: {size / total / 1e6:.1f} MB/s of what is larger than the limit")
        for step, seconds in best.items():
            print(
                f"  {step:28} {100 * seconds / total:5.1f} %  {seconds / size * 1e9:6.1f} ns/byte"
            )


def _measure(corpus: dict[str, list[tuple[str, bytes]]], limit: int) -> dict[str, float]:
    spent: dict[str, float] = {}

    def timed(step: str, work: Callable[[], Any]) -> Any:
        begin = time.process_time()
        value = work()
        spent[step] = spent.get(step, 0.0) + time.process_time() - begin
        return value

    budget = Budget(max_bytes=limit)
    for language, files in corpus.items():
        for _, data in files:
            if len(data) <= limit:
                continue
            _measure_file(timed, language, data, budget)
    return spent


def _measure_file(
    timed: Callable[[str, Callable[[], Any]], Any], language: str, data: bytes, budget: Budget
) -> None:
    limit = budget.max_bytes
    if language == "markdown":
        outline = timed("scan blocks, find cuts", lambda: outline_markdown(data, limit))
    else:
        tree = timed("parse", lambda: parse(data, language))
        outline = timed("find cuts", lambda: outline_syntax(data, tree, limit, language))
    pieces = timed("fill gaps, choose cuts, name", lambda: cut_outline(data, outline, budget))
    timed("lines and columns", lambda: list(locate(data, pieces, ())))


if __name__ == "__main__":
    main()
