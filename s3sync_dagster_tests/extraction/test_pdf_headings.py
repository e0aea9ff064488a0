"""Headings that layout analysis misses, and titles that it cuts in two."""

from s3sync_dagster.extraction.pdf.blocks import Block
from s3sync_dagster.extraction.pdf.headings import find_headings
from s3sync_dagster.extraction.pdf.styles import Piece, weight_of
from s3sync_dagster.extraction.words import words_of
from s3sync_dagster_tests.extraction import raw_pdf
from s3sync_dagster_tests.extraction.conftest import Read
from s3sync_dagster_tests.extraction.test_pdf_lost_lines import page

BODY = "The body of the page goes on for so many words that its size is known by them all."


def piece(text: str, top: float, *, size: float = 10.0, weight: int = 400) -> Piece:
    width = 5.0 * len(text)
    return Piece(text, left=70, top=top, width=width, height=size, size=size, weight=weight)


def paragraph(text: str, top: float, *, height: float = 11.0) -> Block:
    return Block(kind="paragraph", text=text, top=top, left=70, width=450, height=height)


def kinds(*lines: tuple[str, Piece]) -> list[str]:
    """Return the kinds of lines that stand above a long paragraph."""
    blocks = [paragraph(text, one.top) for text, one in lines]
    blocks.append(paragraph(BODY * 3, 200, height=60))
    pieces = [one for _, one in lines] + [piece(BODY, 200 + 12 * n) for n in range(4)]
    return [block.kind for block in find_headings(blocks, pieces)][:-1]


def test_one_word_in_large_letters_is_a_heading(read: Read):
    content = page("Harvest").replace(b"(The Harvest of the year)", b"(Harvest)")
    assert read(raw_pdf.pages_pdf([content]), "a.pdf").text.startswith("# Harvest\n")


def test_bold_line_above_a_paragraph_is_a_heading():
    bold = piece("Abstract", 186, weight=700)
    assert kinds(("Abstract", bold)) == ["heading"]
    assert kinds(("Abstract", piece("Abstract", 186))) == ["paragraph"]


def test_bold_label_with_its_value_is_none():
    bold = piece("Order RO-1", 186, weight=700)
    assert kinds(("**Order** RO-1", bold)) == ["paragraph"]
    assert kinds(("Total 12.", piece("Total 12.", 186, size=14))) == ["paragraph"]


def heading(text: str, top: float) -> Block:
    return Block(kind="heading", text=text, level=1, top=top, left=70, width=300, height=20)


def titles(*headings: Block) -> list[str]:
    pieces = [piece(BODY, 300 + 12 * n) for n in range(4)]
    return [f"{block.kind}: {block.text}" for block in find_headings([*headings], pieces)]


def test_title_of_two_lines_is_one():
    first, second = heading("Hope or hype:", 50), heading("the tobacco industry", 72)
    assert titles(first, second) == ["heading: Hope or hype: the tobacco industry"]
    far = heading("the tobacco industry", 150)
    assert titles(first, far) == ["heading: Hope or hype:", "heading: the tobacco industry"]


def test_whole_abstract_in_bold_letters_is_no_heading():
    assert titles(heading("word " * 30, 50))[0].startswith("paragraph: ")


WORDS = "Words of the body go on and on from line to line until they end."


def page_of(*lines: tuple[str, int] | tuple[str, int, str]) -> bytes:
    """Return a page of lines: words, font (1, 2 bold, 3 leaning), and words after them in F1."""
    shown: list[str] = []
    for words, font, *after in lines:
        more = "".join(f"/F1 12 Tf ( {rest})Tj " for rest in after)
        shown.append(f"/F{font} 12 Tf ({words})Tj {more}0 -14 Td ")
    return raw_pdf.pages_pdf([f"BT 72 700 Td {''.join(shown)} ET".encode()])


def test_numbered_bold_words_before_text_in_their_line_are_a_heading(read: Read):
    lines = [(WORDS, 1)] * 4
    content = page_of(*lines, ("3.1 Engine:", 2, "The world is made of rows and they"), *lines)
    assert "\n\n## 3.1 Engine\n\nThe world is made of rows" in read(content, "a.pdf").text


