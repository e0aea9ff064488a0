"""Tables of contents, with dots between names and pages and without."""

from typing import Any

import pytest

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.contents_rows import find_contents
from s3sync_dagster.extraction.pdf.grids import Word
from s3sync_dagster_tests.extraction.table_pieces import words_at

EDGE = 480
ENTRIES = {
    "Notices": "vii",
    "Preface": "xiv",
    "1 Introduction": "1",
    "1.1 What it is for": "2",
    "2 The main components": "2",
    "A Terms": "19",
}


def page_at(page: str, top: float, *, right: float = EDGE) -> list[Word]:
    (word,) = words_at(page, 0, top)
    return [word._replace(left=right - word.width)]


def paragraph(words: list[Word], text: str = "") -> Block:
    left, top = min(word.left for word in words), min(word.top for word in words)
    return Block(
        kind="paragraph",
        text=text or " ".join(word.text for word in words),
        left=left,
        top=top,
        width=max(word.left + word.width for word in words) - left,
        height=max(word.top + word.height for word in words) - top,
    )


def read(
    entries: list[tuple[str, str]], *, right: float = EDGE, step: float = 14, between: str = ""
) -> tuple[list[Block], list[Block]]:
    """Return the blocks of names and of pages, and what is made of them."""
    names: list[Word] = []
    pages: list[Word] = []
    for place, (name, page) in enumerate(entries):
        names += words_at(name, 60, 100 + step * place)
        names += words_at(between, 300, 100 + step * place)
        if page:
            pages += page_at(
                page, 100 + step * place, right=right + (place if right != EDGE else 0)
            )
    blocks = [paragraph(names), paragraph(pages)]
    words = names + pages
    return blocks, find_contents(blocks, words)


def test_names_and_the_pages_far_to_their_right_are_rows():
    _, (table,) = read([*ENTRIES.items()])
    assert table.kind == "table"
    assert table.rows == [[name, page] for name, page in ENTRIES.items()]
    assert (table.first_row, table.left, table.width) == (table.rows[0], 60, EDGE - 60)


def test_pages_that_no_block_holds_are_said_too():
    blocks, _ = read([*ENTRIES.items()])
    words = [
        word
        for place, (name, page) in enumerate(ENTRIES.items())
        for word in (*words_at(name, 60, 100 + 14 * place), *page_at(page, 100 + 14 * place))
    ]
    rule = Block(kind="rule", left=150, top=112, width=300)
    (table,) = find_contents([blocks[0], rule], words)
    assert [row[1] for row in table.rows] == [*ENTRIES.values()]


def test_a_long_name_goes_on_below_and_a_short_one_without_a_page_is_alone():
    long = "3 Considerations that take more words than one line has room for"
    lines = [*ENTRIES.items()]
    lines[3:3] = [(long, ""), ("and end here", "2"), ("Part two", "")]
    _, (table,) = read(lines)
    assert [*table.rows[3:5]] == [[f"{long} and end here", "2"], ["Part two", ""]]
    assert len(table.rows) == len(ENTRIES) + 2


def test_the_head_of_the_pages_is_a_row():
    words = [*page_at("Page", 86, right=EDGE + 10)]
    for place, (name, page) in enumerate(ENTRIES.items()):
        words += [*words_at(name, 60, 100 + 14 * place), *page_at(page, 100 + 14 * place)]
    (table,) = find_contents([paragraph(words)], words)
    assert table.rows[:2] == [["", "Page"], ["Notices", "vii"]]


@pytest.mark.parametrize(
    ("entries", "made"),
    [
        ([*ENTRIES.items()][:5], {}),  # few
        ([*ENTRIES.items()][::-1], {}),  # pages go back
        ([(name, "3") for name in ENTRIES], {}),  # all on one page
        ([*ENTRIES.items()], {"right": 400.0}),  # no edge
        ([*ENTRIES.items()], {"step": 80.0}),  # apart
        ([*ENTRIES.items()], {"between": "12"}),  # another column
    ],
)
def test_other_lines_that_end_with_numbers_stay(
    entries: list[tuple[str, str]], made: dict[str, Any]
):
    blocks, found = read(entries, **made)
    assert found is blocks


def test_where_nothing_tells_whose_a_long_line_without_a_page_is_all_stays():
    """As below the titles of a magazine, whose pages stand beside these."""
    long = "what the cook says about salt and soups for days that are so very cold"
    names = ["Letters", "The great flood", "Recipes", "Sports", "Schools", "Trade", "Index"]
    entries = [(name, str(page)) for page, name in enumerate(names, 3)]
    blocks, made = read([*entries[:3], (long, ""), *entries[3:]])
    assert made == blocks


def test_a_text_that_goes_on_below_the_entries_stays():
    words: list[Word] = []
    for place, (name, page) in enumerate(ENTRIES.items()):
        words += [*words_at(name, 60, 100 + 14 * place), *page_at(page, 100 + 14 * place)]
    words += words_at("A line of text that belongs to the same paragraph", 60, 184)
    blocks = [paragraph(words)]
    assert find_contents(blocks, words) is blocks


