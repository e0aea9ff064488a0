"""Secrets in tracked files, found by detect-secrets: ``make check`` fails for one that is new.

    python -m s3sync_dagster_tests.secret_scan [--accept]

Tests are full of words that look like passwords: there only what has the form of a real credential
counts. What was looked at and is none stands in ``.secrets.baseline``, as a hash by file:
``--accept`` writes it anew.
"""

import json
import subprocess
import sys
from pathlib import Path

from detect_secrets.core.scan import scan_file
from detect_secrets.settings import transient_settings

ROOT = Path(__file__).parents[1]
BASELINE = ROOT / ".secrets.baseline"
FORMS = (
    *("AWSKeyDetector", "AzureStorageKeyDetector", "DiscordBotTokenDetector"),
    *("GitHubTokenDetector", "GitLabTokenDetector", "JwtTokenDetector", "MailchimpDetector"),
    *("NpmDetector", "OpenAIDetector", "PrivateKeyDetector", "PypiTokenDetector"),
    *("SendGridDetector", "SlackDetector", "StripeDetector", "TwilioKeyDetector"),
)
"""Credentials that are known by their form."""
GUESSED = ("BasicAuthDetector", "KeywordDetector")
"""What looks like one by the words around it."""
LEFT_OUT = ("requirements/", "docs/images/", "benchmarks/", ".secrets.baseline")
"""Hashes of packages, pictures, foreign texts."""
Finding = tuple[str, str, str]


def tracked() -> list[str]:
    """Return the paths of all tracked files."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    return [name for name in listed.stdout.split("\0") if name]


def scan(root: Path, names: list[str]) -> dict[Finding, int]:
    """Return what looks like a secret, as file, kind and hash, with its line."""
    found: dict[Finding, int] = {}
    for tests in (True, False):
        plugins = FORMS if tests else (*FORMS, *GUESSED)
        filters = [{"path": "detect_secrets.filters.heuristic.is_templated_secret"}]
        with transient_settings(
            {"plugins_used": [{"name": name} for name in plugins], "filters_used": filters}
        ):
            for name in names:
                if name.startswith("s3sync_dagster_tests/") is not tests:
                    continue
                if name.startswith(LEFT_OUT) or not (root / name).is_file():
                    continue
                for one in scan_file(str(root / name)):
                    found[name, one.type, one.secret_hash] = one.line_number
    return found


def main() -> int:
    """Say what is new; 1 where anything is."""
    found = scan(ROOT, tracked())
    if "--accept" in sys.argv[1:]:
        BASELINE.write_text(json.dumps(sorted(found), indent=1) + "\n")
        return 0
    known = {tuple(one) for one in json.loads(BASELINE.read_text())}
    new = {one: line for one, line in found.items() if one not in known}
    for (name, kind, _), line in sorted(new.items()):
        print(f"{name}:{line}: {kind}", file=sys.stderr)
    if new:
        print(
            "Take it out, and revoke it if it was ever pushed. If it is none: "
            "python -m s3sync_dagster_tests.secret_scan --accept",
            file=sys.stderr,
        )
    return 1 if new else 0


if __name__ == "__main__":
    sys.exit(main())
