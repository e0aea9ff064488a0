"""Makes ``s3sync_dagster/defs/typed_settings.py``, which type checkers read, from the table.

Run ``python -m s3sync_dagster_tests.typed_settings > s3sync_dagster/defs/typed_settings.py``.
"""

from collections.abc import Iterator

from s3sync_dagster.defs.resources import (
    FilesSource,
    FolderSource,
    GitSource,
    S3Source,
    WebSource,
)
from s3sync_dagster.setting import GROUPS, Setting
from s3sync_dagster.source_settings import settings_of

NAMES = {
    "S3Settings": S3Source,
    "FolderSettings": FolderSource,
    "GitSettings": GitSource,
    "WebSettings": WebSource,
    "FilesSettings": FilesSource,
}
_KINDS = {
    "text": "str",
    "whole": "int",
    "flag": "bool",
    "texts": "list[str]",
    "mapping": "dict[str, Any]",
}
_HEAD = '''\
"""The settings of sources as type checkers read them; at run time they are made of the table.

Made by ``python -m s3sync_dagster_tests.typed_settings``: change the table, not this file.
"""

from typing import Any, Literal

import pydantic
'''


def typed_settings() -> str:
    """Return the text of the file."""
    return _HEAD + "".join(
        f"\n\nclass {name}(pydantic.BaseModel):\n"
        '    """What sources of this type of place have."""\n\n'
        + "\n".join(_fields(settings_of(resource.place_class)))
        + "\n"
        for name, resource in NAMES.items()
    )


def _fields(settings: list[Setting]) -> Iterator[str]:
    for one in settings:
        if one.group is None:
            default = "" if one.required else f" = {_default(one)}"
            yield f"    {one.code_name}: {_type(one)}{default}"
    for group in GROUPS:
        yield f"    {group}: dict[str, Any] = {{}}"


def _type(setting: Setting) -> str:
    kind = _KINDS.get(setting.kind, "")
    if setting.choices:
        kind = f"Literal[{', '.join(map(_quoted, setting.choices))}]"
    return f"{kind} | None" if setting.nullable else kind


def _default(setting: Setting) -> str:
    if setting.kind == "texts":
        return f"[{', '.join(map(_quoted, setting.default or ()))}]"
    if setting.kind == "mapping":
        return repr(dict(setting.default or {}))
    return _quoted(setting.default) if isinstance(setting.default, str) else repr(setting.default)


def _quoted(text: str) -> str:
    return f'"{text}"'


if __name__ == "__main__":
    print(typed_settings(), end="")
