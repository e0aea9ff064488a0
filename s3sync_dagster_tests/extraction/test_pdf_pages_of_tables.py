"""Tables of whole pages: what layout analysis makes of them, and what is read in the end."""

from s3sync_dagster.extraction.pdf.layout import read_with_liteparse
from s3sync_dagster.model.source import ExtractionConfig
from s3sync_dagster_tests.extraction.raw_pdf import pages_pdf

ABOVE = "Loans by kind are shown below for two years, as they were reported by each of the banks."
BELOW = "The figures of the last year are not final, and may be mended when the banks have closed."
FIRST = {
    "Houses and land": ("4,151", "25.0", "3,925"),
    "Shops and offices": ("361", "2.2", "284"),
    "Farms": ("380", "2.3", "327"),
    "Mills of all kinds": ("173", "1.0", "170"),
}
SECOND = {
    "Consumers": ("555", "3.3", "438"),
    "Leases": ("63", "0.4", "66"),
    "Securities": ("1,844", "11.1", "2,754"),
}


def at(left: float, height: float, text: str) -> str:
    return f"BT /F1 10 Tf {left} {height} Td ({text}) Tj ET"


def row(height: float, name: str, values: tuple[str, ...], edges: tuple[int, ...]) -> list[str]:
    """Return a row whose values end at the edges; digits are wider than marks."""
    widths = [sum(2.78 if letter in ",." else 5.56 for letter in value) for value in values]
    placed = zip(edges, widths, values, strict=True)
    return [at(77, height, name), *(at(edge - w, height, value) for edge, w, value in placed)]


def rows_read(lines: list[str]) -> list[list[str]]:
    """Return the rows of the only table of a page, with text above and below it."""
    content = "\n".join([at(72, 740, ABOVE), *lines, at(72, 420, BELOW)])
    pdf = pages_pdf([content.encode()])
    (text,) = read_with_liteparse(pdf, name="a.pdf", config=ExtractionConfig()).texts
    above, table, below = text.split("\n\n")
    assert (above, below) == (ABOVE, BELOW)
    rows = [[cell.strip() for cell in line[1:-1].split("|")] for line in table.splitlines()]
    assert set(rows[1]) == {"-"}
    return [rows[0], *rows[2:]]


def test_a_header_of_two_lines_makes_no_columns_of_its_words():
    edges = (340, 440, 540)
    lines = [at(left, 700, text) for left, text in ((300, "Loans of"), (400, "Share of"))]
    lines += [at(500, 700, "Loans of"), at(72, 688, "Kind of loan")]
    lines += [at(left, 688, "the year") for left in (300, 400, 500)]
    for place, (name, values) in enumerate(FIRST.items()):
        lines += row(672 - 14 * place, name, values, edges)
    assert rows_read(lines) == [
        ["Kind of loan", "Loans of the year", "Share of the year", "Loans of the year"],
        *([name, *values] for name, values in FIRST.items()),
    ]


def test_rows_below_a_label_have_the_header_of_the_table():
    edges = (340, 420, 500)
    heads = ((72, "Kind of loan"), (310, "Sum"), (390, "Share"), (470, "Before"))
    lines = [at(left, 700, text) for left, text in heads]
    for place, (name, values) in enumerate(FIRST.items()):
        lines += row(680 - 16 * place, name, values, edges)
    lines.append(at(72, 610, "Other loans of the banks"))
    for place, (name, values) in enumerate(SECOND.items()):
        lines += row(594 - 16 * place, name, values, edges)
    assert rows_read(lines) == [
        ["Kind of loan", "Sum", "Share", "Before"],
        *([name, *values] for name, values in FIRST.items()),
        ["Other loans of the banks", "", "", ""],
        *([name, *values] for name, values in SECOND.items()),
    ]


def test_a_table_has_its_header_its_first_row_and_sums_with_few_values():
    edges = (340, 440, 540)
    heads = zip(edges, ("Hours", "Rate", "Cost"), strict=True)
    lines = [at(edge - 25, 700, text) for edge, text in heads]
    whole = {"Body": ("2", "150", "300"), "Paint": ("1.5", "150", "225"), "Other": ("1", "5", "5")}
    sums = {"Supplies of paint": "60", "Charges": "15", "Total": "605"}
    height = 684
    for name, values in [*whole.items(), *((name, (value,)) for name, value in sums.items())]:
        lines += row(height, name, values, edges[-len(values) :])
        height -= 14
    assert rows_read(lines) == [
        ["", "Hours", "Rate", "Cost"],
        *([name, *values] for name, values in whole.items()),
        *([name, "", "", value] for name, value in sums.items()),
    ]


def test_the_end_of_a_name_is_no_beginning_of_the_next_row():
    edges = (340, 420, 500)
    heads = ((72, "Kind of loan"), (310, "Sum"), (390, "Share"), (470, "Before"))
    lines = [at(left, 700, text) for left, text in heads]
    height = 680
    for name, values in FIRST.items():
        lines += row(height, name, values, edges)
        if name == "Shops and offices":
            height -= 11
            lines.append(at(77, height, "that are let to others"))
        height -= 18
    names = [name.replace("offices", "offices that are let to others") for name in FIRST]
    values = [list(values) for values in FIRST.values()]
    assert rows_read(lines) == [
        ["Kind of loan", "Sum", "Share", "Before"],
        *([name, *cells] for name, cells in zip(names, values, strict=True)),
    ]


def test_a_header_and_a_first_row_that_became_text_are_of_the_table():
    edges = (340, 440, 540)
    heads = zip(edges, ("Hours", "Rate", "Cost"), strict=True)
    lines = [at(edge - 25, 700, text) for edge, text in heads]
    whole = {
        "Body labor": ("2", "150", "300"),
        "Paint labor": ("1.5", "150", "225"),
        "Other labor": ("2.5", "100", "250"),
    }
    height = 684
    for name, values in whole.items():
        lines += row(height, name, values, edges)
        height -= 14
    for name, value in (("Paint supplies", "60"), ("Body supplies", "30"), ("Charges", "15")):
        lines += row(height, name, (value,), edges[-1:])
        height -= 14
    rows = rows_read(lines)
    assert rows[:4] == [["", "Hours", "Rate", "Cost"], *([n, *v] for n, v in whole.items())]
    assert rows[-1] == ["Charges", "", "", "15"]
