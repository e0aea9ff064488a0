"""Tables without rules whose pieces come apart, and what only looks like a piece."""

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.tables import find_rows_over_the_break, mend_tables

PITCH = 24.0


def table(rows: list[list[str]], *, top: float, left: float = 90.0) -> Block:
    height = PITCH * (len(rows) - 1) + 10
    return Block(
        kind="table",
        rows=rows,
        first_row=rows[0],
        top=top,
        height=height,
        left=left,
        width=300.0,
    )


def line(text: str, *, top: float, width: float = 280.0) -> Block:
    return Block(kind="paragraph", text=text, top=top, height=10.0, left=90.0, width=width)


HEAD = [["Part", "Price"], ["bolt", "1.5"]]
MORE = [["nut", "0.5"], ["screw", "0.2"]]


def test_pieces_one_row_apart_are_one_table():
    (whole,) = mend_tables([table(HEAD, top=100), table(MORE, top=100 + 2 * PITCH)])
    assert whole.rows == [*HEAD, *MORE]
    assert (whole.top, whole.height) == (100, 3 * PITCH + 10)


def test_row_that_became_a_paragraph_between_pieces_is_a_row():
    (whole,) = mend_tables(
        [
            table(HEAD, top=100),
            line("gear 9.9", top=100 + 2 * PITCH),
            table(MORE, top=100 + 3 * PITCH),
        ]
    )
    assert whole.rows == [*HEAD, ["gear", "9.9"], *MORE]


def test_tables_that_are_apart_or_differ_stay_two():
    for second in (
        table(MORE, top=100 + 4 * PITCH),
        table(MORE, top=100 + 2 * PITCH, left=140),
        table([["a", "b", "c"], ["1", "2", "3"]], top=100 + 2 * PITCH),
    ):
        assert mend_tables([table(HEAD, top=100), second]) == [table(HEAD, top=100), second]


def test_paragraph_between_tables_stays_one():
    blocks = [
        table(HEAD, top=100),
        line("More of the same kind:", top=100 + 2 * PITCH),
        table(MORE, top=100 + 3 * PITCH),
    ]
    assert mend_tables(blocks) == blocks


def test_line_of_text_that_was_taken_for_the_first_row_is_text():
    rows = [["It garden is protocol", "their in. Ocean record."], *HEAD, *MORE]
    text, rest = mend_tables([table(rows, top=100)])
    assert (text.kind, text.text) == ("paragraph", "It garden is protocol their in. Ocean record.")
    assert rest.rows == [*HEAD, *MORE]
    assert rest.first_row == HEAD[0]


def test_header_that_is_a_sentence_of_its_own_stays():
    rows = [["What is it?", "Why?"], ["a", "b"], ["c", "d"]]
    (whole,) = mend_tables([table(rows, top=100)])
    assert whole.rows == rows


def test_header_above_its_table_comes_back():
    (whole,) = mend_tables([line("Part Price", top=100), table(MORE, top=100 + PITCH)])
    assert whole.rows == [["Part", "Price"], *MORE]
    assert whole.first_row == ["Part", "Price"]


def test_short_line_above_a_table_is_no_header():
    for above in (
        line("See below", top=100, width=60),
        line("Part Price", top=60),
        line("Prices of 2026", top=100),
    ):
        blocks = [above, table(MORE, top=100 + PITCH)]
        assert mend_tables(blocks) == blocks


def test_rest_of_a_sentence_taken_for_the_first_row_goes_to_the_text():
    above = line("A garden is what", top=80)
    rows = [["all good people", "want."], *HEAD, *MORE]
    text, rest = mend_tables([above, table(rows, top=100)])
    assert text.text == "A garden is what all good people want."
    assert rest.rows == [*HEAD, *MORE]


def test_last_row_that_became_a_paragraph_is_a_row():
    (whole,) = mend_tables([table([*HEAD, *MORE], top=100), line("gear 9.9", top=100 + 4 * PITCH)])
    assert whole.rows == [*HEAD, *MORE, ["gear", "9.9"]]
    assert whole.height == 4 * PITCH + 10


def test_line_below_a_table_that_is_no_row_stays():
    for below in (
        line("Source: archives", top=100 + 4 * PITCH),
        line("gear 9.9", top=100 + 6 * PITCH),
        line("chapter gear 9.9", top=100 + 4 * PITCH),
    ):
        blocks = [table([*HEAD, *MORE], top=100), below]
        assert mend_tables(blocks) == blocks


def test_single_row_on_the_next_page_is_a_row_of_the_table():
    pages = [[table([*HEAD, *MORE], top=600)], [line("gear 9.9", top=70), line("End", top=120)]]
    find_rows_over_the_break(pages)
    assert [block.kind for block in pages[1]] == ["table", "paragraph"]
    assert pages[1][0].rows == [["gear", "9.9"]]


def test_words_beside_a_table_are_its_last_column():
    narrow = [["Part"], ["bolt"]]
    first = table([[*row, "x"] for row in narrow], top=100)
    beside = Block(kind="paragraph", text="Price 1.5", top=100, height=34, left=420, width=30.0)
    (whole,) = mend_tables([first, beside])
    assert whole.rows == [["Part", "x", "Price"], ["bolt", "x", "1.5"]]
    assert (whole.first_row, whole.width) == (["Part", "x", "Price"], 360)


def test_text_beside_a_table_that_is_no_column_stays():
    for text, top in (("See page 7", 100), ("Price 1.5", 130)):
        beside = Block(kind="paragraph", text=text, top=top, height=34, left=420, width=30.0)
        blocks = [table(HEAD, top=100), beside]
        assert mend_tables(blocks) == blocks


def test_list_items_taken_for_the_first_row_are_items():
    rows = [["\uf0b7 \uf0b7", "All good things", "come late."], *[[*row, "x"] for row in MORE]]
    blocks = mend_tables([table(rows, top=100)])
    assert [(block.kind, block.text) for block in blocks] == [
        ("list_item", "All good things"),
        ("list_item", "come late."),
        ("table", ""),
    ]
