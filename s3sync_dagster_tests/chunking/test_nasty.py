"""Files that hang, crash or slow down parsers: pieces come back, in time, whatever happens."""

import time

import pytest

from s3sync_dagster_tests.chunking.invariants import check, chunks_of

NASTY = {
    # name: (kind, text, size, expected fallback)
    "one line of script": ("javascript", "var a=[1,2];function f(x){return x}" * 30000, 2048, None),
    "one line of prose": ("text", "Some words. " * 20_000, 1024, None),
    "one line without blanks": ("text", "x" * 1_000_000, 1024, None),
    "one line of wide characters": ("text", "語" * 100_000, 1000, None),
    "one line of json": ("json", "[" + '{"id":1,"name":"n"},' * 15_000 + "0]", 2048, None),
    "open brackets": ("python", "(" * 100_000, 2048, None),
    "open brackets in json": ("json", "[" * 100_000, 2048, None),
    "open braces": ("rust", "{" * 100_000, 2048, None),
    "generics": ("typescript", "<" * 100_000, 2048, None),
    "script that never ends": ("typescript", 'r"=/*\n[}/a"f\nl[*/', 16, "parse_budget"),
    "yaml that crashes its grammar": ("yaml", "- " * 300, 64, "worker_crashed"),
    "nested keys": ("yaml", "".join(f"{' ' * i}k:\n" for i in range(300)), 64, "worker_crashed"),
    "deep conditions": ("python", "".join(" " * i + "if x:\n" for i in range(800)), 2048, None),
    "NULs": ("python", "a\0b\n" * 50_000, 2048, None),
    "lone surrogates": ("markdown", "# \ud800\n\ntext \udfff\n\n" * 300, 200, None),
    "byte order mark": ("csv", "\ufeffa,b\n" + "1,2\n" * 900, 100, None),
    "mixed line ends": (
        "python",
        "def f():\r\n    x = 1\n\rdef g():\r    y = 2\r\r\n" * 300,
        256,
        None,
    ),
    "only line ends": ("text", "\n" * 50_000 + "a" + "\r\n" * 50_000, 512, None),
    "stars": ("markdown", "*" * 200_000, 2048, None),
    "open links": ("markdown", "# " + "[" * 200_000, 2048, None),
    "open tags": ("markdown", "<a " * 60_000, 2048, None),
    "open comments": ("markdown", "<!--\n" * 40_000, 2048, None),
    "nested quotes": ("markdown", ">" * 50_000 + "a\n" * 1000, 2048, None),
    "nested lists": ("markdown", "".join("  " * i + "- a\n" for i in range(700)), 2048, None),
    "list in a line": ("markdown", "- " * 60_000, 2048, None),
    "long delimiter row": ("markdown", "a|b\n---" + " " * 100_000 + "x\n", 2048, None),
    "long table": ("markdown", "|a|b|\n|-|-|\n" + "|1|2|\n" * 20_000, 1024, None),
    "open fence": ("markdown", "```\n" + "x = 1\n" * 40_000, 2048, None),
    "escaped quotes": ("json", '["' + '\\"' * 100_000, 2048, None),
    "stray quote": ("csv", 'a,b\n"x,1\n' + "1,2\n" * 30_000, 1024, None),
    "open comments in xml": ("xml", "<!--" * 30_000, 2048, None),
    "log as markdown": ("markdown", "2025-01-31 10:00:00 INFO a_b *c* [d]\n" * 8000, 2048, None),
}


@pytest.mark.parametrize("name", NASTY)
def test_nasty_files_are_cut(pool, name):
    kind, text, size, fallback = NASTY[name]
    chunks = chunks_of(kind, text, size, pool)
    check(text, chunks, size)
    assert {chunk.fallback for chunk in chunks} == {fallback}
    assert (chunks[0].strategy == "lines") >= (fallback is not None)


STOPPED = {"timeout", "out_of_memory", "worker_crashed"}
"""Which limit is met first depends on the machine: native code that is refused memory crashes, and
a busy machine may not have seen how much it had."""


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "text"),
    [("java", "a<" * 50_000), ("html", "<div>" * 50_000), ("xml", "<div>" * 50_000)],
    ids=["generics", "html", "xml"],
)
def test_superlinear_grammars_are_stopped(pool, kind, text):
    chunks = chunks_of(kind, text, 2048, pool)
    check(text, chunks, 2048)
    (reason,) = {chunk.fallback for chunk in chunks}
    assert reason in STOPPED
    assert {chunk.strategy for chunk in chunks} == {"lines"}
    following = "class A { int b; }\n" * 200
    assert {chunk.fallback for chunk in chunks_of("java", following, 2048, pool)} == {None}


GROWING = {
    "text": "Some words make a sentence. Another one follows it.\n\n",
    "markdown": "## Part\n\nSome words.\n\n- one\n- two\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n",
    "csv": 'name,"some text",3\n',
    "jsonl": '{"a": [1, 2, {"b": "c"}]}\n',
    "log": "2025-01-31 10:00:00 INFO ok\n  more of it\n",
    "python": 'class A:\n    # about\n    def f(self, x):\n        return {"x": [x]}\n\n\n',
    "javascript": "function f(x) { return { a: [x, `t`] }; }\n",
}


@pytest.mark.parametrize("kind", GROWING)
def test_time_grows_linearly(kind):
    def seconds(size: int) -> float:
        text = GROWING[kind] * (size // len(GROWING[kind]))
        begin = time.thread_time()
        chunks_of(kind, text, 2048)
        return time.thread_time() - begin

    seconds(20_000)
    small = min(seconds(150_000) for _ in range(3))
    large = min(seconds(1_200_000) for _ in range(3))
    assert large < 8 * 4 * small  # quadratic would be 64 times; a busy machine triples CPU time


@pytest.mark.long
def test_large_log_takes_seconds():
    text = "".join(
        f"2025-01-31 10:00:00 INFO request {i} took {i % 97} ms\n" for i in range(400_000)
    )
    begin = time.thread_time()
    chunks = chunks_of("log", text, 2048)
    assert time.thread_time() - begin < 30
    assert len(chunks) > 9000
