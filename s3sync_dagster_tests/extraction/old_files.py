"""Files of formats that no library writes, and how they are read without LibreOffice.

``samples`` holds what LibreOffice 7.4 made of ``corpus``'s Word, Excel and OpenDocument files.
"""

import gzip
from pathlib import Path

from s3sync_dagster_tests.extraction.outlook_files import (
    attached_file,
    attached_message,
    message,
    msg_file,
)

SAMPLES = Path(__file__).with_name("samples")
LIGHT = {".doc": "ole", ".ppt": "ole", ".rtf": "striprtf"}
"""Engines that are the same on every machine."""


def make_msg() -> bytes:
    """A letter with a table, a file and a message inside."""
    older = message(subject="Prices", body="What do bolts cost?\r\n", embedded=True)
    return msg_file(
        message(
            subject="Prices für 2026",
            body=None,
            html="<p>Dear Charles,</p><ul><li>bolts: 2 €</li><li>nuts: 1 €</li></ul>".encode(),
            attachments=(
                attached_file("prices.csv", b"part,price\nbolt,2\nnut,1\n"),
                attached_message("Prices", older),
            ),
        )
    )


OLD = {name: (SAMPLES / name).read_bytes for name in ("plan.doc", "plan.rtf", "stock.xls")} | {
    "tides.ppt": lambda: gzip.decompress((SAMPLES / "tides.ppt.gz").read_bytes()),
    "prices.msg": make_msg,
}
