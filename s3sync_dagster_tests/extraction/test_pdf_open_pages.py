"""Pages that stay loaded between the looks at them."""

import pypdfium2

from s3sync_dagster.extraction.pdf.open_pages import OpenPages
from s3sync_dagster_tests.extraction import raw_pdf
from s3sync_dagster_tests.extraction.test_pdf_lost_lines import page


def test_page_is_loaded_once_and_the_oldest_goes():
    loaded: list[int] = []

    class Counted:
        def __init__(self, pdf: pypdfium2.PdfDocument) -> None:
            self._pdf = pdf

        def __len__(self) -> int:
            return len(self._pdf)

        def __getitem__(self, number: int) -> pypdfium2.PdfPage:
            loaded.append(number)
            return self._pdf[number]

    pdf = pypdfium2.PdfDocument(raw_pdf.pages_pdf([page(f"Page {i}") for i in range(66)]))
    pages = OpenPages(Counted(pdf))
    assert "Page 0" in pages[0][1].get_text_range()
    for number in (0, 1, 0):
        assert pages[number]
    assert loaded == [0, 1]
    for number in range(2, 66):
        assert pages[number]
    assert pages[1]
    assert loaded == [*range(66), 1]  # the second was the oldest
    pages.close()
    pdf.close()
