"""Mixed files from the packages of this environment, each with a word of its own."""

import io
import sysconfig
from collections.abc import Iterator
from pathlib import Path

SHARES = {"py": 40, "md": 28, "html": 14, "txt": 12, "docx": 3, "pdf": 3}
"""Files of each kind in a hundred."""
SMALLEST_BYTES, LARGEST_BYTES = 800, 24_000


def corpus(count: int) -> dict[str, bytes]:
    """Return ``count`` files by key; the same for the same environment."""
    sources = {kind: _texts(kind) for kind in ("py", "md", "html", "txt")}
    kinds = [kind for kind, share in SHARES.items() for _ in range(share)]
    made: dict[str, bytes] = {}
    for number in range(count):
        kind = kinds[number * 37 % len(kinds)]  # mixed, and each share kept: 37 and 100 are coprime
        text = next(sources[kind if kind in sources else "txt"])
        made[f"{kind}/{number:05}.{kind}"] = file_of(kind, text, word(number))
    return made


def word(number: int, edition: int = 1) -> str:
    """Return a word that is in no other file."""
    return f"zq{number:05}e{edition}"


def file_of(kind: str, text: str, mark: str) -> bytes:
    """Return a file of that kind with the text and the mark."""
    if kind == "docx":
        import docx

        document = docx.Document()
        for paragraph in (*text.split("\n\n")[:60], mark):
            document.add_paragraph("".join(c for c in paragraph if c.isprintable()))
        file = io.BytesIO()
        document.save(file)
        return file.getvalue()
    if kind == "pdf":
        from reportlab.lib.styles import getSampleStyleSheet
        from reportlab.platypus import Paragraph, SimpleDocTemplate

        style = getSampleStyleSheet()["Normal"]
        plain = text.encode("ascii", "ignore").decode().replace("&", " ").replace("<", " ")
        file = io.BytesIO()
        SimpleDocTemplate(file).build(
            [Paragraph(part, style) for part in (*plain.split("\n\n")[:60], mark)]
        )
        return file.getvalue()
    if kind == "html":  # amid the paragraphs: what stands at the end of a page may be its footer
        parts = text.split("</p>")
        parts[len(parts) // 2] += f" {mark}"
        return "</p>".join(parts).encode(errors="ignore")
    end = f"\n# {mark}\n" if kind == "py" else f"\n\n{mark}\n"
    return (text + end).encode(errors="ignore")


def _texts(kind: str) -> Iterator[str]:
    """Yield files of packages, in one order, and over again where they are too few."""
    folder = Path(sysconfig.get_path("purelib"))
    found = [
        path
        for path in sorted(folder.rglob(f"*.{kind}"))
        if SMALLEST_BYTES <= path.stat().st_size <= LARGEST_BYTES
    ]
    if kind == "html":  # pages, not templates
        found = [path for path in found if path.read_text(errors="ignore").count("</p>") > 9]
    found = found[:: max(1, len(found) // 1000)]  # of all packages, not of the first ones
    while True:
        for path in found:
            yield path.read_text(errors="ignore")