def test_a_running_head_with_its_page_is_no_entry():
    head = [*words_at("Contents", 60, 60), *page_at("ii", 60)]
    words: list[Word] = []
    for place, (name, page) in enumerate(ENTRIES.items()):
        words += [*words_at(name, 60, 100 + 14 * place), *page_at(page, 100 + 14 * place)]
    blocks = [paragraph(head), paragraph(words)]
    kept, table = find_contents(blocks, head + words)
    assert kept is blocks[0]
    assert len(table.rows) == len(ENTRIES)


def test_fewer_entries_beside_many_stay():
    words: list[list[Word]] = [[], []]
    for place, (name, page) in enumerate([*ENTRIES.items()][:3] + [*ENTRIES.items()]):
        top = 100 + 14 * place + 60 * (place > 2)
        words[place > 2] += [*words_at(name, 60, top), *page_at(page, top)]
    blocks = [paragraph(part) for part in words]
    kept, table = find_contents(blocks, words[0] + words[1])
    assert kept is blocks[0]
    assert len(table.rows) == 6


def led(
    entries: list[tuple[str, str]], *, form: str = "{} ......... {}", second: str = ""
) -> tuple[list[Block], list[Block]]:
    """Return a paragraph of lines with dots whose last letters are at the edge, and its reading."""
    words: list[Word] = []
    for place, (name, page) in enumerate(entries):
        top = 100 + 14 * place
        line = words_at(
            form.format(name, second, page) if second else form.format(name, page), 60, top
        )
        last = line[-1]
        words += [*line[:-1], last._replace(left=EDGE - last.width)]
    blocks = [paragraph(words)]
    return blocks, find_contents(blocks, words)


@pytest.mark.parametrize(
    "form",
    [
        "{} ......... {}",
        "{}......... {}",
        "{} .........{}",
        "{} . . . . {}",
        "{} …… {}",
        "{} ···· {}",
    ],
)
def test_dots_that_lead_to_pages_are_left_out(form: str):
    _, (table,) = led([*ENTRIES.items()], form=form)
    assert table.rows == [[name, page] for name, page in ENTRIES.items()]


