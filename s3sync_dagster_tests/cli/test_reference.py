"""What is written about the command line holds: the reference page, help texts, variables."""

import re
from pathlib import Path

import pytest

from s3sync_dagster.cli.commands import COMMANDS
from s3sync_dagster.cli.reference import all_commands, commands_markdown

ROOT = Path(__file__).parents[2]
SET_FOR_CHILDREN = {
    "DAGSTER_EVENT_BATCH_SIZE",
    "S3SYNC_CODE_SERVER_SOCKET",
}
"""Written by this project for processes that it starts; nobody else sets them."""
COMMAND_CONTEXTS = {context.command_path: context for context in all_commands()}


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
