"""What of the caller's environment a worker may see."""

import os
from collections.abc import Mapping
from pathlib import Path

_MODELS = "DOCLING_ARTIFACTS_PATH"
"""docling's own variable for the folder of its models."""

GROUPS = "S3SYNC_WORKER_CGROUP"
"""Names the folder in which workers have control groups; without it they are watched, no more."""
_KEPT = {
    *("PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV"),
    *("PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "TESSDATA_PREFIX", _MODELS),
    *("S3SYNC_WORKER_SANDBOX", GROUPS),
}
_SET = {
    "OMP_NUM_THREADS": "1",  # threads in a forker would make its forks unsafe
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "OMP_THREAD_LIMIT": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
    "ORT_DISABLE_TELEMETRY": "1",  # see embedding/device.py
}


def worker_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for a process that reads hostile files: no credentials among them."""
    kept = {
        name: value for name, value in environ.items() if name in _KEPT or name.startswith("LC_")
    }
    return kept | _SET


def models_folder(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the folder of docling's models; None where the variable is not set."""
    name = environ.get(_MODELS)
    return Path(name).expanduser() if name else None


def groups_folder(environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the folder of workers' control groups; None where none is given."""
    name = environ.get(GROUPS)
    return Path(name) if name else None
