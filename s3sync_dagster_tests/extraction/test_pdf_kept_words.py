"""Whether other blocks of a page's text say the same words."""

import pytest

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.kept_words import keeps_words
from s3sync_dagster_tests.extraction.table_pieces import words_at


def text(words: str) -> Block:
    return Block(kind="paragraph", text=words)


def table(*rows: list[str]) -> Block:
    return Block(kind="table", rows=[*rows])


@pytest.mark.parametrize(
    ("before", "after", "is_kept"),
    [
        (text("Notices ..... 3"), table(["Notices", "3"]), True),
        (text("Etc. ..... 3"), table(["Etc", "3"]), True),
        (text(r"\\begin 3"), table([r"\begin", "3"]), True),
        (text("**Notices** . . . . 3"), table(["Notices", "3"]), True),
        (text("Revenue ... 1,200 ... 1,310"), table(["Revenue", "1,310"]), False),
        (text("Notices 3 3"), table(["Notices", "3"]), False),
        (text("Grand Total 23.900"), table(["Grand Total", "23 .900"]), False),
        (text("[Form](https://example.org/one) 4"), table(["Form", "4"]), False),
        (text("Notices"), table(["Notices", "Notices"]), False),
    ],
)
def test_words_are_the_same_as_often(before: Block, after: Block, is_kept: bool):
    assert keeps_words([before], [after], []) is is_kept


def test_words_that_the_page_has_and_no_block_said_may_come_once():
    words = words_at("Notices 3", 0, 0)
    assert keeps_words([text("Notices")], [table(["Notices", "3"])], words)
    assert not keeps_words([text("Notices")], [table(["Notices", "3 3"])], words)


def test_markers_and_lines_of_code_are_words_too():
    item = Block(kind="list_item", marker="1.", text="Notices")
    code = Block(kind="code", lines=["A Terms", "19"])
    assert keeps_words([item, code], [table(["1. Notices", ""], ["A Terms", "19"])], [])
    assert not keeps_words([item, code], [table(["Notices", ""], ["A Terms", "19"])], [])


def test_a_word_that_is_said_oftener_than_the_page_has_it_may_be_said_as_often():
    words = words_at("Notices 3 Terms 3", 0, 0)
    after = [table(["Notices", "3"], ["Terms", "3"])]
    assert keeps_words([text("Notices 3 3 Terms 3")], after, words)
    assert not keeps_words([text("Notices 3 Terms 3")], [table(["Notices", "3"], ["Terms"])], words)
