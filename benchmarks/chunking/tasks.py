"""Questions with known answers: comment -> function, heading -> section, cell -> row."""

import csv
import io
import random
import re
from dataclasses import dataclass, field

from corpus import read_corpus
from units import units_of

QUERIES = 300
BYTES_PER_LANGUAGE = 60_000
LANGUAGES = ("go", "java", "python", "rust", "typescript")
MARKDOWN_BYTES = 350_000
TABLE_ROWS = 220


@dataclass
class Task:
    """Documents, and queries with the byte that the chunk wanted must hold."""

    name: str
    documents: list[tuple[str, str, bytes]] = field(default_factory=list)
    """Language, path, content."""
    queries: list[tuple[str, int, int]] = field(default_factory=list)
    """Words, index of the document, position."""

    def sample(self) -> "Task":
        self.queries = random.Random(1).sample(self.queries, min(QUERIES, len(self.queries)))
        return self


def all_tasks(share: float = 1.0) -> list[Task]:
    """Return all tasks on so much of the corpus."""
    return [
        code_task("comment kept", share, remove=False),
        code_task("comment removed", share, remove=True),
        section_task(share),
        table_task("markdown", share),
        table_task("csv", share),
    ]


def code_task(name: str, share: float, *, remove: bool) -> Task:
    task = Task(name)
    for language in LANGUAGES:
        taken = 0
        for path, data in read_corpus([language])[language]:
            if taken > share * BYTES_PER_LANGUAGE:
                break
            if not 3000 < len(data) < 40_000:
                continue
            taken += len(data)
            _add_code(task, language, path, data, remove=remove)
    return task.sample()


def _add_code(task: Task, language: str, path: str, data: bytes, *, remove: bool) -> None:
    found = []  # range of the comment, begin of the definition, sentence
    for unit in units_of(language, data):
        head = data[unit.documented : unit.start]
        begin, end = unit.documented, unit.start
        if language == "python":
            docstring = re.search(rb'"""(.*?)"""', data[unit.start : unit.end], re.DOTALL)
            if docstring is None or docstring.start() > 300:
                continue
            head = docstring.group(1)
            begin, end = unit.start + docstring.start(), unit.start + docstring.end()
        sentence = _sentence(head.decode(errors="ignore"))
        if sentence:
            found.append((begin, end, unit.start, sentence))
    document = len(task.documents)
    if not remove:
        task.queries += [(words, document, start) for _, _, start, words in found]
        task.documents.append((language, path, data))
        return
    parts, position, moved = [], 0, {}
    for begin, end, start, _ in sorted(set(found)):
        if begin < position:
            continue
        parts.append(data[position:begin])
        if start < end:  # a docstring stands behind the begin of its function
            moved[start] = sum(map(len, parts)) - (begin - start)
        else:
            moved[start] = sum(map(len, parts)) + (start - end)
        position = end
    parts.append(data[position:])
    task.documents.append((language, path, b"".join(parts)))
    task.queries += [(w, document, moved[s]) for _, _, s, w in found if s in moved]


def _sentence(comment: str) -> str:
    text = re.sub(r"^[ \t]*(?:///?!?|/?\*+/?|#)", "", comment, flags=re.MULTILINE)
    text = " ".join(re.sub(r"[{}<>@`*]|\w+\(\)", " ", text).split())
    first = re.split(r"(?<=[.!?])\s", text)[0]
    count = len(first.split())
    return first if 6 <= count <= 40 and "opyright" not in first else ""


def section_task(share: float) -> Task:
    task = Task("heading -> section")
    taken = 0
    for path, data in read_corpus(["markdown"])["markdown"]:
        taken += len(data)
        if taken > share * MARKDOWN_BYTES:
            break
        document = len(task.documents)
        task.documents.append(("markdown", path, data))
        trail: list[tuple[int, str]] = []
        heads = [m for m in re.finditer(rb"^(#{1,6}) (.+)$", data, re.MULTILINE)]
        for head, following in zip(heads, [*heads[1:], None], strict=True):
            if data[: head.start()].count(b"```") % 2:
                continue  # a comment in a fence
            level = len(head.group(1))
            title = re.sub(r"[`*#]|\[|\]\(.*?\)|<[^>]*>", "", head.group(2).decode()).strip()
            while trail and trail[-1][0] >= level:
                trail.pop()
            trail.append((level, title))
            end = following.start() if following else len(data)
            body = data[head.end() : end].strip()
            if len(body) > 150:
                middle = (head.end() + end) // 2
                while data[middle] & 0xC0 == 0x80 or data[middle : middle + 1].isspace():
                    middle += 1
                topic = " ".join(t for _, t in trail[-2:])
                task.queries.append((topic, document, middle))
    return task.sample()


def table_task(form: str, share: float) -> Task:
    """Return questions for a cell: its table, its column and the row's own words."""
    task = Task(f"cell -> row ({form})")
    rng = random.Random(2)
    for path, data in read_corpus(["tables"])["tables"]:
        rows = list(csv.reader(io.StringIO(data.decode())))[: int(share * TABLE_ROWS) + 1]
        header, body = rows[0], rows[1:]
        text, offsets = _render(path, header, body, form)
        document = len(task.documents)
        task.documents.append((form, path, text))
        for row, offset in rng.sample(list(zip(body, offsets, strict=True)), min(80, len(body))):
            key = next((i for i, cell in enumerate(row) if cell.strip()), 0)
            column = rng.choice([i for i in range(len(header)) if i != key])
            name = path.rsplit("/", 1)[-1].removesuffix(".csv").replace("-", " ")
            words = f"{name} {header[column]} of {header[key]} {row[key]}"
            task.queries.append((words, document, offset))
    return task.sample()


def _render(
    path: str, header: list[str], body: list[list[str]], form: str
) -> tuple[bytes, list[int]]:
    name = path.rsplit("/", 1)[-1].removesuffix(".csv")
    out = bytearray()
    if form == "markdown":
        out += f"# {name}\n\n| {' | '.join(header)} |\n|{'---|' * len(header)}\n".encode()
    else:
        out += (",".join(header) + "\n").encode()
    offsets = []
    for row in body:
        offsets.append(len(out))
        cells = [cell.replace("\n", " ").replace("|", "/") for cell in row]
        line = (
            f"| {' | '.join(cells)} |\n"
            if form == "markdown"
            else ",".join(f'"{cell}"' if "," in cell else cell for cell in cells) + "\n"
        )
        out += line.encode()
    return bytes(out), offsets
