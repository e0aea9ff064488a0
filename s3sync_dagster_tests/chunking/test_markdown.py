"""Markdown: the scanner agrees with a CommonMark parser, and what fits stays whole."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from s3sync_dagster.chunking.blocks import BlockScanner, split_lines
from s3sync_dagster_tests.chunking.invariants import check, chunks_of

SNIPPETS = (
    "# Title", "## Part *two*", "### Deep ###", "Underlined\n===", "Also\nunderlined\n---",
    "A paragraph of words\nover two lines.", "Introduces:", "```python\n# no heading\n\nx\n```",
    "~~~\n```\n~~~", "    indented code\n\n    more", "| a | b |\n|---|:-:|\n| 1 | 2 |\n| 3 | 4 |",
    "a | b\n--|--\n1 | 2", "- one\n- two\n  - inner\n\n    more of it\n- three", "1. one\n2. two",
    "* star\n\n  ```\n  code in an item\n  ```", "> quoted\n> words", "> # quoted title", "***",
    "---", "<!-- a comment\n\n# no heading -->", "<div>\nblock\n</div>", "#no heading", "5) five",
    "<b>\n# no heading\n</b>", "text with | a pipe", "+ plus\n+ list", "[link](a.md) and `code`",
    "- [ ] task\n- [x] done", "<?php\n\n# none ?>", "<pre>\n\n# none\n</pre>", "<i>inline</i> text",
)  # fmt: skip
documents = st.lists(
    st.tuples(st.sampled_from(SNIPPETS), st.sampled_from(["\n", "\n\n", "\n\n\n"])), max_size=12
).map(lambda parts: "".join(a + b for a, b in parts))
KINDS = {"fence": "fence", "table_open": "table", "code_block": "code", "html_block": "html"}


def truth(text):
    parser = MarkdownIt("commonmark").enable("table")
    return [token for token in parser.parse(text) if token.map]


TABLE = "| a | b |\n|---|:-:|\n| 1 | 2 |\n| 3 | 4 |\n"


@settings(deadline=None, max_examples=300)
@given(text=documents)
def test_scanner_agrees_with_a_commonmark_parser(text):
    data = text.encode()
    blocks = BlockScanner(data).scan(split_lines(data), front_matter=False)
    headings = [(b.first, b.level) for b in blocks if b.kind == "heading"]
    tokens = [token for token in truth(text) if token.level == 0]
    assert headings == [(t.map[0], int(t.tag[1])) for t in tokens if t.type == "heading_open"]
    for kind in ("fence", "table"):
        found = [b.first for b in blocks if b.kind == kind]
        assert found == [t.map[0] for t in tokens if KINDS.get(t.type) == kind]


@settings(deadline=None, max_examples=300, derandomize=True)
@given(text=documents, size=st.sampled_from([64, 128, 300]))
@example(
    text=f"{TABLE}Underlined\n===\n    indented code\n\n    more\n",
    size=64,
)
@example(
    text=f"1. one\n2. two\n{TABLE}    indented code\n\n    more\n",
    size=64,
)
def test_blocks_that_fit_stay_whole(text, size):
    text = "First words.\n\n" + text  # a document that begins with dashes has front matter
    chunks = chunks_of("markdown", text, size)
    check(text, chunks, size)
    lines = text.split("\n")
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line.encode()) + 1)
    cuts = {chunk.start_byte for chunk in chunks[1:]}
    for token in truth(text):
        if token.type not in ("fence", "table_open", "paragraph_open", "list_item_open"):
            continue
        start, stop = offsets[token.map[0]], min(offsets[token.map[1]], len(text.encode()))
        stop = start + len(text.encode()[start:stop].rstrip())
        if stop - start <= size:
            assert not any(start < cut < stop for cut in cuts), (token.type, text[start:stop])


def test_oversized_table_repeats_its_header_and_says_so():
    rows = "".join(f"| {n} | name {n} |\n" for n in range(60))
    text = "# T\n\n| id | name |\n|---|---|\n" + rows + "\nAfter.\n"
    chunks = chunks_of("markdown", text, 256)
    check(text, chunks, 256)
    repeated = [chunk for chunk in chunks if chunk.repeated_header]
    assert len(repeated) == len(chunks) - 1
    assert all(chunk.text.startswith("| id | name |\n|---|---|\n| ") for chunk in repeated)
    joined = text.encode()
    assert b"".join(joined[c.start_byte : c.end_byte] for c in chunks) == joined


def test_wide_header_is_not_repeated():
    text = "| " + "long name " * 12 + "|\n|---|\n" + "| cell |\n" * 40
    assert not any(chunk.repeated_header for chunk in chunks_of("markdown", text, 256))


def test_heading_stays_with_its_text_and_gives_the_path():
    text = "# A\n\n" + "one " * 30 + "\n\n## B ##\n\n" + "two " * 30 + "\n\n# C\n\n" + "three " * 20
    chunks = chunks_of("markdown", text, 160)
    assert [chunk.heading_path for chunk in chunks] == ["A", "A > B", "C"]
    assert all(chunk.text.startswith("#") for chunk in chunks)


@pytest.mark.parametrize("mark", ["---", "+++"])
def test_front_matter_stays_whole(mark):
    front = f"{mark}\ntitle: x\n# no heading\n{mark}\n\n"
    chunks = chunks_of("markdown", front + "# A\n\n" + "word " * 60, 128)
    assert chunks[0].text.startswith(front.strip())
    assert chunks[-1].heading_path == "A"


def test_large_front_matter_is_cut_between_lines():
    text = "---\n" + "".join(f"key{n}: value\n" for n in range(40)) + "---\n\n# A\n"
    chunks = chunks_of("markdown", text, 128)
    check(text, chunks, 128)
    assert all(chunk.text.startswith(("---", "key")) for chunk in chunks[:-1])
