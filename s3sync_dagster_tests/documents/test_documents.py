"""Each command that the documents show, run as a reader would: in order, page by page."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from s3sync_dagster_tests.documents.beside import BESIDE, Beside
from s3sync_dagster_tests.documents.machine import PAGE_SECONDS, Machine, reader_machine
from s3sync_dagster_tests.documents.not_here import ELSEWHERE, NOT_RUN
from s3sync_dagster_tests.documents.pages import ROOT, Command, pages_with_commands

COMMANDS = pages_with_commands()
MARK = "\x1e"
PRELUDE = r"""
set -euo pipefail
trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT
until_true() {
  for _ in $(seq 200); do if "$@" >/dev/null 2>&1; then return; fi; sleep 1; done
  echo "not within 200 tries: $*"; exit 1
}
found() { s3sync query "$1" -c docs --words --where "$2" | grep -q "$3"; }
make_bucket() { aws s3api create-bucket --bucket "$1" >/dev/null; }
make_queue() {
  aws sqs create-queue --queue-name "$1" >/dev/null; echo "$AWS_ENDPOINT_URL/123456789012/$1"
}
store_keys() {
  A=word$1 B=secret-$1 s3sync credential create --access-key-id-env A --secret-access-key-env B
}
"""


def test_every_shown_command_is_run_or_says_why_not():
    for page, commands in COMMANDS.items():
        if page not in BESIDE and page not in ELSEWHERE:
            assert [one.text for one in commands if why_not(one) is None] == [], page
    for page, path in ELSEWHERE.items():
        assert page in COMMANDS
        assert Path(page).name in (ROOT / path).read_text("utf-8")


@pytest.mark.parametrize(("page", "beginning"), NOT_RUN)
def test_what_is_not_run_stands_on_its_page(page, beginning):
    assert any(one.text.startswith(beginning) for one in COMMANDS[page])


@pytest.mark.parametrize("page", BESIDE)
def test_what_is_told_beside_a_page_belongs_to_it(page):
    beside, commands = BESIDE[page], [one.text for one in COMMANDS[page] if not why_not(one)]
    for beginning in (*beside.before, *beside.shows):
        assert any(one.startswith(beginning) for one in commands), beginning
    for theirs in beside.here:
        assert any(theirs in one for one in commands), theirs


def why_not(command: Command) -> str | None:
    """Return why a command is not run."""
    for (page, beginning), reason in NOT_RUN.items():
        if command.page == page and command.text.startswith(beginning):
            return reason
    return None


@pytest.fixture(scope="module")
def machine(tmp_path_factory, chroma_server, model_dir) -> Iterator[Machine]:
    folder = tmp_path_factory.mktemp("machine")
    with reader_machine(folder, chroma_server, model_dir) as started:
        yield started


@pytest.mark.timeout(PAGE_SECONDS + 60)
@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.long] * one.long) for page, one in BESIDE.items()],
)
def test_the_commands_of_a_page_do_what_it_says(page, machine, tmp_path):
    beside = BESIDE[page]
    code, said = machine.run(script(page, beside), page, beside, tmp_path)
    outputs = dict(one.split("\n", 1) for one in said.split(MARK)[1:])
    assert code == 0, f"{[*outputs][-1:]}: {said[-3000:]}"
    for beginning, pattern in beside.shows.items():
        answers = [
            outputs[one.id]
            for one in COMMANDS[page]
            if one.text.startswith(beginning) and one.id in outputs
        ]
        assert any(re.search(pattern, one) for one in answers), (beginning, pattern, answers)


def script(page: str, beside: Beside) -> str:
    """Return the page as a script: what is hidden, and a mark before each command."""
    parts = [PRELUDE, beside.first]
    for command in COMMANDS[page]:
        if why_not(command) is not None:
            continue
        text = command.text
        parts += [hidden for start, hidden in beside.before.items() if text.startswith(start)]
        for theirs, ours in beside.here.items():
            text = text.replace(theirs, ours)
        parts += [f"printf '{MARK}%s\\n' {command.id}", text]
    return "\n".join([*parts, f"printf '{MARK}end\\n'", beside.last])
