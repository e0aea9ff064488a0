"""What Word shows and docling's reader passes by: signs, choices, what stands round runs."""

import pytest

from s3sync_dagster.extraction.office_repairs import repair_word_part
from s3sync_dagster.extraction.word_symbols import sign_of
from s3sync_dagster_tests.extraction.conftest import Read
from s3sync_dagster_tests.extraction.test_odd_files import docx, edited, run

MATH = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'


def field(data: str, kind: str) -> str:
    return (
        f'<w:r><w:fldChar w:fldCharType="begin"><w:ffData>{data}</w:ffData></w:fldChar></w:r>'
        f"<w:r><w:instrText> {kind} </w:instrText></w:r>"
        '<w:r><w:fldChar w:fldCharType="end"/></w:r>'
    )


def control(inside: str) -> str:
    return f"<w:sdt><w:sdtPr/><w:sdtContent>{inside}</w:sdtContent></w:sdt>"


def table(*rows: tuple[str, ...], grid: str = "<w:tblGrid/>") -> str:
    cells = (
        "".join(f"<w:tc><w:tcPr/><w:p>{inside}</w:p></w:tc>" for inside in row) for row in rows
    )
    return f"<w:tbl><w:tblPr/>{grid}{''.join(f'<w:tr>{row}</w:tr>' for row in cells)}</w:tbl>"


def equation(inside: str) -> str:
    return f"<m:oMath {MATH}>{inside}</m:oMath>"


def letters(words: str) -> str:
    return f"<m:r><m:t>{words}</m:t></m:r>"


def text_of(read: Read, body: str) -> str:
    return read(docx(body), "a.docx").text.removesuffix("\n\nthe end\n")


@pytest.mark.parametrize(
    ("font", "code", "shown"),
    [
        *[("Symbol", 0xF06D, "μ"), ("Symbol", 0x61, "α"), ("symbol ", 0xF0A3, "≤")],
        *[("Symbol", 0xF0B0, "°"), ("Symbol", 0xF0D2, "®"), ("Symbol", 0xF0E5, "∑")],
        *[("Symbol", 0xF021, "!"), ("Symbol", 0xF07E, "∼"), ("Symbol", 0xF0F1, "〉")],
        *[("Wingdings", 0xF0FE, "☑"), ("Wingdings", 0xF0A8, "☐"), ("Wingdings 2", 0xF052, "☑")],
        *[("MS Gothic", 0x2612, "☒"), ("Webdings", 0xF061, ""), ("Symbol", 0xD800, "")],
    ],
)
def test_a_sign_is_the_character_that_its_font_shows(font: str, code: int, shown: str):
    assert sign_of(font, code) == shown


def test_signs_are_read(read: Read):
    sign = '<w:r><w:sym w:font="Symbol" w:char="F06D"/></w:r>'
    private = (
        '<w:r><w:rPr><w:rFonts w:ascii="Symbol" w:hAnsi="Symbol"/></w:rPr><w:t>\uf0b1</w:t></w:r>'
    )
    other = '<w:r><w:sym w:font="Symbol" w:char="no"/></w:r>'
    body = f"<w:p>{run('5 ')}{sign}{run('g ')}{private}{run(' 1')}{other}</w:p>"
    assert text_of(read, body) == "5 μg ± 1"


def test_what_a_form_s_list_and_boxes_say_is_read(read: Read):
    entries = '<w:listEntry w:val="Ham"/><w:listEntry w:val="Bremen"/>'
    city = field(f'<w:ddList><w:result w:val="1"/>{entries}</w:ddList>', "FORMDROPDOWN")
    first = field(f"<w:ddList>{entries}</w:ddList>", "FORMDROPDOWN")
    boxes = [
        field(f"<w:checkBox><w:sizeAuto/>{mark}</w:checkBox>", "FORMCHECKBOX")
        for mark in ("<w:checked/>", '<w:default w:val="0"/><w:checked w:val="0"/>', "")
    ]
    body = f"<w:p>{run('in ')}{city}{run(' or ')}{first}{run(': ')}{' '.join(boxes)}</w:p>"
    assert text_of(read, body) == "in Bremen or Ham: ☒☐☐"


