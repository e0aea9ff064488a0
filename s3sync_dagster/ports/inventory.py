"""An inventory report as AWS delivers it: its manifest, and what its rows say of objects.

Facts of the layout: "Locating your inventory list" and "Amazon S3 Inventory list" in the S3 user
guide. Nothing is believed that its checksum does not vouch for.
"""

import csv
import gzip
import hashlib
import io
import json
import re
import zlib
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, BinaryIO
from urllib.parse import unquote_plus

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.engine.reports import REFUSED
from s3sync_dagster.model.errors import FixConfiguration
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.ports.inventory_columns import COLUMNS, BadColumnsError, as_csv

NEEDED = ("Bucket", "Key", "Size", "LastModifiedDate", "ETag", "StorageClass")
VERSIONS = ("IsLatest", "IsDeleteMarker")
"""Needed besides where a report tells of all versions."""
MAX_FILE_BYTES = 2 * 1024**3
"""Of one file of a report, which lies on the disk while it is read: tens of millions of objects."""
_NAMES = {
    "CSV": re.compile(r"([^,\s]+)"),
    "ORC": re.compile(r"(?:struct<|,)\s*(\w+)\s*:"),
    "Parquet": re.compile(r"(?:required|optional)\s+\w+\s+(\w+)"),
}
"""By format: where ``fileSchema`` names a column."""
_ROW_CHARACTERS = 64 * 1024
"""Of a row, which is several lines where one of its values is."""
_VALUE_BYTES = 1024
"""Of a key, once it is decoded, as S3 has them, and of what else is taken of a row."""
_PIECE_BYTES = 1024 * 1024
_SIZE_DIGITS = 18
"""Of a size in bytes: the largest object has 14, and more than 18 are no number of a database."""
_YEAR_9999 = 253_370_764_800
"""Seconds since 1970, behind which ``datetime`` has no moment in every zone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFile:
    """A part of a report."""

    key: str
    size: int
    md5: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a report is made of."""

    name: str
    """Its folder."""
    created_at: float
    """Seconds since 1970, by S3's clock."""
    columns: tuple[str, ...]
    """As a row has them; by the names that they have in CSV."""
    files: tuple[ReportFile, ...]
    format: str = "CSV"
    """``CSV``, ``ORC`` or ``Parquet``."""


def refused(name: str, why: str) -> FixConfiguration:
    """Return the error of a report that is not believed."""
    return FixConfiguration(
        f"The inventory report {name} is not believed: {why}. Nothing of it was listed.",
        reason=REFUSED,
    )


def parse_manifest(name: str, text: bytes, *, checksum: bytes, bucket: str) -> Manifest:
    """Return a manifest.

    Args:
        name: the report's folder.
        text: ``manifest.json``.
        checksum: ``manifest.checksum``, which AWS writes last.
        bucket: of which it has to be.

    Raises:
        FixConfiguration: ``inventory_report_refused``.
    """
    if checksum.strip().lower() != hashlib.md5(text, usedforsecurity=False).hexdigest().encode():
        raise refused(name, "manifest.checksum is not that of manifest.json")
    try:
        told: dict[str, Any] = json.loads(text, parse_int=_size)
        source, kind = told["sourceBucket"], told["fileFormat"]
        created_at = _size(told["creationTimestamp"]) / 1000
        columns = _columns(kind, told["fileSchema"])
        files = tuple(
            ReportFile(key=one["key"], size=_size(one["size"]), md5=one["MD5checksum"].lower())
            for one in told["files"]
        )
        keys = [one.key.encode() for one in files]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        raise refused(name, "manifest.json is none of an inventory report") from None
    if source != bucket:
        raise refused(name, f"it is of bucket {str(source)[:100]!r} and not of {bucket!r}")
    if kind not in _NAMES:
        known = ", ".join(sorted(_NAMES))
        raise refused(name, f"its format is {str(kind)[:20]!r}; known are {known}")
    needed = (*NEEDED, *(VERSIONS if {"VersionId", *VERSIONS} & set(columns) else ()))
    missing = [one for one in needed if one not in columns]
    if missing:
        raise refused(
            name, f"it lacks {', '.join(missing)}: add the optional fields to the configuration"
        )
    large = next((one.key for one in files if one.size > MAX_FILE_BYTES), None)
    if large is not None:
        raise refused(name, f"{large!r} has more than {MAX_FILE_BYTES} bytes")
    if len(set(keys)) != len(keys):
        raise refused(name, "manifest.json names a file twice")
    if kind != "CSV":  # of which the columns are taken that are wanted
        columns = tuple(one for one in (*NEEDED, *VERSIONS) if one in columns)
    return Manifest(name=name, created_at=created_at, columns=columns, files=files, format=kind)


