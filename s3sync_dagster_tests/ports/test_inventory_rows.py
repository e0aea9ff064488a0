"""Rows of a report's file, whoever wrote it."""

import gzip
import tracemalloc

import pytest

from s3sync_dagster.model.errors import FixConfiguration
from s3sync_dagster.ports.inventory import NEEDED, Manifest, ReportFile, read_rows


def test_a_row_without_an_end_takes_no_more_memory_than_a_row_may():
    value = '"' + "x\n" * 30_000 + '",'
    packed = gzip.compress(value.encode() * 200)
    manifest = Manifest(name="2026-01-01T01-00Z", created_at=0.0, columns=NEEDED, files=())
    file = ReportFile(key="data/one.csv.gz", size=len(packed), md5="")
    tracemalloc.start()
    try:
        with pytest.raises(FixConfiguration, match="a row of"):
            list(read_rows(manifest, file, packed, bucket="bucket"))
        assert tracemalloc.get_traced_memory()[1] < 1024 * 1024
    finally:
        tracemalloc.stop()
