"""Which objects of a bucket a source takes, and why not the others.

Every key that enters by any door (listing, event, API, sidecar, UI) passes ``decide``. The answer
follows from the source and what a listing says of the object alone, never from the clock, so
that an unchanged bucket costs nothing.
"""

from dataclasses import dataclass

from s3sync_dagster.core import filetypes
from s3sync_dagster.core.globs import compile_glob, compile_globs
from s3sync_dagster.core.sidecar import is_sidecar
from s3sync_dagster.model.errors import InvalidSetting, OutsidePrefix
from s3sync_dagster.model.object import ObjectRef
from s3sync_dagster.model.source import Source

ARCHIVE_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Storage classes whose objects cannot be read before a restore (``GLACIER_IR`` can)."""
SYMLINK, SPECIAL, SUBMODULE, BAD_NAME = "SYMLINK", "SPECIAL", "SUBMODULE", "BAD_NAME"
PAGE_LIMIT, NOINDEX = "PAGE_LIMIT", "NOINDEX"
"""Storage classes of entries that are listed, so that they count, and that are no objects."""
MAX_GLOBS = 200
MAX_GLOB_CHARACTERS = 8192
"""Of all include and exclude globs of a source together."""

KEEPS_RECORDS = ("archived", "sidecar")
"""Reasons of a ``Skip`` that leave records where they are: the object is still wanted."""


@dataclass(frozen=True, slots=True)
class Skip:
    """Why an object is not indexed."""

    reason: str
    """Stable word, see docs/selection.md."""
    message: str
    """Sentence for people."""


def decide(source: Source, ref: ObjectRef) -> Skip | None:
    """Return why the source leaves an object alone, None when it takes it.

    A size or storage class that the teller did not know (size -1) decides nothing.
    """
    return (
        _by_key(source, ref)
        or _by_entry(ref)
        or _by_pattern(source, ref.key)
        or _by_type(source, source.place.file_name(ref.key))
        or _by_size(source, ref)
        or _by_storage(ref)
    )


def require_inside_prefix(source: Source, key: str) -> None:
    """Raise ``OutsidePrefix`` for a key that the source may not touch."""
    if not key.startswith(source.place.path_prefix):
        raise OutsidePrefix(
            f"key {key!r} does not begin with {source.place.path_prefix!r}, "
            f"the prefix of source {source.name!r}"
        )


def explain(source: Source, ref: ObjectRef, *, there: bool = True) -> list[str]:
    """Return the decision step by step, as sentences for ``s3sync why``.

    Args:
        source: whose rules decide.
        ref: the object.
        there: False where no listing has it: what the source would do is told then, and nothing
            of sizes and storage classes.
    """
    skipped = "Skipped" if there else "It would be skipped"
    skip = _by_key(source, ref)
    if skip is not None:
        return [skip.message, f"{skipped}: {skip.reason}."]
    own = " and is an object of its own" if there else ""
    sentences = [f"The key lies in {source.place.address()}{own}."]
    path = relative_path(source, ref.key)
    for name, globs in (("exclude", source.exclude_globs), ("include", source.include_globs)):
        hit = next((glob for glob in globs if compile_glob(glob).matches(path)), None)
        if hit is not None:
            sentences.append(f"Its path {path!r} matches the {name} glob {hit!r}.")
        elif globs:
            sentences.append(f"Its path {path!r} matches none of the {name} globs.")
    if source.extensions:
        found = "ends" if _has_extension(source, ref.key) else "does not end"
        sentences.append(f"Its name {found} in one of {', '.join(source.extensions)}.")
    if there and ref.size >= 0:
        sentences.append(f"It has {ref.size} bytes; the limit is {source.max_size_bytes}.")
    if there and (source.place.kind == "s3" or ref.storage_class != "STANDARD"):
        restored = ", restored" if ref.restored else ""
        sentences.append(f"Its storage class is {ref.storage_class}{restored}.")
    skip = decide(source, ref)
    if skip is not None:
        return [*sentences, f"{skipped}: {skip.reason}. {skip.message}"]
    return [*sentences, "Selected." if there else "An object of that key would be selected."]


def relative_path(source: Source, key: str) -> str:
    """Return what globs are matched against: the key after the source's prefix.

    A prefix without a slash at its end also swallows the one that follows, so that prefixes
    ``docs`` and ``docs/`` give ``docs/a.md`` the same path ``a.md``.
    """
    path = key[len(source.place.path_prefix) :]
    if source.place.path_prefix and not source.place.path_prefix.endswith("/"):
        return path.removeprefix("/")
    return path


def validate_selection(source: Source) -> None:
    """Refuse with ``InvalidSetting`` globs, extensions and limits that cannot mean anything."""
    for name, globs in (
        ("include_globs", source.include_globs),
        ("exclude_globs", source.exclude_globs),
    ):
        if len(globs) > MAX_GLOBS:
            raise InvalidSetting(f"{name} has {len(globs)} globs; at most {MAX_GLOBS} are allowed")
        for glob in globs:
            compile_glob(glob)
    length = sum(map(len, (*source.include_globs, *source.exclude_globs)))
    if length > MAX_GLOB_CHARACTERS:
        raise InvalidSetting(
            f"include_globs and exclude_globs have {length} characters; at most "
            f"{MAX_GLOB_CHARACTERS} are allowed"
        )
    for extension in source.extensions:
        if not extension.startswith(".") or "/" in extension or extension != extension.lower():
            raise InvalidSetting(
                f"extensions holds {extension!r}; write it in lower case with its dot, like '.md'"
            )
    if source.max_size_bytes <= 0:
        raise InvalidSetting("max_size_bytes has to be greater than 0")
    if source.document_limit is not None and source.document_limit <= 0:
        raise InvalidSetting("document_limit has to be greater than 0; leave it out for no limit")


def _by_key(source: Source, ref: ObjectRef) -> Skip | None:
    if not ref.key.startswith(source.place.path_prefix):
        return Skip(
            "outside_prefix",
            f"The key does not begin with {source.place.path_prefix!r}, the source's prefix.",
        )
    if ref.key.endswith("/") and ref.size == 0:
        return Skip("folder_marker", "An empty object whose key ends in / only marks a folder.")
    if is_sidecar(ref.key):
        return Skip("sidecar", "A .meta.json describes another object and is not indexed itself.")
    if is_sidecar(ref.key, bedrock=source.bedrock_sidecars):
        # A word of its own: it may have records of before the setting, which leave by listings.
        return Skip("bedrock_sidecar", "A .metadata.json describes the object that it names.")
    return None


def _by_entry(ref: ObjectRef) -> Skip | None:
    match ref.storage_class:
        case "SYMLINK":
            return Skip("symlink", "A symbolic link, which is not followed: what it names counts.")
        case "SPECIAL":
            return Skip("special_file", "A socket, pipe or device, which has no bytes of its own.")
        case "SUBMODULE":
            return Skip("submodule", "Another repository: make a source of its own for it.")
        case "BAD_NAME":
            return Skip(
                "bad_name",
                "Its name is no UTF-8 or has a part . or .., or its path is over 1,024 bytes.",
            )
        case "PAGE_LIMIT":
            return Skip("page_limit", "The site has more pages than page_limit: raise it.")
        case "NOINDEX":
            return Skip("noindex", "The page says that it wants to be in no index.")
        case _:
            return None


def _by_pattern(source: Source, key: str) -> Skip | None:
    if not (source.exclude_globs or source.include_globs or source.extensions):
        return None
    path = relative_path(source, key)
    if compile_globs(source.exclude_globs).matches(path):
        return Skip("excluded", f"The path {path!r} matches an exclude glob.")
    if source.include_globs and not compile_globs(source.include_globs).matches(path):
        return Skip("not_included", f"The path {path!r} matches none of the include globs.")
    if source.extensions and not _has_extension(source, key):
        return Skip("extension", f"The name does not end in one of {', '.join(source.extensions)}.")
    return None


def _by_type(source: Source, name: str) -> Skip | None:
    kind = filetypes.skip_reason(name)
    suffix = filetypes.suffix_of(name)
    if kind is None or suffix in source.extraction.engines:
        return None
    return Skip("unsupported_type", f"By its suffix {suffix!r} it is no document ({kind}).")


def _by_size(source: Source, ref: ObjectRef) -> Skip | None:
    if ref.size == 0:
        return Skip("empty_object", "The object has no bytes.")
    if ref.size > source.max_size_bytes:
        return Skip(
            "too_large",
            f"The object has {ref.size} bytes; max_size_bytes is {source.max_size_bytes}.",
        )
    return None


def _by_storage(ref: ObjectRef) -> Skip | None:
    if ref.storage_class in ARCHIVE_CLASSES and not ref.restored:
        return Skip(
            "archived",
            f"The object is archived ({ref.storage_class}); restore it to have it indexed.",
        )
    return None


def _has_extension(source: Source, key: str) -> bool:
    name = key.rpartition("/")[2].lower()
    return name.endswith(source.extensions)
