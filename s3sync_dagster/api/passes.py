"""By what our own processes know each other at the doors of the local stack."""

import hmac

from s3sync_dagster.settings import Settings

PASS_HEADER = "x-s3sync-pass"
PASS_FILE = "door.pass"
"""In the home, mode 600; another one at each start of the stack."""


def own_pass(settings: Settings) -> str | None:
    """Return the pass of the stack of this home; None where none was started."""
    try:
        return (settings.home / PASS_FILE).read_text("ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def pass_headers(settings: Settings) -> dict[str, str]:
    """Return the headers with which our own processes go through a door."""
    found = own_pass(settings)
    return {} if found is None else {PASS_HEADER: found}


def is_pass(told: str | None, wanted: str | None) -> bool:
    """Return whether a header has the pass."""
    if not told or not wanted:
        return False
    return hmac.compare_digest(told.encode(), wanted.encode())
