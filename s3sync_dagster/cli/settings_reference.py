"""The page docs/settings.md: ``python -m s3sync_dagster.cli.settings_reference``."""

from collections.abc import Iterable
from dataclasses import MISSING

import click

from s3sync_dagster.setting import Door, Setting
from s3sync_dagster.source_settings import SETTINGS

HEAD = """# Settings of a source

Made by `python -m s3sync_dagster.cli.settings_reference` from the one table of settings
(`s3sync_dagster/source_settings.py`). The names are those of Python and YAML; `chunking`,
`embedding` and `extraction` are mappings there (`chunking: {type: lines}`). What cannot work is
refused where it is declared, with a sentence that names the setting. In the API a setting stands
inside `s3` at the creation and by itself in `PATCH`; paths are those of the contract. A source of
the API is made with `auto_sync` none and is never listed unless it says so. `s3sync sync` takes
place and model, `--endpoint-url`, `--region` and `--mode`: for more make the source first.

| setting | command line | Sync API | value | default | |
|---|---|---|---|---|---|
"""
FOOT = """
A dash means that a door does not offer the setting; why:

| door | settings | reason |
|---|---|---|
"""


def settings_markdown(table: Iterable[Setting] = SETTINGS) -> str:
    """Return the reference of all settings as Markdown."""
    rows = list(table)
    return HEAD + "".join(_row(one) for one in rows) + FOOT + "".join(_reasons(rows))


def _row(setting: Setting) -> str:
    cells = (
        f"`{setting.code_path}`",
        "`NAME`" if setting.path == "name" else f"`{setting.flag}`",
        _on_the_wire(setting),
        _values(setting),
        _default(setting),
        setting.help,
    )
    return f"| {' | '.join(cells)} |\n"


def _on_the_wire(setting: Setting) -> str:
    if not setting.offered(Door.POST):
        return "—"
    name = setting.contract or (setting.path if setting.group else setting.wire_name)
    return f"`{name}`" + ("" if setting.offered(Door.PATCH) else ", at creation")


def _values(setting: Setting) -> str:
    match setting.kind:
        case "choice":
            return ", ".join(f"`{one}`" for one in setting.choices)
        case "whole":
            return setting.bounds
        case "flag":
            return "`true`, `false`"
        case "texts":
            return "list of texts"
        case kind:
            return kind


def _default(setting: Setting) -> str:
    if setting.default is MISSING:
        return "required"
    return "" if setting.default in (None, "", (), {}) else f"`{str(setting.default).lower()}`"


def _reasons(table: Iterable[Setting]) -> list[str]:
    found: dict[tuple[str, str], list[str]] = {}
    for setting in table:
        for door, why in setting.missing.items():
            found.setdefault((door.value, why), []).append(f"`{setting.code_path}`")
    return [f"| {door} | {', '.join(names)} | {why} |\n" for (door, why), names in found.items()]


if __name__ == "__main__":
    click.echo(settings_markdown(), nl=False)