def test_what_a_list_says_twice_is_read_once(read: Read):
    data = '<w:ddList><w:listEntry w:val="Ham"/></w:ddList>'
    parted = f'<w:r><w:fldChar w:fldCharType="separate"/></w:r>{run("Ham")}<w:r><w:fldChar w:'
    ends = '<w:r><w:fldChar w:fldCharType="end"'
    twice = field(data, "FORMDROPDOWN").replace(ends, f'{parted}fldCharType="end"')
    assert text_of(read, f"<w:p>{run('in ')}{twice}{run(' now')}</w:p>") == "in Ham now"


def test_words_drawn_as_word_art_are_read(read: Read):
    shape = (
        '<w:r><w:pict><v:shape xmlns:v="urn:schemas-microsoft-com:vml">'
        '<v:textpath on="f" string="not shown"/><v:textpath on="t" string="DRAFT COPY"/>'
        "</v:shape></w:pict></w:r>"
    )
    assert text_of(read, f"<w:p>{shape}</w:p>") == "DRAFT COPY"


ROUND = {
    "control": control(run("chosen")),
    "control in a control": control(control(run("chosen"))),
    "insertion": f'<w:ins w:id="1" w:author="A">{run("chosen")}</w:ins>',
    "field": f'<w:fldSimple w:instr="DATE">{run("chosen")}</w:fldSimple>',
    "tag": f'<w:smartTag w:uri="a" w:element="b"><w:smartTagPr/>{run("chosen")}</w:smartTag>',
}


@pytest.mark.parametrize("around", ROUND.values(), ids=ROUND)
def test_what_stands_round_runs_hides_no_text_in_a_cell(read: Read, around: str):
    body = table((run("city"), run("date")), (around, f"{run('on ')}{around}{run(' now')}"))
    assert text_of(read, body) == ("| city | date |\n| - | - |\n| chosen | on chosen now |")


def test_lines_of_a_control_stay_apart(read: Read):
    address = "<w:r><w:t>Jane Doe</w:t><w:br/><w:t>Main Street 5</w:t><w:tab/><w:t>Town</w:t></w:r>"
    text = text_of(read, f"<w:p>{run('To: ')}{control(address)}{run('.')}</w:p>")
    assert text.split() == ["To:", "Jane", "Doe", "Main", "Street", "5", "Town."]


def test_boxes_to_check_stay_boxes(read: Read):
    box = (
        '<w:sdt><w:sdtPr><w14:checkbox xmlns:w14="http://schemas.microsoft.com/office/word/2010/'
        f'wordml"><w14:checked w14:val="1"/></w14:checkbox></w:sdtPr><w:sdtContent>{run("☒")}'
        "</w:sdtContent></w:sdt>"
    )
    assert text_of(read, f"<w:p>{box}{run(' married')}</w:p>") == "- [x] married"


@pytest.mark.parametrize(
    "grid",
    ["<w:tblGrid/>", "", "<w:tblGrid><w:gridCol/></w:tblGrid>"],
    ids=["empty", "none", "few"],
)
def test_cells_beyond_a_table_s_grid_are_read(read: Read, grid: str):
    body = table((run("a"), run("b"), run("c")), (run("d"), run("e"), run("f")), grid=grid)
    assert text_of(read, body) == "| a | b | c |\n| - | - | - |\n| d | e | f |"


BOX = (
    '<w:r><w:pict><v:shape xmlns:v="urn:schemas-microsoft-com:vml"><v:textbox><w:txbxContent>'
    f"<w:p>{run('boxed')}</w:p></w:txbxContent></v:textbox></v:shape></w:pict></w:r>"
)


