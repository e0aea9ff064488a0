"""How many workers this machine carries."""

import os
from pathlib import Path

MEMORY_PER_WORKER_BYTES = 1536 * 1024**2


def default_workers() -> int:
    """Return one worker per core, fewer where memory (or the container's share) is short."""
    by_memory = usable_memory() // MEMORY_PER_WORKER_BYTES
    return max(1, min(usable_cores(), by_memory))


def usable_memory() -> int:
    """Return the bytes of memory that the machine or the control group gives."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(name).read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            total = min(total, int(text))
    return total


def usable_cores() -> int:
    """Return the cores that the machine or the control group gives."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
    except (OSError, ValueError):
        return cores or 1
    if quota == "max":
        return cores or 1
    return max(1, min(cores or 1, round(int(quota) / int(period))))
