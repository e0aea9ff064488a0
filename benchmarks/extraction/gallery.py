"""The gallery of bad files: what each ends with, after how long, and at what peak of memory.

``python -m benchmarks.extraction.gallery [--long]``: prints a Markdown table. Memory is that of the
worker processes and their programs together, shared pages counted once; ``--long`` adds the files
that run into a limit of time or memory.
"""

import os
import sys
import threading
import time

from s3sync_dagster.extraction import extract_document
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.model.source import ExtractionConfig
from s3sync_dagster.workers import open_pool
from s3sync_dagster_tests.extraction.bad_files import BAD_FILES
from s3sync_dagster_tests.extraction.test_many_at_once import private_memory
from s3sync_dagster_tests.workers.processes import descendants_of


class MemoryWatch:
    """Sees the peak of this process's descendants, twenty times a second."""

    def __init__(self) -> None:
        self.peak = 0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            self.peak = max(self.peak, private_memory(descendants_of(os.getpid())))

    def close(self) -> None:
        self._done.set()
        self._thread.join()


def main() -> None:
    with_long = "--long" in sys.argv
    print("| File | bytes | ends with | seconds | peak MB |")
    print("|---|---|---|---|---|")
    watch = MemoryWatch()
    with open_pool(workers=2) as pool:
        for file in BAD_FILES:
            if file.long and not with_long:
                continue
            content = file.make()
            watch.peak = 0
            started = time.monotonic()
            try:
                document = extract_document(
                    content, name=file.name, config=ExtractionConfig(), pool=pool
                )
                end = f"{len(document.text):,} characters"
            except S3SyncError as error:
                end = f"`{error.reason}`"
            seconds = time.monotonic() - started
            print(
                f"| `{file.name}` | {len(content):,} | {end} | {seconds:.1f} "
                f"| {watch.peak / 1e6:.0f} |",
                flush=True,
            )
    watch.close()


if __name__ == "__main__":
    main()
