"""Bands of a document's text: from chunks of the real chunker, and from records of others."""

from pathlib import Path

import pytest

import s3sync_dagster
from s3sync_dagster.api.console.bands import band_address, composed, document_anchor
from s3sync_dagster.api.manage_show import show_hit
from s3sync_dagster.chunking import chunk_document
from s3sync_dagster.core.records import build_records
from s3sync_dagster.engine.ports import ModelLimits
from s3sync_dagster.extraction import extract_document
from s3sync_dagster.model.document import Document, Hit
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.model.source import ChunkingConfig, ExtractionConfig, Source
from s3sync_dagster.workers import open_pool
from s3sync_dagster_tests.extraction import corpus

SAMPLES = Path(s3sync_dagster.__file__).parent / "local" / "samples"
FILES = ("handbook/on-call.md", "code/python/tidewatch_client.py", "data/stations.csv")
SOURCE = Source(id="s", name="s", place=S3Place(bucket_name="b"), collection_name="c")


def indexed(document, key, **config):
    """The records of a document as a collection gives them back."""
    chunks = chunk_document(
        document,
        object_key=key,
        config=ChunkingConfig(**config),
        limits=ModelLimits(default_size_bytes=1024),
    )
    records = build_records(
        SOURCE, object_key=key, document_id="d", etag="e", version_key="v", custom_id=None,
        metadata={}, chunks=chunks,
    )  # fmt: skip
    return [Hit(id=one.id, document=one.document, metadata=one.metadata) for one in records]


def bands_of(hits, **more):
    return list(composed("chunk-x", dict(enumerate(hits)), range(len(hits)), **more))


def laid_out(bands):
    """The text, each character at the line and column that its band claims: none twice, no gap."""
    lines = {}
    for band in bands:
        assert (band.gap, band.shared, band.differs) == ("", 0, False)
        line, column = band.places[0]
        first, *others = band.text.split("\n")
        assert len(lines.setdefault(line, "")) == column - 1
        lines[line] += first
        for number, one in enumerate(others, line + 1):
            assert number not in lines
            lines[number] = one
    assert list(lines) == list(range(1, len(lines) + 1))
    return "\n".join(lines.values())


def whole(text):
    return text.removesuffix("\n")


@pytest.fixture(scope="module")
def documents():
    found = {}
    with open_pool(workers=1) as pool:
        named = {name: (SAMPLES / name).read_bytes() for name in FILES}
        for name, content in {**named, "report.pdf": corpus.make_pdf()}.items():
            found[name] = extract_document(
                content, name=name, content_type=None, config=ExtractionConfig(), pool=pool
            )
    return found


@pytest.mark.parametrize("size", [64, 300, 4000])
@pytest.mark.parametrize("name", [*FILES, "report.pdf"])
def test_bands_are_the_text_as_it_was_extracted(documents, name, size):
    document = documents[name]
    bands = bands_of(indexed(document, name, max_size_bytes=size))
    assert laid_out(bands) == whole(document.text)
    assert len(bands) > 1 or size == 4000
    headed = [band.header_lines for band in bands]
    told = [band.hit.metadata.get("s3sync_repeated_header", False) for band in bands]
    assert list(map(bool, headed)) == told
    if name.endswith(".csv") and size == 300:
        assert headed == [0] + [1] * (len(bands) - 1)


def test_pages_are_told_and_lines_that_are_split(documents):
    pdf = bands_of(indexed(documents["report.pdf"], "report.pdf", max_size_bytes=300))
    assert {band.hit.metadata["page"] for band in pdf} == {"1", "2"}
    long = bands_of(indexed(Document(text="word " * 60, format="text"), "a", max_size_bytes=64))
    assert [band.splits_line for band in long] == [False] + [True] * (len(long) - 1)
    assert laid_out(long) == "word " * 60


@pytest.mark.parametrize("text", ["a\r\nb\r\nc\r\n" * 30, "é\n\n\n" * 40, "\n\n# A\n" * 30, "x\n"])
def test_blank_lines_and_other_newlines_stay(text):
    document = Document(text=text, format="text")
    assert laid_out(bands_of(indexed(document, "a", max_size_bytes=32))) == whole(text)


def record(number, text, start, end=None, **metadata):
    """A record of somebody else's, by the places of its first and last character."""
    line, column = start
    last = end or (line + text.count("\n"), len(text) - text.rfind("\n") - 1 or 1)
    places = {"start_line": line, "start_col": column, "end_line": last[0], "end_col": last[1]}
    return Hit(id=f"d-{number}", document=text, metadata={**places, **metadata})


