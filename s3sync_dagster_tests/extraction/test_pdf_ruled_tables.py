"""Tables whose cells rules part from each other."""

import pytest

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.layout import read_with_liteparse
from s3sync_dagster.extraction.pdf.ruled_tables import Rule, Rules, find_ruled
from s3sync_dagster.model.source import ExtractionConfig
from s3sync_dagster_tests.extraction import raw_pdf
from s3sync_dagster_tests.extraction.table_pieces import text_at, words_at

LEFTS = [60.0, 140.0, 300.0, 380.0]
TOPS = [100.0, 120.0, 140.0, 160.0]
TEXTS = {
    (70, 104): "Disease",
    (150, 104): "Action",
    (310, 104): "Cases",
    (70, 124): "Cholera",
    (150, 124): "House survey done",
    (310, 124): "46",
    (70, 144): "Measles",
    (150, 144): "All were treated",
    (310, 144): "30",
}
ROWS = [
    ["Disease", "Action", "Cases"],
    ["Cholera", "House survey done", "46"],
    ["Measles", "All were treated", "30"],
]


def rules(*, tops: list[float] = TOPS, lefts: list[float] = LEFTS) -> Rules:
    return Rules(
        [Rule(top, lefts[0], lefts[-1]) for top in tops],
        [Rule(left, tops[0], tops[-1]) for left in lefts],
    )


def _without_edge(places: list[float], gone: float) -> list[Rule]:
    """Return the rules of a grid, one of them without the edge beside the second column or row."""
    if places is TOPS:
        kept = [Rule(gone, LEFTS[0], LEFTS[1]), Rule(gone, LEFTS[2], LEFTS[3])]
        return sorted([*(rule for rule in rules().level if rule.place != gone), *kept])
    return sorted(
        [*(rule for rule in rules().upright if rule.place != gone), Rule(gone, TOPS[1], TOPS[3])]
    )


def read(texts: dict[tuple[int, int], str], drawn: Rules, *others: Block) -> list[Block]:
    words = [word for (left, top), text in texts.items() for word in words_at(text, left, top)]
    blocks = [text_at(text, left, top, kind="paragraph") for (left, top), text in texts.items()]
    return find_ruled([*blocks, *others], words, drawn)


def content(texts: dict[tuple[float, float], str], boxes: list[tuple[float, ...]]) -> bytes:
    """Return a page's stream: text at places, and thin boxes for rules."""
    shown = [f"BT /F1 9 Tf {x} {y} Td ({text}) Tj ET" for (x, y), text in texts.items()]
    drawn = [f"{x} {y} {width} {height} re f" for x, y, width, height in boxes]
    return "\n".join([*drawn, *shown]).encode()


def test_cells_of_several_lines_and_over_several_rows_are_read_by_their_rules():
    xs = [60, 160, 220, 480]
    level = [(60, y, 420, 0.7) for y in (700, 670, 530)] + [(160, 600, 320, 0.7)]
    upright = [(x, 530, 0.7, 170) for x in xs]
    texts: dict[tuple[float, float], str] = {
        (65, 682): "State",
        (165, 682): "Cases",
        (225, 682): "Action taken",
        (65, 600): "West Bengal",
        (165, 632): "46",
        (165, 562): "34",
    }
    action = [
        "Cases of fever were found in",
        "the village. A team went there.",
        "All were treated.",
    ]
    for place, line in enumerate(action):
        texts[225, 650 - 14 * place] = line
        texts[225, 580 - 14 * place] = line.replace("fever", "measles")
    pdf = raw_pdf.pages_pdf([content(texts, [*level, *upright])])
    (page,) = read_with_liteparse(pdf, name="a.pdf", config=ExtractionConfig()).texts
    said = " ".join(action)
    assert page.splitlines() == [
        "| State | Cases | Action taken |",
        "| - | - | - |",
        f"| West Bengal | 46 | {said} |",
        f"|  | 34 | {said.replace('fever', 'measles')} |",
    ]


