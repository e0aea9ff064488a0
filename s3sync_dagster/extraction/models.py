"""docling's layout and table models: chosen for PDFs and pictures, or a second look at hard pages.

They need the extra ``pdf-models`` (torch) and a folder of models on this machine; nothing is ever
downloaded. Models are loaded in each call, which takes seconds, as long as a page or two.
"""

import io
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.docling_reader import fill_pictures, to_markdown
from s3sync_dagster.extraction.steps import PdfPages
from s3sync_dagster.model.errors import EmptyText, MissingEngine, UnreadableFile
from s3sync_dagster.model.source import ExtractionConfig
from s3sync_dagster.workers.environment import models_folder
from s3sync_dagster.workers.programs import find_program

PROGRAMS = ("tesseract",)
"""What workers with these functions may start."""

_PACKAGES = ("torch", "torchvision", "transformers", "docling_ibm_models", "cv2")
PRELOAD = {
    "read_pages": ("docling.pipeline.standard_pdf_pipeline", "torch", "transformers"),
    "read_image": ("docling.pipeline.standard_pdf_pipeline", "torch", "transformers"),
}
_WANTED = (
    "docling-project--docling-layout-heron/model.safetensors",
    "docling-project--docling-models/model_artifacts/tableformer/accurate/tm_config.json",
)


def check_models() -> Path:
    """Return the folder of models.

    Raises ``MissingEngine``: ``missing_package`` without the extra, ``missing_models`` without the
    folder or with one that lacks the layout or the table model.
    """
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise MissingEngine(
            f"docling's models need {', '.join(missing)}: "
            "pip install 's3sync-dagster[pdf-models]'.",
            reason="missing_package",
        )
    folder = models_folder()
    if folder is None:
        raise MissingEngine(
            "docling's models need DOCLING_ARTIFACTS_PATH, the folder that "
            "'docling-tools models download layout tableformer' fills.",
            reason="missing_models",
        )
    absent = [name for name in _WANTED if not (folder / name).is_file()]
    if absent:
        raise MissingEngine(
            f"The folder that DOCLING_ARTIFACTS_PATH names lacks {', '.join(absent)}.",
            reason="missing_models",
        )
    return folder


def has_models() -> bool:
    """Return whether packages and models are there."""
    try:
        check_models()
    except MissingEngine:
        return False
    return True


def read_pages(content: Content, numbers: Sequence[int], *, config: ExtractionConfig) -> list[str]:
    """Return the Markdown of some pages (indices from 0, in a row) as the models see them.

    Raises ``MissingEngine`` (see ``check_models``) and ``UnreadableFile`` (``damaged``).
    """
    first, last = numbers[0] + 1, numbers[-1] + 1
    parsed = _convert(content, name="a.pdf", config=config, page_range=(first, last))
    return [_page(parsed, number) for number in range(first, last + 1)]


def read_image(content: Content, *, name: str, config: ExtractionConfig) -> PdfPages:
    """Return a picture of a document as Markdown, a page for each picture of a TIFF.

    Raises what ``read_pages`` raises, and ``EmptyText`` (``no_text``).
    """
    parsed = _convert(content, name=name, config=config)
    texts = tuple(_page(parsed, number) for number in sorted(parsed.pages))
    if not any(texts):
        raise EmptyText("No text was found in the picture.", reason="no_text")
    return PdfPages(texts=texts, scans=(), engine="docling-models")


def _page(parsed: Any, number: int) -> str:
    return fill_pictures(to_markdown(parsed, page=number)).strip()


def _convert(content: Content, *, name: str, config: ExtractionConfig, **options: Any) -> Any:
    folder = check_models()
    # docling imports torch for this pipeline, and torch takes seconds.
    from docling.datamodel.base_models import ConversionStatus, DocumentStream, InputFormat
    from docling.document_converter import DocumentConverter, ImageFormatOption, PdfFormatOption

    pipeline = _options(folder, config)
    kind = InputFormat.PDF if name.lower().endswith(".pdf") else InputFormat.IMAGE
    form = PdfFormatOption if kind == InputFormat.PDF else ImageFormatOption
    body = content.read_bytes() if isinstance(content, Path) else content
    converter = DocumentConverter(
        allowed_formats=[kind], format_options={kind: form(pipeline_options=pipeline)}
    )
    stream = DocumentStream(name=Path(name).name, stream=io.BytesIO(body))
    result = converter.convert(stream, raises_on_error=False, **options)
    if result.status not in (ConversionStatus.SUCCESS, ConversionStatus.PARTIAL_SUCCESS):
        raise UnreadableFile("docling's models cannot read the file.", reason="damaged")
    return result.document


def _options(folder: Path, config: ExtractionConfig) -> Any:
    from docling.datamodel.accelerator_options import AcceleratorDevice, AcceleratorOptions
    from docling.datamodel.pipeline_options import PdfPipelineOptions, TesseractCliOcrOptions

    return PdfPipelineOptions(
        artifacts_path=folder,
        accelerator_options=AcceleratorOptions(num_threads=1, device=AcceleratorDevice.CPU),
        do_ocr=config.ocr and find_program("tesseract") is not None,
        ocr_options=TesseractCliOcrOptions(lang=config.ocr_languages.split("+")),
    )
