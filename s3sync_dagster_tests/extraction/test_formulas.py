"""Formulas of OpenDocument files: read where they stand, as those of Word documents are."""

import io
from typing import Any

import lxml.etree
import pytest
from pptx import Presentation

from s3sync_dagster.extraction.formula_signs import latex_of_text
from s3sync_dagster.extraction.formulas import latex_of
from s3sync_dagster_tests.extraction.conftest import Read
from s3sync_dagster_tests.extraction.test_odd_files import added
from s3sync_dagster_tests.extraction.test_office_shapes import either, open_document, shape, slide

etree: Any = lxml.etree
MATHML = 'xmlns="http://www.w3.org/1998/Math/MathML"'
ENERGY = (
    "<semantics><mrow><mi>E</mi><mo stretchy='false'>=</mo><mrow><mi>m</mi>"
    "<msup><mi>c</mi><mn>2</mn></msup></mrow></mrow>"
    "<annotation encoding='StarMath 5.0'>E = m c^2</annotation></semantics>"
)
FRAME = (
    '<draw:frame text:anchor-type="as-char"><draw:object xlink:href="./Object 1"/>'
    '<draw:image xlink:href="./ObjectReplacements/Object 1"/><svg:desc>formula</svg:desc>'
    "</draw:frame>"
)


def math(inside: str) -> str:
    return f'<math {MATHML} display="block">{inside}</math>'


@pytest.mark.parametrize(
    ("inside", "latex"),
    [
        (ENERGY, "E=mc^{2}"),
        (
            (
                "<mi>x</mi><mo>=</mo><mfrac><mrow><mo>−</mo><mi>b</mi><mo>±</mo><msqrt><msup>"
                "<mi>b</mi><mn>2</mn></msup><mo>−</mo><mn>4</mn><mi>a</mi><mi>c</mi></msqrt></mrow>"
                "<mrow><mn>2</mn><mi>a</mi></mrow></mfrac>"
            ),
            r"x=\frac{-b \pm \sqrt{b^{2}-4ac}}{2a}",
        ),
        (
            (
                "<munderover><mo>∑</mo><mrow><mi>i</mi><mo>=</mo><mn>1</mn></mrow><mi>n</mi>"
                "</munderover><msub><mi>x</mi><mi>i</mi></msub>"
            ),
            r"\sum_{i=1}^{n}x_{i}",
        ),
        (
            "<munder><mi>lim</mi><mrow><mi>x</mi><mo>→</mo><mi>∞</mi></mrow></munder>",
            r"\lim_{x \rightarrow \infty}",
        ),
        ("<mroot><mi>x</mi><mn>3</mn></mroot>", r"\sqrt[3]{x}"),
        (
            "<msup><mfrac><mn>1</mn><mn>2</mn></mfrac><mi>n</mi></msup>",
            r"{\frac{1}{2}}^{n}",
        ),
        ("<mover><mi>v</mi><mo>→</mo></mover>", r"\vec{v}"),
        ("<mover><mi>A</mi><mi>n</mi></mover>", r"\overset{n}{A}"),
        (
            (
                "<mtable><mtr><mtd><mn>1</mn></mtd><mtd><mn>0</mn></mtd></mtr>"
                "<mtr><mtd><mn>0</mn></mtd><mtd><mn>1</mn></mtd></mtr></mtable>"
            ),
            r"\begin{matrix}1&0\\0&1\end{matrix}",
        ),
        (
            "<mtable><mtr><mtd><mi>a</mi></mtd></mtr><mtr><mtd><mi>b</mi></mtd></mtr></mtable>",
            r"a\\b",
        ),
        ("<mi>sin</mi><mi>α</mi>", r"\sin \alpha"),
        ("<mtext>if</mtext><mi>speed</mi><mo>&gt;</mo><mn>3</mn>", "if speed > 3"),
        ("<mfenced><mi>a</mi><mi>b</mi></mfenced>", "(a,b)"),
        (
            (
                "<mmultiscripts><mi>X</mi><mi>b</mi><none/><mprescripts/><mi>a</mi><mn>2</mn>"
                "</mmultiscripts>"
            ),
            r"{}_{a}^{2}X_{b}",
        ),
        ("<mi>a</mi><mphantom><mi>b</mi></mphantom><mo>&#x2062;</mo><!-- x --><mi>c</mi>", "ac"),
        ("<mo>{</mo><mi>x</mi><mo>}</mo>", r"\{x\}"),
        ('<mfenced open="{" close=""><mi>x</mi></mfenced>', r"\{x"),
        ("<mtext>a{b}</mtext>", r"a\{b\}"),
        ("<mi>𝑥</mi><mo>∈</mo><mi>ℝ</mi>", r"x \in \mathbb{R}"),
        ("<mi>𝐀</mi><mi>𝜋</mi><mo>√</mo><mn>2</mn>", r"\mathbf{A} \pi \surd 2"),
        (
            '<mo>(</mo><mfrac linethickness="0"><mn>49</mn><mn>6</mn></mfrac><mo>)</mo>',
            r"(\genfrac{}{}{0pt}{}{49}{6})",
        ),
        ('<mfrac linethickness="0.5pt"><mn>1</mn><mn>2</mn></mfrac>', r"\frac{1}{2}"),
        ('<menclose notation="radical"><mn>16</mn></menclose>', r"\sqrt{16}"),
        ("<msup><msup><mn>2</mn><mn>3</mn></msup><mn>4</mn></msup>", "{2^{3}}^{4}"),
        ("<msup><msub><mi>x</mi><mi>i</mi></msub><mn>2</mn></msup>", "x_{i}^{2}"),
        ("<msup><mrow><mo>-</mo><mn>3</mn></mrow><mn>2</mn></msup>", "{-3}^{2}"),
        ("<msup><mrow><mo>(</mo><mi>x</mi><mo>)</mo></mrow><mn>2</mn></msup>", "(x)^{2}"),
        (
            "<msup><mrow><mo>(</mo><mi>x</mi><mo>)(</mo><mi>y</mi><mo>)</mo></mrow><mn>2</mn></msup>",
            "{(x)(y)}^{2}",
        ),
        ("<maction selection='2'><mn>1</mn><mn>2</mn></maction>", "2"),
        ("x = 5<mo>+</mo>a<!-- b -->", "x = 5 + a"),
        ("<msup><mover><mi>v</mi><mo>→</mo></mover><mn>2</mn></msup>", r"\vec{v}^{2}"),
        ("<semantics><mrow/><annotation>sum from i</annotation></semantics>", "sum from i"),
    ],
)
def test_mathml_is_latex(inside: str, latex: str):
    assert latex_of(etree.fromstring(math(inside))) == latex


