"""PDF scores on rendered Markdown, never below liteparse alone or pdfium's plain text."""

import pytest

from benchmarks.extraction import layouts, pdf_quality

pytestmark = pytest.mark.long

DOCUMENTS = 12
MIN_TEDS = {"single": 0.97, "columns": 0.95, "writer": 0.93}


@pytest.mark.parametrize("layout", layouts.LAYOUTS)
def test_scores_are_at_or_above_liteparse_and_no_words_are_lost(layout: str):
    table = pdf_quality.measure(layout, DOCUMENTS)
    ours, other, plain = table["ours"], table["liteparse"], table["pdfium text"]
    for score in ("NID", "TEDS", "MHS"):
        assert ours[score] >= max(other[score], plain[score]) - 1e-9
    assert ours["TEDS"] >= MIN_TEDS[layout]
    assert ours["worst recall"] >= 0.99
