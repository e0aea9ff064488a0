"""What a source is told whose server is another one than before."""

from dataclasses import dataclass

import pytest

from s3sync_dagster.engine.same_server import require_same_server
from s3sync_dagster.model.errors import Conflict, NotFound
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster_tests.sources import s3_source


@dataclass
class Known:
    """A source that was indexed at one server."""

    def names(self, source_id: str) -> list[str]:
        return ["http://minio"]

    def remember(self, source_id: str, server: str, *, same: bool) -> None:
        raise AssertionError("it is not the source's")

    def written_last(self, source_id: str, *, limit: int) -> dict[str, str]:
        return {"a.md": "etag"}


def missing(key: str) -> ObjectRef:
    raise NotFound(key)


@pytest.mark.parametrize(
    ("tenant", "prefix", "command"),
    [
        ("default_tenant", "d/", "`s3sync sync s3://bucket/d/ -c docs`"),
        (
            "acme",
            "a b/",
            "`CHROMA_TENANT=acme CHROMA_DATABASE=texts s3sync sync 's3://bucket/a b/' -c docs`",
        ),
    ],
)
def test_the_command_that_is_told_finds_the_source(tenant: str, prefix: str, command: str) -> None:
    source = s3_source(
        id="1",
        name="docs",
        tenant=tenant,
        database_name="texts" if tenant == "acme" else "default_database",
        collection_name="docs",
        bucket_name="bucket",
        path_prefix=prefix,
    )
    with pytest.raises(Conflict) as caught:
        require_same_server(source, "http://s3", declared=False, servers=Known(), head=missing)
    assert command in caught.value.message
