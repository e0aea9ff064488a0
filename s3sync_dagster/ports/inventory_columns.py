"""Files of a report in Apache Parquet or ORC, read as the rows of one in CSV.

pyarrow reads them in a process of its own, whose memory and CPU have an end: what such a file says
of its sizes decides how much its reader takes, and the file is anybody's. What that process prints
is held to the rules that hold for CSV (``ports.inventory``).

    python -m s3sync_dagster.ports.inventory_columns parquet|orc COLUMN,... FILE|-
"""

# pyarrow has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import io
import resource
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.model.extras import require_extra

COLUMNS = {
    "Bucket": "bucket",
    "Key": "key",
    "Size": "size",
    "LastModifiedDate": "last_modified_date",
    "ETag": "e_tag",
    "StorageClass": "storage_class",
    "VersionId": "version_id",
    "IsLatest": "is_latest",
    "IsDeleteMarker": "is_delete_marker",
}
"""What columns of CSV are called in the other formats."""
MEMORY_BYTES = 3 * 1024**3
"""Of addresses, most of them for one row group or stripe, which is in memory."""
CPU_SECONDS = 900
"""For a file of the largest size."""
BATCH_ROWS = 8192
_TOLD_BYTES = 500
_REFUSED = 2
_HEADER_BYTES = 16 * 1024**2
"""Of what describes a Parquet file: its schema, and where its parts are."""


class BadColumnsError(ValueError):
    """A file is not what its report says; the text says why."""


@contextmanager
def as_csv(content: Content, kind: str, columns: Sequence[str]) -> Generator[IO[bytes]]:
    """Open a file as lines of CSV: text in quotes, times in milliseconds since 1970.

    Args:
        content: the file.
        kind: ``Parquet`` or ``ORC``.
        columns: wanted, in this order, as CSV calls them.

    Raises:
        MissingEngine: the extra ``inventory`` is not installed (``missing_package``).
        BadColumnsError: at the end of the block: it cannot be read, or lacks a column.
    """
    require_extra("inventory", what=f"An inventory report in {kind} (CSV needs nothing)")
    names = ",".join(COLUMNS[one] for one in columns)
    file = "-" if isinstance(content, bytes) else str(content)
    with tempfile.TemporaryFile() as told:
        process = subprocess.Popen(
            [sys.executable, "-B", "-I", "-m", __name__, kind.lower(), names, file],
            stdin=subprocess.PIPE if isinstance(content, bytes) else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=told,
            env={"ARROW_DEFAULT_MEMORY_POOL": "system"},  # no secret, and no reserve of addresses
        )
        assert process.stdout is not None
        try:
            if process.stdin is not None and isinstance(content, bytes):
                with suppress(BrokenPipeError), process.stdin as stdin:  # it says why, below
                    stdin.write(content)
            yield process.stdout
            if process.wait() == 0:
                return
            told.seek(0)
            why = told.read(_TOLD_BYTES).decode(errors="replace").strip()
            raise BadColumnsError(
                why if process.returncode == _REFUSED else f"it cannot be read as {kind}"
            )
        finally:
            process.kill()
            process.stdout.close()
            process.wait()


def main(kind: str, names: str, file: str) -> None:
    """Print a file's columns as CSV; what is wrong with them goes to standard error."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import pyarrow as pa  # noqa: PLC0415  (after the limits)
    from pyarrow import csv  # noqa: PLC0415

    source: Any = io.BytesIO(sys.stdin.buffer.read()) if file == "-" else Path(file)
    wanted = names.split(",")
    writer = None
    options = csv.WriteOptions(include_header=False)
    try:
        for batch in _batches(kind, source, wanted):
            plain = pa.record_batch([_plain(batch.column(one), one) for one in wanted], wanted)
            if writer is None:
                writer = csv.CSVWriter(sys.stdout.buffer, plain.schema, write_options=options)
            writer.write(plain)
        if writer is not None:
            writer.close()
    except BadColumnsError as error:
        sys.stderr.write(str(error))
        sys.exit(_REFUSED)


def _batches(kind: str, source: Any, wanted: Sequence[str]) -> Iterator[Any]:
    """Yield the rows of a file by and by: a row group or a stripe is in memory."""
    from pyarrow import orc, parquet  # noqa: PLC0415  (as above)

    if kind == "parquet":
        file = parquet.ParquetFile(
            source,
            pre_buffer=False,
            buffer_size=1024**2,
            thrift_string_size_limit=_HEADER_BYTES,
            thrift_container_size_limit=_HEADER_BYTES,
        )
        _require(wanted, file.schema_arrow.names)
        yield from file.iter_batches(BATCH_ROWS, columns=list(wanted), use_threads=False)
        return
    file = orc.ORCFile(source)
    _require(wanted, file.schema.names)
    for number in range(file.nstripes):
        stripe = file.read_stripe(number, columns=list(wanted))
        for start in range(0, stripe.num_rows, BATCH_ROWS):
            yield stripe.slice(start, BATCH_ROWS)


def _require(wanted: Sequence[str], there: Sequence[str]) -> None:
    for name in wanted:
        if there.count(name) != 1:
            raise BadColumnsError(f"it has not one column {name!r}")


def _plain(column: Any, name: str) -> Any:
    """Return a column as CSV has it. Raises ``BadColumnsError``: it is of another type."""
    import pyarrow as pa  # noqa: PLC0415  (as above)

    kind = column.type
    if name == "last_modified_date":
        if not pa.types.is_timestamp(kind):
            raise BadColumnsError(f"its column {name!r} is of type {kind}, not of a time")
        return column.cast(pa.timestamp("ms", kind.tz), safe=False).cast(pa.int64())
    if name == "size":
        if not pa.types.is_integer(kind):
            raise BadColumnsError(f"its column {name!r} is of type {kind}, not of a number")
        return column
    if name in ("is_latest", "is_delete_marker"):
        if not pa.types.is_boolean(kind):
            raise BadColumnsError(f"its column {name!r} is of type {kind}, not of a truth")
        return column
    if pa.types.is_binary(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return column.cast(pa.string())
    raise BadColumnsError(f"its column {name!r} is of type {kind}, not of a text")


if __name__ == "__main__":
    main(*sys.argv[1:])
