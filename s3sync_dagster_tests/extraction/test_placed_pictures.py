"""Where lines of pictures come to stand in a text, and what that costs."""

import random
import time

from s3sync_dagster.extraction import illustrated
from s3sync_dagster.model.document import Document, Page


def document(text: str, *starts: int) -> Document:
    pages = tuple(Page(start=start, label=str(number)) for number, start in enumerate(starts))
    return Document(text=text, format="markdown", pages=pages)


def placed(found: Document, lines: dict[str | None, list[str]]) -> tuple[str, list[int]]:
    done = illustrated._place(found, lines)
    return done.text, [page.start for page in done.pages]


def test_lines_stand_at_the_end_of_their_page_or_of_all():
    found = document("head\n\none\n\n\n\ntwo\n", 6, 11, 13)
    assert placed(found, {}) == (found.text, [6, 11, 13])
    assert placed(found, {"0": ["[a]"], "2": ["[b]", "[c]"]}) == (
        "head\n\none\n\n[a]\n\n\n\ntwo\n\n[b]\n\n[c]\n",
        [6, 16, 18],
    )
    assert placed(found, {"1": ["[a]"]}) == ("head\n\none\n\n[a]\n\ntwo\n", [6, 11, 16])
    assert placed(found, {None: ["[a]"], "elsewhere": ["[b]"], "1": []}) == (
        "head\n\none\n\n\n\ntwo\n\n[a]\n\n[b]\n",
        [6, 11, 13],
    )
    assert placed(document("\n\n", 0, 0), {"1": ["[a]"]}) == ("\n\n[a]\n", [0, 0])


def one_by_one(found: Document, lines: dict[str | None, list[str]]) -> tuple[str, list[int]]:
    """The same rule in the plainest way, with a copy of all for each page."""

    def ended(text: str, added: list[str]) -> str:
        return "\n\n".join([text.rstrip("\n"), *added]) + "\n" if added else text

    left = dict(lines)
    ends = [*(page.start for page in found.pages), len(found.text)]
    text, starts = found.text[: ends[0]], []
    for page, end in zip(found.pages, ends[1:], strict=True):
        starts.append(len(text))
        text += found.text[page.start : end]
        if added := left.pop(page.label, []):
            text = ended(text, added) + "\n" * (end < len(found.text))
    return ended(text, [line for rest in left.values() for line in rest]), starts


def test_parts_are_put_together_as_if_one_by_one():
    chance = random.Random(1)
    for _ in range(2000):
        text = "".join(chance.choices("ab\n\n", k=chance.randrange(12)))
        starts = sorted(chance.choices(range(len(text) + 1), k=chance.randrange(5)))
        labels = chance.sample(["0", "1", "2", "3", None, "other"], chance.randrange(6))
        lines = {label: ["[x]"] * chance.randrange(3) for label in labels}
        found = document(text, *starts)
        assert placed(found, lines) == one_by_one(found, lines)


def test_a_text_of_many_pages_is_put_together_once():
    """A copy of 20 MB for each of 2,000 pages takes half a minute and more."""
    count = 2000
    text = "word " * 4_000_000 + "a" * count
    found = document(text, *range(len(text) - count, len(text)))
    lines: dict[str | None, list[str]] = {str(number): ["[a]"] for number in range(count)}
    started = time.thread_time()
    _, starts = placed(found, lines)
    assert time.thread_time() - started < 5
    assert starts[1] - starts[0] == len("a\n\n[a]\n\n")
