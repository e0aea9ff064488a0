"""Headers of several lines and over several columns, which layout analysis cuts or joins."""

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.grids import Word
from s3sync_dagster.extraction.pdf.table_heads import mend_heads
from s3sync_dagster_tests.extraction.table_pieces import table_of, words_at, words_of_rows

COLUMNS = [(60.0, 160.0), (200.0, 260.0), (300.0, 360.0), (400.0, 460.0)]
RULED = [(60.0, 180.0), (180.0, 280.0), (280.0, 380.0), (380.0, 480.0)]
BODY = [["Lead", "10", "20", "30"], ["Zinc", "40", "50", "60"], ["Iron", "70", "80", "90"]]
BELOW = [140.0, 154.0, 168.0]


def mended(
    head: list[list[str]],
    tops: list[float],
    words: list[Word],
    *,
    columns: list[tuple[float, float]] = COLUMNS,
    body: list[list[str]] = BODY,
) -> Block:
    below = BELOW[: len(body)]
    table = table_of([*head, *body], [*tops, *below], columns)
    (whole,) = mend_heads([table], [*words, *words_of_rows(body, below, columns)])
    return whole


def test_lines_of_a_header_are_one_row():
    head = [["", "to air", "to water", "to land"], ["", "kg/year", "kg/year", "kg/year"]]
    tops = [112.0, 122.0]
    whole = mended(head, tops, words_of_rows(head, tops, COLUMNS))
    assert whole.rows == [["", "to air kg/year", "to water kg/year", "to land kg/year"], *BODY]
    assert len(whole.tops) == len(whole.rows)


def test_a_cell_over_several_columns_that_is_cut_is_whole_above_their_heads():
    heads = ["", "to air", "to water", "to land"]
    words = words_at("THRESHOLD FOR ALL RELEASES", 265, 108) + words_of_rows([heads], [122], RULED)
    cut = [["", "THRESHOLD", "FOR ALL", "RELEASES"], heads]
    whole = mended(cut, [108, 122], words, columns=RULED)
    assert whole.rows[:2] == [["", "THRESHOLD FOR ALL RELEASES", "", ""], heads]


def test_a_cell_that_begins_the_heads_below_it_has_a_row_of_its_own():
    heads = ["Group", "Sample", "Whole", "Share"]
    words = words_at("Female students of all years", 245, 108) + words_at("Share", 400, 108)
    words += words_of_rows([[*heads[:3], ""]], [122], RULED)
    title = "Female students of all years"
    copied = [heads[0], f"{title} Sample", f"{title} Whole", "Share"]
    whole = mended([copied], [108], words, columns=RULED)
    assert whole.rows == [
        ["Group", title, title, "Share"],
        ["", "Sample", "Whole", ""],
        *BODY,
    ]


def test_a_first_row_of_values_in_a_header_with_copies_is_a_row():
    first = ["Gold", "1", "2", "3"]
    words = words_at("Metals/Minerals", 150, 108) + words_at("Water", 280, 108)
    words += words_at("Land", 380, 108) + words_of_rows([first], [124], RULED)
    copied = ["Metals/Minerals Gold", "Metals/Minerals 1", "Water 2", "Land 3"]
    whole = mended([copied], [108], words, columns=RULED)
    assert whole.rows == [["Metals/Minerals", "Metals/Minerals", "Water", "Land"], first, *BODY]


def test_heads_near_each_other_stay_cells_of_their_columns():
    tight = [(60.0, 100.0), (120.0, 150.0), (153.0, 183.0), (186.0, 216.0)]
    body = [["Lead", "10.000", "20.000", "30.000"], ["Zinc", "40.000", "50.000", "60.000"]]
    body.append(["Iron", "70.000", "80.000", "90.000"])
    head = [["", "Normal", "Forced", "Closed"], ["", "draft", "draft", "vessel"]]
    tops = [112.0, 122.0]
    whole = mended(head, tops, words_of_rows(head, tops, tight), columns=tight, body=body)
    assert whole.rows[0] == ["", "Normal draft", "Forced draft", "Closed vessel"]


def test_a_cell_over_several_columns_has_lines_of_its_own():
    heads = ["Kind", "1998", "1999", "Share"]
    words = words_at("Establishments", 245, 96) + words_at("(1,000)", 262, 107)
    words += words_of_rows([["Kind", "men", "women", "Share"]], [122], RULED)
    copied = ["Kind", "Establishments (1,000) men", "Establishments women", heads[3]]
    whole = mended([copied], [96], words, columns=RULED)
    assert whole.rows[:2] == [
        ["Kind", "Establishments (1,000)", "Establishments (1,000)", "Share"],
        ["", "men", "women", ""],
    ]


def over_heads(upper: dict[float, str]) -> list[list[str]]:
    """Return the header of words by their places, and of heads of each column below these."""
    heads = ["Kind", "to air", "to water", "to land"]
    words = [word for left, text in upper.items() for word in words_at(text, left, 108)]
    first = ["", "", *(list(upper.values())[-2:] if len(upper) > 1 else [*upper.values(), ""])]
    whole = mended([first, heads], [108, 122], [*words, *words_of_rows([heads], [122], COLUMNS)])
    return whole.rows[:2]


