"""What of the caller's environment a worker may see."""

from collections.abc import Mapping

_KEPT = {
    *("PATH", "HOME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "VIRTUAL_ENV"),
    *("PYTHONPATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE", "TESSDATA_PREFIX"),
}
_SET = {
    "OMP_NUM_THREADS": "1",  # threads in a forker would make its forks unsafe
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "OMP_THREAD_LIMIT": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
}


def worker_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for a process that reads hostile files: no credentials among them."""
    kept = {
        name: value for name, value in environ.items() if name in _KEPT or name.startswith("LC_")
    }
    return kept | _SET
