"""What a document costs however it is made: a number of chunks, and memory by the window."""

import random
import re
import tracemalloc

import pytest

from s3sync_dagster.chunking import chunk_document, document, stages
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.errors import LimitExceeded
from s3sync_dagster.model.source import ChunkingConfig
from s3sync_dagster_tests.chunking.invariants import FORMATS, LIMITS, check, chunks_of

MANY = {
    "csv": "a,b\n",
    "json": "1,\n",
    "jsonl": '{"a":1}\n',
    "log": "2026-01-01 00:00:00 x\n",
    "markdown": "# a\n\nb\n\n",
    "text": "a. b\n\n",
    "xml": "<b/>\n",
}
"""Of each format what is all marks."""
ROW = re.compile(r'(?<=\n)\d+,("one|very)')


def cut(text, kind="text", **config):
    return chunk_document(
        Document(text=text, format=kind),
        object_key=f"a.{kind}",
        config=ChunkingConfig(**config),
        limits=LIMITS,
    )


@pytest.mark.parametrize("config", [{"type": "lines", "max_lines": 1}, {"max_size_bytes": 64}])
def test_a_document_has_so_many_chunks_and_no_more(monkeypatch, config):
    monkeypatch.setattr(document, "MAX_CHUNKS", 100)
    text = "a" * 63 + "\n"
    assert len(cut(100 * text, **config)) == 100
    with pytest.raises(LimitExceeded, match="max_lines") as caught:
        cut(102 * text, **config)
    assert caught.value.reason == "too_many_chunks"


def test_lines_that_are_too_many_are_not_cut_to_their_end(monkeypatch):
    monkeypatch.setattr(document, "MAX_CHUNKS", 100)
    text = "a\n" * 60_000
    tracemalloc.start()
    try:
        with pytest.raises(LimitExceeded):
            cut(text, type="lines", max_lines=1)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * len(text)  # 275 times, where each line is a chunk


