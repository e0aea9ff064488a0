"""What a person sees on a terminal while ``s3sync sync`` works, through a real pseudo-terminal."""

import os
import re
import signal
import subprocess
import sys
import threading
import uuid

import pytest

from s3sync_dagster.cli.sync_summary import Show
from s3sync_dagster.core.outcome import KeyOutcome
from s3sync_dagster.embedding.embedder import SLICE_SECONDS
from s3sync_dagster.local import oneshot
from s3sync_dagster.model.invocation import Result
from s3sync_dagster_tests.pseudo_terminal import PseudoTerminal
from s3sync_dagster_tests.wire_proxy import Fault, wire_proxy

S3SYNC = [sys.executable, "-c", "from s3sync_dagster.cli import main; main()"]
FILES = 24


@pytest.fixture
def bucket(aws_endpoint) -> str:
    name = aws_endpoint.make_bucket()
    aws_endpoint.put_all(
        name, {f"docs/{number:02}.txt": f"The text of number {number}." for number in range(FILES)}
    )
    return name


@pytest.fixture
def collection() -> str:
    return f"c-{uuid.uuid4().hex[:12]}"


def sync(bucket, collection, endpoint, *more):
    place = ["sync", f"s3://{bucket}/docs/", "-c", collection, "--endpoint-url", endpoint]
    return [*S3SYNC, *place, "--embedding", "hash", *more]


def test_the_bar_moves_while_the_objects_are_read_and_ctrl_c_says_one_sentence(
    environment, aws_endpoint, bucket, collection
):
    """Bytes reach the terminal in the run itself, which Dagster's capture of its output hid."""
    with wire_proxy(aws_endpoint.url) as proxy:
        slow = Fault(delay_seconds=0.5)
        proxy.plan = lambda request: slow if request.kind == "GET" else None
        with PseudoTerminal(sync(bucket, collection, proxy.url)) as terminal:
            terminal.wait_for(lambda: proxy.counts().get("GET", 0) >= 2)
            seen = len(terminal.writes)
            terminal.wait_for(lambda: len(terminal.writes) > seen + 5)  # drawn ten times a second
            assert proxy.counts()["GET"] < FILES, "it was over before the bar moved"
            assert f"0/{FILES} objects" in terminal.text()
            terminal.press("\x03")
            assert terminal.end() == 130
    said = terminal.text()
    assert "Traceback" not in said
    assert "watch_orphans" not in said
    (sentence,) = [line for line in said.splitlines() if "Interrupted" in line]
    assert f"Interrupted: 0 of {FILES} objects are done; the same command goes on" in sentence


def test_no_name_of_a_watched_folder_and_no_text_of_a_file_moves_the_cursor(
    environment, tmp_path, capsys
):
    show = Show(quiet=False, verbose=False, as_json=False)
    show.keys([KeyOutcome(key="a\x1b[2J.md", result=Result.INDEXED)])
    show.note("b\x9b2J.md: cannot be read")
    told = capsys.readouterr()
    assert "a\\x1b[2J.md" in told.out
    assert told.err == "b\\x9b2J.md: cannot be read\n"
    file = tmp_path / "a.md"
    file.write_text("# Title\n\n\x1b]0;mine\x07text\tand\n")
    with PseudoTerminal([*S3SYNC, "extract", str(file)]) as terminal:
        assert terminal.end() == 0
    assert "\\x1b]0;mine\\x07text" in terminal.text()
    piped = subprocess.run([*S3SYNC, "extract", str(file)], capture_output=True, check=True)
    assert b"\x07text\tand" in piped.stdout  # to a file it goes as it is


def test_a_small_bucket_keeps_what_was_done_when_it_is_interrupted(
    s3sync, aws_endpoint, bucket, collection, monkeypatch
):
    """A batch reads for a few seconds, then writes: 8 keys at once here, in no time at all."""
    assert oneshot.TAKE_SECONDS + SLICE_SECONDS <= 5  # read again and embedded again, at most
    monkeypatch.setattr(oneshot, "TAKE_SECONDS", 0.0)
    # None is answered before all threads have asked: whoever begins later finds that time is up.
    all_ask = threading.Barrier(8, timeout=60)
    with wire_proxy(aws_endpoint.url) as proxy:

        def ctrl_c(request):
            if request.kind != "GET":
                return None
            if proxy.counts()["GET"] > 16:
                os.kill(os.getpid(), signal.SIGINT)
                return Fault(delay_seconds=1.0)
            all_ask.wait()
            return None

        proxy.plan = ctrl_c
        first = s3sync(*sync(bucket, collection, proxy.url)[3:])
        assert first.code == 130
        assert (
            f"Interrupted: 16 of {FILES} objects are done, and the vectors of 16 chunks are kept"
        ) in first.err
        proxy.plan = None
        proxy.reset()
        again = s3sync(*sync(bucket, collection, proxy.url, "--json")[3:])
        assert (again.json["indexed"], again.json["unchanged"]) == (FILES - 16, 16)
        assert proxy.counts()["GET"] == FILES - 16