def _columns(kind: str, schema: str) -> tuple[str, ...]:
    found: list[str] = _NAMES[kind].findall(schema) if kind in _NAMES else []
    if kind == "CSV":
        return tuple(found)
    called = {name: column for column, name in COLUMNS.items()}
    return tuple(called.get(name, name) for name in found)


def require_whole(manifest: Manifest, file: ReportFile, content: Content) -> None:
    """Refuse a file that is not the one of which the manifest tells."""
    size, digest = 0, hashlib.md5(usedforsecurity=False)
    with closing(_opened(content)) as stream:
        while piece := stream.read(_PIECE_BYTES):
            size += len(piece)
            digest.update(piece)
    if size != file.size or digest.hexdigest() != file.md5:
        raise refused(
            manifest.name, f"{file.key!r} has not the size and the MD5 of which its manifest tells"
        )


def read_rows(
    manifest: Manifest, file: ReportFile, content: Content, *, bucket: str
) -> Iterator[ObjectRef | None]:
    """Yield a file's rows as objects; None for a version that is no object any more.

    Raises:
        FixConfiguration: ``inventory_report_refused``.
    """
    places = {name: place for place, name in enumerate(manifest.columns)}
    at_bucket, at_key, at_size, at_modified, at_etag, at_class = (places[one] for one in NEEDED)
    latest, marker = (places.get(one) for one in VERSIONS)
    encoded = manifest.format == "CSV"  # the others have keys as they are
    try:
        with _unpacked(manifest, content) as unpacked:
            lines = _Lines(io.TextIOWrapper(unpacked, encoding="utf-8", newline=""))
            for row in csv.reader(lines, strict=True):
                lines.of_row = 0
                if len(row) != len(places):
                    raise ValueError("columns")
                if row[at_bucket] != bucket:
                    raise ValueError("bucket")
                if latest is not None and marker is not None:
                    if row[latest] not in _TRUTHS or row[marker] not in _TRUTHS:
                        raise ValueError("truth")
                    if row[latest] != "true" or row[marker] == "true":
                        yield None
                        continue
                key = row[at_key]
                if encoded and ("%" in key or "+" in key):
                    key = unquote_plus(key, errors="strict")
                yield ObjectRef(
                    key=_needed(key),
                    etag=_word(row[at_etag]).strip('"'),
                    size=_size(row[at_size]),
                    last_modified=_moment(row[at_modified], in_milliseconds=not encoded),
                    storage_class=_word(row[at_class]),
                )
    except BadColumnsError as error:
        raise refused(manifest.name, f"{file.key!r} is no such file: {error}") from None
    except (ValueError, EOFError, gzip.BadGzipFile, csv.Error, zlib.error, OverflowError):
        # Also what is not UTF-8, or breaks off within: its checksum was right all the same.
        raise refused(
            manifest.name, f"a row of {file.key!r} is not of the form that its manifest tells"
        ) from None


@contextmanager
def _unpacked(manifest: Manifest, content: Content) -> Generator[Any]:
    """Open a file as the CSV in it, whatever its format."""
    if manifest.format == "CSV":
        with closing(_opened(content)) as stream, gzip.open(stream) as unpacked:
            yield unpacked
    else:
        with as_csv(content, manifest.format, manifest.columns) as unpacked:
            yield unpacked


_TRUTHS = frozenset({"true", "false"})


def _needed(value: str) -> str:
    if not value or len(value.encode()) > _VALUE_BYTES:
        raise ValueError("none that S3 has")
    return value


def _word(value: str) -> str:
    if "\x00" in value:  # which no catalog on Postgres keeps
        raise ValueError("none that S3 has")
    return _needed(value)


def _moment(value: str, *, in_milliseconds: bool) -> datetime:
    if in_milliseconds:
        moment = datetime.fromtimestamp(_size(value) / 1000, UTC)
    else:
        moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError("zone")
    if not 0 <= moment.timestamp() < _YEAR_9999:
        raise ValueError("moment")
    return moment


def _size(value: str | int) -> int:
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) <= _SIZE_DIGITS):
        raise ValueError("size")
    return int(text)


class _Lines:
    """Lines of a file, none of which belongs to a row without an end."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self.of_row = 0
        """Characters since the last row was whole."""

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        line = self._text.readline(_ROW_CHARACTERS)
        self.of_row += len(line)
        if self.of_row >= _ROW_CHARACTERS:
            raise ValueError("long")
        if not line:
            raise StopIteration
        return line


def _opened(content: Content) -> BinaryIO:
    return io.BytesIO(content) if isinstance(content, bytes) else content.open("rb")
