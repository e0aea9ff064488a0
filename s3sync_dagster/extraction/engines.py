"""Which engine reads which kind of file, and what it may use."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass

from s3sync_dagster.engine.ports import WorkLimits
from s3sync_dagster.model.errors import InvalidSetting, MissingEngine, UnsupportedFile
from s3sync_dagster.model.source import ExtractionConfig

_MIB = 1024**2


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A function that runs in a worker process, and its limits."""

    name: str
    function: str
    """``module:function`` called as ``f(content, name=..., config=...)``."""
    seconds: float = 120.0
    seconds_per_mib: float = 0.0
    """Added for each MiB of the file, up to ``MAX_SECONDS`` in all."""
    memory_bytes: int = 900 * _MIB
    program: str | None = None
    """Program that has to be installed."""
    by_choice: bool = False
    """Reads only for sources that name it."""
    only_ocr: bool = False
    """Reads pictures alone, so nothing where the source's ``extraction.ocr`` is off."""

    def limits(self, size_bytes: int) -> WorkLimits:
        """Return what reading a file of this size may use."""
        seconds = self.seconds + self.seconds_per_mib * size_bytes / _MIB
        return WorkLimits(
            seconds=min(seconds, MAX_SECONDS),
            memory_bytes=self.memory_bytes,
            output_bytes=MAX_OUTPUT_BYTES,
        )


MAX_SECONDS = 300.0
MAX_OUTPUT_BYTES = 256 * _MIB
_ROOM = "s3sync_dagster.extraction."


def _docling(function: str) -> tuple[Engine, ...]:
    return (Engine(name="docling", function=f"{_ROOM}readers:{function}", seconds_per_mib=20),)


_CALAMINE = (Engine(name="calamine", function=_ROOM + "sheets:read_workbook", seconds_per_mib=5),)
_LIBREOFFICE = Engine(
    name="libreoffice",
    function=_ROOM + "legacy:convert_with_libreoffice",
    seconds=60,
    seconds_per_mib=10,
    program="soffice",
)
_ENGINES: dict[str, tuple[Engine, ...]] = {
    "pdf": (
        Engine(
            name="liteparse",
            function=_ROOM + "pdf.layout:read_with_liteparse",
            seconds=60,
            seconds_per_mib=15,
        ),
        Engine(
            name="pypdfium2",
            function=_ROOM + "pdf.text_layer:read_with_pdfium",
            seconds=60,
            seconds_per_mib=15,
        ),
        Engine(
            name="docling-models",
            function=_ROOM + "pdf.layout:read_for_models",
            seconds=60,
            seconds_per_mib=15,
            by_choice=True,
        ),
    ),
    "image": (
        Engine(
            name="tesseract",
            function=_ROOM + "ocr:read_image",
            seconds=300,
            program="tesseract",
            only_ocr=True,
        ),
        Engine(
            name="docling-models",
            function=_ROOM + "models:read_image",
            seconds=300,
            memory_bytes=4096 * _MIB,
            by_choice=True,
        ),
    ),
    "docx": _docling("read_docx"),
    "odt": _docling("read_odt"),
    "epub": (
        Engine(name="fast", function=_ROOM + "readers:read_epub_fast", seconds=60),
        *_docling("read_epub"),
    ),
    "pptx": _docling("read_pptx"),
    "odp": _docling("read_odp"),
    "iwork": _docling("read_iwork"),
    "html": (
        # The same words, tables and headings as docling's, at a twentieth of the cost.
        Engine(name="fast", function=_ROOM + "readers:read_html_fast", seconds=60),
        *_docling("read_html"),
        # What of a page is its own: for sites, whose pages share all the rest.
        Engine(name="main", function=_ROOM + "readers:read_main", seconds=60, by_choice=True),
    ),
    "asciidoc": _docling("read_asciidoc"),
    "latex": _docling("read_latex"),
    "xlsx": _CALAMINE,
    "xls": _CALAMINE,
    "ods": _CALAMINE,
    "csv": (Engine(name="pandas", function=_ROOM + "readers:read_csv"),),
    "notebook": (Engine(name="notebook", function=_ROOM + "notebook:read_notebook", seconds=60),),
    "eml": (Engine(name="email", function=_ROOM + "mail:read_eml", seconds=60),),
    "mhtml": (Engine(name="email", function=_ROOM + "mail:read_mhtml", seconds=60),),
    "msg": (Engine(name="oxmsg", function=_ROOM + "outlook:read_msg", seconds=60),),
    "doc": (_LIBREOFFICE, Engine(name="ole", function=_ROOM + "legacy:read_doc", seconds=60)),
    "ppt": (_LIBREOFFICE, Engine(name="ole", function=_ROOM + "legacy:read_ppt", seconds=60)),
    "rtf": (
        _LIBREOFFICE,
        Engine(name="striprtf", function=_ROOM + "legacy:read_rtf", seconds=60),
    ),
}


def engines_for(
    reader: str,
    *,
    suffix: str,
    config: ExtractionConfig,
    find: Callable[[str], str | None] = shutil.which,
) -> tuple[Engine, ...]:
    """Return the engines to try in order: the one that the source names, or all that are there.

    Raises ``InvalidSetting`` (``unknown_engine``), ``UnsupportedFile`` for a kind that nothing
    reads and for pictures where their reading is off (``ocr_off``), and ``MissingEngine``
    (``missing_program``) where no engine's program is installed.
    """
    known = _ENGINES.get(reader)
    if known is None:
        raise UnsupportedFile(f"No engine reads {reader} files.", reason="unsupported_file")
    wanted = config.engines.get(suffix)
    if wanted is None:
        known = tuple(engine for engine in known if not engine.by_choice)
    else:
        known = tuple(engine for engine in known if engine.name == wanted)
        if not known:
            names = ", ".join(engine.name for engine in _ENGINES[reader])
            raise InvalidSetting(
                f"extraction.engines: {wanted!r} does not read {suffix!r} files; known: {names}.",
                reason="unknown_engine",
            )
    # Before the programs: who has turned it off is not to be asked to install one.
    if not config.ocr and all(engine.only_ocr for engine in known):
        raise UnsupportedFile(
            "Pictures are read where the source's extraction.ocr is on.", reason="ocr_off"
        )
    present = tuple(engine for engine in known if not engine.program or find(engine.program))
    if not present:
        programs = ", ".join(sorted({str(engine.program) for engine in known}))
        raise MissingEngine(
            f"Reading {reader} files needs {programs}, which is not installed.",
            reason="missing_program",
        )
    return present
