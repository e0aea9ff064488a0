"""The story of ``make demo``: from a bucket to answers, and the collection follows the bucket."""

import contextlib
import re
import shlex
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TextIO

from s3sync_dagster.local.aws import CREDENTIALS, local_aws
from s3sync_dagster.local.demo_company import (
    ADDED,
    BUCKET,
    CHANGED,
    COLLECTION,
    DELETED,
    PREFIX,
    SOURCE,
    Company,
    ObjectLine,
    fill_bucket,
    open_company,
)
from s3sync_dagster.local.home import prepare_home, writable
from s3sync_dagster.local.privacy import make_private
from s3sync_dagster.local.signals import stop_on_signals
from s3sync_dagster.local.stack import Stack
from s3sync_dagster.local.stack_state import running_stack
from s3sync_dagster.model.document import Hit
from s3sync_dagster.model.errors import Conflict, NotFound, Unavailable
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster.settings import Settings, load_settings
from s3sync_dagster.wiring import open_parts

SETTLE_SECONDS = 240.0
"""How long the whole bucket may take: 25 s here, more on a slow or busy machine."""
FOLLOW_SECONDS = 120.0
"""How long three changes may take: 10 to 20 s."""

QUESTIONS = (
    "How many days of holiday do I have?",
    "What do we do when a buoy drifts away in a storm?",
    "wait and try again when the service says too many requests",
)
SHOWN_LINES = 4
_FINISHED = ".demo-finished"