def test_bold_title_behind_an_ordinary_number_is_a_heading(read: Read):
    text = f"/F1 12 Tf ({WORDS})Tj 0 -14 Td " * 4
    line = "(3.1. )Tj /F2 12 Tf (Set up.)Tj /F1 12 Tf ( The world is of rows and they)Tj 0 -14 Td "
    content = raw_pdf.pages_pdf([f"BT 72 700 Td {text}{line}{text} ET".encode()])
    found = read(content, "a.pdf").text
    assert "\n\n## 3.1. Set up\n\nThe world is of rows and they" in found
    assert words_of(found)["up"] == 1


def test_leaning_title_before_text_in_its_line_is_a_heading(read: Read):
    lines = [(WORDS, 1)] * 4

    def found(title: str, font: int = 3) -> str:
        content = page_of(*lines, (title, font, "The world is of rows and they"), *lines)
        return read(content, "a.pdf").text

    assert "\n\n## 3.1. Set up\n\nThe world is of rows and they" in found("3.1. Set up.")
    assert "\n\n### 3.1.2 Set up\n\nThe world is of rows and they" in found("3.1.2 Set up.")
    assert "#" not in found("3.1. Set up.", 1)


def test_title_before_text_in_the_second_column_is_a_heading(read: Read):
    lines = "".join(f"(Words of a column go on and on to {n}.)Tj 0 -14 Td " for n in range(30))
    more = "".join(f"(Words of a column go on and on, {n}.)Tj 0 -14 Td " for n in range(12))
    title = "/F3 10 Tf (2.2. Setting.)Tj /F1 10 Tf ( The world is of)Tj 0 -14 Td "
    left = f"BT /F1 10 Tf 72 700 Td {lines} ET"
    right = f"BT /F1 10 Tf 320 700 Td {more}{title}{more} ET"
    found = read(raw_pdf.pages_pdf([f"{left} {right}".encode()]), "a.pdf").text
    assert "\n\n## 2.2. Setting\n\nThe world is of" in found


def test_question_in_large_letters_is_a_heading():
    asked = ("2 Why Unit Tests?", piece("2 Why Unit Tests?", 186, size=14))
    ended = ("9 The limits of growth.", piece("9 The limits of growth.", 186, size=14))
    assert kinds(asked) == kinds(ended) == ["heading"]
    sentence = "It grows."
    assert kinds((sentence, piece(sentence, 186, size=14))) == ["paragraph"]


def test_item_of_a_list_ends_where_a_heading_begins(read: Read):
    text = f"/F1 12 Tf ({WORDS})Tj 0 -14 Td " * 4
    item = "18 0 Td (- One of the items of a list)Tj 8 -14 Td (that ends here.)Tj -26 -14 Td "
    line = "(C. )Tj /F2 12 Tf (Ancillary Services)Tj 0 -14 Td "
    content = raw_pdf.pages_pdf([f"BT 72 700 Td {text}{item * 2}{line}{text} ET".encode()])
    assert "that ends here.\n\nC. Ancillary Services\n\nWords of the" in read(content, "a.pdf").text


def test_heading_at_the_end_of_a_column_keeps_the_line_below_it(read: Read):
    lines = [(WORDS, 1)] * 4
    content = page_of(*lines, ("C. Creation of a Program", 3), ("The laboratory provides", 1))
    assert "# C. Creation of a Program\n\nThe laboratory provides" in read(content, "a.pdf").text


def test_bold_words_with_which_a_paragraph_begins_are_no_heading(read: Read):
    lines = [(WORDS, 1)] * 4
    for start in (("Funds of all.", 2, "If you file any of the forms"), ("Funds of all that", 2)):
        text = read(
            page_of(*lines, start, ("go on as they did. " + WORDS, 1), *lines), "a.pdf"
        ).text
        assert "#" not in text
        assert "Funds of all" in text