@pytest.mark.parametrize("kind", FORMATS)
def test_windows_tile_a_document(monkeypatch, kind):
    monkeypatch.setattr(stages, "SCANNED_BYTES", 3000)
    monkeypatch.setattr(stages, "WINDOW_BYTES", 3000)
    text = MANY[kind] * (12_000 // len(MANY[kind]))
    check(text, chunks_of(kind, text, 256), 256)


def test_each_window_repeats_the_header_row_of_the_document(monkeypatch):
    monkeypatch.setattr(stages, "SCANNED_BYTES", 3000)
    rows = [f'{number},"one\ntwo {number}",x' for number in range(400)]
    text = "id,text,flag\n" + "\n".join(rows) + "\n"
    chunks = chunks_of("csv", text, 256)
    check(text, chunks, 256)
    assert all(one.text.startswith("id,text,flag\n") for one in chunks)
    assert [one.repeated_header for one in chunks] == [False] + [True] * (len(chunks) - 1)


def test_a_header_row_that_is_too_long_to_be_repeated_is_replaced_by_none(monkeypatch):
    monkeypatch.setattr(stages, "SCANNED_BYTES", 3000)
    header = ";".join(f"column_{number}" for number in range(20))
    text = f"{header}\n" + "".join(f"{number};{'v;' * 20}\n" for number in range(400))
    chunks = chunks_of("csv", text, 256)
    check(text, chunks, 256)
    assert not any(one.repeated_header for one in chunks)


@pytest.mark.parametrize("header", ["id,note\n", "id,note" + 200 * "," + "\n"])
def test_no_window_begins_inside_a_row(monkeypatch, header):
    monkeypatch.setattr(stages, "SCANNED_BYTES", 3000)
    rows = [f'{number},"one\n\ntwo, {number}"\n' for number in range(400)]
    rows[100] = "100,very" + 9000 * " long" + "\n"
    text = header + "".join(rows)
    chunks = chunks_of("csv", text, 256)
    check(text, chunks, 256)
    long = text.index("100,very")
    begins = [one.start_byte for one in chunks if one.start_byte >= len(header)]
    begins = [one for one in begins if not long < one < long + len(rows[100])]
    assert len(begins) > 30
    assert [text[one : one + 12] for one in begins if not ROW.match(text, one)] == []


@pytest.mark.parametrize("newline", ["", "\n"])
def test_no_window_begins_inside_a_string(monkeypatch, newline):
    monkeypatch.setattr(stages, "SCANNED_BYTES", 3000)
    monkeypatch.setattr(stages, "WINDOW_BYTES", 3000)
    values = [f"a, b {number}" for number in range(600)]
    values[200] = "long, " * 1500
    text = "[" + f",{newline}".join(f'{{"x": "{one}"}}' for one in values) + "]"
    chunks = chunks_of("json", text, 64)
    check(text, chunks, 64)
    long = text.index("long")
    for one in chunks[1:]:
        if not long <= one.start_byte <= long + len(values[200]):
            assert text[one.start_byte - 1] in ",{[ \n:", text[one.start_byte - 20 :][:40]
            assert text[one.start_byte] in '{["', text[one.start_byte - 20 :][:40]


@pytest.mark.parametrize("before", ["", "# Manual\n\nWhat stands before.\n\n"])
@pytest.mark.parametrize("rows", [20, 300])
def test_each_table_repeats_its_own_header_row_in_whatever_window(monkeypatch, before, rows):
    monkeypatch.setattr(stages, "SCANNED_BYTES", 3000)
    tables = [
        f"## Part {number}\n\n| of{number} | text |\n|---|---|\n"
        + "".join(f"| {number}.{row} | {'word ' * 8}|\n" for row in range(rows))
        for number in range(12)
    ]
    text = before + "\n".join(tables)
    chunks = chunks_of("markdown", text, 256)
    check(text, chunks, 256)
    assert sum(one.repeated_header for one in chunks) > 2 * rows
    for one in chunks:
        header, _, row = f"{one.text}\n\n\n".split("\n")[:3]
        assert header.startswith("| of") or not header.startswith("|")
        if one.repeated_header:
            assert header.startswith(f"| of{row[2:].split('.')[0]} |")


@pytest.mark.parametrize("newline", ["", "\n", "\n\n"])
def test_no_window_begins_inside_a_tag_a_word_or_a_comment(monkeypatch, newline):
    monkeypatch.setattr(stages, "SCANNED_BYTES", 3000)
    monkeypatch.setattr(stages, "WINDOW_BYTES", 3000)
    notes = [f"<note id='{number}'>words of it</note>" for number in range(600)]
    notes[100] = (
        "<note><!-- <no>element here</no>" + newline + " --><![CDATA[ <nor>here</nor> ]]></note>"
    )
    text = f"<all>{newline}{newline.join(notes)}{newline}</all>"
    chunks = chunks_of("xml", text, 200)
    check(text, chunks, 200)
    begins = [text[one.start_byte :].lstrip() for one in chunks[1:]]
    assert [one[:20] for one in begins if not one.startswith(("<note", "</all>"))] == []


def test_no_window_begins_inside_a_line_of_json(monkeypatch):
    monkeypatch.setattr(stages, "SCANNED_BYTES", 3000)
    words = ["words, " * (number % 2 * 413 + 5) for number in range(40)]
    text = "".join(f'{{"number": {number}, "text": "{one}"}}\n' for number, one in enumerate(words))
    chunks = chunks_of("jsonl", text, 4000)
    check(text, chunks, 4000)
    assert len(chunks) > 10
    assert [one.text[:20] for one in chunks if not one.text.startswith('{"number"')] == []


def blocks(chance: random.Random, newline: str) -> str:
    """Return Markdown of all kinds of blocks, in which a row names its table."""
    made: list[str] = []
    for number in range(120):
        rows = [f"| r{row} | t{number} |\n" for row in range(chance.choice((2, 9, 60)))]
        table = [f"| h{number} | t{number} |\n", "|---|---|\n", *rows]
        made.append(
            chance.choice(
                [
                    f"Words of {number}. " + "word " * chance.randint(1, 60) + "\n",
                    f"## Part {number}\n",
                    "".join(table),
                    "".join(f"> {line}" for line in table),
                    "- item\n\n" + "".join(f"  {line}" for line in table),
                    "```\ncode\n\n" + "code of it\n" * chance.randint(1, 40) + "```\n",
                    "---\n\nbehind a rule\n",
                ]
            )
        )
    return chance.choice(("\n", "  \n")).join(made).replace("\n", newline)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("seed", range(8))
def test_windows_of_markdown_give_what_the_whole_does(monkeypatch, newline, seed):
    text = blocks(random.Random(seed), newline)
    whole = {(one.start_byte, one.end_byte): one for one in chunks_of("markdown", text, 256)}
    monkeypatch.setattr(stages, "SCANNED_BYTES", 6000)
    chunks = chunks_of("markdown", text, 256)
    check(text, chunks, 256)
    others = [one for one in chunks if (one.start_byte, one.end_byte) not in whole]
    same = [one for one in chunks if one not in others]
    assert [one.text for one in same] == [whole[one.start_byte, one.end_byte].text for one in same]
    assert len(others) < len(chunks) / 4
    for one in chunks:
        table = re.match(r"[> -]*\| h(\d+) ", one.text)
        row = re.search(r"\| r\d+ \| t(\d+) ", text[one.start_byte : one.end_byte])
        if one.repeated_header:
            assert (table[1] if table else None) == (row[1] if row else "")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "> ", "  "])
def test_what_stands_behind_a_large_table_gets_no_header_of_it(monkeypatch, newline, mark):
    monkeypatch.setattr(stages, "SCANNED_BYTES", 3000)
    for rows in range(95, 115):  # one of them ends where the window does
        table = [
            "| name | text |",
            "|---|---|",
            *(f"| {row:03} | {'w' * 18} |" for row in range(rows)),
        ]
        lines = [*(mark + line for line in table), "   ", "behind it " * 30, "", "last " * 300]
        text = newline.join(lines)
        chunks = chunks_of("markdown", text, 256)
        check(text, chunks, 256)
        for one in chunks[1:]:
            of_table = text[one.start_byte : one.end_byte].startswith(f"{mark}| ")
            assert one.repeated_header == of_table, one.text


@pytest.mark.parametrize("kind", FORMATS)
def test_no_format_takes_memory_by_the_whole_of_a_document(monkeypatch, kind):
    monkeypatch.setattr(stages, "SCANNED_BYTES", 8_000)
    monkeypatch.setattr(stages, "WINDOW_BYTES", 8_000)
    text = MANY[kind] * (80_000 // len(MANY[kind]))
    tracemalloc.start()
    try:
        cut(text, kind)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 25 * len(text)  # a window's 185 times, and what comes of the whole