class Demo:
    """Tells the story: progress to ``err``, results to ``out``."""

    def __init__(self, settings: Settings, *, out: TextIO, err: TextIO) -> None:
        self._settings = demo_settings(settings)
        self._out = out
        self._err = err

    def run(self) -> None:
        """Play it from the beginning to the end; everything that was started is stopped.

        Raises:
            S3SyncError: a part does not start, or the collection does not follow in time.
        """
        began = time.monotonic()
        home = self._settings.home
        with contextlib.closing(open_parts(self._settings)) as parts:
            parts.embedder_for(EmbeddingConfig())  # nothing is started where the model is missing
        self._progress(f"1  A local S3 and SQS endpoint, with its data in memory ({home})")
        with writable(home):
            start_fresh_or_go_on(self._settings)
        prepare_home(self._settings)
        port_file = home / "aws-port"
        port = int(port_file.read_text()) if port_file.exists() else 0
        with local_aws(home / "logs" / "aws.log", port=port) as aws:
            port_file.write_text(aws.url.rpartition(":")[2])
            keys, queue_url = fill_bucket(aws)
            self._progress(f"   {len(keys)} sample files are in s3://{BUCKET}/{PREFIX}")
            self._progress(f"2  The source {SOURCE!r}: that bucket into collection {COLLECTION!r}")
            with open_company(self._settings, aws, queue_url) as declared:
                version = declared.parts.catalog.sources.version
                declared.retry()
                self._progress("3  Chroma and Dagster, on free ports of this machine")
                with Stack(self._settings, sources_version=version, report=self._detail) as stack:
                    assert stack.addresses is not None
                    self._progress(f"   Dagster: {stack.addresses.dagster}")
                    self._progress(f"   Chroma:  {stack.addresses.chroma}")
                    with open_company(stack.settings, aws, queue_url) as company:
                        self._tell(company, keys, stack.tend)
                        company.pause()
        (home / _FINISHED).touch()
        self._farewell(time.monotonic() - began)

    # --- the story ----------------------------------------------------------------------------

    def _tell(self, company: Company, keys: list[str], tend: Callable[[], None]) -> None:
        self._progress("4  Dagster's daemon lists the bucket; runs extract, chunk, embed, upsert")
        self._wait_settled(company, keys, tend)
        lines = company.objects()
        self._say(f"\nObjects of s3://{BUCKET}/{PREFIX}")
        self._say_all(object_table(lines))
        self._say(count_line(lines))

        self._progress("5  Three queries")
        for words in QUESTIONS:
            self._say(f"\n? {words}")
            self._say_all(answer(words, company.query(words)))

        self._progress("6  One object changes, one is deleted, one is new")
        before = len(company.records_of(DELETED))
        etags = company.change_three()
        self._wait(
            lambda: company.followed(etags),
            tend,
            seconds=FOLLOW_SECONDS,
            what="the collection follows the three changes",
        )
        self._say("\nThe collection has followed the bucket")
        self._say(f"  changed  {CHANGED}  now {len(company.records_of(CHANGED))} chunks")
        self._say(f"  deleted  {DELETED}  {before} chunks, now 0")
        self._say(f"  new      {ADDED}  now {len(company.records_of(ADDED))} chunks")
        for words in ("Who pays the baby sitter?", "Can I get a bicycle?"):
            self._say(f"\n? {words}")
            self._say_all(answer(words, company.query(words)))

    def _wait_settled(self, company: Company, keys: list[str], tend: Callable[[], None]) -> None:
        last = -1

        def settled() -> bool:
            nonlocal last
            states = Counter(line.state for line in company.objects())
            open_now = states["pending"] + states["processing"]
            done = sum(states.values()) - open_now
            if done != last:
                self._detail(f"{done} of {len(keys)} objects are done")
                last = done
            return done == len(keys) and open_now == 0

        self._wait(settled, tend, seconds=SETTLE_SECONDS, what="all objects are done")

    def _wait(
        self, ready: Callable[[], bool], tend: Callable[[], None], *, seconds: float, what: str
    ) -> None:
        deadline = time.monotonic() + seconds
        while True:
            problem = ""
            try:
                if ready():
                    return
            except (NotFound, Unavailable) as error:
                problem = f" ({error.message})"  # at first because there is no collection yet
            if time.monotonic() > deadline:
                raise Unavailable(
                    f"After {seconds:.0f} s it is not so that {what}{problem}: the logs in "
                    f"{str(self._settings.home / 'logs')!r} say why.",
                    reason="demo_timeout",
                )
            tend()
            time.sleep(0.5)

    def _farewell(self, seconds: float) -> None:
        home = self._settings.home
        command = f"S3SYNC_HOME={shlex.quote(str(home))} {own_command()}"
        self._progress(f"7  Everything is stopped, after {seconds:.0f} s")
        self._say(f"\nThe demo's data are in {home}, apart from your own in {home.parent}")
        self._say(f"  look at them:   {command} up")
        self._say(f"  ask questions:  {command} query WORDS --collection {COLLECTION}")
        self._say(f"  your own:       {own_command()} sync s3://BUCKET/PREFIX --collection NAME")

    # --- output -------------------------------------------------------------------------------

    def _say(self, line: str) -> None:
        self._out.write(line + "\n")
        self._out.flush()

    def _say_all(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._say(line)

    def _progress(self, line: str) -> None:
        self._err.write(line + "\n")
        self._err.flush()

    def _detail(self, line: str) -> None:
        self._progress(f"   {line}")


def run_demo(settings: Settings, *, out: TextIO = sys.stdout, err: TextIO = sys.stderr) -> None:
    """Play the story in ``HOME/demo``; SIGINT and SIGTERM end it as ``KeyboardInterrupt``."""
    with stop_on_signals():
        Demo(settings, out=out, err=err).run()


def own_command() -> str:
    """Return how a shell calls this program: by its name where that leads here, else by path."""
    here = Path(sys.executable).with_name("s3sync")
    found = shutil.which("s3sync")
    return "s3sync" if found and Path(found).resolve() == here.resolve() else shlex.quote(str(here))


def demo_settings(settings: Settings) -> Settings:
    """Return settings for a folder of the demo's own, away from a person's AWS and databases."""
    kept = {
        name: value
        for name, value in settings.environment.items()
        if not name.startswith(("AWS_", "S3SYNC_", "CHROMA_", "DAGSTER_"))
    }
    model = {"S3SYNC_MODEL_DIR": str(settings.model_dir)} if settings.model_dir else {}
    home = {"S3SYNC_HOME": str(settings.home / "demo")}
    return load_settings({**kept, **CREDENTIALS, **model, **home})


def start_fresh_or_go_on(settings: Settings) -> None:
    """Remove what a finished demo has left; an interrupted one goes on where it was.

    Raises:
        Conflict: somebody looks at those data with ``s3sync up`` (``stack_running``).
    """
    running = running_stack(settings)
    if running is not None:
        raise Conflict(
            f"A stack runs in {str(settings.home)!r}, its Dagster is {running.dagster}: stop it "
            "before the demo begins again.",
            reason="stack_running",
        )
    if (settings.home / _FINISHED).exists():
        shutil.rmtree(settings.home)
    make_private(settings.home)


def object_table(lines: list[ObjectLine]) -> list[str]:
    """Return one line per object: state, chunks, key, and the reason where there is one."""
    return [
        f"  {line.state:<8} {line.chunks or '':>4}  {line.key}"
        + (f"  ({line.reason})" if line.reason else "")
        for line in lines
    ]


def count_line(lines: list[ObjectLine]) -> str:
    """Return the counts; they add up to the number of objects."""
    states = Counter(line.state for line in lines)
    parts = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    return f"{len(lines)} objects: {parts}; {sum(line.chunks for line in lines)} chunks"


def answer(words: str, hit: Hit | None) -> list[str]:
    """Return the best chunk's key and lines, and of its text the lines that say most."""
    if hit is None:
        return ["  nothing found"]
    data = hit.metadata
    where = f"{data.get('document_key')}, lines {data.get('start_line')} to {data.get('end_line')}"
    text = [line.rstrip() for line in hit.document.splitlines() if line.strip()]
    start = _telling_part(_words(words), text)
    shown = [f"  | {line[:96]}" for line in text[start : start + SHOWN_LINES]]
    return [f"  {where}  (score {hit.score:.2f})", *shown]


def _telling_part(asked: set[str], text: list[str]) -> int:
    """Return where the lines begin that share most words with the question."""
    places = range(max(1, len(text) - SHOWN_LINES + 1))
    shared = [len(asked & _words(" ".join(text[i : i + SHOWN_LINES]))) for i in places]
    return shared.index(max(shared))


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"\w+", text.lower()) if len(word) > 3}
