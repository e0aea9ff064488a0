"""Globs mean what their table says, and no pattern makes a key expensive."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sync_dagster.core.globs import MAX_GLOB_LENGTH, compile_glob
from s3sync_dagster.model.errors import InvalidSetting


@pytest.mark.parametrize(
    ("pattern", "matching", "other"),
    [
        ("*.pdf", ["a.pdf", ".pdf", "ä.pdf"], ["a/b.pdf", "a.PDF", "a.pdfx", ""]),
        ("**/*.pdf", ["a.pdf", "x/a.pdf", "/a.pdf", "x//a.pdf", "x/y/z.pdf"], ["a.txt", "pdf"]),
        ("docs/**", ["docs/a", "docs/a/b", "docs/", "docs//"], ["docs", "docsa", "xdocs/a"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b", "a//b"], ["ab", "a/xb", "axb", "b"]),
        ("a**b", ["ab", "a/b", "ax/y/b"], ["b", "a", "abc"]),
        ("**", ["", "a", "a/b", "\n"], []),
        ("**/", ["", "a/", "a/b/"], ["a", "a/b"]),
        ("**/**/x", ["x", "a/x", "a/b/c/x"], ["ax", "x/a"]),
        ("*", ["", "a", ".."], ["/", "a/b"]),
        ("x?", ["xa", "x📄", "x\n"], ["x", "x/", "xab"]),
        ("[abc]", ["a", "b"], ["d", "", "ab", "A"]),
        ("[a-c]x", ["ax", "cx"], ["dx", "-x"]),
        ("[!a]x", ["bx", "!x"], ["ax", "/x"]),
        ("[]]", ["]"], ["["]),
        ("[!]]", ["a"], ["]", "/"]),
        ("[[]1]", ["[1]"], ["1"]),
        ("[*]", ["*"], ["a"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("[-a]", ["a", "-"], ["b"]),
        ("[é-ü]", ["ê"], ["e"]),
        ("a.b", ["a.b"], ["axb"]),
        ("(a|b)+$", ["(a|b)+$"], ["a"]),
        ("[{]a,b}", ["{a,b}"], []),
        ("***/x", ["x", "a/x"], ["ax"]),
    ],
)
def test_what_globs_mean(pattern: str, matching: list[str], other: list[str]) -> None:
    glob = compile_glob(pattern)
    assert [path for path in matching if not glob.matches(path)] == []
    assert [path for path in other if glob.matches(path)] == []


@pytest.mark.parametrize(
    "pattern", ["", "[", "a[b", "[!", "[]", "[z-a]", "*.{md,txt}", "x" * (MAX_GLOB_LENGTH + 1)]
)
def test_globs_that_mean_nothing(pattern: str) -> None:
    with pytest.raises(InvalidSetting, match="glob"):
        compile_glob(pattern)


def as_regex(pattern: str) -> re.Pattern[str]:
    """Say the same in another way; exponential on hostile patterns, so only for small ones."""
    parts: list[str] = []
    at = 0
    while at < len(pattern):
        if pattern.startswith("**/", at) and (at == 0 or pattern[at - 1] == "/"):
            parts.append("(?:.*/)?")
            at += 3
        elif pattern.startswith("**", at):
            parts.append(".*")
            at += 2
        else:
            parts.append({"*": "[^/]*", "?": "[^/]"}.get(pattern[at], re.escape(pattern[at])))
            at += 1
    return re.compile("".join(parts), re.DOTALL)


small = st.text(alphabet="ab/*?", max_size=8).filter(lambda p: "***" not in p and p)
paths = st.text(alphabet="ab/", max_size=10)


@given(small, st.lists(paths, max_size=20))
def test_globs_agree_with_regular_expressions(pattern: str, some: list[str]) -> None:
    glob, regex = compile_glob(pattern), as_regex(pattern)
    for path in some:
        assert glob.matches(path) == (regex.fullmatch(path) is not None), path


@pytest.mark.parametrize(
    "pattern",
    ["*a" * 500, "**a" * 340, "**/" * 340, "?*" * 500, "*" * 1024, "**/*a" * 200, "[!b]*" * 200],
)
def test_no_pattern_makes_a_key_expensive(pattern: str) -> None:
    glob = compile_glob(pattern)
    began = time.process_time()
    for tail in ("b", "/b", "a"):
        glob.matches("a" * 1020 + tail)
        glob.matches("a/" * 510 + tail)
    # Backtracking would take longer than anybody waits; the bound is generous for slow machines.
    assert time.process_time() - began < 10


def test_matching_many_keys_is_cheap() -> None:
    glob = compile_glob("reports/**/*.pdf")
    keys = [f"reports/2024/{n % 97}/customer-{n}/document_{n}.pdf" for n in range(20_000)]
    began = time.process_time()
    assert all(map(glob.matches, keys))
    assert time.process_time() - began < 2  # about 5 microseconds a key
