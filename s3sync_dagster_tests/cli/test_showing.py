"""Text for people: keys that a terminal would obey, wide letters, narrow terminals."""

import os

import pytest

from s3sync_dagster.cli import showing
from s3sync_dagster.cli.showing import ago, columns, people, reasons, until, wrapped


class Terminal:
    def isatty(self):
        return True


@pytest.fixture
def narrow(monkeypatch):
    monkeypatch.setattr(showing.shutil, "get_terminal_size", lambda **_: os.terminal_size((50, 24)))


@pytest.mark.parametrize(
    ("key", "shown"),
    [
        ("docs/über uns/日本語.md", "docs/über uns/日本語.md"),
        ("a\x1b[31mred", "a\\x1b[31mred"),
        ("a\nb\tc", "a\\nb\\tc"),
        ("right\u202eleft", "right\\u202eleft"),
        ("lone \udc80", "lone \\udc80"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(key, shown):
    assert people(key) == shown
    shown.encode()


def test_columns_are_aligned_also_with_wide_letters():
    lines = list(columns(("name", "place"), [("日本", "x"), ("a", "yy")]))
    assert lines == ["name  place", "日本  x", "a     yy"]
    assert list(columns(("name",), [])) == []


@pytest.mark.parametrize("width", [40, 60])
def test_a_table_that_is_too_broad_for_the_terminal_is_neither_wrapped_nor_cut(monkeypatch, width):
    size = os.terminal_size((width, 24))
    monkeypatch.setattr(showing.shutil, "get_terminal_size", lambda **_: size)
    key = "docs/" + "k" * 44
    rows = [("indexed", "12", "docs", key), ("failed (too_large)", "0", "docs", "b.md")]
    head = ("state", "chunks", "source", "key")
    assert list(columns(head, rows))[1].endswith(key), "a pipe has all in one line"
    monkeypatch.setattr(showing.sys, "stdout", Terminal())
    assert list(columns(head, rows)) == [
        "state               chunks  source", "  key",
        "indexed             12      docs", f"  {key}",
        "failed (too_large)  0       docs", "  b.md",
    ]  # fmt: skip
    assert list(columns(("name", "place", "state"), [("docs", "s3://" + "b" * 60, "paused")])) == [
        "docs",
        "  place  s3://" + "b" * 60,
        "  state  paused",
    ]


def test_sentences_are_wrapped_at_words_for_a_terminal_only(narrow):
    text = "The key " + "x" * 60 + " cannot be read; give it another name."
    assert wrapped(text, indent="  ") == "  " + text
    lines = wrapped(text, indent="  ", hanging="    ", stream=Terminal()).splitlines()
    assert lines[0] == "  The key"
    assert lines[1] == "    " + "x" * 60  # whole: it can be copied
    assert all(len(line) <= 50 for line in lines if "x" not in line)


def test_code_keeps_its_indentation(narrow):
    lines = wrapped("    return " + "word " * 12, indent="> ", stream=Terminal()).splitlines()
    assert lines[0].startswith(">     return")
    assert lines[1].startswith(">     word")


def test_numbers_and_times():
    assert reasons({"b": 2, "a": 1}) == "3 (a 1, b 2)"
    assert reasons({}) == "0"
    assert ago(None) == "never"
    assert until(None).startswith("only when")
    assert ago(0.0).endswith(" d ago")