def test_texts_in_a_grid_are_one_table():
    (table,) = read(TEXTS, rules())
    assert table.rows == ROWS
    assert (table.first_row, table.top, table.height) == (ROWS[0], 100, 60)
    assert table.columns == [(60, 140), (140, 300), (300, 380)]


def test_text_beside_a_grid_stays_where_it_is():
    above, below = text_at("Outbreaks", 60, 60), text_at("Source: a report", 60, 200)
    assert [block.kind for block in read(TEXTS, rules(), above, below)] == [
        "table",
        above.kind,
        below.kind,
    ]


def test_a_cell_over_columns_is_said_in_each_and_one_over_all_once():
    drawn = rules()
    parts = [Rule(140, 120, 160), Rule(300, 140, 160)]
    upright = [rule for rule in drawn.upright if rule.place in (60, 380)]
    texts = {(70, 104): "Outbreaks", (70, 124): "Week", (150, 124): "Cases found"}
    texts |= {(70, 144): "12", (150, 144): "46", (310, 144): "30"}
    (table,) = read(texts, Rules(drawn.level, [*upright, *parts]))
    assert table.rows == [
        ["Outbreaks", "", ""],
        ["Week", "Cases found", "Cases found"],
        ["12", "46", "30"],
    ]


def test_a_shade_that_begins_beside_the_rules_makes_no_column():
    drawn = rules()
    shade = [Rule(place, 101, 119) for place in (145.0, 295.0)]
    (table,) = read(TEXTS, Rules(drawn.level, sorted([*drawn.upright, *shade])))
    assert table.rows == ROWS


@pytest.mark.parametrize(
    ("texts", "drawn"),
    [
        (TEXTS, rules(lefts=[60.0, 380.0])),
        (TEXTS, rules(tops=[100.0, 160.0])),
        (TEXTS | {(150, 124): "House survey done in all villages"}, rules()),
        ({(70, 124): "Cholera", (150, 144): "46"}, rules()),
        (TEXTS | {(310, 133): "30"}, rules()),
        (
            {(70, 150): "Cholera", (70, 104): "Disease", (150, 104): "Action"}
            | {(150, 124 + 14 * line): "one two to six on it as" for line in range(12)},
            rules(tops=[100.0, 120.0, 290.0]),
        ),
        (TEXTS, Rules([*rules().level] * 101, rules().upright)),
        (TEXTS, Rules(_without_edge(TOPS, 120.0), _without_edge(LEFTS, 140.0))),
    ],
    ids=[
        *("one column", "one row", "across a rule", "mostly empty", "rows of values", "prose"),
        *("a drawing", "no box"),
    ],
)
def test_what_is_no_table_by_its_rules_stays(texts: dict[tuple[int, int], str], drawn: Rules):
    assert all(block.kind == "paragraph" for block in read(texts, drawn))


def test_rows_that_only_shades_part_stay_as_they_are():
    drawn = rules()
    lines = Rules(drawn.level, [drawn.upright[0], drawn.upright[-1], Rule(140, 100, 120)])
    assert all(block.kind == "paragraph" for block in read(TEXTS, lines))


def test_turned_words_are_left_to_layout_analysis():
    words = [
        word._replace(width=word.height / 2, height=40.0)
        for (left, top), text in TEXTS.items()
        for word in words_at(text, left, top)
    ]
    blocks = [text_at(text, left, top) for (left, top), text in TEXTS.items()]
    assert find_ruled(blocks, words, rules(tops=[60.0, 122.0, 142.0, 220.0])) == blocks


def test_a_block_that_is_only_partly_inside_is_not_cut():
    blocks = [text_at(text, left, top) for (left, top), text in TEXTS.items()]
    words = [word for (left, top), text in TEXTS.items() for word in words_at(text, left, top)]
    blocks[0].top, blocks[0].height = 60.0, 56.0
    assert find_ruled(blocks, words, rules()) == blocks


def test_a_table_of_the_same_rows_and_columns_stays():
    words = [word for (left, top), text in TEXTS.items() for word in words_at(text, left, top)]
    table = Block(kind="table", rows=ROWS, top=100, left=60, width=320, height=60)
    (found,) = find_ruled([table], words, rules())
    assert found is table
