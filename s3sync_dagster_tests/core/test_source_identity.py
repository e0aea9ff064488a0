"""What makes a source the same one."""

import pytest

from s3sync_dagster.core.source_identity import server_name


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (None, ""),
        ("http://MinIO:80/", "http://minio"),
        ("https://minio.example.org:443/s3/", "https://minio.example.org/s3"),
        ("http://user:secret@minio:9000", "http://minio:9000"),
        ("http://[::1]:9000", "http://[::1]:9000"),
        ("HTTPS://MinIO:9000", "https://minio:9000"),
        ("http://minio:99999", "http://minio:99999"),
        ("http://[::1", "http://[::1"),
        ("minio", "minio"),
    ],
)
def test_a_server_has_one_name_without_a_password(url, name):
    assert server_name(url) == name
