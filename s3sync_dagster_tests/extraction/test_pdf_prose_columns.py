"""Columns of prose between rules, which layout analysis takes for a table."""

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.prose_columns import part_prose
from s3sync_dagster.extraction.pdf.styles import Piece
from s3sync_dagster_tests.extraction import raw_pdf
from s3sync_dagster_tests.extraction.conftest import Read

LINE = "words of a column of the page that go on and on until they end at last so"
COUNT = 12


def column(left: float, title: str) -> list[Piece]:
    """Return a title in large letters and lines of text, 300 points wide."""
    head = Piece(title, left, 50, 80, 14, size=14, weight=400)
    rows = [Piece(f"{LINE} {n}", left, 80 + 12 * n, 300, 10, 10, 400) for n in range(COUNT)]
    return [head, *rows]


def table(*columns: list[Piece]) -> Block:
    texts = [" ".join(piece.text for piece in pieces) for pieces in columns]
    edges = [(pieces[0].left, pieces[0].left + 300) for pieces in columns]
    return Block(kind="table", rows=[texts], columns=edges, left=70, top=45, width=640, height=200)


def test_columns_of_prose_are_text_one_after_the_other():
    left, right = column(70, "Barley"), column(400, "Clover")
    mixed = [piece for pair in zip(left, right, strict=True) for piece in pair]
    found = part_prose([table(left, right)], mixed)
    assert [block.kind for block in found] == ["paragraph"] * 4
    assert [block.text.split()[0] for block in found] == ["Barley", "words", "Clover", "words"]
    assert found[1].text == " ".join(f"{LINE} {n}" for n in range(COUNT))


def test_word_parted_at_a_line_s_end_is_one():
    left, right = column(70, "Barley"), column(400, "Clover")
    left.append(Piece("the cor-", 70, 224, 300, 10, 10, 400))
    left.append(Piece("poration", 70, 236, 300, 10, 10, 400))
    assert part_prose([table(left, right)], [*left, *right])[1].text.endswith("the corporation")


def test_table_of_which_letters_stand_elsewhere_stays():
    left, right = column(70, "Barley"), column(400, "Clover")
    whole = table(left, right)
    assert part_prose([whole], [*left, *right[:-1]]) == [whole]


def test_table_of_short_cells_stays():
    left, right = column(70, "Barley"), column(400, "Clover")
    rows = [[one.text, other.text] for one, other in zip(left, right, strict=True)]
    whole = Block(kind="table", rows=rows, left=70, top=45, width=640, height=200)
    assert part_prose([whole], [*left, *right]) == [whole]


def test_columns_in_a_frame_are_read_one_after_the_other(read: Read):
    lines = [f"words of a column that goes on {n}" for n in range(30)]
    rules = [(60, y, 550, y) for y in (60, 500, 720)] + [(x, 60, x, 720) for x in (60, 300, 550)]
    shown = b"".join(b"%d %d m %d %d l S " % rule for rule in rules)
    for left, name in ((70, "left"), (310, "right")):
        shown += b"BT /F1 10 Tf %d 700 Td " % left
        shown += b"".join(b"(%s %s)Tj 0 -14 Td " % (line.encode(), name.encode()) for line in lines)
        shown += b"ET "
    text = read(raw_pdf.pages_pdf([shown]), "a.pdf").text
    assert "|" not in text
    assert text.index("29 left") < text.index("0 right")
