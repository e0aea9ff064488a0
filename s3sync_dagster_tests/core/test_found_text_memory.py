"""What is read of a large document to learn which text it is: never all of it at once."""

import tracemalloc
from types import SimpleNamespace

from s3sync_dagster.engine.batch.found_text import texts_of
from s3sync_dagster.engine.ports import StoredRecord
from s3sync_dagster_tests.sources import s3_source

RECORDS = 30_000


class Written:
    """Records of one document, each made as it is asked for."""

    name = "docs"

    def __init__(self, source):
        self._source = source

    def get(self, ids):
        places = {name: int(name.rpartition("-")[2]) for name in ids}
        return {name: self._record(name) for name, place in places.items() if place < RECORDS}

    def _record(self, name):
        told = {"s3sync_source": self._source.id, "document_key": "a.md", "s3sync_etag": "e"}
        told |= {"s3sync_chunk_count": RECORDS, "start_line": name * 10}
        return StoredRecord(id=name, metadata=told)


def test_a_text_of_many_records_is_told_from_a_few_at_a_time():
    source = s3_source(id="s1", name="docs", bucket_name="bucket", collection_name="docs")
    row = SimpleNamespace(count=RECORDS, high_water=RECORDS, written_as=())
    tracemalloc.start()
    try:
        found = texts_of(SimpleNamespace(source=source), Written(source), {"a": row})
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (found["a"].etag, found["a"].high_water) == ("e", RECORDS)
    assert peak < 10_000_000  # all of them take over 30 MB
