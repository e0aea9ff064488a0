"""Writes the binary samples again: ``python -m s3sync_dagster_tests.local.make_samples``.

The files are committed; this says where they come from. Text samples are written by hand.
"""

import io
import zipfile
from datetime import datetime
from pathlib import Path

import docx
import pptx
import xlsxwriter
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Spacer

SAMPLES = Path(__file__).parents[2] / "s3sync_dagster" / "local" / "samples"
WRITTEN = datetime(2024, 3, 1, 12, 0, 0)

MANUAL = """
# Tidewatch buoy: installation and operation

Edition 7. This manual is for crews that set out, visit and recover a buoy of the second series.
Read the chapter on safety before you leave the harbour.

The buoy weighs 96 kg without its mooring. It floats upright with an inclination of up to 35
degrees and survives being pushed under by ice or ships to a depth of 20 m.

# 1 Safety

Never stand between the buoy and the rail while it hangs from the crane. The crane needs a load
of at least 250 kg and the sea must not be higher than 2.5 m.

The hull is under a slight pressure of dry nitrogen. Before you open it, turn the red valve a
quarter to the left and wait until the hissing stops, at least one minute.

Lithium batteries burn under water too. A hull that is warmer than your hand is lowered back
into the sea and left alone for two hours.

# 2 Mooring

The mooring consists of an anchor stone of 450 kg, 15 m of chain, the line and an elastic
section of 6 m. The line is one third longer than the depth at the highest tide.

All shackles have to be of the same steel and are secured with a split pin and wire. Different
metals in sea water eat each other within months.

Set the anchor position in the console as soon as the stone is on the ground. The position alarm
is armed after the second message.

# 3 First switch-on

Hold the magnet against the blue mark for five seconds. The lamp shows the self-test: green is
good, yellow means no satellite yet, red means that the buoy must not be set out.

The first message arrives after ten minutes at most. Compare the water temperature with a hand
thermometer; a difference of more than 0.3 K means that the well is not filled.

# 4 Maintenance

Clean the hull twice a year; 40 kg of mussels halve the measured wave height. Use a plastic
scraper, since steel scratches the coating and the growth comes back faster.

Replace the oxygen membrane every twelve months and the zinc anode every 18 months. The
batteries are exchanged in the workshop after four years.
"""


def pdf(title: str, text: str) -> bytes:
    """Return a PDF with a text layer, one chapter a page."""
    buffer = io.BytesIO()
    styles = getSampleStyleSheet()
    story = []
    for chapter in text.split("# ")[1:]:
        heading, *paragraphs = chapter.strip().split("\n\n")
        story += [Paragraph(heading, styles["Heading1"]), Spacer(1, 12)]
        for paragraph in paragraphs:
            story += [Paragraph(paragraph.replace("\n", " "), styles["BodyText"]), Spacer(1, 8)]
        story.append(PageBreak())
    SimpleDocTemplate(
        buffer, pagesize=A4, title=title, author="Tidewatch Instruments", invariant=1
    ).build(story)
    return buffer.getvalue()


