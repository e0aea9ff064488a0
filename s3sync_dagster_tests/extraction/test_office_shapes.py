"""Words in shapes, groups, boxes and indexes of office files: docling's readers pass them by."""

import io

import pytest

from s3sync_dagster_tests.extraction.conftest import Read
from s3sync_dagster_tests.extraction.test_odd_files import edited

MARKUP = "http://schemas.openxmlformats.org/markup-compatibility/2006"


def shape(words: str) -> str:
    return (
        '<p:sp><p:nvSpPr><p:cNvPr id="9" name="a"/><p:cNvSpPr/><p:nvPr/></p:nvSpPr><p:spPr/>'
        f"<p:txBody><a:bodyPr/><a:p><a:r><a:t>{words}</a:t></a:r></a:p></p:txBody></p:sp>"
    )


def slide(shapes: str) -> bytes:
    """Return a presentation of one slide with these shapes."""
    from pptx import Presentation

    deck = Presentation()
    deck.slides.add_slide(deck.slide_layouts[6])
    out = io.BytesIO()
    deck.save(out)
    part = "ppt/slides/slide1.xml"
    return edited(out.getvalue(), part, "</p:spTree>", f"{shapes}</p:spTree>")


def either(choice: str, fallback: str) -> str:
    return (
        f'<mc:AlternateContent xmlns:mc="{MARKUP}"><mc:Choice xmlns:a14="x" Requires="a14">'
        f"{choice}</mc:Choice><mc:Fallback>{fallback}</mc:Fallback></mc:AlternateContent>"
    )


def test_shape_that_a_slide_gives_in_two_ways_is_read_once(read: Read):
    content = slide(either(shape("with a formula"), shape("as a picture")))
    assert read(content, "a.pptx").text == "with a formula\n"


def test_shape_that_newer_programs_draw_is_read_by_what_older_ones_show(read: Read):
    content = slide(either("<p14:contentPart xmlns:p14='x'/>", shape("of an older program")))
    assert read(content, "a.pptx").text == "of an older program\n"


def test_choice_in_a_choice_and_in_a_group_is_read(read: Read):
    marks = '<p:nvGrpSpPr><p:cNvPr id="8" name="g"/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr>'
    inner = either(shape("deep"), "")
    group = f"<p:grpSp>{marks}<p:grpSpPr/>{inner}</p:grpSp>"
    assert read(slide(either(group, shape("flat"))), "a.pptx").text == "deep\n"


def open_document(kind: str, xml: str) -> bytes:
    """Return an OpenDocument file with this as its body."""
    from odfdo import Document, Element

    document = Document(kind)
    document.body.clear()
    document.body.append(Element.from_tag(xml))
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def box(words: str) -> str:
    return f"<draw:custom-shape><text:p>{words}</text:p></draw:custom-shape>"


def test_groups_of_an_open_document_slide_are_read(read: Read):
    frame = "<draw:frame><draw:text-box><text:p>in a frame</text:p></draw:text-box></draw:frame>"
    group = f"<draw:g>{box('in a group')}<draw:g>{box('in two')}{frame}</draw:g></draw:g>"
    linked = f'<draw:a xlink:href="https://example.org/">{box("linked")}</draw:a>'
    page = f'<draw:page draw:name="Slide">{box("first")}{group}{linked}</draw:page>'
    text = read(open_document("presentation", page), "a.odp").text
    assert text == "# first\n\nin a group\n\nin two\n\nin a frame\n\nlinked\n"


@pytest.mark.parametrize(
    "boxes",
    [
        (
            "<draw:frame><draw:text-box><text:p>one</text:p><text:p>two</text:p></draw:text-box>"
            "</draw:frame>"
        ),
        f"<draw:g>{box('one')}<draw:g>{box('two')}</draw:g></draw:g>",
        (
            "<draw:rect><text:p>one</text:p></draw:rect><text:span><draw:line><text:p>two</text:p>"
            "</draw:line></text:span>"
        ),
        (
            "<draw:frame><draw:text-box><text:p><draw:frame><draw:text-box><text:p>one</text:p>"
            "</draw:text-box></draw:frame>two</text:p></draw:text-box></draw:frame>"
        ),
    ],
    ids=["box", "groups", "shapes", "box in a box"],
)
def test_boxes_of_an_open_document_text_are_paragraphs_of_their_own(read: Read, boxes: str):
    within = open_document("text", f"<text:p>{boxes}The paragraph.</text:p>")
    assert read(within, "a.odt").text == "one\n\ntwo\n\nThe paragraph.\n"
    alone = open_document("text", f"<text:section>{boxes}<text:p>after</text:p></text:section>")
    if "span" not in boxes:
        assert read(alone, "a.odt").text == "one\n\ntwo\n\nafter\n"