def test_text_that_two_chunks_have_is_shown_once():
    text = "".join(f"line {number}\n" for number in range(1, 9))
    lines = text.split("\n")
    rows = [(0, 4), (2, 6), (3, 5), (5, 8)]
    hits = [record(n, "\n".join(lines[a:b]), (a + 1, 1)) for n, (a, b) in enumerate(rows)]
    bands = bands_of(hits)
    assert "".join(band.text for band in bands) == whole(text)
    assert [band.shared for band in bands] == [0, 13, 13, 6]
    assert [band.text for band in bands][2] == ""
    assert not any(band.gap or band.differs for band in bands)
    inside = [record(0, "one two three", (1, 1)), record(1, "two three four", (1, 5))]
    assert [band.text for band in bands_of(inside)] == ["one two three", " four"]


def test_two_versions_at_one_place_are_both_shown_and_told():
    hits = [record(0, "one\ntwo", (1, 1)), record(1, "zwei\ndrei", (2, 1)),
            record(2, "vier", (4, 1))]  # fmt: skip
    bands = bands_of(hits)
    assert [band.text for band in bands] == ["one\ntwo", "zwei\ndrei", "vier"]
    assert [band.differs for band in bands] == [False, True, False]
    inside = bands_of([hits[0], record(1, "eins", (1, 1))])
    assert (inside[1].text, inside[1].differs) == ("eins", True)


@pytest.mark.parametrize(
    ("first", "second", "gap"),
    [
        ((1, 1, "a\nb"), (5, 1, "e"), "lines 3 to 4"),
        ((1, 1, "a\nb"), (4, 1, "d"), "line 3"),
        ((1, 1, "a\nb\n"), (4, 1, "d"), ""),  # line 3 is blank, and its newline the dropped one
        ((1, 1, "a\nb\n"), (5, 1, "e"), "lines 3 to 4"),
        ((1, 1, "abc"), (1, 9, "i"), "line 1, column 4, up to line 1, column 8"),
        ((1, 1, "abc"), (3, 5, "i"), "line 1, column 4, up to line 3, column 4"),
        ((3, 1, "abc"), (4, 1, "d"), ""),
    ],
)
def test_text_between_chunks_that_no_record_has_is_told(first, second, gap):
    hits = [record(n, text, (line, column)) for n, (line, column, text) in
            enumerate((first, second))]  # fmt: skip
    bands = bands_of(hits)
    assert bands[1].gap == gap
    assert bands[0].gap == ("lines 1 to 2" if first[0] == 3 else "")


def test_a_chunk_that_is_not_there_and_one_without_a_place():
    hits = {0: record(0, "a", (1, 1)), 2: record(2, "c", (9, 1)), 3: Hit(id="d-3", document="?")}
    bands = list(composed("chunk-x", hits, range(4)))
    assert [band.hit is None for band in bands] == [False, True, False, False]
    assert bands[2].gap == "", "the chunk that is missing may have the lines between"
    assert (bands[3].text, bands[3].places) == ("?", None)
    assert [band.anchor for band in bands] == [f"chunk-x-{number}" for number in range(4)]
    odd = record(0, "a\nb", (1, 1), end=(7, 1))
    assert bands_of([odd])[0].places is None, "lines that its text does not have are no place"


def test_a_page_begins_where_the_one_before_ends():
    hits = [record(0, "a", (1, 1)), record(1, "b", (2, 1)), record(2, "d", (4, 1))]
    [second] = composed("x", {1: hits[1]}, range(1, 2), before=hits[0])
    [third] = composed("x", {2: hits[2]}, range(2, 3), before=hits[1])
    assert (second.gap, third.gap) == ("", "line 3")
    [alone] = composed("x", {2: hits[2]}, range(2, 3))
    assert alone.gap == ""


def test_the_address_of_a_hit_is_the_anchor_of_its_band():
    hits = indexed(Document(text="a\n" * 90, format="text"), "a", max_size_bytes=64)
    anchor = document_anchor("db", "c", "d")
    bands = list(composed(anchor, dict(enumerate(hits)), range(len(hits))))
    address = band_address(show_hit(hits[2]), "db", "c")
    assert address == f"&amp;chunk=2#{bands[2].anchor}"
    assert anchor != document_anchor("db", "other", "d")
    for number in (None, "1", -1, 10**10):
        stranger = Hit(id="x", document="", metadata={"s3sync_chunk": number})
        assert band_address(show_hit(stranger), "db", "c") == ""