@pytest.mark.parametrize(
    ("before", "text"),
    [
        (f"{run('non')}<w:r><w:noBreakHyphen/></w:r>{run('linear ')}", "non-linear $E$ holds"),
        (f"{BOX}{run('see ')}", "boxed\n\nsee $E$ holds"),
        (f'<w:hyperlink w:anchor="x">{run("Law 3 ")}</w:hyperlink>', "Law 3 $E$ holds"),
        (
            f'<w:ins w:id="1" w:author="A">{run("new ")}{equation(letters("A"))}</w:ins>',
            "new $A$ $E$ holds",
        ),
        (control(run("Smith's ")), "Smith's $E$ holds"),
    ],
    ids=["hyphen", "box", "link", "insertion", "control"],
)
def test_an_equation_stays_beside_other_words(read: Read, before: str, text: str):
    body = f"<w:p>{before}{equation(letters('E'))}{run(' holds')}</w:p>"
    assert text_of(read, body).replace("$$", "$ $") == text


@pytest.mark.parametrize(
    ("inside", "latex"),
    [
        (
            (
                f'<m:d><m:dPr><m:sepChr m:val="|"/></m:dPr><m:e>{letters("A")}</m:e>'
                f"<m:e>{letters('B')}</m:e></m:d>"
            ),
            r"\left(A|B\right)",
        ),
        (f"<m:acc><m:e>{letters('v')}</m:e></m:acc>", r"\hat{v}"),
        (f"<m:bar><m:e>{letters('v')}</m:e></m:bar>", r"\overline{v}"),
        (f"<m:borderBox><m:e>{letters('v')}</m:e></m:borderBox>", "v"),
        (
            (
                '<m:phant><m:phantPr><m:show m:val="0"/></m:phantPr>'
                f"<m:e>{letters('v')}</m:e></m:phant>{letters('w')}"
            ),
            "w",
        ),
        (
            (
                f"<m:sPre><m:sub>{letters('92')}</m:sub><m:sup>{letters('238')}</m:sup>"
                f"<m:e>{letters('U')}</m:e></m:sPre>"
            ),
            "_{92}^{238}U",
        ),
        (f'<w:ins w:id="1" w:author="A">{letters("q")}</w:ins>', "q"),
        ("<m:r><m:t>a</m:t><m:t>b</m:t></m:r>", "ab"),
    ],
    ids=["brackets", "accent", "bar", "frame", "hidden", "before", "insertion", "two texts"],
)
def test_all_of_a_formula_is_read(read: Read, inside: str, latex: str):
    assert text_of(read, f"<w:p>{equation(inside)}</w:p>") == f"$${latex}$$"
    in_cell = table((run("a"), run("b")), (equation(inside), run("c")))
    assert f"| ${latex.replace('|', chr(92) + '|')}$ | c |" in text_of(read, in_cell)


def test_formula_of_a_heading_is_marked_as_one(read: Read):
    body = (
        '<w:p><w:pPr><w:pStyle w:val="Heading1"/></w:pPr>'
        f"{run('On ')}{equation(letters('E'))}</w:p>"
    )
    assert text_of(read, body) == "## On $E$"


def test_words_of_a_part_that_says_nothing_more_stay_as_they_are():
    """What is put together anew is only what has something to mend."""
    part = "<w:document><w:p><w:r><w:t>€</w:t></w:r></w:p></w:document>".encode()
    assert repair_word_part(part) is part


def test_text_that_is_given_in_two_ways_is_read_once(read: Read):
    markup = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    emoji = (
        f'<w:r><mc:AlternateContent {markup}><mc:Choice Requires="w16se"/><mc:Fallback>'
        "<w:t>😀</w:t></mc:Fallback></mc:AlternateContent></w:r>"
    )
    both = (
        f'<mc:AlternateContent {markup}><mc:Choice Requires="wps">{run("new")}</mc:Choice>'
        f"<mc:Fallback>{run('old')}</mc:Fallback></mc:AlternateContent>"
    )
    assert text_of(read, f"<w:p>{run('so ')}{emoji}{run(' ')}{both}</w:p>") == "so 😀 new"