@pytest.mark.parametrize(
    "kind",
    ["table-of-content", "illustration-index", "alphabetical-index", "bibliography", "user-index"],
)
def test_indexes_of_an_open_document_text_are_read(read: Read, kind: str):
    source = f"<text:{kind}-source><text:index-title-template>no</text:index-title-template>"
    title = "<text:index-title><text:p>Its title</text:p></text:index-title>"
    body = f"<text:index-body>{title}<text:p>Smith, A book<text:tab/>3</text:p></text:index-body>"
    content = open_document(
        "text", f"<text:{kind}>{source}</text:{kind}-source>{body}</text:{kind}>"
    )
    assert read(content, "a.odt").text == "Its title\n\nSmith, A book\t3\n"


def test_numbered_paragraphs_and_readings_of_an_open_document_text_are_read(read: Read):
    ruby = "<text:ruby><text:ruby-base>漢字</text:ruby-base><text:ruby-text>かんじ</text:ruby-text>"
    numbered = f"<text:numbered-paragraph><text:p>{ruby}</text:ruby>を</text:p>"
    content = open_document("text", f"{numbered}</text:numbered-paragraph>")
    assert read(content, "a.odt").text == "漢字(かんじ)を\n"


def test_alternative_texts_of_an_open_document_text_stand_apart(read: Read):
    words = "<svg:title>A chart</svg:title><svg:desc>of sales</svg:desc>"
    content = open_document("text", f"<text:p><draw:rect>{words}</draw:rect>words</text:p>")
    assert read(content, "a.odt").text == "words\n\n[Picture: A chart: of sales]\n"


@pytest.mark.parametrize("paragraphs", ["<text:p>one</text:p><text:p>two</text:p>", None])
def test_paragraphs_of_an_item_are_words_apart(read: Read, paragraphs: str | None):
    inside = paragraphs or f"<text:p>{box('one')}two</text:p>"
    items = f"<text:list><text:list-item>{inside}</text:list-item></text:list>"
    assert read(open_document("text", items), "a.odt").text == "- one two\n"
    frame = f"<draw:frame><draw:text-box>{items}</draw:text-box></draw:frame>"
    if paragraphs:
        page = f"<draw:page>{box('first')}{frame}</draw:page>"
        assert read(open_document("presentation", page), "a.odp").text == "# first\n\n- one two\n"


def test_note_of_a_cell_is_read_once(read: Read):
    note = (
        '<text:note text:note-class="footnote"><text:note-citation>{0}</text:note-citation>'
        "<text:note-body><text:p>note {0}</text:p></text:note-body></text:note>"
    )
    cells = "".join(
        f'<table:table-cell office:value-type="string"><text:p>{words}</text:p></table:table-cell>'
        for words in (f"word{note.format(1)} after", f"<text:span>two</text:span>{note.format(2)}.")
    )
    row = f"<table:table-row>{cells}</table:table-row>"
    body = f"<text:section><table:table>{row}</table:table><text:p>end</text:p></text:section>"
    text = read(open_document("text", body), "a.odt").text
    assert text == "| word after | two. |\n| - | - |\n\nend\n\nnote 1\n\nnote 2\n"


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        ("currency", 'office:value="1234.5"', "1.234,50 €"),
        ("date", 'office:date-value="2024-05-05"', "5. Mai 2024"),
        ("boolean", 'office:boolean-value="true"', "WAHR"),
    ],
)
def test_value_of_a_cell_of_a_text_is_as_it_is_shown(read: Read, kind: str, value: str, shown: str):
    cells = (
        "<table:table-cell><text:p>Sum</text:p></table:table-cell>"
        f'<table:table-cell office:value-type="{kind}" {value}><text:p>{shown}</text:p>'
        "</table:table-cell>"
    )
    body = f"<table:table><table:table-row>{cells}</table:table-row></table:table>"
    assert f"| Sum | {shown} |" in read(open_document("text", body), "a.odt").text