def test_a_cell_that_is_centred_over_heads_stands_over_all_of_these():
    title = [["Kind", "THREEHOLDERS", "", ""], ["", "to air", "to water", "to land"]]
    assert over_heads({285.0: "THREEHOLDERS"}) == title
    assert over_heads({200.0: "Smoke", 352.0: "Solids"}) == [
        ["Kind", "Smoke to air", "Solids", "Solids"],
        ["", "", "to water", "to land"],
    ]


def test_a_cell_that_stands_as_its_column_beside_another_or_not_centred_is_of_one_column():
    one = ["Kind", "to air", "THREEHOLDERS to water", "to land"]
    for left in (278.0, 300.0):
        assert over_heads({left: "THREEHOLDERS"})[0] == one
    assert over_heads({285.0: "THREEHOLDERS", 400.0: "Limit"})[0] == [*one[:3], "Limit to land"]


def test_values_of_a_column_that_stand_over_the_next_one_are_left():
    over = [(60.0, 160.0), (200.0, 260.0), (205.0, 280.0), (400.0, 460.0)]
    body = [["Lead", "1,000,000", "", "30"], *BODY[1:]]
    head = [["", "air", "water", "to land"], ["", "kg", "tons", "kg/year"]]
    tops = [112.0, 122.0]
    whole = mended(head, tops, words_of_rows(head, tops, over), columns=over, body=body)
    assert whole.rows == [*head, *body]


def test_columns_over_each_other_are_left():
    over = [(60.0, 160.0), (200.0, 260.0), (200.0, 360.0), (400.0, 460.0)]
    head = [["", "to air", "to water", "to land"], ["", "kg/year", "kg/year", "kg/year"]]
    tops = [112.0, 122.0]
    turned = [[row[0], row[2], row[1], row[3]] for row in BODY]  # not as the cells say
    table = table_of([*head, *BODY], [*tops, *BELOW], over)
    words = words_of_rows([*head, *turned], [*tops, *BELOW], COLUMNS)
    assert mend_heads([table], words) == [table]


def test_a_head_of_one_line_that_is_copied_stays_in_each_of_its_columns():
    copied = ["", *["Releases of all kinds"] * 3]
    assert mended([copied], [112], words_at(copied[1], 262, 112)).rows == [copied, *BODY]


def test_a_column_that_only_a_word_of_the_header_made_is_none():
    made = [(60.0, 160.0), (200.0, 230.0), (240.0, 250.0), (400.0, 460.0)]
    body = [[row[0], row[1], "", row[3]] for row in BODY]
    words = words_at("Loans of", 200, 112) + words_at("Sum", 400, 112)
    words += words_at("the year", 200, 122) + words_at("kg", 400, 122)
    head = [["", "Loans", "of", "Sum"], ["", "the year", "", "kg"]]
    whole = mended(head, [112, 122], words, columns=made, body=body)
    assert whole.rows == [["", "Loans of the year", "Sum kg"], *([a, b, d] for a, b, _, d in BODY)]
    assert len(whole.columns) == 3


def test_heads_of_one_line_stay_cells_however_near():
    near = [(60.0, 100.0), (120.0, 140.0), (160.0, 180.0)]
    body = [["Lead", "10", "20"], ["Zinc", "40", "50"]]
    words = words_at("Air Water", 120, 112)
    whole = mended([["", "Air", "Water"]], [112.0], words, columns=near, body=body)
    assert whole.rows[0] == ["", "Air", "Water"]


def test_a_head_beside_one_over_several_columns_stands_in_its_row():
    words = words_at("Non-Hispanic white", 245, 108) + words_at("Total", 400, 108)
    words += words_at("Age", 60, 108)
    words += words_of_rows([["", "Male", "Female", "population"]], [122], RULED)
    cut = [["Age", "Non-Hispanic", "white", "Total"], ["", "Male", "Female", "population"]]
    whole = mended(cut, [108, 122], words, columns=RULED)
    assert whole.rows[:2] == [
        ["Age", "Non-Hispanic white", "Non-Hispanic white", "Total population"],
        ["", "Male", "Female", ""],
    ]


def test_rows_of_text_and_labels_below_a_header_are_none_of_it():
    text = [["Make", "Jeep", "Trim", "Limited"], ["Model", "Cherokee", "Color", "White"]]
    table = table_of(text, [112, 126], COLUMNS)
    assert mend_heads([table], words_of_rows(text, [112, 126], COLUMNS)) == [table]

    head = [["Loans", "2009", "2010", "2011"], ["Real estate", "", "", ""]]
    head[0][1:] = ["first", "second", "third"]
    whole = mended(head, [112.0, 126.0], words_of_rows(head, [112, 126], COLUMNS))
    assert whole.rows == [*head, *BODY]


def test_a_header_whose_words_are_others_is_left():
    head = [["", "to air", "to water", "to land"], ["", "kg/year", "kg/year", "kg/year"]]
    words = words_of_rows(head, [112, 122], COLUMNS)
    whole = mended(head, [112.0, 122.0], [*words, *words_at("stamp", 300, 116)])
    assert whole.rows == [*head, *BODY]
