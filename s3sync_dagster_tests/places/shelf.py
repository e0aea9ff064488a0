"""A type of place of another package, in one module: docs/places.md shows it."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from s3sync_dagster.engine.store_ports import ObjectStore
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.place import Admission, Place, PlaceIdentity, told
from s3sync_dagster.model.place_types import PlaceType, add_place_type
from s3sync_dagster.model.source import Source
from s3sync_dagster.ports.memory_s3 import MemoryBucket, MemoryObjectStore

SHELVES: dict[str, MemoryBucket] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShelfPlace(Place):
    """Objects in the memory of this process."""

    shelf: str = field(metadata=told("The shelf.", fixed=True))
    copies: int = field(default=1, metadata=told("Of each object.", kind="whole", least=1, most=9))
    type: str = "shelf"
    kind: ClassVar[str] = "memory"
    form: ClassVar[str] = "shelf:NAME"

    @classmethod
    def read(cls, text: str) -> "ShelfPlace | None":
        return cls(shelf=text.removeprefix("shelf:")) if text.startswith("shelf:") else None

    def address(self, key: str | None = None) -> str:
        return f"shelf:{self.shelf}/{key or ''}"

    def identity(self) -> PlaceIdentity:
        return PlaceIdentity(self.type, "", self.shelf, "")

    def check(self) -> None:
        if not self.shelf.isalnum():
            raise InvalidSetting("shelf is made of letters and digits.")

    def admitted(self, admission: Admission) -> "ShelfPlace":
        return self


def open_shelf(source: Source, surroundings: Any) -> ObjectStore:
    assert isinstance(source.place, ShelfPlace)
    return MemoryObjectStore(SHELVES.setdefault(source.place.shelf, MemoryBucket()))


add_place_type("shelf", PlaceType(place=f"{__name__}:ShelfPlace", opener=f"{__name__}:open_shelf"))
