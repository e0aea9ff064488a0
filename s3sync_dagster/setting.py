"""One setting of a source: its value's type and bounds, its names, and the doors that offer it."""

from collections.abc import Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Literal

from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.place import Place
from s3sync_dagster.model.place_types import place_classes
from s3sync_dagster.model.source import (
    AutoSync,
    ChunkingConfig,
    DeleteMode,
    EmbeddingConfig,
    ExtractionConfig,
    Source,
)

UNBOUNDED = 2**31 - 1

Kind = Literal["text", "choice", "whole", "flag", "texts", "mapping"]
GROUPS = ("chunking", "embedding", "extraction")
"""Settings that are written together, as a mapping, where there is room for one."""


class Door(StrEnum):
    """Where people set something."""

    CODE = "Python, YAML"
    CREATE = "s3sync source create"
    EDIT = "s3sync source edit"
    POST = "POST /api/v1/sources"
    PATCH = "PATCH /s3sync/v1/sources"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting and its names."""

    path: str
    """Where it stands in the value: ``mode``, ``place.region``, ``chunking.context``."""
    help: str
    kind: Kind = "text"
    choices: tuple[str, ...] = ()
    least: int = 0
    most: int = UNBOUNDED
    """Bounds of a whole number."""
    tenants_most: int | None = None
    """Bound for tenants of the API, where it is narrower."""
    option: str | None = None
    """Name at the command line where it is not made of the path."""
    code: str | None = None
    """Name in Python and YAML where it is not the path's last word."""
    metavar: str | None = None
    """What stands for the value in help texts."""
    contract: str | None = None
    """Where the Sync API's own payload has it: written by hand in ``api/wire_source.py``."""
    missing: Mapping[Door, str] = field(default_factory=dict[Door, str])
    """Doors that do not offer it, each with the reason."""

    @property
    def group(self) -> str | None:
        """The mapping in which it is written, None for one that stands alone."""
        head = self.path.partition(".")[0]
        return head if head in GROUPS else None

    @property
    def word(self) -> str:
        """The path's last word."""
        return self.path.rpartition(".")[2]

    @property
    def label(self) -> str:
        """Its name in messages."""
        return self.path if self.group else self.word

    @property
    def code_name(self) -> str:
        """Its name in Python and YAML, within its group where it has one."""
        return self.code or self.word

    @property
    def code_path(self) -> str:
        """Its name in Python and YAML, with its group."""
        return f"{self.group}.{self.word}" if self.group else self.code_name

    @property
    def bounds(self) -> str:
        """What a whole number may be, in words."""
        if self.most == UNBOUNDED:
            return f"a whole number from {self.least}"
        return f"a whole number from {self.least} to {self.most}"

    @property
    def wire_name(self) -> str:
        """Its name in payloads of the API, within its group where it has one."""
        return (self.contract or self.path).rpartition(".")[2]

    @property
    def flag(self) -> str:
        """Its option at the command line."""
        return "--" + (self.option or self.word.replace("_", "-"))

    @property
    def parameter(self) -> str:
        """The name under which click hands it over."""
        return self.flag.lstrip("-").replace("-", "_")

    @property
    def default(self) -> Any:
        """What a source has that says nothing; the value's own default, as people write it."""
        found = _default_of(self.path)
        return found.value if isinstance(found, StrEnum) else found

    @property
    def required(self) -> bool:
        """Whether a source has to have it."""
        return self.default is MISSING

    @property
    def nullable(self) -> bool:
        """Whether it may be left empty."""
        return self.default is None

    def offered(self, door: Door) -> bool:
        """Return whether people can set it there."""
        return door not in self.missing

    def belongs_to(self, place: Place | type[Place]) -> bool:
        """Return whether sources of that place have the setting."""
        kind = place if isinstance(place, type) else type(place)
        return not self.path.startswith("place.") or _field_of(kind, self.path) is not None

    def require(self, place: Place, *, name: str) -> None:
        """Raise ``InvalidSetting`` where sources of that place do not have the setting.

        Args:
            place: of the source.
            name: of the setting at this door.
        """
        if not self.belongs_to(place):
            raise InvalidSetting(f"{name} is no setting of {place.type} sources.")

    def read(self, config: Any) -> Any:
        """Return the setting's value in a source."""
        for part in self.path.split("."):
            config = getattr(config, part)
        return config

    def put(self, config: Any, value: Any) -> Any:
        """Return the source with the value, which a door handed over, made strong.

        Raises:
            InvalidSetting: it is none for this setting.
        """
        return _put(config, self.path.split("."), self.strong(value))

    def strong(self, value: Any) -> Any:
        """Return the value as a source has it. Raises ``InvalidSetting``."""
        if self.kind == "texts" and isinstance(value, list):
            value = tuple(value)
        self.check(value)
        kind = _ENUMS.get(self.path)
        return value if kind is None else kind(value)

    def check(self, value: Any) -> None:
        """Refuse with ``InvalidSetting`` what is no value of this setting."""
        if value is None and self.nullable:
            return
        wanted = self._wanted(value)
        if wanted is not None:
            known = self.kind in ("choice", "whole")  # other values may be secrets
            shown = f"is {ascii(value)[:80]}; it has" if known else "has"
            raise InvalidSetting(f"{self.label} {shown} to be {wanted}.")

    def _wanted(self, value: Any) -> str | None:
        """Return what the value would have to be, None when it is that."""
        match self.kind:
            case "text":
                return None if isinstance(value, str) else "text"
            case "choice":
                return None if value in self.choices else f"one of {', '.join(self.choices)}"
            case "whole":
                whole = isinstance(value, int) and not isinstance(value, bool)
                fits = whole and self.least <= value <= self.most
                return None if fits else self.bounds
            case "flag":
                return None if isinstance(value, bool) else "true or false"
            case "texts":
                texts = isinstance(value, tuple) and all(isinstance(one, str) for one in value)
                return None if texts else "a list of texts"
            case "mapping":
                return None if isinstance(value, Mapping) else "a mapping of names to values"


_ENUMS: Mapping[str, type[StrEnum]] = {"auto_sync": AutoSync, "mode": DeleteMode}
_NESTED: Mapping[str, type] = {
    "chunking": ChunkingConfig,
    "embedding": EmbeddingConfig,
    "extraction": ExtractionConfig,
}


def _field_of(kind: type[Any], path: str) -> Field[Any] | None:
    """Return the field of a place at a path such as ``place.credentials.profile``."""
    found: Field[Any] | None = None
    for word in path.split(".")[1:]:
        if found is not None:
            kind = kind.nested.get(found.name, object)
        found = next((one for one in _fields(kind) if one.name == word), None)
        if found is None:
            return None
    return found


def _fields(kind: type[Any]) -> tuple[Field[Any], ...]:
    return fields(kind) if hasattr(kind, "__dataclass_fields__") else ()


def _default_of(path: str) -> Any:
    outer, _, word = path.rpartition(".")
    if path.startswith("place."):
        # Types that share a setting agree on what counts where nothing is said.
        found = next(filter(None, (_field_of(kind, path) for kind in place_classes().values())))
    else:
        found = next(one for one in fields(_NESTED.get(outer, Source)) if one.name == word)
    if found.default_factory is not MISSING:
        return found.default_factory()
    return found.default


def _put(config: Any, parts: list[str], value: Any) -> Any:
    if len(parts) > 1:
        value = _put(getattr(config, parts[0]), parts[1:], value)
    return replace(config, **{parts[0]: value})