def test_dots_that_touch_the_name_and_the_page_are_left_out():
    words: list[Word] = []
    for place, (name, page) in enumerate(ENTRIES.items()):
        (*before, last), top = words_at(name, 60, 100 + 14 * place), 100 + 14 * place
        dots = "." * (int(EDGE - last.left) // 5 - len(last.text) - len(page))
        (glued,) = words_at(f"{last.text}{dots}{page}", last.left, top)
        words += [*before, glued._replace(width=EDGE - last.left)]
    (table,) = find_contents([paragraph(words)], words)
    assert table.rows == [[name, page] for name, page in ENTRIES.items()]


@pytest.mark.parametrize(
    ("form", "second"),
    [
        ("{} ..... {} ..... {}", "1200"),  # a financial statement's two years
        ("{} ..... {} ..... {}", "Number"),  # two fields of a form
        ("{} ..... {} {}", "12 Golf"),  # contents in two columns
    ],
)
def test_what_stands_between_two_runs_of_dots_stays(form: str, second: str):
    blocks, found = led([*ENTRIES.items()], form=form, second=second)
    assert found is blocks


@pytest.mark.parametrize(
    "pages",
    [
        ["1,200", "1,310", "1,400", "1,500", "1,600", "1,700"],
        ["3.50", "4.20", "5.00", "6.00", "7.00", "8.00"],
        ["1990", "1994", "1998", "2002", "2006", "2010"],
        ["12", "9", "14", "15", "16", "17"],
        ["1", "2", "3", "4", "5", "x90"],
    ],
)
def test_values_that_are_no_pages_stay(pages: list[str]):
    names = ["Revenue", "Cost", "Profit", "Tax", "Rest", "Sum"]
    blocks, found = led([*zip(names, pages, strict=True)])
    assert found is blocks


def test_lines_of_a_form_that_say_their_number_twice_stay():
    blocks, found = led([(f"{n} Wages and tips", f"{n}") for n in range(7, 14)])
    assert found is blocks


def test_lines_that_a_large_number_beside_them_joins_stay():
    words: list[Word] = [Word("17", 30, 100, 20, 60)]
    for place, (name, page) in enumerate(ENTRIES.items()):
        words += [*words_at(name, 60, 100 + 14 * place), *page_at(page, 100 + 14 * place)]
    blocks = [paragraph(words)]
    assert find_contents(blocks, words) is blocks


@pytest.mark.parametrize("said", ["Notices (https://example.org)", "Notices and more", "Not ices"])
def test_text_of_which_a_word_would_be_lost_stays(said: str):
    words: list[Word] = []
    for place, (name, page) in enumerate(ENTRIES.items()):
        words += [*words_at(name, 60, 100 + 14 * place), *page_at(page, 100 + 14 * place)]
    text = " ".join(word.text for word in words).replace("Notices", said)
    blocks = [paragraph(words, text)]
    assert find_contents(blocks, words) is blocks


def test_a_full_stop_apart_from_its_label_is_the_label_s():
    words: list[Word] = []
    for place, (name, page) in enumerate(ENTRIES.items()):
        top = 100 + 14 * place
        words += [*words_at(name.replace("2 The", "2 . The"), 60, top), *page_at(page, top)]
    (table,) = find_contents([paragraph(words)], words)
    assert table.rows[4] == ["2. The main components", "2"]


def test_a_label_whose_parts_touch_is_one():
    words: list[Word] = []
    for place, (name, page) in enumerate(ENTRIES.items()):
        top = 100 + 14 * place
        words += [*words_at(name, 60, top), *page_at(page, top)]
    texts = [paragraph(words)]
    at = next(at for at, word in enumerate(words) if word.text == "1.1")
    whole = words[at]
    parts = [whole._replace(text="1", width=5), whole._replace(text=".1", left=65, width=10)]
    (table,) = find_contents(texts, [*words[:at], *parts, *words[at + 1 :]])
    assert table.rows[3] == ["1.1 What it is for", "2"]


PARTS = [
    "PART ONE: HOW THE TOWN BEGAN AND WHO BUILT ALL OF IT",
    "PART TWO: WHAT BECAME OF IT ALL IN THE LONG PEACE",
]


def in_parts(*heads: str, names: list[str], left: float = 60) -> list[list[str]] | None:
    """Return the rows of contents with a head above each half of the names; None: no table."""
    half = len(names) // 2
    lines = [(name, str(page)) for page, name in enumerate(names, 3)]
    lines[half:half] = [(heads[1], "")]
    lines[0:0] = [("Preface", "i"), (heads[0], "")]
    words: list[Word] = []
    for place, (name, page) in enumerate(lines):
        top = 100 + 14 * place
        words += words_at(name, 60 if name in heads or name == "Preface" else left, top)
        words += page_at(page, top) if page else []
    made = find_contents([paragraph(words)], words)
    return made[0].rows if made[0].kind == "table" else None


NUMBERED = ["1 The river", "2 The mill", "3 The bridge", "4 The wall", "5 The school", "6 The rail"]
PLAIN = [name[2:] for name in NUMBERED]


@pytest.mark.parametrize(
    ("heads", "names", "left"),
    [
        (PARTS, NUMBERED, 60),
        (PARTS, PLAIN, 60),
        (PARTS, PLAIN, 80),
        ([head[10:] for head in PARTS], PLAIN, 60),
        ([head.capitalize() for head in PARTS], NUMBERED, 60),
        ([head.capitalize() for head in PARTS], PLAIN, 80),
    ],
    ids=["numbers", "capitals", "indent", "capitals alone", "part of numbers", "part of indent"],
)
def test_a_wide_head_of_a_part_is_a_row_of_its_own(heads: list[str], names: list[str], left: float):
    rows = in_parts(*heads, names=names, left=left)
    assert rows is not None
    assert [row[0] for row in rows] == ["Preface", heads[0], *names[:3], heads[1], *names[3:]]
    assert [row for row in rows if not row[1]] == [[head, ""] for head in heads]


def test_where_nothing_tells_the_head_of_a_part_from_its_first_entry_all_stays():
    assert in_parts(*(head.capitalize() for head in PARTS), names=PLAIN) is None


def test_a_name_in_capitals_goes_on_in_capitals():
    long = "4 THE SIEGE OF THE TOWN AND WHAT WAS SAID OF IT BY THOSE"
    lines = [(name.upper(), str(page)) for page, name in enumerate(NUMBERED, 3)]
    lines[3:4] = [(long, ""), ("WHO LIVED", "7")]
    _, (table,) = read(lines)
    assert table.rows[3] == [f"{long} WHO LIVED", "7"]


@pytest.mark.parametrize(
    ("long", "rest"),
    [
        ("4 ASSESSMENT OF THE IMPACT OF THE PROPOSED WORKS AND", "RECOMMENDATIONS"),
        ("PART TWO OF THE AGREEMENT BETWEEN ALL OF US AND THE", "annexes and appendices"),
        ("4 NASA AND ESA: A MISSION TO THE OUTER PLANETS, WITH", "all launches"),
        ("Section 5 of the Companies Act and what it means for", "partnerships"),
    ],
)
@pytest.mark.parametrize("left", [60, 80])
def test_a_name_that_goes_on_below_is_no_head(long: str, rest: str, left: float):
    names = [(name, str(page)) for page, name in enumerate(NUMBERED, 3)]
    names[3:4] = [(long, ""), (rest, "7")]
    words: list[Word] = []
    for place, (name, page) in enumerate(names):
        top = 100 + 14 * place
        words += words_at(name, left if name == rest else 60, top)
        words += page_at(page, top) if page else []
    (table,) = find_contents([paragraph(words)], words)
    assert [f"{long} {rest}", "7"] in table.rows
