"""Bad files among good ones, all at once: every good one is read, and memory stays bounded."""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from s3sync_dagster.extraction import extract_document
from s3sync_dagster.model.errors import S3SyncError
from s3sync_dagster.model.source import ExtractionConfig
from s3sync_dagster.workers import open_pool
from s3sync_dagster_tests.extraction import corpus
from s3sync_dagster_tests.extraction.bad_files import BAD_FILES, good_pdf
from s3sync_dagster_tests.workers.processes import descendants_of

pytestmark = pytest.mark.long

MAX_MEMORY_BYTES = 2 * 1024**3
SLOW = ("form-loop.pdf", "doubling-forms.pdf")


def private_memory(pids: list[int]) -> int:
    """Return the bytes that belong to these processes, shared pages counted once in all."""
    total = 0
    for pid in pids:
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:  # it has gone
            continue
        shares = [line for line in rollup.splitlines() if line.startswith("Pss:")]
        total += sum(int(line.split()[1]) for line in shares) * 1024
    return total


def test_thirty_bad_files_harm_none_of_thirty_good_ones():
    good = [(f"{i}-{name}", make()) for i in range(3) for name, make in corpus.CORPUS.items()][:29]
    good.append(("page.pdf", good_pdf()))
    bad = [(file.name, file.make()) for file in BAD_FILES if file.name not in SLOW][-30:]
    assert (len(good), len(bad)) == (30, 30)
    mixed = [pair for both in zip(bad, good, strict=True) for pair in both]
    peak = 0
    done = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.05):
            peak = max(peak, private_memory(descendants_of(os.getpid())))

    watcher = threading.Thread(target=watch)
    started = time.monotonic()
    with open_pool(workers=2) as pool, ThreadPoolExecutor(4) as threads:

        def read(pair: tuple[str, bytes]) -> str | None:
            try:
                extract_document(pair[1], name=pair[0], config=ExtractionConfig(), pool=pool)
            except S3SyncError as error:
                return error.reason
            return None

        watcher.start()
        reasons = dict(zip((name for name, _ in mixed), threads.map(read, mixed), strict=True))
        done.set()
        watcher.join()
    assert [name for name, _ in good if reasons[name]] == []
    allowed = {file.name: file.reasons for file in BAD_FILES}
    assert [name for name, _ in bad if reasons[name] not in allowed[name]] == []
    # Docling's own imports take more than the lower bound: the processes have been seen.
    assert 100 * 1024**2 < peak < MAX_MEMORY_BYTES
    assert time.monotonic() - started < 300
