"""Where the objects of a source are: one frozen value for each type of place.

A place owns what differs from type to type: its address, its identity, the link to an object,
the order of its listing, and what it takes to get in. ``ports/places.py`` opens its store.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self

from s3sync_dagster.model.errors import InvalidSetting, NotPossible
from s3sync_dagster.model.place_types import place_classes

if TYPE_CHECKING:
    from s3sync_dagster.model.source import ExtractionConfig

PLACE_FORM = "PLACE"
"""How help texts name a place of any type; ``forms`` tells how each is written."""


class PlaceIdentity(NamedTuple):
    """What makes two places the same one, by the catalog's columns."""

    place_type: str
    endpoint_url: str
    """Which server; empty: the one that all know by the type."""
    bucket_name: str
    """Bucket or the like."""
    path_prefix: str


class Carried(NamedTuple):
    """What of that which an object carries besides its bytes becomes metadata, by its name there.

    Of both the values are the metadata keys.
    """

    metadata: Mapping[str, str] = {}
    """Names of user metadata (``x-amz-meta-*``, without that) in lower case."""
    tags: Mapping[str, str] = {}
    """Names of tags."""

    def keys(self) -> list[str]:
        """Return the metadata keys that may come of it."""
        return [*self.metadata.values(), *self.tags.values()]


class WatchedFolder(NamedTuple):
    """A folder whose files are the objects, their paths the keys."""

    folder: str
    """Absolute."""
    skip_folders: tuple[str, ...] = ()
    """Names of folders that are not entered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialsConfig:
    """Where AWS credentials come from. Never a secret itself: names of variables, profiles, ids."""

    profile: str | None = None
    access_key_id_env: str | None = None
    secret_access_key_env: str | None = None
    session_token_env: str | None = None
    credential_id: int | None = None
    """Row of the catalog's encrypted credentials."""
    role_arn: str | None = None
    external_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Who asks by the API for a place, and on which server."""

    trusted: bool
    """The tenant may use what is the server's own: credentials, network, ssh keys."""
    tenant: str = ""
    environment: Mapping[str, str] = field(repr=False)
    """Of the server: what its operator allows."""


def told(help: str, **row: Any) -> dict[str, Any]:  # noqa: A002  (click's and the table's word)
    """Return the metadata of a place's field that people set: its row in the table of settings.

    A field without shares the row of its name, or is nobody's to choose.

    Args:
        help: a sentence for people.
        row: further columns of ``source_settings.Setting``, and ``fixed`` (it decides what the
            source is) and ``server`` (it names what only this server has).
    """
    return {"help": help, **row}


