"""What is written about the command line holds: the reference page, help texts, variables."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest

from s3sync_dagster.cli.commands import ALIASES, COMMANDS, cli, run
from s3sync_dagster.cli.groups import first_sentence
from s3sync_dagster.cli.reference import all_commands, all_groups, commands_markdown

ROOT = Path(__file__).parents[2]
SET_FOR_CHILDREN = {
    "DAGSTER_EVENT_BATCH_SIZE",
    "S3SYNC_CODE_SERVER_SOCKET",
}
"""Written by this project for processes that it starts; nobody else sets them."""
COMMAND_CONTEXTS = {context.command_path: context for context in all_commands()}
GROUPS = {context.command_path: context for context in all_groups()}


def test_the_reference_page_is_what_the_commands_say():
    assert (ROOT / "docs" / "commands.md").read_text("utf-8") == commands_markdown()


def test_every_command_is_on_the_reference_page():
    page = (ROOT / "docs" / "commands.md").read_text("utf-8")
    for name in COMMANDS:
        assert re.search(rf"^## `s3sync {name}[ `]", page, re.MULTILINE), name


@pytest.mark.parametrize("path", COMMAND_CONTEXTS)
def test_every_command_says_what_it_does_and_what_its_options_mean(path):
    command = COMMAND_CONTEXTS[path].command
    first = (command.help or "").strip().split("\n\n")[0]
    assert first.endswith("."), "a sentence in the indicative"
    plain = {"--bucket", "--tenant", "--database", "--role", "--name", "--html"}
    for parameter in command.params:
        if parameter.param_type_name == "option" and not plain & set(parameter.opts):
            assert getattr(parameter, "help", None), f"{path} {parameter.opts}"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_says_of_itself(name):
    """`s3sync --help` reads a table, so that it imports no command."""
    command = cli.get_command(click.Context(cli), name)
    assert COMMANDS[name].help == first_sentence(command)


def test_help_imports_no_command_and_nothing_that_is_heavy():
    code = (
        "import sys\n"
        "from s3sync_dagster.cli.commands import run\n"
        "assert run(['--help']) == 0\n"
        "print(*sys.modules, file=sys.stderr)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60
    )
    loaded = set(told.stderr.split())
    ours = {name for name in loaded if name.startswith("s3sync_dagster.")}
    assert ours == {
        "s3sync_dagster.cli",
        "s3sync_dagster.cli.commands",
        "s3sync_dagster.cli.groups",
        "s3sync_dagster.model",
        "s3sync_dagster.model.errors",
        "s3sync_dagster.starting",
    }
    assert not loaded & {"sqlalchemy", "dagster", "boto3", "httpx", "rich", "pydantic", "numpy"}
    assert "approve-deletes  Let a listing remove" in told.stdout


def test_commands_that_read_the_catalog_load_no_client_and_no_parser(tmp_path):
    code = (
        "import sys\n"
        "from s3sync_dagster.cli.commands import run\n"
        "for words in ('status', 'source list', 'objects', 'why docs/a.md', 'failures'):\n"
        "    run(words.split())\n"
        "print(*sys.modules)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=60,
        env={**os.environ, "S3SYNC_HOME": str(tmp_path / "home")},
    )  # fmt: skip
    heavy = {"dagster", "boto3", "chromadb", "numpy", "onnxruntime", "lxml", "fastapi", "docling"}
    loaded = set(told.stdout.split())
    assert "sqlalchemy" in loaded
    assert not loaded & heavy


EXAMPLES = [
    (path, line.strip())
    for path, context in (*COMMAND_CONTEXTS.items(), *GROUPS.items())
    for line in (context.command.epilog or "").splitlines()
    if line.strip().startswith("s3sync ")
]


@pytest.mark.parametrize("path", [*COMMAND_CONTEXTS, *GROUPS])
def test_every_help_text_has_an_example(path):
    assert [line for owner, line in EXAMPLES if owner == path]


@pytest.fixture
def some_files(tmp_path, monkeypatch):
    """A folder to work in, with the files that examples name."""
    monkeypatch.chdir(tmp_path)
    for name in ("report.pdf", "main.py", "notes.md", "questions.jsonl", "sources.json",
                 "connections.json", "datasources.json"):  # fmt: skip
        Path(name).touch()


def taken(words):
    """Let the command take a command line, without running it; returns its path."""
    context, command = click.Context(cli, info_name="s3sync"), cli
    while isinstance(command, click.Group):
        name = ALIASES.get(words[0], words[0])
        command = command.get_command(context, name)
        assert command is not None, words
        context = click.Context(command, info_name=name, parent=context)
        words = words[1:]
    command.make_context(context.info_name, words, parent=context.parent)
    return context.command_path


@pytest.mark.parametrize(("path", "line"), EXAMPLES, ids=map(": ".join, EXAMPLES))
def test_every_example_is_a_command_line_that_the_command_takes(path, line, some_files):
    found = taken(shlex.split(line)[1:])
    assert found.startswith(f"{path} ") if path in GROUPS else found == path


@pytest.mark.parametrize("path", list(GROUPS)[1:])
def test_the_example_of_a_group_works_before_anything_is_there(path, s3sync):
    for line in [line for owner, line in EXAMPLES if owner == path]:
        assert s3sync(*shlex.split(line)[1:]).code == 0, line


def shown_commands():
    """Return the command lines of all pages, as the shell would part them."""
    ends = "&|;>\n"
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for block in re.findall(r"(?s)```sh\n(.*?)```", page.read_text("utf-8")):
            # A comment takes its line's end along, which ends a command.
            text = block.replace("\\\n", " ").replace("\n", "\n\n")
            words = shlex.shlex(text, posix=True, punctuation_chars=ends)
            words.whitespace, words.whitespace_split = " \t", True
            one: list[str] = []
            for word in words:
                if not set(word) <= set(ends):
                    one.append(word)
                    continue
                if one[:1] == ["s3sync"]:
                    yield page.name, one[1:]
                one = []


def test_every_command_line_of_the_documents_is_one(some_files):
    found = list(shown_commands())
    assert len(found) >= 40
    for page, words in found:
        try:
            taken(list(words))
        except click.ClickException as error:
            pytest.fail(f"{page}: s3sync {' '.join(words)}: {error.format_message()}")


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["synk"], "Did you mean sync?"),
        (["aprove-deletes"], "Did you mean approve-deletes?"),
        (["source", "crate"], "Did you mean create?"),
        (["failure"], "Did you mean failures?"),
        (["zzzz"], "There is no command 'zzzz'.\n"),
    ],
)
def test_a_misspelt_command_is_told_what_was_possibly_meant(words, meant, capsys):
    assert run(words) == 2
    assert meant in capsys.readouterr().err


def test_every_variable_that_is_read_is_explained():
    pages = {page.name: page.read_text("utf-8") for page in (ROOT / "docs").glob("*.md")}
    for path in (ROOT / "s3sync_dagster").rglob("*.py"):
        text = path.read_text("utf-8")
        for name in re.findall(r'"((?:S3SYNC|CHROMA|DAGSTER)_[A-Z_]+)"', text):
            if path.name == "settings.py" and name not in SET_FOR_CHILDREN:
                assert name in pages["running.md"], name
            elif name not in SET_FOR_CHILDREN:
                assert any(name in page for page in pages.values()), name


def test_every_file_that_the_documents_link_to_is_there():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    missing = [
        f"{page.name} -> {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8"))
        if not (page.parent / target).exists()
    ]
    assert missing == []
