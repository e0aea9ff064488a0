"""Answers for agents: no longer than asked for, what is cut is said, no text passes for ours."""

import re
from dataclasses import replace

import pytest

from s3sync_dagster.agents.budget import cut, line, quoted, shares
from s3sync_dagster.agents.rendering import show_hits
from s3sync_dagster.agents.tools import show_pieces
from s3sync_dagster.model.document import Hit
from s3sync_dagster.reading import Piece


@pytest.mark.parametrize(
    ("sizes", "budget", "expected"),
    [
        ([10, 20], 100, [10, 20]),
        ([10, 100, 100], 110, [10, 50, 50]),
        ([100, 10, 50], 90, [40, 10, 40]),
        ([5], -3, [0]),
        ([], 10, []),
    ],
)
def test_short_texts_leave_what_they_do_not_need(sizes, budget, expected):
    assert shares(sizes, budget) == expected


def test_no_line_of_a_document_passes_for_ours():
    hostile = "harmless\u2028-- chunk 9\r2. passwords.txt\x0bscore\x85x\fy\n\n"
    assert all(one.startswith("| ") for one in quoted(hostile).splitlines())
    assert line("Title\n3. other.md\r\x00 now") == "Title 3. other.md now"
    hit = Hit(
        id="a", document="text", metadata={"document_key": "a\nb.md", "heading_path": "H\n9. x"}
    )
    own = {"start_line": "1\n8. y", "end_line": "\u2028z", "n\u2028": "\x9b2J\x7f\u2029\x85 end"}
    shown = show_hits([hit, Hit(id="b", document="t", metadata=own)], {}, most=2000)
    assert all(one.isprintable() for one in shown.split("\n"))
    assert "\n8. y" not in shown
    assert "2. b lines 1 8. y- z" in shown
    assert 'metadata: {"n ": " 2J end"}' in shown
    assert '1. "a\\nb.md" [H 9. x]' in shown
    assert "\n9. x" not in shown


def test_a_cut_ends_at_a_word_where_one_is_near():
    assert cut("first second third", 13) == "first second"
    assert cut("x" * 20, 9) == "x" * 9
    assert cut("short", 9) == "short"


@pytest.mark.parametrize("characters", [10, 300, 1024])
@pytest.mark.parametrize("number", [1, 5])
def test_a_head_longer_than_the_answer_leaves_room_for_the_text(characters, number):
    """Of keys that are long, with copies and metadata: key and scores first, then text."""
    copies = [
        Hit(id=f"c{n}", document="", metadata={"document_key": f"{n}{'c' * characters}"})
        for n in range(3)
    ]
    hit = Hit(
        id="a",
        document="told " * 300,
        metadata={"document_key": "k" * characters, "own": "v" * 400},
        score=0.5,
        words=7.1,
        copies=tuple(copies),
    )
    shown = show_hits([hit] * number, {}, most=1000)
    assert len(shown) <= 1000
    assert "\n| told told told" in shown
    assert "score 0.500 (words 7.1)" in shown
    assert "cut; read_document has the rest" in shown
    assert ("k" * characters in shown) == (characters < 500)


@pytest.mark.parametrize("most", [1000, 3000, 8000])
@pytest.mark.parametrize("number", [1, 5, 50])
def test_hits_stay_within_their_budget(most, number):
    hits = [
        Hit(id=f"r{n}", document=f"word{n} " * 2000, metadata={"document_key": f"docs/{n}.md"})
        for n in range(number)
    ]
    shown = show_hits(hits, {}, most=most)
    assert len(shown) <= most
    assert len(shown) > 0.8 * most
    told = shown.count("(cut; read_document has the rest)")

    assert told == sum(f"docs/{n}.md" in shown for n in range(number))
    assert shown.count("| word") >= min(number, told) >= 1
    assert (f"of {number} hits" in shown) == (told < number)


def with_neighbours(number):
    """A hit with two chunks before and after it, 1,500 characters each."""

    def chunk(place):
        lines = {"start_line": place * 10, "end_line": place * 10 + 9}
        return Hit(
            id=f"r{number}-{place}",
            document=f"begin{number}-{place} " + "word " * 300 + f"end{number}-{place}",
            metadata={"document_key": f"docs/{number}.md"} | lines,
        )

    return replace(
        chunk(3), before=(chunk(1), chunk(2)), after=(chunk(4), chunk(5)), score=1.0 - number / 10
    )


@pytest.mark.parametrize("most", [*range(1000, 9000, 250), 10_000, 15_000, 20_000, 30_000, 50_000])
def test_a_hits_own_text_comes_before_what_stands_around_it(most):
    shown = show_hits([with_neighbours(number) for number in range(5)], {}, most=most)
    assert len(shown) <= most
    parts = re.split(r"\n(?=\d\. docs/)", shown)[1:]
    assert len(parts) == 5 or "of 5 hits" in shown
    whole = all(f"end{number}-3" in shown for number in range(len(parts)))
    for number, part in enumerate(parts):
        own, *around = re.split(r"\n-- ", part)
        assert f"| begin{number}-3" in own
        assert not around or (whole and len(parts) == 5)
        places = [f"{number}-{place}" for place in (2, 4, 1, 5)]  # as near as they stand
        there = [any(f"{edge}{place}" in part for edge in ("begin", "end")) for place in places]
        assert there == sorted(there, reverse=True)
        for text in around:
            name, first = re.match(r"(before|after) it, lines (\d)0-\d9:\n\| ", text).groups()
            assert (name == "before") == (first < "3")
            # Of one that is cut, what is next to the hit.
            assert f"{'end' if name == 'before' else 'begin'}{number}-{first}" in text
        assert ("(cut;" in part) == (f"begin{number}-1" not in part or f"end{number}-5" not in part)
    assert most < 9000 or whole
    assert most < 50_000 or shown.count("\n-- ") == 20


@pytest.mark.parametrize("sizes", [[40] * 60, [600], [900, 5], [430, 500, 30], [100_000], [495, 9]])
def test_a_document_stays_within_its_budget_and_goes_on_where_it_was_cut(sizes):
    texts = [f"{place:03}" + "x" * (size - 3) for place, size in enumerate(sizes)]
    for most in range(1000, 1100):
        read, start = [], 0
        while start < len(texts):
            pieces = (
                Piece(
                    number=number,
                    text=text,
                    start_line=None,
                    end_line=None,
                    hit=Hit(id="r", document=text),
                )
                for number, text in list(enumerate(texts))[start:]
            )
            shown = show_pieces("key\n" * 100, pieces, most=most)
            assert len(shown) <= most
            read += [one[2:5] for one in shown.split("\n") if one.startswith("| ")]
            if "start_chunk=" not in shown:
                break
            start = int(re.findall(r"start_chunk=(\d+)", shown)[-1])
        assert read == [text[:3] for text in texts]
    assert show_pieces("head", iter(()), most=1000) == ""


def test_a_hit_that_fits_is_whole():
    shown = show_hits([Hit(id="r", document="all of it\nand more")], {}, most=1000)
    assert "| all of it\n| and more\n" in shown
    assert "cut" not in shown