@pytest.mark.parametrize(
    "word",
    [
        *("Größe", "für alle", "Скорость", "λόγος", "café", "速度", "हिन्दी", "Łódź", "5 µm", "m²"),
        *("90°", "3 €", "½", "“so”", "§ 5", "CO₂", "№ 3"),
    ],
)
def test_words_of_a_formula_are_found_as_they_are_written(word: str):
    assert latex_of(etree.fromstring(math(f"<mtext>{word}</mtext>"))) == word


def test_braces_of_every_sign_are_closed():
    for code in (*range(0x20, 0x3000), *range(0x1D400, 0x1D800)):
        if chr(code) not in "{}":
            latex = latex_of_text(chr(code))
            assert latex.count("{") == latex.count("}"), hex(code)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (f"<text:p>{FRAME}</text:p>", "$$E=mc^{2}$$\n"),
        (f"<text:p>where {FRAME} holds</text:p>", "where $E=mc^{2}$ holds\n"),
        (
            (
                f"<text:list><text:list-item><text:p>First {FRAME}</text:p></text:list-item>"
                "</text:list>"
            ),
            "- First $E=mc^{2}$\n",
        ),
        (
            (
                "<table:table><table:table-row><table:table-cell><text:p>Energy</text:p>"
                f"</table:table-cell><table:table-cell><text:p>{FRAME}</text:p></table:table-cell>"
                "</table:table-row></table:table>"
            ),
            "| Energy | $$E=mc^{2}$$ |\n| - | - |\n",
        ),
        (f"<text:section>{FRAME}</text:section>", "$$E=mc^{2}$$\n"),
    ],
    ids=["alone", "in a line", "in a list", "in a cell", "in no paragraph"],
)
@pytest.mark.parametrize("declared", ["", '<!DOCTYPE math PUBLIC "-//OOo//DTD" "math.dtd">'])
def test_formula_of_an_open_document_text_is_read(read: Read, body: str, text: str, declared: str):
    content = added(open_document("text", body), "Object 1/content.xml", declared + math(ENERGY))
    assert read(content, "a.odt").text == text