def test_signs_and_formulas_that_are_given_in_two_ways_are_read(read: Read):
    markup = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    ways = f"<mc:AlternateContent {markup}>{{}}</mc:AlternateContent>"
    sign = '<w:r><w:sym w:font="Symbol" w:char="F06D"/></w:r>'
    first = ways.format(f'<mc:Choice Requires="x"/><mc:Fallback>{sign}</mc:Fallback>')
    second = ways.format(
        f'<mc:Choice Requires="m">{equation(letters("c=2"))}</mc:Choice>'
        f"<mc:Fallback>{run('picture')}</mc:Fallback>"
    )
    assert text_of(read, f"<w:p>{run('5 ')}{first}{run('g ')}{second}</w:p>") == "5 μg $c=2$"


def test_boxes_to_check_in_cells_are_read(read: Read):
    box = (
        '<w:sdt><w:sdtPr><w14:checkbox xmlns:w14="http://schemas.microsoft.com/office/word/2010/'
        f'wordml"/></w:sdtPr><w:sdtContent>{run("☒")}</w:sdtContent></w:sdt>'
    )
    text = text_of(read, table((run("a"), run("b")), (f"{box}{run(' yes')}", run("c"))))
    assert text.endswith("| ☒ yes | c |")


def numbered(body: str, *levels: tuple[str, str, str], start: int = 0) -> bytes:
    """Return a document with a list of these levels: form, mark and what else they say.

    It has the numbers 99 and 98, which begins anew where a start is given.
    """
    first = '<w:start w:val="1"/>'
    defined = "".join(
        f'<w:lvl w:ilvl="{place}">{"" if "start" in more else first}{more}'
        f'<w:numFmt w:val="{form}"/><w:lvlText w:val="{mark}"/></w:lvl>'
        for place, (form, mark, more) in enumerate(levels)
    )
    abstract = f'<w:abstractNum w:abstractNumId="99">{defined}</w:abstractNum><w:num '
    content = edited(docx(body), "word/numbering.xml", "<w:num ", abstract)
    anew = f'<w:lvlOverride w:ilvl="0"><w:startOverride w:val="{start}"/></w:lvlOverride>'
    own = '<w:num w:numId="{}"><w:abstractNumId w:val="99"/>{}</w:num>'
    both = own.format(99, "") + own.format(98, anew if start else "")
    return edited(content, "word/numbering.xml", "</w:numbering>", f"{both}</w:numbering>")


def entry(words: str, level: int, *, heading: bool = False, of: int = 99) -> str:
    style = f'<w:pStyle w:val="Heading{level + 1}"/>' if heading else ""
    number = f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{of}"/></w:numPr>'
    return f"<w:p><w:pPr>{style}{number}</w:pPr>{run(words)}</w:p>"


@pytest.mark.parametrize(
    ("levels", "marks"),
    [
        (
            [("decimal", "Article %1", ""), ("decimal", "%1.%2", "")],
            ["Article 1", "1.1", "Article 2"],
        ),
        ([("upperRoman", "%1.", ""), ("decimal", "§ %2", "")], ["I.", "§ 1", "II."]),
        ([("upperRoman", "%1", ""), ("decimal", "%1.%2", "<w:isLgl/>")], ["I", "1.1", "II"]),
        (
            [("upperLetter", "Appendix %1:", ""), ("decimal", "%1.%2", "")],
            ["Appendix A:", "A.1", "Appendix B:"],
        ),
        ([("decimal", "%1", '<w:start w:val="4"/>'), ("decimal", "%1.%2", "")], ["4", "4.1", "5"]),
        ([("decimal", "%1", ""), ("decimal", "%1.%2", "")], ["1", "1.1", "2"]),
    ],
    ids=["words", "roman", "in digits", "letters", "from four", "digits"],
)
def test_headings_have_the_numbers_that_are_shown(
    read: Read, levels: list[tuple[str, str, str]], marks: list[str]
):
    body = "".join(
        entry(words, level, heading=True)
        for words, level in (("Scope", 0), ("Terms", 1), ("Duties", 0))
    )
    text = read(numbered(body, *levels), "a.docx").text
    first, second, third = marks
    assert text.startswith(f"## {first} Scope\n\n### {second} Terms\n\n## {third} Duties\n")


