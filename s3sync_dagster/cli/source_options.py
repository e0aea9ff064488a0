"""The settings of a source as options, made from their table."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import click

from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.source import DeleteMode, EmbeddingConfig, Source
from s3sync_dagster.setting import UNBOUNDED, Door, Setting
from s3sync_dagster.source_settings import SETTINGS

F = TypeVar("F", bound=Callable[..., Any])

_SHORT = {"collection_name": "-c"}


def at(door: Door, table: Iterable[Setting] = SETTINGS) -> list[Setting]:
    """Return the settings that are options there."""
    return [one for one in table if one.offered(door) and one.path != "name"]  # an argument


def named(*paths: str) -> list[Setting]:
    """Return the settings at these paths, or below them, in the order of the table."""
    heads = tuple(f"{path}." for path in paths)
    return [one for one in SETTINGS if one.path in paths or one.path.startswith(heads)]


def setting_options(settings: Iterable[Setting], *, new: bool = False) -> Callable[[F], F]:
    """Give a command an option for each setting; ``with_settings`` reads what it hands over.

    Args:
        settings: rows of the table.
        new: the command makes a source: what has to be there is required, and the help tells what
            counts where nothing is said.
    """

    def decorate(function: F) -> F:
        for setting in reversed(list(settings)):
            required = new and setting.required and not setting.path.startswith("place.")
            function = click.option(
                *_names(setting),
                setting.parameter,
                type=_type(setting),
                multiple=setting.kind == "texts",
                required=required,
                **({} if required else {"default": None}),  # click takes a None for an answer
                metavar=setting.metavar,
                help=_help(setting, new=new),
            )(function)
        return function

    return decorate


class EditCommand(click.Command):
    """A command that says of what cannot be changed why, and what else can be done."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options. Raises ``UsageError``."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            fixed = {one.flag for one in at(Door.CREATE)} - {one.flag for one in at(Door.EDIT)}
            if error.option_name not in {*fixed, "--place"}:
                raise
            raise click.UsageError(
                f"{error.option_name} decides what a source is, and is not changed: create another "
                "one (s3sync source create), then delete this one. What Python or YAML declares is "
                "changed there and moved by `s3sync source move`.",
                ctx,
            ) from None


def embedding(help: str) -> Callable[[F], F]:  # noqa: A002  (click's own word)
    """``--embedding`` with its own help, and what its kinds need besides."""
    kind, *others = named("embedding")
    return setting_options([replace(kind, help=help), *others])


def embedding_config(options: Mapping[str, Any]) -> EmbeddingConfig | None:
    """Return what the options of ``embedding`` say; None when none of them was given.

    Raises:
        InvalidSetting: a model or an endpoint without its kind.
    """
    given = {
        setting.word: setting.strong(_value(setting, options[setting.parameter]))
        for setting in named("embedding")
        if options.get(setting.parameter)
    }
    if not given:
        return None
    if "kind" not in given:
        raise InvalidSetting("--embedding-model and its like need --embedding.")
    return EmbeddingConfig(**given)


def with_settings(
    source: Source, options: Mapping[str, Any], table: Iterable[Setting] = SETTINGS
) -> Source:
    """Return the source with the given options; an empty text takes a setting away.

    Raises:
        InvalidSetting: a value is none for its setting.
    """
    for setting in table:
        value = options.get(setting.parameter)
        if value is not None and value != ():
            setting.require(source.place, name=setting.flag)
            source = setting.put(source, _value(setting, value))
    return source


def _value(setting: Setting, given: Any) -> Any:
    if setting.kind == "texts":
        return tuple(one for one in given if one)
    if given == "":
        return setting.default
    if setting.kind != "mapping":
        return given
    try:
        value = json.loads(given)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise InvalidSetting(f'{setting.flag} is no JSON object, such as \'{{"name": "value"}}\'.')
    return value


def _names(setting: Setting) -> tuple[str, ...]:
    if setting.kind == "flag":
        return (f"{setting.flag}/--no-{setting.flag[2:]}",)
    short = _SHORT.get(setting.path)
    return (setting.flag, short) if short else (setting.flag,)


def _type(setting: Setting) -> Any:
    match setting.kind:
        case "choice":
            return click.Choice(list(setting.choices))
        case "whole":
            return click.IntRange(setting.least, setting.most if setting.most < UNBOUNDED else None)
        case _:
            return None


def _help(setting: Setting, *, new: bool) -> str:
    told = setting.kind in ("choice", "whole") and setting.default not in (None, setting.most)
    if not (new and told):
        return setting.help
    return f"{setting.help.rstrip('.')}; {setting.default} when not given."


def writes_again_itself(source: Source) -> bool:
    """Tell whether a source writes what is outdated again unasked; mode append never does."""
    return source.renews_outdated and source.mode is not DeleteMode.APPEND


def written_again_by(source: Source) -> str:
    """Return the command that writes what a source has indexed under other settings again.

    In mode append a reindex leaves that as it is.
    """
    word = "rebuild" if source.mode is DeleteMode.APPEND else "reindex"
    return f"s3sync {word} {source.name}"
