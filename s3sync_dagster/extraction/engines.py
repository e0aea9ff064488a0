"""Which engine reads which kind of file, and what it may use."""

from dataclasses import dataclass

from s3sync_dagster.model.errors import InvalidSetting, UnsupportedFile
from s3sync_dagster.model.source import ExtractionConfig

_MIB = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A function that runs in a worker process, and its limits."""

    name: str
    function: str
    """``module:function`` called as ``f(content, name=..., config=...) -> Document``."""
    seconds: float = 120.0
    memory_bytes: int = 1200 * _MIB
    output_bytes: int = 256 * _MIB


_ROOM = "s3sync_dagster.extraction"
_ENGINES: dict[str, tuple[Engine, ...]] = {
    "pdf": (Engine(name="pypdfium2", function=f"{_ROOM}.pdf:read_with_pdfium", seconds=300),),
    "docx": (Engine(name="docling", function=f"{_ROOM}.office:read_docx"),),
    "odt": (Engine(name="docling", function=f"{_ROOM}.office:read_odt"),),
    "epub": (Engine(name="docling", function=f"{_ROOM}.office:read_epub"),),
    "pptx": (Engine(name="docling", function=f"{_ROOM}.slides:read_pptx"),),
    "odp": (Engine(name="docling", function=f"{_ROOM}.slides:read_odp"),),
    "html": (Engine(name="docling", function=f"{_ROOM}.web:read_html"),),
    "xlsx": (Engine(name="calamine", function=f"{_ROOM}.sheets:read_workbook"),),
    "xls": (Engine(name="calamine", function=f"{_ROOM}.sheets:read_workbook"),),
    "ods": (Engine(name="calamine", function=f"{_ROOM}.sheets:read_workbook"),),
    "csv": (Engine(name="pandas", function=f"{_ROOM}.delimited:read_csv"),),
}


def choose_engine(reader: str, *, suffix: str, config: ExtractionConfig) -> Engine:
    """Return the engine that the source names for the suffix, else the default one.

    Raises ``InvalidSetting`` (``unknown_engine``) for a name that does not read this kind and
    ``UnsupportedFile`` for a kind that nothing reads.
    """
    known = _ENGINES.get(reader)
    if known is None:
        raise UnsupportedFile(f"No engine reads {reader} files.", reason="unsupported_file")
    wanted = config.engines.get(suffix)
    if wanted is None:
        return known[0]
    for engine in known:
        if engine.name == wanted:
            return engine
    names = ", ".join(engine.name for engine in known)
    raise InvalidSetting(
        f"extraction.engines: {wanted!r} does not read {suffix!r} files; known: {names}.",
        reason="unknown_engine",
    )
