"""What it costs to read the rows of an inventory report in each format: the same objects.

    python -m benchmarks.engine.inventory_formats [--objects 1000000]

One file of all of them, on the disk, read in a process of its own for each format. CPU and peak
memory are of that process, and of the one that reads Parquet and ORC for it.
"""

import argparse
import json
import multiprocessing
import random
import resource
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.engine.inventory import peak_mib
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.ports.inventory import NEEDED, Manifest, ReportFile, read_rows
from s3sync_dagster_tests.columnar_reports import FORMATS, file_of
from s3sync_dagster_tests.inventory_reports import row_of


def read(kind: str, path: Path, answers: Any) -> None:
    """Read a file in this process and put its figures into ``answers``."""
    manifest = Manifest(name="made", created_at=0.0, columns=NEEDED, files=(), format=kind)
    file = ReportFile(key=path.name, size=path.stat().st_size, md5="")
    objects = sum(1 for _ in read_rows(manifest, file, path, bucket="bucket"))
    mine, others = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    spent = sum(one.ru_utime + one.ru_stime for one in (mine, others))
    answers.put(
        {
            "format": kind,
            "objects": objects,
            "file_mib": round(file.size / 1024**2, 1),
            "cpu_seconds": round(spent, 1),
            "peak_mib": peak_mib(),
            "reader_peak_mib": round(others.ru_maxrss / 1024),
        }
    )


def main() -> None:
    """Print a line of JSON for each format."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--objects", type=int, default=1_000_000)
    options = parser.parse_args()
    chance = random.Random(7)
    began = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [
        row_of(
            ObjectRef(
                key=f"docs/{number % 997:03}/{chance.randrange(10**9):09} report.pdf",
                etag=f"{chance.getrandbits(128):032x}",
                size=chance.randrange(10**7),
                last_modified=began + timedelta(seconds=chance.randrange(10**7)),
            )
        )
        for number in range(options.objects)
    ]
    processes = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        for kind in FORMATS:
            path = Path(folder, kind)
            path.write_bytes(file_of(kind, rows))
            answers = processes.Queue()
            process = processes.Process(target=read, args=(kind, path, answers))
            process.start()
            print(json.dumps(answers.get()), flush=True)
            process.join()


if __name__ == "__main__":
    main()
