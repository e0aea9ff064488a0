"""PDF scores on rendered Markdown, never below liteparse alone (definitions: benchmarks)."""

import pytest

from benchmarks.extraction import layouts, pdf_quality

pytestmark = pytest.mark.long

DOCUMENTS = 12
MIN_TEDS = {"single": 0.85, "columns": 0.8, "writer": 0.85}


@pytest.mark.parametrize("layout", layouts.LAYOUTS)
def test_scores_are_at_or_above_liteparse_and_no_words_are_lost(layout: str):
    table = pdf_quality.measure(layout, DOCUMENTS)
    ours, other, plain = table["ours"], table["liteparse"], table["pdfium text"]
    for score in ("NID", "TEDS", "MHS"):
        assert ours[score] >= other[score] - 1e-9
    assert ours["TEDS"] >= MIN_TEDS[layout]
    # pdfium's order is the order in which these files were written, the right one by construction.
    assert ours["NID"] >= plain["NID"] - 0.01
    assert ours["worst recall"] >= 0.99
