"""The readers that stand on docling or pandas, under one name.

Workers keep one process for each module that is named in a call. With one module for all of these,
docling's core (about 1 CPU-second and 100 MB) is loaded once and shared by all of them.
"""

from s3sync_dagster.extraction import epub, iwork, markup, office, slides, web, web_fast, web_main
from s3sync_dagster.extraction.delimited import read_csv, table_of
from s3sync_dagster.extraction.epub import read_epub, read_epub_fast
from s3sync_dagster.extraction.iwork import read_iwork
from s3sync_dagster.extraction.markup import read_asciidoc, read_latex
from s3sync_dagster.extraction.office import read_docx, read_odt
from s3sync_dagster.extraction.slides import read_odp, read_pptx
from s3sync_dagster.extraction.web import read_html
from s3sync_dagster.extraction.web_fast import read_html_fast
from s3sync_dagster.extraction.web_main import read_main

__all__ = [
    "PRELOAD",
    "REUSED",
    "read_asciidoc",
    "read_csv",
    "read_docx",
    "read_epub",
    "read_epub_fast",
    "read_html",
    "read_html_fast",
    "read_iwork",
    "read_latex",
    "read_main",
    "read_odp",
    "read_odt",
    "read_pptx",
    "table_of",
]

REUSED = ("read_csv", "read_epub_fast", "read_html_fast", "read_main", "table_of")
"""Those that take a tenth of the time of a fork and keep nothing of a file: one process reads many.
All others have a process for each file."""
PRELOAD = {
    **epub.PRELOAD,
    **iwork.PRELOAD,
    **markup.PRELOAD,
    **office.PRELOAD,
    **slides.PRELOAD,
    **web.PRELOAD,
    **web_fast.PRELOAD,
    **web_main.PRELOAD,
}
