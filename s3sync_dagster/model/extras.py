"""Packages that come with an extra of this one, and the sentence that names the extra."""

from importlib.util import find_spec
from typing import Literal

from s3sync_dagster.model.errors import MissingEngine

Extra = Literal[
    "api", "azure", "demo", "gcs", "http-index", "inventory", "mcp", "postgres", "sftp", "stack",
    "webdav",
]  # fmt: skip

_API = ("fastapi", "jinja2", "prometheus_client", "python_multipart", "uvicorn")
EXTRAS: dict[Extra, tuple[str, ...]] = {
    "api": _API,
    "stack": (*_API, "dagster_webserver"),
    "demo": (*_API, "dagster_webserver", "moto"),
    "mcp": ("mcp",),
    "postgres": ("psycopg2",),
    "gcs": ("gcsfs",),
    "azure": ("adlfs",),
    "sftp": ("sshfs",),
    "webdav": ("webdav4",),
    "http-index": ("aiohttp",),
    "inventory": ("pyarrow",),
}
"""What is imported of each extra."""


def require_extra(extra: Extra, *, what: str) -> None:
    """Look whether the packages of an extra are installed, without importing them.

    Args:
        extra: as ``pyproject.toml`` names it.
        what: needs it; the beginning of the sentence that people read.

    Raises:
        MissingEngine: one is not (``missing_package``).
    """
    missing = [name for name in EXTRAS[extra] if find_spec(name) is None]
    if missing:
        raise MissingEngine(
            f"{what} needs {', '.join(missing)}: pip install 's3sync-dagster[{extra}]'.",
            reason="missing_package",
        )
