"""The size that a zip archive claims, looked at before anyone unpacks it."""

import io
import zipfile
import zlib
from pathlib import Path

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.model.errors import LimitExceeded

BROKEN_ARCHIVE = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    ValueError,
)
"""What the standard library raises for archives that are damaged, encrypted or odd."""
MAX_UNPACKED_BYTES = 512 * 1024**2


def check_unpacked_size(content: Content, *, limit_bytes: int = MAX_UNPACKED_BYTES) -> None:
    """Raise ``LimitExceeded`` (``zip_bomb``) for an archive that claims to unpack to more.

    An archive that claims less than it holds is cut short by the readers of its parts. What is no
    archive passes.
    """
    source = content if isinstance(content, Path) else io.BytesIO(content)
    try:
        with zipfile.ZipFile(source) as archive:
            total = sum(entry.file_size for entry in archive.infolist())
    except BROKEN_ARCHIVE:
        return  # the format's own reader says what is wrong
    if total > limit_bytes:
        raise LimitExceeded(
            f"The file unpacks to {total // 1024**2} MiB; at most {limit_bytes // 1024**2} MiB "
            "are read.",
            reason="zip_bomb",
        )
