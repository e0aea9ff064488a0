"""A folder, on this machine's disk or mounted: its files are objects, their paths the keys."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar, Self

from s3sync_dagster.model.errors import AccessDenied, InvalidSetting, NotPossible, Unavailable
from s3sync_dagster.model.place import Admission, Place, PlaceIdentity, WatchedFolder, told
from s3sync_dagster.places.folder_answer import require_answer, require_answers_below

if TYPE_CHECKING:
    from s3sync_dagster.engine.store_ports import ObjectStore
    from s3sync_dagster.model.source import Source
    from s3sync_dagster.ports.places import Surroundings

FOLDER_ROOTS = "S3SYNC_API_FOLDER_ROOTS"
"""Folders below which owners of the API's tenants may name one, separated like a PATH; not set:
nowhere, since a tenant must not read the server's disk. ``TENANT=FOLDER`` is one tenant's alone;
all else is every tenant's, whatever the ``reader_keys`` of another source say of it."""
VERSIONS = ("stat", "mtime", "content")
NEVER_ENTERED = (".git", "lost+found", ".snapshot")


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderPlace(Place):
    """A folder and all files below it; nothing outside of it is read, through no link."""

    folder: str = field(metadata=told("The folder, absolute.", metavar="FOLDER", fixed=True))
    marker: str | None = field(
        default=None,
        metadata=told("File of the folder that is there as long as it is mounted.", metavar="FILE"),
    )
    """Its path in the folder. Without it nothing is listed, read or taken for gone."""
    file_version: str = field(
        default="stat",
        metadata=told(
            "What tells that a file changed: size, times and inode; size and mtime; its bytes.",
            kind="choice",
            choices=VERSIONS,
        ),
    )
    skip_folders: tuple[str, ...] = field(
        default=NEVER_ENTERED,
        metadata=told("Names of folders that are not entered.", kind="texts", option="skip-folder"),
    )
    within: str | None = None
    """Root below which a caller of the API got it; it is checked again at each opening."""
    type: str = "folder"
    kind: ClassVar[str] = "file"
    form: ClassVar[str] = "./FOLDER or /FOLDER"

    @classmethod
    def read(cls, text: str) -> "FolderPlace | None":
        """Return the folder that a person wrote, relative to where the process is."""
        if not re.match(r"(?:/|\.\.?(?:/|\Z)|~)", text):
            return None
        return cls(folder=os.path.abspath(os.path.expanduser(text)))  # noqa: PTH100, PTH111  (as text)

    def address(self, key: str | None = None) -> str:
        """Return the path of a file, without a key that of the folder."""
        return f"{self.folder.rstrip('/')}/{key or ''}"

    def identity(self) -> PlaceIdentity:
        """Return what makes two folders the same one."""
        return PlaceIdentity(self.type, "", self.folder, "")

    def watched(self) -> WatchedFolder:
        """Return the folder itself."""
        return WatchedFolder(self.folder, self.skip_folders)

    def check(self) -> None:
        """Refuse with ``InvalidSetting`` what is no absolute folder."""
        plain = os.path.normpath(self.folder).replace("//", "/")
        if not self.folder.startswith("/") or "\0" in self.folder or plain != self.folder:
            raise InvalidSetting(
                f"folder {ascii(self.folder)[:200]} is not absolute, or not in its shortest form: "
                "write /srv/docs, without .. and without a slash at the end."
            )
        for name in self.skip_folders:
            if not name or "/" in name:
                raise InvalidSetting("skip_folders has names of folders, such as .git, no paths.")
        if self.marker is not None and not stays_inside(self.marker):
            raise InvalidSetting("marker is the path of a file in the folder, such as .mounted.")

    def admitted(self, admission: Admission) -> Self:
        """Return the place bound to the root below which it lies.

        Raises:
            NotPossible: the server's operator named no root for the tenant.
            InvalidSetting: it lies below none of them.
        Unavailable: ``folder_hangs``.
        """
        named = roots(admission.environment, admission.tenant)
        if not named:
            raise NotPossible(
                f"This server makes no folder sources by its API: {FOLDER_ROOTS} names no folder "
                "that its callers may have.",
                reason="source_type_not_available",
            )
        for root in named:
            require_answer(root)
            try:
                require_answer(self.folder)
            except Unavailable:
                if PurePosixPath(self.folder).is_relative_to(root):
                    raise
                continue
            if _is_below(self.folder, root):
                return replace(self, within=root)
        # Nothing is said of what is there: a tenant learns nothing of the server's disk.
        raise InvalidSetting(
            "folder lies below none of the folders that callers of this server may have.",
            reason="folder_not_allowed",
        )


def open_folder(source: "Source", surroundings: "Surroundings") -> "ObjectStore":
    """Return the store of a folder.

    Raises:
        AccessDenied: ``folder_not_allowed``, where a caller of the API named it and the operator
            allows it no longer, or it leads elsewhere by now.
        Unavailable: ``folder_hangs``.
    """
    # Loaded for a source that reads one: each command reads this module's settings.
    from s3sync_dagster.places.folder_store import FileStore  # noqa: PLC0415

    place = source.place
    assert isinstance(place, FolderPlace)
    require_answer(place.folder)
    if place.within is not None:
        named = surroundings.resolve_env(FOLDER_ROOTS) or ""
        allowed = place.within in roots({FOLDER_ROOTS: named}, source.tenant)
        if not allowed or not _is_below(place.folder, place.within):
            raise AccessDenied(
                f"The folder of source {source.name!r} lies below none of {FOLDER_ROOTS}.",
                reason="folder_not_allowed",
            )
    require_answers_below(place.folder, skip=place.skip_folders)
    return FileStore(
        place.folder,
        version=place.file_version,
        marker=place.marker,
        skip_folders=frozenset(place.skip_folders),
        within=place.within,
        private=surroundings.home,
    )


def roots(environment: Mapping[str, Any], tenant: str) -> list[str]:
    """Return the folders below which callers of the API of this tenant may name one.

    What holds a root of another tenant alone is no root of all: each would read that one.
    """
    found: list[tuple[str | None, str]] = []
    for one in environment.get(FOLDER_ROOTS, "").split(os.pathsep):
        whose, mark, path = ("", "", one) if one.startswith("/") else one.partition("=")
        if path.startswith("/"):
            # Of two slashes at the beginning POSIX keeps both.
            found.append((whose if mark else None, os.path.normpath(f"/{path.lstrip('/')}")))
    others = [path for whose, path in found if whose is not None and whose != tenant]
    return [
        path
        for whose, path in found
        if whose == tenant
        or (whose is None and not any(PurePosixPath(one).is_relative_to(path) for one in others))
    ]


def _is_below(folder: str, root: str) -> bool:
    """Return whether a folder is a root or lies below it, wherever links on the way lead."""
    real = Path(os.path.realpath(folder))
    return real.is_relative_to(os.path.realpath(root))


def stays_inside(path: str) -> bool:
    """Return whether a path leads to something below where it begins."""
    parts = PurePosixPath(path).parts
    return bool(parts) and not path.startswith("/") and ".." not in parts and "\0" not in path
