"""One pool for the room's tests, and a short way to call the extractor."""

from collections.abc import Callable, Iterator

import pytest

from s3sync_dagster.extraction import extract_document
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.source import ExtractionConfig
from s3sync_dagster.workers import LocalPool, open_pool

Read = Callable[..., Document]


@pytest.fixture(scope="session")
def pool() -> Iterator[LocalPool]:
    with open_pool(workers=2) as pool:
        yield pool


@pytest.fixture(scope="session")
def read(pool: LocalPool) -> Read:
    """Return ``read(content, name, content_type=None, **config)``."""

    def read(
        content: object, name: str, content_type: str | None = None, **config: object
    ) -> Document:
        return extract_document(
            content,  # type: ignore[arg-type]
            name=name,
            content_type=content_type,
            config=ExtractionConfig(**config),  # type: ignore[arg-type]
            pool=pool,
        )

    return read
