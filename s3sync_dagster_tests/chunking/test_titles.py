"""Headings that are no Markdown: underlined titles and those of wikis."""

import time

import pytest

from s3sync_dagster.chunking.blocks import BlockScanner, split_lines
from s3sync_dagster.chunking.titles import outline_titles
from s3sync_dagster_tests.chunking.invariants import check, chunks_of

BODY = "Words of this part. " * 12
RST = f"""=====
Guide
=====

{BODY}

Install
-------

{BODY}

From source
~~~~~~~~~~~

{BODY}

Use
---

{BODY}
"""


def paths(form, text, size=300):
    chunks = chunks_of(form, text, size)
    check(text, chunks, size)
    return [chunk.heading_path for chunk in chunks]


def test_underlined_titles_are_headings_by_their_order_of_appearance():
    assert paths("text", RST) == [
        "Guide",
        "Guide > Install",
        "Guide > Install > From source",
        "Guide > Use",
    ]


def test_a_title_stays_with_what_follows_it():
    for chunk in chunks_of("text", RST, 300):
        assert chunk.text.strip().startswith(("=====\nGuide", "Install", "From source", "Use"))
        assert "Words" in chunk.text


@pytest.mark.parametrize("form", ["text", "markdown"])
@pytest.mark.parametrize("marks", ["== {} ==", " = = {} = = ", "=={}=="])
def test_wiki_titles_are_headings_in_text_and_in_markdown(form, marks):
    inner = marks.replace("==", "===").replace("= =", "= = =").format("Early life")
    text = f"{marks.format('Robert')}\n{BODY}\n\n{inner}\n{BODY}\n\n{marks.format('Tom')}\n{BODY}\n"
    assert paths(form, text) == ["Robert", "Robert > Early life", "Tom"]


@pytest.mark.parametrize(
    "text",
    [
        "a paragraph\nthat goes on\n------------\nmore",
        "much longer than its line\n---\nmore",
        "=====  =====\nName   Age\n=====  =====\n",
        "x = y\n= z\n== open\nclosed ==\n==\n=====\n== ==",
        "  quoted\n-------\n",
        "words\n\n-----\n\nwords",
        "+-----+\n-------\n",
        f"\n{'long ' * 60}\n{'-' * 300}\n",
    ],
)
def test_what_only_looks_like_a_title_is_none(text):
    assert {scope.path() for scope in outline_titles(text.encode()).scopes} == {()}


@pytest.mark.parametrize(
    "text",
    ["= " * 50_000, "==" + " a" * 50_000, "=" + " " * 100_000 + "a" + " " * 100_000,
     "= a" + " =" * 50_000 + " b", ("===" * 10 + "\n") * 5_000, "a\n---\n" * 20_000],
)  # fmt: skip
def test_hostile_lines_take_linear_time(text):
    data = text.encode()
    begin = time.thread_time()
    outline_titles(data)
    BlockScanner(data).scan(split_lines(data), front_matter=False)
    assert time.thread_time() - begin < 10
