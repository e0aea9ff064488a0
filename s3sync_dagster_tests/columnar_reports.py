"""Inventory reports in Parquet and ORC, as AWS lays them out."""

# pyarrow has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import io
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote_plus

import pyarrow as pa
from pyarrow import orc, parquet

from s3sync_dagster.ports.inventory_columns import COLUMNS
from s3sync_dagster_tests.inventory_reports import SCHEMA, packed

FORMATS = ("CSV", "ORC", "Parquet")


def file_of(kind: str, rows: Iterable[dict[str, str]], schema: str = SCHEMA) -> bytes:
    """Return a file of a report in any format."""
    return packed(rows, schema) if kind == "CSV" else in_columns(rows, schema, kind=kind)


def in_columns(
    rows: Iterable[dict[str, str]],
    schema: str = SCHEMA,
    *,
    kind: str,
    types: Mapping[str, Any] | None = None,
    read: Mapping[str, Callable[[str], object]] | None = None,
) -> bytes:
    """Return a file of a report in Parquet or ORC: keys as they are, times as such."""
    names = schema.split(", ")
    arrow = {
        "Size": pa.int64(),
        "LastModifiedDate": pa.timestamp("ms", "UTC" if kind == "Parquet" else None),
        "IsLatest": pa.bool_(),
        "IsDeleteMarker": pa.bool_(),
        **(types or {}),
    }
    values: dict[str, Callable[[str], object]] = {
        "Key": unquote_plus,
        "Size": lambda text: int(text) if text else None,
        "LastModifiedDate": datetime.fromisoformat,
        "IsLatest": "true".__eq__,
        "IsDeleteMarker": "true".__eq__,
        **(read or {}),
    }
    told = [{name: values.get(name, str)(row[name]) for name in names} for row in rows]
    fields = [(COLUMNS[name], arrow.get(name, pa.string())) for name in names]
    table = pa.table(
        {
            field: pa.array([row[name] for row in told], type_)
            for name, (field, type_) in zip(names, fields, strict=True)
        }
    )
    out = io.BytesIO()
    if kind == "Parquet":
        parquet.write_table(table, out, row_group_size=1_000_000, coerce_timestamps="ms")
    else:
        orc.write_table(table, out, compression="zlib")
    return out.getvalue()


def as_format(kind: str, schema: str = SCHEMA) -> dict[str, str]:
    """Return what a manifest says of the format of its files."""
    if kind == "CSV":
        return {"fileFormat": kind, "fileSchema": schema}
    kinds = {
        "Size": ("bigint", "int64"),
        "LastModifiedDate": ("timestamp", "int64 last_modified_date (TIMESTAMP_MILLIS)"),
        "IsLatest": ("boolean", "boolean"),
        "IsDeleteMarker": ("boolean", "boolean"),
    }
    names = schema.split(", ")
    if kind == "ORC":
        inside = ",".join(f"{COLUMNS[one]}:{kinds.get(one, ('string',))[0]}" for one in names)
        return {"fileFormat": kind, "fileSchema": f"struct<{inside}>"}
    parts: list[str] = []
    for one in names:
        told = kinds.get(one, ("", "binary"))[1].split(" ")
        suffix = " (UTF8)" if one not in kinds else "".join(f" {word}" for word in told[2:])
        needed = "required" if one in ("Bucket", "Key") else "optional"
        parts.append(f"{needed} {told[0]} {COLUMNS[one]}{suffix};")
    return {"fileFormat": kind, "fileSchema": f"message s3.inventory {{ {' '.join(parts)} }}"}
