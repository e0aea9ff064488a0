"""Files of a report in Parquet and ORC, whoever wrote them."""

# pyarrow has no types.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false

import resource
import sys
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest

from s3sync_dagster.model.errors import FixConfiguration, MissingEngine
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.ports import inventory_columns
from s3sync_dagster.ports.inventory import NEEDED, Manifest, ReportFile, read_rows
from s3sync_dagster_tests.columnar_reports import FORMATS, file_of, in_columns
from s3sync_dagster_tests.inventory_reports import row_of

COLUMNAR = FORMATS[1:]
REF = ObjectRef(
    key="docs/a+b 100%.md",
    etag="e" * 32,
    size=5 * 1024**4,
    last_modified=datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC),
    storage_class="STANDARD_IA",
)


def rows_of(content, kind):
    manifest = Manifest(name="n", created_at=0.0, columns=NEEDED, files=(), format=kind)
    file = ReportFile(key="data/one", size=0, md5="")
    return list(read_rows(manifest, file, content, bucket="bucket"))


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("large", [False, True])
def test_each_format_tells_the_same_of_an_object(tmp_path, kind, large):
    content = file_of(kind, [row_of(REF)] * 7000)
    if large:  # lies on the disk while it is read
        path = tmp_path / "file"
        path.write_bytes(content)
        content = path
    assert rows_of(content, kind) == [REF] * 7000


@pytest.mark.parametrize("kind", ["Parquet", pytest.param("ORC", marks=pytest.mark.long)])
@pytest.mark.parametrize(
    ("row", "types", "says"),
    [
        ({"Bucket": "another"}, {}, "a row of"),
        ({"Key": ""}, {}, "a row of"),
        ({"Key": "x" * 70_000}, {}, "a row of"),
        ({"Key": "x" * 1025}, {}, "a row of"),
        ({"ETag": "e\x00"}, {}, "a row of"),
        ({"ETag": ""}, {}, "a row of"),
        ({"Size": ""}, {}, "a row of"),
        ({"Size": "-5"}, {}, "a row of"),
        ({"Size": str(2**63 - 1)}, {}, "a row of"),
        ({"LastModifiedDate": "1969-12-31T00:00:00Z"}, {}, "a row of"),
        ({}, {"Size": pa.string()}, "its column 'size' is of type string, not of a number"),
        ({}, {"LastModifiedDate": pa.string()}, "'last_modified_date' is of type string"),
        ({}, {"ETag": pa.int64()}, "its column 'e_tag' is of type int64, not of a text"),
    ],
)
def test_what_no_object_has_refuses_the_report(kind, row, types, says):
    plain = row_of(REF, ETag="1") if "ETag" in types else row_of(REF)
    read = {"Size": str, "LastModifiedDate": str, "ETag": int}
    content = in_columns(
        [plain, {**plain, **row}], kind=kind, types=types, read={one: read[one] for one in types}
    )
    with pytest.raises(FixConfiguration, match=says) as caught:
        rows_of(content, kind)
    assert "'data/one'" in caught.value.message


@pytest.mark.parametrize("kind", COLUMNAR)
def test_a_file_without_a_column_and_one_cut_short_are_refused(kind):
    content = in_columns([row_of(REF)], "Bucket, Key, Size", kind=kind)
    with pytest.raises(FixConfiguration, match="it has not one column 'last_modified_date'"):
        rows_of(content, kind)
    whole = file_of(kind, [row_of(REF)] * 1000)
    for content in (whole[:-100], whole[: len(whole) // 2], b"", b"PAR1ORC"):
        with pytest.raises(FixConfiguration, match=f"it cannot be read as {kind}"):
            rows_of(content, kind)


@pytest.mark.long
@pytest.mark.parametrize("kind", COLUMNAR)
def test_a_file_that_needs_more_memory_than_it_may_is_refused(kind, monkeypatch):
    row = row_of(REF, StorageClass="S" * 60_000)
    content = in_columns([row] * 10_000, kind=kind)  # 600 MB that pack into little
    assert len(content) < 8 * 1024**2
    program = (
        "import sys\nfrom s3sync_dagster.ports import inventory_columns as one\n"
        "one.MEMORY_BYTES = 1024**3\none.main(*sys.argv[1:])"
    )
    popen = inventory_columns.subprocess.Popen

    def started(command, **options):
        at = command.index("-m")
        return popen([*command[:at], "-c", program, *command[at + 2 :]], **options)

    monkeypatch.setattr(inventory_columns.subprocess, "Popen", started)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(FixConfiguration, match=f"it cannot be read as {kind}"):
        rows_of(content, kind)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


def test_who_stops_reading_leaves_no_process_behind():
    content = file_of("Parquet", [row_of(REF)] * 100_000)
    manifest = Manifest(name="n", created_at=0.0, columns=NEEDED, files=(), format="Parquet")
    rows = read_rows(manifest, ReportFile(key="k", size=0, md5=""), content, bucket="bucket")
    assert next(rows) == REF
    assert children()
    rows.close()
    assert not children()


def children():
    found = Path("/proc/self/task").glob("*/children")
    names = [pid for one in found for pid in one.read_text().split()]
    return [
        pid for pid in names if b"inventory_columns" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def test_without_the_extra_the_sentence_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("s3sync_dagster.model.extras.find_spec", lambda _: None)
    with pytest.raises(MissingEngine, match=r"s3sync-dagster\[inventory\]"):
        rows_of(b"x", "Parquet")