class Place:
    """Base of all places: what they answer, as most answer it.

    A type of place is a frozen dataclass below this one with a field ``type``, whose value is its
    tag, and a row in ``place_types``; ``docs/places.md`` shows one from its first line to its last.
    """

    __slots__ = ()
    type: str = ""
    """Tag, which is the contract's source type where it has one."""
    path_prefix: str = ""
    """What all keys begin with."""
    queue_url: str | None = None
    """What tells of changes."""
    webhook_secret: int | None = None
    """Row of the catalog's secrets with which a host signs what it tells of changes."""
    asset_prefix: ClassVar[str] = "s3"
    """First part of the names in Dagster: ``s3/<source>``, ``s3_<source>``."""
    kind: ClassVar[str] = ""
    """What Dagster shows the asset as."""
    owned: ClassVar[bool] = False
    """The objects are ours: they lie in the data folder and go with their source."""
    form: ClassVar[str] = ""
    """How people write the place, for help texts; empty: they do not."""
    nested: ClassVar[Mapping[str, Any]] = {}
    """Fields that are values of their own, and their classes."""
    listed_every: ClassVar[int] = 300
    """Seconds between two listings where a person says nothing."""
    metadata_interval_seconds: int = 0
    """Between two looks at what an unchanged object carries; 0: none."""
    names_collection: ClassVar[bool] = False
    """The contract's payload has no collection for it: ``collection`` is that of one which names
    none."""

    @classmethod
    def read(cls, text: str) -> "Place | None":
        """Return the place that a person wrote, None where it is none of this type.

        Raises:
            InvalidSetting: it is one, and wrong.
        """
        del text
        return None

    def address(self, key: str | None = None) -> str:
        """Return the address of an object, without a key that of the place."""
        raise NotImplementedError

    def identity(self) -> PlaceIdentity:
        """Return what makes two places the same one."""
        raise NotImplementedError

    def contradicts(self, known: "Place") -> str | None:
        """Return the setting that this place, as a person wrote it, has otherwise than a known one.

        Only of those that are no part of the identity.
        """
        del known
        return None

    def is_changed_by(
        self, repository: Sequence[str], ref: str, *, default_branch: str
    ) -> bool | None:
        """Return whether a push to a repository changes what lies here; None: it is another one.

        Args:
            repository: its addresses or name, as a host tells them.
            ref: what was pushed, such as ``refs/heads/main``.
            default_branch: of the repository.
        """
        del repository, ref, default_branch
        return None

    def followed(self) -> tuple[str, str] | None:
        """Return ``sha`` or ``branch`` and what a repository's source follows; None elsewhere."""
        return None

    def watched(self) -> "WatchedFolder | None":
        """Return the folder of this machine whose file system tells of changes; None: no such."""
        return None

    @property
    def carried(self) -> Carried:
        """Return what objects carry here that becomes metadata."""
        return Carried()

    @property
    def reading(self) -> Mapping[str, object]:
        """Return the settings by which other bytes of an object are read than without them."""
        return {}

    def collection(self) -> str:
        """Return the collection of a source that names none."""
        raise NotImplementedError

    def check(self) -> None:
        """Refuse with ``InvalidSetting`` what cannot work, by whatever door it comes."""

    def admitted(self, admission: Admission) -> Self:
        """Return the place as a caller of the API may have it.

        Raises:
            InvalidSetting: this caller may not.
            NotPossible: this server has no sources of the type by that door.
        """
        del admission
        raise NotPossible(
            f"This server makes no {self.type} sources by its API: declare them in Python or YAML, "
            "or with `s3sync source create`.",
            reason="source_type_not_available",
        )

    @property
    def credential_id(self) -> int | None:
        """Return the row of the catalog whose secrets open the place."""
        return None

    @property
    def credential_ids(self) -> tuple[int, ...]:
        """Return all rows of the catalog's secrets that the place names."""
        return () if self.credential_id is None else (self.credential_id,)

    @property
    def ordered(self) -> bool:
        """Return whether a listing comes in the order of the keys' bytes."""
        return True

    def link(self, key: str) -> str | None:
        """Return a URL of an object for a browser, None where there is none."""
        del key
        return None

    def permalink(self, key: str, version: str, lines: tuple[int, int]) -> str | None:
        """Return a URL of some lines of one version, which stands on each record; None: none."""
        del key, version, lines
        return None

    def file_name(self, key: str) -> str:
        """Return the name whose suffix tells what an object is, before it is read."""
        return key

    def extraction(self, config: "ExtractionConfig") -> "ExtractionConfig":
        """Return how objects of this place are read, where the source's choices leave it open."""
        return config

    def with_changes(self, **changes: Any) -> Self:
        """Return a copy with some fields replaced."""
        return replace(self, **changes)  # type: ignore[type-var]


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadPlace(Place):
    """What people uploaded (contract: ``file_upload``), kept in the data folder.

    In Dagster it is called ``s3/<source>`` as ever: another word would cut the source off from
    its partitions and its history.
    """

    type: str = "file_upload"
    kind: ClassVar[str] = "file"
    owned: ClassVar[bool] = True

    def address(self, key: str | None = None) -> str:
        """Return the address of an object, without a key that of the place."""
        return f"upload:/{key or ''}"

    def identity(self) -> PlaceIdentity:
        """Return what makes two places the same one: each collection has its own."""
        return PlaceIdentity(self.type, "", self.type, "")


def place_from_json(data: Mapping[str, Any]) -> Place:
    """Return a place from its JSON; unknown fields of a newer version are ignored."""
    kind = place_classes()[data.get("type", "s3")]
    values = {one.name: _read_back(data[one.name]) for one in fields(kind) if one.name in data}  # type: ignore[arg-type]
    for name, inner in kind.nested.items():
        if name in values:
            known = {one.name for one in fields(inner)}
            given = values[name]
            values[name] = inner(**{key: value for key, value in given.items() if key in known})
    return kind(**values)


def _read_back(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value  # type: ignore[arg-type]


def forms() -> list[str]:
    """Return how people write a place, one form for each type that has one."""
    return [kind.form for kind in place_classes().values() if kind.form]


def parse_place(text: str) -> Place:
    """Return the place that a person wrote.

    Raises:
        InvalidSetting: the text names none.
    """
    for kind in place_classes().values():
        found = kind.read(text)
        if found is not None:
            return found
    told = f"{text!r} is no place: write {', or '.join(forms())}."
    if text.startswith(("file://", "ssh://")):
        told += f" For a repository whose address does not end in .git: {f'git+{text}'!r}."
    raise InvalidSetting(told)