@pytest.mark.parametrize(("start", "then"), [(0, "B"), (1, "A"), (4, "D")])
def test_headings_of_one_list_go_on_counting_under_another_number(
    read: Read, start: int, then: str
):
    places = [("a", 0, 99), ("b", 1, 99), ("c", 0, 98), ("d", 1, 98), ("e", 0, 98)]
    body = "".join(entry(words, level, heading=True, of=of) for words, level, of in places)
    levels = (("upperLetter", "Annex %1", ""), ("decimal", "%1.%2", ""))
    text = read(numbered(body, *levels, start=start), "a.docx").text
    last = chr(ord(then) + 1)
    expected = ["## Annex A a", "### A.1 b", f"## Annex {then} c", f"### {then}.1 d"]
    assert text.split("\n\n")[:5] == [*expected, f"## Annex {last} e"]


def test_numbers_below_a_heading_that_shows_none_begin_anew(read: Read):
    places = [("a", 0), ("b", 1), ("c", 1), ("d", 0), ("e", 1)]
    body = "".join(entry(words, level, heading=True) for words, level in places)
    text = read(numbered(body, ("none", "", ""), ("decimal", "§ %2", "")), "a.docx").text
    assert text.split("\n\n")[:5] == ["## a", "### § 1 b", "### § 2 c", "## d", "### § 1 e"]


def test_items_begin_where_their_list_says_and_in_digits_where_it_asks(read: Read):
    body = "".join(entry(words, 0, of=98) for words in ("a", "b"))
    text = read(numbered(body, ("decimal", "%1.", ""), start=7), "a.docx").text
    assert text.startswith("7. a\n8. b\n")
    body = entry("a", 0) + entry("b", 1)
    levels = (("upperRoman", "Article %1", ""), ("decimal", "Section %1.%2", "<w:isLgl/>"))
    assert "Section 1.1 b" in read(numbered(body, *levels), "a.docx").text


def test_numbers_in_brackets_are_read_as_they_are_shown(read: Read):
    body = "".join(entry(words, level) for words, level in (("a", 0), ("b", 1), ("c", 1), ("d", 0)))
    text = read(numbered(body, ("decimal", "§ %1", ""), ("decimal", "(%2)", "")), "a.docx").text
    assert text.startswith("- § 1 a\n    - (1) b\n    - (2) c\n- § 2 d\n")


def test_spans_over_columns_that_no_table_has_make_no_cells(read: Read):
    wide = '<w:tr><w:tc><w:tcPr><w:gridSpan w:val="999"/></w:tcPr><w:p/></w:tc></w:tr>' * 800
    one = f"<w:tr><w:tc><w:tcPr/><w:p>{run('a')}</w:p></w:tc></w:tr>"
    text = text_of(read, f"<w:tbl><w:tblPr/><w:tblGrid/>{one}{wide}</w:tbl>")
    assert text.splitlines()[0].count("|") == 64


@pytest.mark.parametrize(
    ("words", "shown"),
    [("Größe", "Größe"), ("5 µm", "5 µm"), ("{x}", r"\{x\}"), ("x∈ℝ", r"x \in \mathbb{R}")],
)
def test_words_of_a_formula_are_found_as_they_are_written(read: Read, words: str, shown: str):
    assert text_of(read, f"<w:p>{equation(letters(words))}</w:p>") == f"$${shown}$$"
