"""What the site has besides docs/: the README as its start, and files that pages link to."""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
OUTSIDE = re.compile(r"\]\(\.\./([^)#]+)(#[^)]*)?\)")
"""A link from a page to a file of the repository."""
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md"}
FILES = "repository/"


def on_files(files: Files, config: Any) -> Files:
    """Add the pages of the root, and the files that others link to."""
    linked = {name for page in Path(config.docs_dir).glob("*.md") for name in _linked(page)}
    for name, page in PAGES.items():
        text = (ROOT / name).read_text("utf-8")
        files.append(File.generated(config, page, content=_from_the_root(text)))
    for name in sorted(linked):
        # As plain text: a browser shows it, whatever its suffix.
        content = (ROOT / name).read_text("utf-8")
        files.append(File.generated(config, f"{FILES}{name}.txt", content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Let links out of docs/ lead to the copies."""
    return OUTSIDE.sub(lambda found: f"]({FILES}{found[1]}.txt)", markdown)


def _linked(page: Path) -> list[str]:
    return [found[1] for found in OUTSIDE.finditer(page.read_text("utf-8"))]


def _from_the_root(text: str) -> str:
    text = text.replace("](docs/", "](")
    for name, page in PAGES.items():
        text = text.replace(f"]({name})", f"]({page})")
    return text
