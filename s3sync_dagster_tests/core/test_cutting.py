"""Documents are cut while others are written, and one that cannot be cut fails alone."""

import dataclasses
import threading

import pytest

from s3sync_dagster.engine.batch.groups import DOCUMENTS_AT_ONCE
from s3sync_dagster.engine.batch.write import FIRST_RECORDS, GROUP_SECONDS
from s3sync_dagster.model.errors import UnreadableFile
from s3sync_dagster_tests.engine_fixture import make_world, paragraph_chunker

WAIT_SECONDS = 20


@pytest.fixture
def filed(tmp_path):
    """A world whose catalog is a file, which several threads may use."""
    return make_world(url=f"sqlite:///{tmp_path / 'catalog.db'}")


def test_the_first_documents_are_written_while_the_last_ones_are_cut(filed):
    written = threading.Event()
    waited = []

    def chunker(document, *, object_key, **named):
        if object_key == "zzz.txt":
            waited.append(written.wait(WAIT_SECONDS))
        return paragraph_chunker(document, object_key=object_key, **named)

    def at(step):
        if step == "after_commit":
            written.set()

    for number in range(DOCUMENTS_AT_ONCE + 10):
        filed.bucket.put(f"{number:03}.txt", f"text {number}")
    filed.bucket.put("zzz.txt", "the last one")
    filed.listing()
    reports = filed.run_batches(threads=4, chunker=chunker, at=at)
    assert waited == [True]
    assert {report.state for report in reports} == {"indexed"}
    assert len(filed.texts()) == DOCUMENTS_AT_ONCE + 11


def test_what_a_slow_model_has_done_is_committed_every_few_seconds(filed):
    class Slow:
        def __getattr__(self, name):
            return getattr(filed.embedder, name)

        def embed_documents(self, texts):
            filed.clock.seconds += len(texts) / 2
            return filed.embedder.embed_documents(texts)

    commits = []
    for number in range((FIRST_RECORDS + 100) // 5):
        filed.bucket.put(f"{number:03}.txt", "\n\n".join(f"text {number} {n}" for n in range(5)))
    filed.listing()
    begun = filed.clock.seconds
    filed.run_batches(
        embedder=Slow(),
        at=lambda step: step == "after_commit" and commits.append(filed.clock.seconds - begun),
    )
    first, *others = commits
    assert first == pytest.approx(FIRST_RECORDS / 2)
    assert [after - before for before, after in zip(commits, others, strict=False)] == (
        pytest.approx([GROUP_SECONDS] * 5)
    )


def test_chunks_that_the_model_reads_in_part_are_counted(filed):
    def chunker(document, **named):
        first, *others = paragraph_chunker(document, **named)
        return [dataclasses.replace(first, truncated_tokens=7), *others]

    filed.bucket.put("a.txt", "one\n\ntwo")
    filed.listing()
    (report,) = filed.run_batches(chunker=chunker)
    assert (report.chunks, report.cut_off) == (2, 1)


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("error", [UnreadableFile("no", reason="damaged"), ValueError("fault")])
def test_what_cannot_be_cut_fails_alone(filed, threads, error):
    def chunker(document, *, object_key, **named):
        if object_key == "b.txt":
            raise error
        return paragraph_chunker(document, object_key=object_key, **named)

    for key in ("a.txt", "b.txt", "c.txt"):
        filed.bucket.put(key, f"text of {key}")
    filed.listing()
    reports = filed.run_batches(threads=threads, chunker=chunker)
    states = {report.key: report.state for report in reports}
    assert states == {"a.txt": "indexed", "b.txt": "failed", "c.txt": "indexed"}
    assert filed.keys_indexed() == {"a.txt", "c.txt"}


@pytest.mark.parametrize("threads", [1, 4])
def test_a_version_without_text_takes_the_older_text_along(filed, threads):
    filed.bucket.put("a.txt", "text")
    filed.bucket.put("b.txt", "stays")
    filed.listing()
    filed.run_batches(threads=threads)
    filed.bucket.put("a.txt", "\n\n")
    filed.listing()
    [report] = filed.run_batches(threads=threads)
    assert (report.state, report.reason) == ("removed", "empty_text")
    assert filed.keys_indexed() == {"b.txt"}
