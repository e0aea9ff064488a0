"""``s3sync evaluate``."""

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click

from s3sync_dagster.cli.completing import collection_names
from s3sync_dagster.cli.groups import examples
from s3sync_dagster.cli.options import as_json, chroma_url, opened
from s3sync_dagster.cli.showing import columns, people
from s3sync_dagster.cli.source_options import embedding, embedding_config
from s3sync_dagster.core.rights import EVERYTHING
from s3sync_dagster.evaluating import (
    REACH,
    Measured,
    Question,
    measure,
    propose,
    read_questions,
    unknown_excerpts,
    unknown_keys,
)
from s3sync_dagster.local.signals import stop_on_signals
from s3sync_dagster.meant import FILLED_BY_NONE, naming_collections
from s3sync_dagster.model.errors import Conflict, InvalidSetting, NotFound
from s3sync_dagster.search import opened as opened_search

SAMPLE = 300
"""Objects that are read for a try, where people say nothing."""
LOST = 20
"""Questions without an answer that people are shown."""


@click.command(
    epilog=examples(
        "s3sync evaluate docs --questions questions.jsonl --make 50",
        "s3sync evaluate docs --questions questions.jsonl -k 10",
        "s3sync evaluate docs --questions questions.jsonl --try max-chunk-bytes=512",
    )
)
@click.argument("collection", shell_complete=collection_names)
@click.option(
    "--questions",
    "file",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="JSON lines or CSV: question, and key or excerpt of its answer.",
)
@click.option(
    "--make",
    type=click.IntRange(1, 10_000),
    metavar="COUNT",
    help="Write so many questions, made from headings and docstrings, to that new file, and stop.",
)
@click.option("-k", type=click.IntRange(1, REACH), default=5, show_default=True, help="Hits.")
@click.option(
    "--try",
    "tried",
    multiple=True,
    metavar="SETTING=VALUE",
    help="A setting that is not made yet, as `s3sync source create` names it; several are one try.",
)
@click.option(
    "--sample",
    type=click.IntRange(1, 100_000),
    metavar="COUNT",
    help=f"With --try: objects read beside those that answer; {SAMPLE} when not given.",
)
@click.option("--yes", is_flag=True, help="With --try: ask endpoints, which may cost money.")
@click.option("--tenant", help="Where several have a collection of that name.")
@click.option("--database", help="Where several have a collection of that name.")
@embedding("For collections that no source here fills.")
@chroma_url
@as_json
def evaluate(
    collection: str,
    file: Path,
    make: int | None,
    k: int,
    tried: tuple[str, ...],
    sample: int | None,
    yes: bool,
    tenant: str | None,
    database: str | None,
    chroma_url: str | None,
    as_json: bool,
    **options: Any,
) -> int:
    """Ask a COLLECTION questions with known answers.

    By vectors, by words and by both, side by side. With --try both as it is and as it would be
    under other settings of its sources, on a sample of its objects, with what that would cost:
    --try max-chunk-bytes=512 --try chunk-context, or --try embedding=static. Nothing is changed.
    """
    if not tried and (sample is not None or yes):
        raise click.UsageError("--sample and --yes are for --try.")
    if tried and (make or embedding_config(options) is not None):
        raise click.UsageError("--try goes without --make, and has its model as embedding=KIND.")
    questions = [] if make else read_questions(file)
    if tried:
        from s3sync_dagster.cli.trial import print_trial, read_tried  # noqa: PLC0415  (seldom)
        from s3sync_dagster.trial.trial import try_change  # noqa: PLC0415

        change = read_tried(tried)  # a mistake is told before anything is opened
        with stop_on_signals(), opened(chroma_url) as parts:
            trial = try_change(
                parts,
                collection,
                questions,
                change=change,
                count=sample or SAMPLE,
                agreed=yes,
                tenant=tenant,
                database=database,
                note=partial(click.echo, err=True),
            )
        return print_trial(trial, tried, k=k, as_json=as_json)
    with (
        opened(chroma_url) as parts,
        naming_collections(
            collection, parts.catalog.sources.all(moved=True), otherwise=FILLED_BY_NONE
        ),
        opened_search(
            parts,
            collection,
            reader=EVERYTHING,
            tenant=tenant,
            database=database,
            ranking="dense" if make else "hybrid",
            embedding=embedding_config(options),
        ) as searcher,
    ):
        if make:
            return _make(propose(searcher.collection, make), file, as_json=as_json)
        measured = measure(searcher, questions)
        unknown = unknown_keys(searcher.collection, questions, measured)
        nowhere = unknown_excerpts(searcher.collection, questions, measured, keys=unknown)
    if as_json:
        values = _values(questions, measured, k)
        values |= {"unknown_keys": unknown, "unknown_excerpts": nowhere}
        click.echo(json.dumps(values))
        return 0
    head = ("ranking", "recall@1", f"recall@{k}", f"in reach ({REACH})", "MRR")
    rows = [
        (one.ranking, *(f"{100 * one.recall(n):.1f}" for n in (1, k, REACH)), f"{one.mrr():.3f}")
        for one in measured
    ]
    for line in columns(head, rows):
        click.echo(line)
    _tell_lost(questions, measured, k)
    _tell_unknown("No record has these keys", unknown)
    _tell_unknown("No record holds these excerpts", [repr(one) for one in nowhere])
    return 0


def _tell_unknown(what: str, unknown: list[str]) -> None:
    if unknown:
        shown = ", ".join(people(one) for one in unknown[:LOST])
        more = f" and {len(unknown) - LOST} more" if len(unknown) > LOST else ""
        click.echo(f"\n{what}, so nothing can answer: {shown}{more}")


def _tell_lost(questions: list[Question], measured: list[Measured], k: int) -> None:
    """Name the questions that are not answered, and where the answer stands."""
    last = measured[-1].ranks  # what people get: hybrid, or reranked
    lost = [n for n, rank in enumerate(last) if rank is None or rank > k]
    if not lost:
        return
    click.echo(f"\n{len(lost)} of {len(questions)} not among the first {k} (ranks of the answer):")
    head = (*(one.ranking for one in measured), "question")
    rows = [
        (*(str(one.ranks[n] or "-") for one in measured), people(questions[n].question))
        for n in lost[:LOST]
    ]
    for line in columns(head, rows):
        click.echo(line)
    if len(lost) > LOST:
        click.echo(f"... {len(lost) - LOST} more; --json has all")


def _make(proposed: list[Question], file: Path, *, as_json: bool) -> int:
    if not proposed:
        raise NotFound("No chunk of this collection has a heading or a docstring to ask from.")
    lines = [
        json.dumps({name: value for name, value in asdict(one).items() if value is not None})
        for one in proposed
    ]
    try:
        with file.open("x", encoding="utf-8") as target:
            target.write("\n".join(lines) + "\n")
    except FileExistsError:
        raise Conflict(f"{file} is there already: name a new file.") from None
    except OSError:
        raise InvalidSetting(f"{file} cannot be written.") from None
    if as_json:
        click.echo(json.dumps({"questions": len(lines), "file": str(file)}))
    else:
        click.echo(
            f"{len(lines)} questions in {file}. They use words of their answers: rewrite some as "
            "people would ask."
        )
    return 0


def _values(questions: list[Question], measured: list[Measured], k: int) -> dict[str, Any]:
    return {
        "questions": len(questions),
        "k": k,
        "rankings": {one.ranking: one.scores(k) for one in measured},
        "ranks": [
            {"question": question.question, **{one.ranking: one.ranks[n] for one in measured}}
            for n, question in enumerate(questions)
        ],
    }
