"""Public repositories whose test data are the files: read from git, without a work tree."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LFS = b"version https://git-lfs"


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository on GitHub."""

    name: str
    """``owner/name``."""

    def open(self, folder: Path) -> "Files | None":
        """Return its newest files, None where it is not below the folder.

        ``folder/owner+name`` is a clone, with or without a work tree, or holds one named ``repo``.
        """
        base = folder / self.name.replace("/", "+")
        for candidate in (base / "repo", base / ".git", base):
            if (candidate / "HEAD").exists():
                return Files(candidate)
        return None

    def clone(self, folder: Path) -> None:
        """Fetch the newest commit, where it is not there yet."""
        if self.open(folder) is not None:
            return
        target = folder / self.name.replace("/", "+")
        address = f"https://github.com/{self.name}.git"
        command = ["git", "clone", "--quiet", "--bare", "--depth", "1", address, str(target)]
        subprocess.run(command, check=True)


class Files:
    """The files of a repository's newest commit."""

    def __init__(self, git: Path) -> None:
        self._git = git
        listed = self._run("ls-tree", "-r", "-z", "--name-only", "HEAD").decode("utf-8", "replace")
        self.paths = tuple(path for path in listed.split("\0") if path)
        self._known = set(self.paths)

    def __contains__(self, path: str) -> bool:
        return path in self._known

    def below(self, folder: str) -> Iterator[str]:
        return (path for path in self.paths if path.startswith(folder))

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes; None for one that git holds as a pointer only, or not at all."""
        command = ["git", f"--git-dir={self._git}", "cat-file", "blob", f"HEAD:{path}"]
        done = subprocess.run(command, capture_output=True, check=False)
        return None if done.returncode or done.stdout.startswith(_LFS) else done.stdout

    def _run(self, *arguments: str) -> bytes:
        command = ["git", f"--git-dir={self._git}", *arguments]
        return subprocess.run(command, capture_output=True, check=True).stdout


DOCLING = Repository("docling-project/docling")
PANDOC = Repository("jgm/pandoc")
SHEETS = Repository("SheetJS/test_files")
KREUZBERG = Repository("Goldziher/kreuzberg")
MARKITDOWN = Repository("microsoft/markitdown")
ARTICLES = Repository("scrapinghub/article-extraction-benchmark")
READERS = Repository("opendataloader-project/opendataloader-bench")
TIKA = Repository("apache/tika")
UNSTRUCTURED = Repository("Unstructured-IO/unstructured")
OLMOCR = Repository("allenai/olmocr")
ANNOTATED = Repository("docling-project/docling-eval")
TABLES = Repository("tabulapdf/tabula-java")
PAGES = Repository("jsvine/pdfplumber")
VIEWER = Repository("mozilla/pdf.js")
NAMED = tuple(
    map(
        Repository,
        (
            *("openpreserve/format-corpus", "opendatalab/MinerU", "pymupdf/PyMuPDF"),
            *("kermitt2/grobid", "apache/pdfbox", "pdfminer/pdfminer.six"),
            *("opendataloader-project/opendataloader-pdf", "papers-we-love/papers-we-love"),
        ),
    )
)
"""Asked only for PDFs that name their headings: papers, reports, manuals."""
ALL = (
    *(DOCLING, PANDOC, SHEETS, KREUZBERG, MARKITDOWN),
    *(ARTICLES, READERS, TIKA, UNSTRUCTURED, OLMOCR),
    *(ANNOTATED, TABLES, PAGES, VIEWER),
    *NAMED,
)
