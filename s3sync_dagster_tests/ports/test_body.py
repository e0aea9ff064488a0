"""Bodies: few bytes in memory, many in a file, compressed ones undone, bombs stopped."""

import gzip
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from s3sync_dagster.model.errors import LimitExceeded, UnreadableFile
from s3sync_dagster.ports.body_encoding import decoded
from s3sync_dagster.ports.body_spool import MAX_MEMORY_BYTES, BodySpool
from s3sync_dagster_tests.conftest_aws import AwsEndpoint
from s3sync_dagster_tests.opened import open_object_store

TEXT = b"The quick brown fox. " * 1000


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 2, 7, 10**6])
@pytest.mark.parametrize(
    ("data", "encoding", "expected"),
    [
        (TEXT, None, TEXT),
        (TEXT, "", TEXT),
        (TEXT, "gzip", TEXT),  # a wrong label
        (b"", "gzip", b""),
        (b"\x1f", "gzip", b"\x1f"),
        (gzip.compress(TEXT), "gzip", TEXT),
        (gzip.compress(TEXT), "aws-chunked, GZIP", TEXT),
        (gzip.compress(TEXT), None, gzip.compress(TEXT)),  # a .gz file is what it is
        (gzip.compress(b"one ") + gzip.compress(b"two"), "gzip", b"one two"),
        (gzip.compress(b""), "gzip", b""),
    ],
    ids=range(10),
)
def test_decoding(size: int, data: bytes, encoding: str | None, expected: bytes) -> None:
    assert b"".join(decoded(cut(data, size), encoding=encoding, key="k")) == expected


@pytest.mark.parametrize("size", [1, 10**6])
def test_damaged_streams_are_told(size: int) -> None:
    whole = gzip.compress(TEXT)
    damaged = [whole[:-1], whole[:20], whole[:-8] + b"\0" * 8, whole[:30] + b"\xff" * 30]
    damaged.append(whole + b"trailing rubbish")
    for data in damaged:
        with pytest.raises(UnreadableFile) as caught:
            list(decoded(cut(data, size), encoding="gzip", key="k"))
        assert caught.value.reason == "bad_gzip"


def test_a_bomb_meets_the_limit_before_it_fills_memory_or_disk(tmp_path: Path) -> None:
    bomb = gzip.compress(bytes(128 * 1024 * 1024), compresslevel=1)
    spool = BodySpool(tmp_path)
    tracemalloc.start()
    with pytest.raises(LimitExceeded) as caught:
        spool.read(
            decoded(cut(bomb, 1024 * 1024), encoding="gzip", key="k"), key="k", limit=32 * 1024**2
        )
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.reason == "too_large"
    assert peak < 3 * MAX_MEMORY_BYTES
    assert list(tmp_path.iterdir()) == []


def test_the_border_between_memory_and_file(tmp_path: Path) -> None:
    spool = BodySpool(tmp_path)
    small, large = bytes(MAX_MEMORY_BYTES), bytes(MAX_MEMORY_BYTES + 1)
    assert spool.read(cut(small, 10**6), key="k", limit=10**8) == small
    file = spool.read(cut(large, 10**6), key="k", limit=10**8)
    assert isinstance(file, Path)
    assert file.read_bytes() == large
    with pytest.raises(LimitExceeded):
        spool.read(cut(b"12345", 2), key="k", limit=4)


def test_a_large_body_is_never_in_memory_as_a_whole(tmp_path: Path) -> None:
    spool = BodySpool(tmp_path)
    tracemalloc.start()
    content = spool.read((bytes(1024 * 1024) for _ in range(100)), key="k", limit=10**9)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(content, Path)
    assert content.stat().st_size == 100 * 1024 * 1024
    assert peak < 1.5 * MAX_MEMORY_BYTES


def test_a_folder_of_its_own_ends_with_the_spool() -> None:
    spool = BodySpool(None)
    file = spool.read(cut(bytes(MAX_MEMORY_BYTES + 1), 10**6), key="k", limit=10**8)
    assert isinstance(file, Path)
    assert file.exists()
    spool.close()
    assert not file.parent.exists()


def test_a_compressed_object_of_a_real_bucket(aws_endpoint: AwsEndpoint) -> None:
    bucket = aws_endpoint.make_bucket("encoded")
    aws_endpoint.put(bucket, "page.html", gzip.compress(TEXT), ContentEncoding="gzip")
    store = open_object_store(
        aws_endpoint.source(bucket).place, resolve_env=aws_endpoint.resolve_env
    )
    body = store.read("page.html", max_size_bytes=len(TEXT))
    assert body.content == TEXT
    assert body.ref.size < len(TEXT)  # the object's own size
    with pytest.raises(LimitExceeded):
        store.read("page.html", max_size_bytes=len(TEXT) - 1)
