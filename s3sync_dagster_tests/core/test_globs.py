"""Globs mean what their table says, and no pattern makes a key expensive."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3sync_dagster.core.globs import MAX_GLOB_LENGTH, compile_glob, compile_globs
from s3sync_dagster.core.selection import MAX_GLOB_CHARACTERS
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


@given(st.lists(small | st.sampled_from(["[ab]", "[!a]*", "[a-c]/"]), max_size=6), paths)
def test_several_globs_at_once_match_what_one_of_them_matches(some: list[str], path: str) -> None:
    one_of_them = any(compile_glob(pattern).matches(path) for pattern in some)
    assert compile_globs(tuple(some)).matches(path) == one_of_them


letters = st.sampled_from("abcdé\u4e00\U0001f4c4")


@given(
    st.lists(st.tuples(letters, letters).map(sorted), min_size=1, max_size=4),
    st.booleans(),
    st.sampled_from("abcdéê/\0\u4e01\U0001f4c4\U0010ffff"),
)
def test_sets_have_what_their_ranges_have(
    ranges: list[list[str]], negated: bool, character: str
) -> None:
    members = "".join(low if low == high else f"{low}-{high}" for low, high in ranges)
    inside = any(low <= character <= high for low, high in ranges)
    glob = compile_glob(f"[{'!' if negated else ''}{members}]")
    assert glob.matches(character) == (character != "/" and inside is not negated)


HOSTILE = {
    "marks": ["?*" * 512] * 8,
    "many": [f"*{n:03}?*?*?*?*?*?*?*?*?*?*?*?*?*?*?*?*?*" for n in range(200)],
    "sets": ["[!a]*[!b]*" * 100] * 8,
    "distinct sets": [
        "".join(f"[{chr(0x4E00 + n)}]*" for n in range(k, k + 250)) for k in range(8)
    ],
    "folders": ["**/*" * 250] * 8,
}


@pytest.mark.parametrize("globs", HOSTILE.values(), ids=HOSTILE)
def test_all_globs_of_a_source_together_make_no_key_expensive(globs: list[str]) -> None:
    assert sum(map(len, globs)) <= MAX_GLOB_CHARACTERS
    compile_globs.cache_clear()
    keys = ["".join(map(chr, range(0x4E00 + n, 0x4E00 + n + 341))) for n in range(10)]
    keys += ["a/" * 512, "a" * 1024]
    began = time.thread_time()
    for key in keys:
        compile_globs(tuple(globs)).matches(key)
    assert time.thread_time() - began < 5  # 12 keys: about 0.1 s


@pytest.mark.parametrize(
    "pattern",
    ["*a" * 500, "**a" * 340, "**/" * 340, "?*" * 500, "*" * 1024, "**/*a" * 200, "[!b]*" * 200],
)
def test_no_pattern_makes_a_key_expensive(pattern: str) -> None:
    glob = compile_glob(pattern)
    began = time.thread_time()
    for tail in ("b", "/b", "a"):
        glob.matches("a" * 1020 + tail)
        glob.matches("a/" * 510 + tail)
    assert time.thread_time() - began < 5  # about 0.02 s


def test_matching_many_keys_is_cheap() -> None:
    glob = compile_glob("reports/**/*.pdf")
    keys = [f"reports/2024/{n % 97}/customer-{n}/document_{n}.pdf" for n in range(20_000)]
    began = time.thread_time()
    assert all(map(glob.matches, keys))
    assert time.thread_time() - began < 10  # about 5 microseconds a key


def test_a_set_may_begin_at_the_last_character():
    last = compile_glob("[\U0010ffff]")
    assert last.matches("\U0010ffff")
    assert not last.matches("\U0010fffe")
