"""The mistakes that are made, and that the runner tells who notices them."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from s3sync_dagster_tests.mutation.operators import mutants_of

ROOT = Path(__file__).parents[2]


def made(tmp_path, text):
    file = tmp_path / "one.py"
    file.write_text(text)
    return [(mutant.line, mutant.after) for mutant in mutants_of(file, tmp_path)]


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("def f(a):\n    a.b(a < 2)\n", ["pass", "(a <= 2)", "3"]),
        ("def f(a, b):\n    return a and not b\n", ["return None", "(a or not b)", "(b)"]),
        ("def f(a):\n    if a:\n        raise a\n", ["(not (a))", "pass"]),
        ("def f(a):\n    if a is None:\n        return\n", ["(a is not None)"]),
        ("def f(a):\n    a += a * True\n", ["pass", "(a // True)", "False"]),
        ("def f(a):\n    return [one for one in a if one]\n", ["return None", "(not (one))"]),
        ("def f(a=1, *, b='word'):\n    return a\n", ["2", "'XXwordXX'", "return None"]),
        ("A: int = 1\nB = Literal['a']\nC = cast('int', 2)\n", ["2"]),
        ('"""A text."""\n\n@cached(size=3)\ndef f() -> "int":\n    """More."""\n', []),
        ("def f(a):\n    _log.info('%s', a)\n    return f'{a + 1}'\n", ["return None"]),
        ("def f(a, b):\n    yield zip(a, b, strict=True), 'a sentence'\n", []),
    ],
)
def test_the_mistakes_that_are_made(tmp_path, text, after):
    assert sorted(new for _, new in made(tmp_path, text)) == sorted(after)


def test_each_mutant_of_a_real_file_is_python_and_differs():
    path = ROOT / "s3sync_dagster/core/plan.py"
    source = path.read_bytes()
    mutants = mutants_of(path, ROOT)
    assert len(mutants) > 20
    assert len({mutant.id for mutant in mutants}) == len(mutants)
    for mutant in mutants:
        assert ast.dump(ast.parse(mutant.applied_to(source))) != ast.dump(ast.parse(source))


CODE = '''"""Two functions."""

LIMIT = 3


def held(a):
    return a > LIMIT


def loose(a):
    if a == 7:
        return 1
    return 2
'''
TESTS = """
from s3sync_dagster.core.two import held, loose

def test_held():
    assert held(4)
    assert not held(3)

def test_loose():
    assert loose(1)
"""


@pytest.mark.long
def test_the_runner_tells_what_no_test_notices_and_goes_on_where_it_was(tmp_path):
    for folder in ("s3sync_dagster/core", "s3sync_dagster_tests/core"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "__init__.py").touch()
        (tmp_path / folder).parent.joinpath("__init__.py").touch()
    (tmp_path / "pyproject.toml").write_text("[tool.pytest]\nmarkers = ['long: l', 'browser: b']\n")
    (tmp_path / "s3sync_dagster/core/two.py").write_text(CODE)
    (tmp_path / "s3sync_dagster_tests/core/test_two.py").write_text(TESTS)
    tool = tmp_path / "s3sync_dagster_tests/mutation"
    tool.mkdir()
    for file in Path(__file__).parent.glob("*.py"):
        if not file.name.startswith("test_"):
            (tool / file.name).write_bytes(file.read_bytes())

    def run(*more):
        command = [sys.executable, "-m", "s3sync_dagster_tests.mutation", *more]
        arguments = ["--paths", "s3sync_dagster/core", "--jobs", "2"]
        return subprocess.run(
            [*command, *arguments], capture_output=True, text=True, check=False, cwd=tmp_path,
            env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
        )  # fmt: skip

    done = run("--least", "90")
    assert done.returncode == 1, done.stderr
    lines = (tmp_path / ".mutation/seed-1.jsonl").read_text().splitlines()
    results = {(one["place"], one["after"]): one["state"] for one in map(json.loads, lines)}
    two = "s3sync_dagster/core/two.py"
    assert results.pop((f"{two}:3", "4")) == "killed"
    assert results.pop((f"{two}:7", "(a >= LIMIT)")) == "killed"
    assert results.pop((f"{two}:7", "return None")) == "killed"
    assert results == {
        (f"{two}:11", "(a != 7)"): "survived",
        (f"{two}:11", "8"): "survived",
        (f"{two}:12", "2"): "survived",
        (f"{two}:13", "3"): "survived",
    }
    assert "score 42.9 %" in done.stdout
    assert f"{two}:11  comparison: 'a == 7' -> '(a != 7)'" in done.stdout
    assert (tmp_path / two).read_text() == CODE
    again = run()
    assert again.returncode == 0
    assert "0 still to run" in again.stdout
