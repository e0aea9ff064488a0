"""Arbitrary text in every language: it tiles, it fits, it is cut the same way again."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from s3sync_dagster_tests.chunking.invariants import KINDS, check, chunks_of

WORDS = (
    "def f(x):", "class A:", "function g() {", "return", "fn main", "import os", "x = 1", "key: v",
    "\n", "\n", "\n\n", "    ", "\t", "\r\n", "\r", " ", "{", "}", "(", ")", "[", "]", "<", ">",
    ";", ",", '"', "'", "`", "```", "~~~", "#", "##", "//", "/*", "*/", "--", "<!--", "-->",
    "<a b='1'>", "</a>", "<![CDATA[", "- ", "* ", "1. ", "> ", "| a | b |\n|---|:-:|\n", "---\n",
    "===\n", "$", "@", "%", "&", "\\", "\0", "\ufeff", "\ud800", "é", "日本語。", "🎉", "e\u0301",
    "\u2028", "a" * 40, "word " * 9, "2025-01-31 10:00:00 INFO ok\n", '{"a": [1, {"b": null}]}',
    'a,b,c\n1,"2\n",3\n', "=begin\n", "EOF",
)  # fmt: skip
soup = st.lists(st.sampled_from(WORDS) | st.text(max_size=12), min_size=1, max_size=60).map("".join)
sizes = st.sampled_from([16, 17, 33, 64, 200])
relaxed = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def hold(pool, kind, text, size):
    chunks = chunks_of(kind, text, size, pool)
    check(text, chunks, size)
    assert chunks_of(kind, text, size, pool) == chunks


@pytest.mark.parametrize("kind", KINDS)
@settings(relaxed, max_examples=25)
@given(text=soup, size=sizes)
def test_invariants_hold(pool, kind, text, size):
    hold(pool, kind, text, size)


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
@settings(relaxed, max_examples=400)
@given(text=soup, size=sizes)
def test_invariants_hold_for_long(pool, kind, text, size):
    hold(pool, kind, text, size)
