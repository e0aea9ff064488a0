"""``python -m s3sync_dagster_tests.mutation``: a sample of mutants, and what no test noticed."""

import argparse
import hashlib
import json
import os
import random
import sys
from collections import Counter
from pathlib import Path

from s3sync_dagster_tests.mutation.operators import Mutant, mutants_of
from s3sync_dagster_tests.mutation.run import record, run_lane

ROOMS = ("s3sync_dagster/core", "s3sync_dagster/engine", "s3sync_dagster/catalog")
TESTS = ("core", "engine", "model", "catalog")
"""Folders of tests that are quick and near."""
_SQL = (".execute(", "sa.Column(")
"""Of the catalog only what asks the database nothing is run."""


def main() -> int:
    """Run the sample; 1 when the score is below ``--least``."""
    options = _options()
    root, work = options.root.resolve(), options.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    mutants = [one for path in _files(root, options.paths) for one in mutants_of(path, root)]
    sample = random.Random(options.seed).sample(mutants, min(options.sample, len(mutants)))
    tests = options.tests or [
        f"s3sync_dagster_tests/{name}"
        for name in TESTS
        if list(root.glob(f"s3sync_dagster_tests/{name}/test_*.py"))
    ]
    file = work / f"recording-{_version(root)}.json"
    recording = record(root, tests, file, jobs=options.jobs)
    results = work / f"seed-{options.seed}.jsonl"
    done = _results(results)
    left = [mutant for mutant in sample if mutant.id not in done]
    print(
        f"{len(mutants)} mutants, a sample of {len(sample)} by seed {options.seed}, "
        f"{len(left)} still to run; {len(recording.tests)} tests",
        flush=True,
    )
    lanes: list[int] = []
    for lane in range(options.jobs):
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                part = left[lane :: options.jobs]
                run_lane(root, part, recording, results=results, seconds=options.seconds)
                code = 0
            finally:
                sys.stderr.flush()
                os._exit(code)
        lanes.append(pid)
    ended = [os.waitpid(pid, 0)[1] for pid in lanes]
    if any(ended):
        print("a lane ended early: run the command again to go on", file=sys.stderr)
        return 2
    return _told(sample, _results(results), least=options.least)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="s3sync_dagster_tests.mutation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sample", type=int, default=300, help="mutants, chosen by the seed")
    parser.add_argument("--paths", nargs="*", default=ROOMS, help="files or folders to mutate")
    parser.add_argument("--tests", nargs="*", help="default: " + ", ".join(TESTS))
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seconds", type=float, default=60.0, help="of tests a mutant at most")
    parser.add_argument("--least", type=float, default=0.0, help="score in percent that is asked")
    parser.add_argument("--work", type=Path, default=Path(".mutation"), help="results; resumable")
    parser.add_argument("--root", type=Path, default=Path.cwd())
    return parser.parse_args()


def _files(root: Path, paths: list[str]) -> list[Path]:
    found: list[Path] = []
    for name in paths:
        path = root / name
        if path.is_file():
            found.append(path)
            continue
        files = sorted(path.rglob("*.py"))
        if not files:
            raise SystemExit(f"There is no Python file in {name!r}.")
        sql = "catalog" in path.name
        found += [
            file
            for file in files
            if not (
                sql and ("migrations" in file.parts or any(s in file.read_text() for s in _SQL))
            )
        ]
    return found


def _version(root: Path) -> str:
    """Return a hash of all sources: line numbers of another version tell nothing."""
    total = hashlib.sha256()
    for path in sorted(root.glob("s3sync_dagster*/**/*.py")):
        total.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:12]


def _results(path: Path) -> dict[str, dict[str, str]]:
    if not path.exists():
        return {}
    lines = path.read_text("utf-8").splitlines()
    return {one["id"]: one for one in map(json.loads, lines)}


def _told(sample: list[Mutant], results: dict[str, dict[str, str]], *, least: float) -> int:
    mine = [results[mutant.id] for mutant in sample if mutant.id in results]
    states = Counter(one["state"] for one in mine)
    for one in sorted(mine, key=lambda one: one["place"]):
        if one["state"] == "survived":
            print(f"{one['place']}  {one['operator']}: {one['before']!r} -> {one['after']!r}")
    score = 100 * (len(mine) - states["survived"]) / max(len(mine), 1)
    print(f"score {score:.1f} %: " + ", ".join(f"{n} {s}" for s, n in sorted(states.items())))
    return 1 if score < least else 0


if __name__ == "__main__":
    sys.exit(main())
