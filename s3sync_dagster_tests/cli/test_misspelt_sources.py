"""A source's name that nothing has: each command that takes one names those that are near."""

import click
import pytest

from s3sync_dagster.cli.commands import cli
from s3sync_dagster.cli.completing import source_names
from s3sync_dagster.meant import no_source


def taking_a_source(command=cli, words=()):
    """Yield the words of each command that takes a source, with a misspelt one."""
    context = click.Context(command)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            yield from taking_a_source(command.get_command(context, name), (*words, name))
        return
    for parameter in command.params:
        if parameter._custom_shell_complete is source_names:
            named = ["dosc"] if isinstance(parameter, click.Argument) else ["k", "--source", "dosc"]
            yield [*words, *named]


def test_every_command_that_takes_a_source_names_those_that_are_near(s3sync):
    for name in ("docs", "doc_s", "manuals"):
        create = [
            "source",
            "create",
            name,
            "--bucket",
            "a-bucket",
            "--prefix",
            f"{name}/",
            "--no-check",
        ]
        assert s3sync(*create, "--collection", name).code == 0
    asked = list(taking_a_source())
    assert len(asked) >= 14
    for words in asked:
        told = s3sync(*words)
        assert told.code == 1, words
        said = "Error: No source 'dosc'. Did you mean 'docs' or 'doc_s'?\n"
        assert told.err == said, words


def test_a_name_like_no_other_leads_to_the_list(s3sync):
    told = s3sync("status", "zzz")
    assert told.err == "Error: No source 'zzz'; `s3sync source list` shows those there are.\n"


def test_the_name_of_a_collection_leads_to_the_source_that_fills_it(s3sync):
    for name in ("bucket_docs", "doc"):
        create = ["source", "create", name, "--bucket", "a-bucket", "--prefix", f"{name}/"]
        collection = "docs" if name == "bucket_docs" else "doc-texts"
        assert s3sync(*create, "--no-check", "--collection", collection).code == 0
    for words in (("objects", "docs"), ("retry", "docs"), ("source", "pause", "docs")):
        told = s3sync(*words)
        said = "No source 'docs'; the collection 'docs' is filled by the source 'bucket_docs'."
        assert (told.code, told.err) == (1, f"Error: {said}\n")


def test_several_that_fill_a_collection_are_named():
    error = no_source("docs", ["b", "a", "doc"], otherwise="look", filling=["b", "a"])
    filled = "the collection 'docs' is filled by the source 'a' and by 'b'."
    assert error.message == f"No source 'docs'; {filled}"


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("DOCS", "Did you mean 'Docs'?"),
        ("dosc", "Did you mean 'Docs'?"),
        ("team_a", "Did you mean 'team_e' or 'team_d' or 'team_c'?"),
        ("x" * 10_000, "look."),
        ("", "look."),
    ],
)
def test_which_names_are_near(name, near):
    names = ["Docs", "team_b", "team_c", "team_d", "team_e"]
    error = no_source(name, names, otherwise="look")
    assert error.reason == "source_not_found"
    assert error.message.startswith(f"No source {name!r}")
    assert error.message.endswith(near)
