"""Files in the shape of a public repository, made of the text of this environment's packages.

The shape is that of ansible/ansible at c9ac477e53a9: 4,993 files, 13.6 MB, three to a folder, kinds
and sizes as counted there. Each file of some length has a word of its own in its middle.
"""

import json
import math
import random
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

SHARES_AND_BYTES = {
    "yml": (370, (0, 37, 84, 311, 982, 2508, 7250, 20606, 376076)),
    "py": (315, (0, 42, 501, 1794, 5570, 14764, 34598, 70418, 158776)),
    "": (105, (0, 19, 28, 42, 105, 239, 1940, 6568, 35149)),
    "sh": (55, (10, 80, 144, 393, 1067, 2168, 7169, 12918, 29661)),
    "txt": (53, (0, 7, 20, 108, 261, 1237, 6688, 18356, 19645)),
    "j2": (35, (0, 21, 42, 72, 281, 1262, 2357, 3153, 3546)),
    "json": (32, (0, 22, 60, 749, 1183, 1628, 2421, 3717, 44744)),
    "ps1": (25, (12, 99, 259, 922, 7446, 12642, 31749, 47988, 137697)),
    "md": (10, (9, 67, 326, 646, 1116, 1497, 3382, 5930, 6001)),
}
"""Files of each kind in a thousand, and their sizes at ``_AT``."""
_AT = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.97, 0.995, 1.0)
MARKED_BYTES = 60
"""Shorter files have no word of their own."""
TOUCHED_BYTES = 1000
"""Shorter files are not touched by the commit."""


def word(number: int, edition: int = 1) -> str:
    """Return a word that is in no other file, and in no other edition of this one."""
    return f"zq{number:05}e{edition}"


@dataclass(kw_only=True)
class RepositoryFile:
    """A file, which can be changed."""

    number: int
    kind: str
    lines: list[str]
    edition: int = 1
    more: list[str] = field(default_factory=list)
    """Lines that later editions have in their middle."""

    @property
    def path(self) -> str:
        folder = self.number // 3
        name = f"file{self.number:05}" + (f".{self.kind}" if self.kind else "")
        return f"part{folder % 7}/area{folder // 7 % 16}/unit{folder:04}/more/{name}"

    @property
    def marked(self) -> bool:
        """Whether it has a word of its own."""
        return sum(map(len, self.lines)) >= MARKED_BYTES

    def change(self, line: str) -> None:
        """Give it one more line, and another word."""
        self.edition += 1
        self.more.append(line)

    def text(self) -> str:
        mark = f"{word(self.number, self.edition)}"
        half = len(self.lines) // 2
        middle = [f"# {mark}\n", *self.more] if self.marked else []
        lines = [*self.lines[:half], *middle, *self.lines[half:]]
        if self.kind == "json":
            entries = [{"id": n, "text": line.strip()} for n, line in enumerate(lines)]
            return json.dumps(entries, indent=1)
        return "".join(lines)


def repository_files(count: int) -> list[RepositoryFile]:
    """Return so many files; the same for the same environment."""
    chance = random.Random(1)
    kinds = [kind for kind, (share, _) in SHARES_AND_BYTES.items() for _ in range(share)]
    code, prose = _lines("py", chance), _lines("md", chance)
    made: list[RepositoryFile] = []
    for number in range(count):
        kind = kinds[number * 37 % len(kinds)]  # mixed, and each share kept: coprime
        size = _size(SHARES_AND_BYTES[kind][1], chance.random())
        lines: list[str] = []
        while size > 0:
            lines.append(_line(kind, code, prose))
            size -= len(lines[-1])
        made.append(RepositoryFile(number=number, kind=kind, lines=lines))
    return made


def touch(files: list[RepositoryFile], count: int) -> list[RepositoryFile]:
    """Change so many files, of all kinds, and return them."""
    large = [one for one in files if sum(map(len, one.lines)) >= TOUCHED_BYTES]
    touched = large[:: len(large) // count][:count]
    for one in touched:
        one.change(f"# What edition {one.edition + 1} adds to file {one.number}.\n")
    return touched


def _size(sizes: tuple[int, ...], share: float) -> int:
    """Return the size below which a share of the files is, between those that were counted."""
    for (low, high), (small, large) in zip(pairwise(_AT), pairwise(sizes), strict=True):
        if share <= high:
            part = (share - low) / (high - low)
            return int(math.exp(math.log1p(small) * (1 - part) + math.log1p(large) * part) - 1)
    return sizes[-1]


def _line(kind: str, code: Iterator[str], prose: Iterator[str]) -> str:
    if kind == "py":
        return next(code)
    line = next(prose)
    words = [one for one in line.split() if one.isalnum()]
    if kind in ("yml", "j2") and len(words) > 2:
        return f"- name: {' '.join(words[2:])}\n  {words[0]}:\n    {words[1]}: {words[-1]}\n"
    return f"# {line}" if kind in ("sh", "ps1", "yml", "j2") else line


def _lines(suffix: str, chance: random.Random) -> Iterator[str]:
    """Yield lines of packages' files of a kind, over again where they are too few."""
    folder = Path(sysconfig.get_path("purelib"))
    found = sorted(path for path in folder.rglob(f"*.{suffix}") if path.stat().st_size > 800)
    while True:
        path = found[chance.randrange(len(found))]
        for line in path.read_text(errors="ignore").split("\n"):
            yield f"{line.rstrip()[:200]}\n"