def test_lines_of_their_own_inside_a_paragraph_are_headings(read: Read):
    lines = [(WORDS, 1)] * 4
    content = page_of(*lines, ("5.2 Hyper Parameters", 3), *lines, ("Boots and Nuts", 3), *lines)
    text = read(content, "a.pdf").text
    assert "\n\n## 5.2 Hyper Parameters\n\nWords of the body" in text
    assert "\n\n### Boots and Nuts\n\nWords of the body" in text
    assert text.count("Words of the body") == 12


def test_leaning_words_that_end_a_sentence_s_line_are_none(read: Read):
    lines = [(WORDS, 1)] * 3
    content = page_of(*lines, ("words go on with", 1), ("The Origin of Species", 3), *lines)
    assert "#" not in read(content, "a.pdf").text


def test_captions_and_labels_of_figures_are_none():
    shown = [heading("Figure 4: What was merged", 50), heading("M M", 90), heading("G+A M", 130)]
    assert [title.split(":")[0] for title in titles(*shown)] == ["paragraph"] * 3
    assert titles(heading("Table manners", 50)) == ["heading: Table manners"]


def test_title_that_goes_on_in_the_next_line_of_the_same_letters_is_one():
    first, second = heading("Inconsistency Between Strengths", 50), heading("And Dosage", 72)
    body = [piece(BODY, 300 + 12 * n) for n in range(4)]

    def found(size: float) -> list[str]:
        lines = [piece(first.text, 50, size=20), piece(second.text, 72, size=size)]
        return [block.text for block in find_headings([first, second], [*lines, *body])]

    assert found(20) == ["Inconsistency Between Strengths And Dosage"]
    assert found(16) == [first.text, second.text]


def inside(font: str, title: str = "Interviews", text: str = "The words of all interviews ") -> str:
    """Return the kinds of a paragraph's parts whose first line is set in a font."""
    lines = [title, *[text * 3] * 3]
    pieces = [
        Piece(line, 70, 50 + 12 * n, 5.0 * len(line), 10, size=10, weight=400, font=one)
        for n, (line, one) in enumerate(zip(lines, (font, *["Roman"] * 3), strict=True))
    ]
    block = paragraph(" ".join(line.strip() for line in lines), 50, height=48)
    return " ".join(part.kind for part in find_headings([block], pieces, body=10, fonts={"Roman"}))


def test_first_line_in_a_font_of_no_text_heads_its_paragraph_though_its_words_come_again():
    assert inside("F7") == "heading paragraph"
    assert inside("F7", text="Interviews with people ") == "heading paragraph"
    assert inside("Roman") == "paragraph"
    assert inside("F7", title="interviews") == "paragraph"
    assert inside("F7", text="and the words of them ") == "paragraph"


def test_two_headings_with_which_a_paragraph_begins_are_two_however_wide_the_first_is():
    title = "Review of documents and participatory observations"
    lines = [title, "Staffing", *["The words of all interviews " * 2] * 3]
    fonts = ["Roman-Bold", "F7", *["Roman"] * 3]
    pieces = [
        Piece(line, 70, 150 + 12 * n, 5.0 * len(line), 10, 10, weight_of(font), font=font)
        for n, (line, font) in enumerate(zip(lines, fonts, strict=True))
    ]
    other = Piece("words of a block that goes on here", 70, 130, 170, 10, 10, 400, font="Roman")
    block = paragraph(" ".join(line.strip() for line in lines), 120, height=100)
    found = find_headings([block], [other, *pieces], body=10, fonts={"Roman"})
    assert [part.text for part in found[:2]] == [title, "Staffing"]
    assert [part.kind for part in found] == ["heading", "heading", "paragraph"]


def test_numbered_line_in_other_letters_heads_text_however_short():
    assert inside("F7", title="3.1.2 Orientation", text="Set. ") == "heading paragraph"
    assert inside("F7", title="Orientation", text="Set. ") == "paragraph"
    assert inside("Roman", title="3.1.2 Orientation of pages", text="Set. ") == "paragraph"


def test_two_letters_of_chinese_are_a_title():
    title = piece("2 安装", 50, size=14)
    assert kinds(("2 安装", title)) == ["heading"]
    assert kinds(("2 ab", piece("2 ab", 50, size=14))) == ["paragraph"]
