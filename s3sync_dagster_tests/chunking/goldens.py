"""Golden files: a sample with its cuts drawn in. Rewritten by `python -m ...chunking.goldens`.

A file holds the sample itself; each line that begins with the mark says what chunk begins below.
Without these lines it is the input, so there is one file to read and to keep.
"""

from pathlib import Path

from s3sync_dagster.chunking import chunk_document
from s3sync_dagster.engine.ports import ModelLimits
from s3sync_dagster.model.document import Chunk, Document
from s3sync_dagster.model.source import ChunkingConfig

FOLDER = Path(__file__).parent / "golden"
MARK = "════ "
MID_LINE = "⤶\n"
"""Drawn where a cut stands inside a line."""
SIZE_BYTES = 256
_FORMATS = {".md": "markdown", ".csv": "csv", ".jsonl": "jsonl", ".log": "log", ".txt": "text"}


def names() -> list[str]:
    return sorted(path.name.removesuffix(".golden") for path in FOLDER.glob("*.golden"))


def read(name: str) -> str:
    return (FOLDER / f"{name}.golden").read_text(encoding="utf-8")


def sample(drawn: str) -> str:
    lines = [line for line in drawn.splitlines(keepends=True) if not line.startswith(MARK)]
    return "".join(lines).replace(MID_LINE, "")


def chunks(name: str, text: str) -> list[Chunk]:
    form = _FORMATS.get(Path(name).suffix, "code")
    return chunk_document(
        Document(text=text, format=form),
        object_key=name,
        config=ChunkingConfig(max_size_bytes=SIZE_BYTES),
        limits=ModelLimits(default_size_bytes=1024),
    )


def draw(text: str, made: list[Chunk]) -> str:
    data = text.encode()
    parts: list[str] = []
    for chunk in made:
        size = chunk.end_byte - chunk.start_byte
        facts = [f"{chunk.index}", f"{size} bytes", chunk.symbol, chunk.heading_path]
        if chunk.repeated_header:
            facts.append("header repeated")
        parts.append(MARK + " · ".join(fact for fact in facts if fact) + "\n")
        parts.append(data[chunk.start_byte : chunk.end_byte].decode())
        if not parts[-1].endswith("\n"):
            parts.append(MID_LINE)
    return "".join(parts)


def main() -> None:
    for name in names():
        text = sample(read(name))
        made = chunks(name, text)
        (FOLDER / f"{name}.golden").write_text(draw(text, made), encoding="utf-8")
        print(name, made[0].language, len(made))


if __name__ == "__main__":
    main()