def test_objects_chunks_and_the_rate_are_told(environment, aws_endpoint, bucket, collection):
    with PseudoTerminal(sync(bucket, collection, aws_endpoint.url)) as terminal:
        assert terminal.end() == 0, terminal.text()
    said = terminal.text()
    assert "starting" in said[: said.index("listing")], "something is seen from the beginning"
    assert f"{FILES}/{FILES} objects  {FILES} chunks" in said
    assert re.search(r"chunks  \d+\.\d/s", said)
    assert re.search(r"\n +indexed +24\n", said)
    assert "Traceback" not in said


@pytest.mark.parametrize("width", [40, pytest.param(60, marks=pytest.mark.long)])
def test_a_narrow_terminal_has_no_sentence_beyond_its_edge(
    environment, aws_endpoint, bucket, collection, width
):
    with wire_proxy(aws_endpoint.url) as proxy:
        slow = Fault(delay_seconds=0.1)
        proxy.plan = lambda request: slow if request.kind == "GET" else None
        with PseudoTerminal(sync(bucket, collection, proxy.url), columns=width) as terminal:
            assert terminal.end() == 0, terminal.text()
    said = terminal.text()
    lines = [line for line in said.splitlines() if bucket not in line and "\r" not in line]
    assert not [line for line in lines if len(line) > width]
    assert re.search(r"\n +indexed +24\n", said)


UNDERWAY = """
import time
from s3sync_dagster.cli.sync_progress import DrawnProgress
from s3sync_dagster.core.outcome import KeyOutcome
from s3sync_dagster.local.oneshot_report import Underway
from s3sync_dagster.model.invocation import Result
looks = [Underway(documents=7, cut=30), Underway(documents=9, cut=40, embedded=20)]
with DrawnProgress() as progress:
    progress.working(12)
    for look in looks:
        progress.watch(lambda: look)
        time.sleep(0.5)
    ended = [KeyOutcome(key=f"{n}.md", result=Result.INDEXED, chunks=4) for n in range(12)]
    progress.keys(ended[:9])
    time.sleep(0.5)
    progress.keys(ended[9:])
    time.sleep(0.5)
"""


def test_objects_that_are_cut_and_not_written_yet_are_told():
    """A batch is written when all of it has vectors: "0/12 objects" alone stood there till then."""
    with PseudoTerminal([sys.executable, "-c", UNDERWAY]) as terminal:
        assert terminal.end() == 0, terminal.text()
    said = re.findall(r"\d+/12 objects(?:  \d+ (?:underway|chunks))*", terminal.text())
    assert list(dict.fromkeys(said))[-4:] == [
        "0/12 objects  7 underway",
        "0/12 objects  9 underway  20 chunks",
        "9/12 objects  20 chunks",
        "12/12 objects  20 chunks",
    ]


DRAW = """
import time, types
from s3sync_dagster.cli.sync_progress import DrawnProgress
from s3sync_dagster.local.oneshot_report import Underway
with DrawnProgress() as progress:
    progress.watch(lambda: Underway(cut=9000, embedded=8000, documents=2000))
    progress.working(5678)
    progress._pace = types.SimpleNamespace(look=lambda *_, **__: 0, rate=12.3, left_seconds=633.0)
    time.sleep(0.5)
"""


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (40, "0/5678 objects  10:33 left"),
        (60, "0/5678 objects  8000 chunks  12.3/s  10:33 left"),
        (80, "0/5678 objects  8000 chunks  12.3/s  10:33 left"),
        (100, "0/5678 objects  2000 underway  8000 chunks  12.3/s  10:33 left"),
    ],
)
def test_numbers_that_a_narrow_terminal_has_no_room_for_are_left_out_and_none_is_cut(width, shown):
    """The words before them were cut first, "ind...", then the time that is left."""
    with PseudoTerminal([sys.executable, "-c", DRAW], columns=width) as terminal:
        assert terminal.end() == 0, terminal.text()
    said = terminal.text()
    assert "\N{HORIZONTAL ELLIPSIS}" not in said
    assert re.search(rf"indexing [^0-9]*{re.escape(shown)}", said), said