def test_formula_in_the_text_itself_is_read(read: Read):
    inside = f"<draw:frame><draw:object>{math(ENERGY)}</draw:object></draw:frame>"
    assert (
        read(open_document("text", f"<text:p>{inside}</text:p>"), "a.odt").text == "$$E=mc^{2}$$\n"
    )


@pytest.mark.parametrize("group", [False, True])
def test_formula_of_an_open_document_slide_is_read(read: Read, group: bool):
    title = "<draw:custom-shape><text:p>Energy</text:p></draw:custom-shape>"
    shown = f"<draw:g>{FRAME}</draw:g>" if group else FRAME
    page = f'<draw:page draw:name="Slide">{title}{shown}</draw:page>'
    content = added(open_document("presentation", page), "Object 1/content.xml", math(ENERGY))
    assert read(content, "a.odp").text == "# Energy\n\n$$E=mc^{2}$$\n"


@pytest.mark.parametrize("part", ["<office:document/>", "no XML", None])
def test_object_that_is_no_formula_stays(read: Read, part: str | None):
    content = open_document("text", f"<text:p>before {FRAME} after</text:p>")
    if part is not None:
        content = added(content, "Object 1/content.xml", part)
    assert "before" in read(content, "a.odt").text


MARKUP = 'xmlns:m="http://schemas.openxmlformats.org/officeDocument/2006/math"'
ON_SLIDE = (
    '<a14:m xmlns:a14="http://schemas.microsoft.com/office/drawing/2010/main">'
    f"<m:oMathPara {MARKUP}><m:oMath><m:sSup><m:e><m:r><m:t>c</m:t></m:r></m:e><m:sup><m:r>"
    "<m:t>2</m:t></m:r></m:sup></m:sSup></m:oMath></m:oMathPara></a14:m>"
)


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        (f"<a:r><a:t>where </a:t></a:r>{ON_SLIDE}<a:r><a:t> is</a:t></a:r>", "where $c^{2}$ is\n"),
        (ON_SLIDE, "$$c^{2}$$\n"),
    ],
)
def test_formula_of_a_slide_is_read(read: Read, inside: str, text: str):
    words = shape("X").replace("<a:r><a:t>X</a:t></a:r>", inside)
    assert read(slide(either(words, shape(" "))), "a.pptx").text == text


def test_formula_in_the_notes_of_a_slide_is_read(read: Read):
    deck = Presentation()
    notes = deck.slides.add_slide(deck.slide_layouts[6]).notes_slide.notes_text_frame
    assert notes is not None
    notes.text = "where "
    notes.paragraphs[0]._p.append(etree.fromstring(ON_SLIDE))
    out = io.BytesIO()
    deck.save(out)
    assert read(out.getvalue(), "a.pptx").text == "Notes:\n\nwhere $c^{2}$\n"


PAGE = (
    '<math display="{}"><semantics><mfrac><mn>1</mn><mn>2</mn></mfrac>'
    '<annotation encoding="application/x-tex">1/2</annotation></semantics></math>'
)


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        (PAGE.format("inline"), "so $1/2$ holds\n"),
        (PAGE.format("inline").replace("x-tex", "other"), "so $\\frac{1}{2}$ holds\n"),
        (
            (
                f"<span class='katex'><span>{PAGE.format('inline')}</span>"
                "<span class='katex-html' aria-hidden='true'>½</span></span>"
            ),
            "so $1/2$ holds\n",
        ),
    ],
    ids=["typed", "shown", "KaTeX"],
)
def test_formula_of_a_web_page_is_read_once(read: Read, inside: str, text: str):
    assert read(f"<p>so {inside} holds</p>".encode(), "a.html").text == text
