"""The shell blocks of the documents as commands."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "CONTRIBUTING.md", "docs/*.md")
_BLOCK = re.compile(r"^```(?:sh|bash|shell|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Command:
    """What a reader types as one: a line, or several that belong together."""

    page: str
    line: int
    text: str

    @property
    def id(self) -> str:
        """Where it stands."""
        return f"{self.page}:{self.line}"


def pages_with_commands() -> dict[str, list[Command]]:
    """Return the pages that have shell blocks, with their commands in order."""
    paths = sorted(path for pattern in PAGES for path in ROOT.glob(pattern))
    found = {str(path.relative_to(ROOT)): list(_commands(path)) for path in paths}
    return {page: commands for page, commands in found.items() if commands}


def json_blocks(page: str) -> list[str]:
    """Return the JSON that a page shows, in order."""
    return blocks(page, "json")


def blocks(page: str, language: str) -> list[str]:
    """Return the blocks of a language that a page shows, in order."""
    text = (ROOT / page).read_text("utf-8")
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", text)


def _commands(path: Path) -> Iterator[Command]:
    text = path.read_text("utf-8")
    for block in _BLOCK.finditer(text):
        first = text.count("\n", 0, block.start(1)) + 1
        begun, lines = first, ""
        for number, line in enumerate(block[1].splitlines(), first):
            begun = begun if lines else number
            lines += f"{line}\n"
            if _is_whole(lines):
                if shlex.split(lines, comments=True):
                    yield Command(str(path.relative_to(ROOT)), begun, lines.rstrip("\n"))
                lines = ""
        assert not lines, f"{path.name}: the block at line {first} ends within a command"


def _is_whole(lines: str) -> bool:
    if lines.endswith("\\\n"):
        return False
    looked = subprocess.run(
        ["bash", "-n"], input=lines, capture_output=True, text=True, check=False
    )
    return looked.returncode == 0
