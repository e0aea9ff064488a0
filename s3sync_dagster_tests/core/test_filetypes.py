"""Which reader takes which name, and what chunks are cut as."""

import pytest

from s3sync_dagster.core.filetypes import kind_of, skip_reason


@pytest.mark.parametrize(
    ("name", "reader", "form"),
    [
        ("a.xml", "text", "xml"),
        ("feed.rss", "text", "xml"),
        ("a.json", "text", "json"),
        ("a.ndjson", "text", "jsonl"),
        ("app.log", "text", "log"),
        ("README.md", "text", "markdown"),
        ("a.txt", "text", "text"),
        ("a.py", "text", "code"),
        ("a.csv", "csv", "csv"),
        ("a.tsv", "csv", "csv"),
        ("a.pdf", "pdf", "markdown"),
        ("A.DOCM", "docx", "markdown"),
    ],
)
def test_a_suffix_tells_reader_and_format(name, reader, form):
    kind = kind_of(name)
    assert (kind.reader, kind.format, kind.skip) == (reader, form, None)


@pytest.mark.parametrize("name", ["film.mp4", "a.zip", "a.exe"])
def test_what_holds_no_text_is_skipped_with_a_reason(name):
    kind = kind_of(name)
    assert (kind.reader, kind.format) == ("none", "text")
    assert kind.skip == skip_reason(name) is not None
