"""``s3sync extract`` and ``s3sync chunks``: see what becomes of a file."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from s3sync_dagster.cli.commands import run

SAMPLES = Path(__file__).parents[2] / "s3sync_dagster" / "local" / "samples"
MAIN = """
from s3sync_dagster.cli import main
try:
    main()
finally:
    from tqdm import tqdm
    list(tqdm(range(3)))
"""
TEXT = "# Häuser\n\nAlte Häuser haben dicke Wände.\n\n## Dächer\n\nDächer sind schräg.\n"


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "häuser.md"
    path.write_text(TEXT, "utf-8")
    return path


def test_extract_prints_the_text_and_nothing_else(file, capsys):
    assert run(["extract", str(file)]) == 0
    out, err = capsys.readouterr()
    assert (out.rstrip("\n"), err) == (TEXT.rstrip("\n"), "")
    assert run(["extract", str(file), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["format"] == "markdown"


def test_chunks_prints_every_chunk_with_its_place(file, capsys):
    assert run(["chunks", str(file), "--max-size-bytes", "60", "--json"]) == 0
    chunks = json.loads(capsys.readouterr().out)
    assert [chunk["start_line"] for chunk in chunks] == sorted(c["start_line"] for c in chunks)
    assert all(len(chunk["text"].encode()) <= 60 for chunk in chunks)
    assert "".join(chunk["text"] for chunk in chunks).split() == TEXT.split()
    assert run(["chunks", str(file)]) == 0
    drawn = capsys.readouterr().out
    assert "Dächer sind schräg." in drawn
    assert "\x1b" not in drawn  # colours are for terminals


def test_chunks_writes_a_page(file, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert run(["chunks", str(file), "--html", str(page)]) == 0
    assert "Dächer" in page.read_text("utf-8")
    assert "page.html" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["extract", "chunks"])
def test_what_cannot_be_read_gets_one_sentence(command, tmp_path, capsys):
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7 not really")
    assert run([command, str(broken)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("Error: ")
    assert len(err.splitlines()) == 1
    assert run([command, str(tmp_path / "missing.pdf")]) == 2


def test_letters_that_the_terminal_does_not_have_are_escaped(tmp_path):
    file = tmp_path / "latin.md"
    file.write_text("# Häuser 日本\n", "utf-8")
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "extract", str(file)],
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("# Häuser \\u65e5\\u672c".encode("latin-1"))
    assert done.stderr == b"", "no bars of other libraries in what is piped"