def contract(path: Path) -> None:
    """A Word document with headings, a list and a table."""
    document = docx.Document()
    document.core_properties.author = "Tidewatch Instruments"
    document.core_properties.title = "Service contract"
    document.core_properties.created = document.core_properties.modified = WRITTEN
    document.add_heading("Service contract for one station", 0)
    document.add_paragraph(
        "between Tidewatch Instruments, Cuxhaven, and the customer who signs below. The contract "
        "runs for three years and goes on for one year at a time unless one side ends it with "
        "three months of notice."
    )
    document.add_heading("What the customer gets", 1)
    for line in (
        "Two visits a year by boat, with cleaning and calibration.",
        "A replacement buoy within ten working days when theirs is lost or broken.",
        "On-call at all hours for alarms of position and water in the hull.",
        "At least 98 % of all planned messages in each quarter.",
    ):
        document.add_paragraph(line, style="List Bullet")
    document.add_heading("What happens when we miss the promise", 1)
    table = document.add_table(rows=1, cols=2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "Messages in a quarter", "Refund"
    for row in (("95 to 98 %", "10 % of the fee"), ("90 to 95 %", "25 %"), ("below 90 %", "50 %")):
        cells = table.add_row().cells
        cells[0].text, cells[1].text = row
    document.add_heading("Liability", 1)
    document.add_paragraph(
        "Readings are no replacement for the master's own judgement. We are not liable for "
        "decisions on navigation. Damage by ice, nets and ships is covered by the insurance of "
        "the station, with an excess of 1,500 euros."
    )
    document.save(str(path))


def prices(path: Path) -> None:
    """A workbook with two sheets."""
    workbook = xlsxwriter.Workbook(str(path))
    workbook.set_properties({"author": "Tidewatch Instruments", "created": WRITTEN})
    sheets = {
        "Buoys": [
            ("part", "name", "price in euros", "delivery in weeks"),
            ("TW-1000", "Buoy, second series, standard sensors", 18400, 9),
            ("TW-1010", "Buoy, second series, with oxygen and turbidity", 23900, 11),
            ("TW-1040", "Buoy for the deep sea, 2,000 m mooring", 41500, 20),
        ],
        "Spare parts": [
            ("part", "name", "price in euros", "delivery in weeks"),
            ("TW-2207", "Copper tape for the camera housing", 38, 1),
            ("TW-3300", "Second battery pack for dredging", 1250, 3),
            ("TW-4410", "Antenna plug with cable, 1.5 m", 96, 1),
            ("TW-5120", "Oxygen membrane, set of three", 145, 2),
            ("TW-6001", "Shackle, tagged, marine steel", 27, 1),
        ],
    }
    for name, rows in sheets.items():
        sheet = workbook.add_worksheet(name)
        for number, row in enumerate(rows):
            sheet.write_row(number, 0, row)
    workbook.close()


def slides(path: Path) -> None:
    """A presentation with titles, bullets and a speaker's note."""
    presentation = pptx.Presentation()
    presentation.core_properties.created = presentation.core_properties.modified = WRITTEN
    pages = [
        (
            "Tidewatch in five minutes",
            ["Buoys for harbours, fish farms and research", "12 stations at sea, since 2017"],
            "Begin with the picture of the Faroe buoy in the storm.",
        ),
        (
            "What customers save",
            [
                "Fish farm in Galway: no more losses by lack of oxygen since 2021",
                "Port of Terschelling: 31 hours less waiting for pilots in one winter",
            ],
            "The numbers are from the customers' own reports.",
        ),
        (
            "Where we go",
            [
                "Ice mode for the Baltic",
                "A station that measures nitrate",
                "Rent instead of buying",
            ],
            "Rent: 690 euros a month with service, at least two years.",
        ),
    ]
    for title, bullets, note in pages:
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = "\n".join(bullets)
        slide.notes_slide.notes_text_frame.text = note
    presentation.save(str(path))


def main() -> None:
    """Write them all."""
    (SAMPLES / "sales").mkdir(exist_ok=True)
    manual = pdf("Tidewatch buoy manual", MANUAL)
    (SAMPLES / "product/manuals/tidewatch-buoy-manual.pdf").write_bytes(manual)
    # What a broken upload leaves behind: the end with the table of objects is missing.
    scan = pdf("Scan", "# Delivery note\n\nTwo crates, one anchor stone.")
    (SAMPLES / "product/manuals/damaged-scan.pdf").write_bytes(scan[: len(scan) // 3])
    contract(SAMPLES / "sales/service contract.docx")
    prices(SAMPLES / "sales/price-list.xlsx")
    slides(SAMPLES / "sales/introduction.pptx")
    with zipfile.ZipFile(SAMPLES / "archive/logs-2023.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("station.log", "2023-11-04T02:10Z modem on\n" * 200)


if __name__ == "__main__":
    main()
