"""Text files of mixed kinds and log-normal sizes, each with a word of its own."""

import json
import random
import sysconfig
from collections.abc import Iterator
from html import escape
from pathlib import Path

from peer_corpus import file_of, word

SHARES = {"py": 35, "md": 25, "txt": 15, "html": 10, "json": 8, "csv": 7}
"""Files of each kind in a hundred."""
MEDIAN_BYTES, SPREAD = 6000, 0.9
SMALLEST_BYTES, LARGEST_BYTES = 400, 120_000


def text_corpus(count: int) -> dict[str, bytes]:
    """Return ``count`` files by key, about 10 KB each; the same for the same environment."""
    chance = random.Random(1)
    kinds = [kind for kind, share in SHARES.items() for _ in range(share)]
    texts = {kind: _lines(kind, chance) for kind in SHARES}
    made: dict[str, bytes] = {}
    for number in range(count):
        kind = kinds[number * 37 % len(kinds)]  # mixed, and each share kept: 37 and 100 are coprime
        size = int(chance.lognormvariate(0, SPREAD) * MEDIAN_BYTES)
        size = min(max(size, SMALLEST_BYTES), LARGEST_BYTES)
        made[f"{kind}/{number:05}.{kind}"] = _file(kind, texts[kind], size, word(number))
    return made


def _file(kind: str, lines: Iterator[str], size: int, mark: str) -> bytes:
    taken: list[str] = []
    while size > 0:
        taken.append(next(lines))
        size -= len(taken[-1])
    if kind == "json":
        entries = [{"id": n, "text": line.strip()} for n, line in enumerate(taken)]
        return json.dumps({"mark": mark, "entries": entries}, indent=1).encode(errors="ignore")
    if kind == "csv":
        rows = [f"{n},{mark},{len(line)},{_cell(line)}" for n, line in enumerate(taken)]
        return "\n".join(["id,mark,length,text", *rows, ""]).encode(errors="ignore")
    if kind == "html":
        parts = "".join(taken).split("\n\n")
        parts.insert(len(parts) // 2, mark)
        body = "\n".join(f"<p>{escape(part)}</p>" for part in parts)
        return f"<html><body><h1>A page</h1>\n{body}</body></html>".encode(errors="ignore")
    return file_of(kind, "".join(taken), mark)


def _cell(line: str) -> str:
    return '"' + " ".join(line.split()).replace('"', "'") + '"'


def _lines(kind: str, chance: random.Random) -> Iterator[str]:
    """Yield lines of packages' files of a kind, over again where they are too few."""
    suffix = kind if kind in ("py", "md") else "txt"
    folder = Path(sysconfig.get_path("purelib"))
    found = sorted(path for path in folder.rglob(f"*.{suffix}") if path.stat().st_size > 800)
    while True:
        path = found[chance.randrange(len(found))]
        yield from path.read_text(errors="ignore").splitlines(keepends=True)
