"""``s3sync evaluate --try``: what other settings would gain and cost."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

from s3sync_dagster.cli.showing import columns, people, reasons, wrapped
from s3sync_dagster.cli.source_options import (
    embedding_config,
    named,
    setting_options,
    with_settings,
    written_again_by,
)
from s3sync_dagster.cli.sync_summary import place_of
from s3sync_dagster.model.source import Source
from s3sync_dagster.trial.comparing import (
    Difference,
    Outcome,
    difference,
    recalled,
    reciprocal,
    whole,
)
from s3sync_dagster.trial.trial import Trial, needs_new_collection

SETTINGS = [one for one in named("chunking", "embedding", "extraction") if "sparse" not in one.word]
"""That change texts or vectors; sparse vectors are asked by no ranking here."""


@click.command("try", add_help_option=False)
@setting_options(SETTINGS)
def _option(**_options: Any) -> None:
    """Hold one of the options of a source, to parse it."""


def read_tried(tried: Sequence[str]) -> Callable[[Source], Source]:
    """Return what makes the change of settings such as ``max-chunk-bytes=512``.

    A model takes the place of the old one with all that is said of it, as ``reindex`` has it.

    Raises:
        click.UsageError: there is no such setting, or it cannot have that value.
        InvalidSetting: likewise.
    """
    given: dict[str, Any] = {}
    for one in tried:  # each alone: none takes the next for its value
        parsed = _option.make_context("--try", [_flag(one)]).params
        found = {name: value for name, value in parsed.items() if value is not None}
        if not found:
            raise click.UsageError(f"--try {one!r} names no setting.")
        if found.keys() & given.keys():
            raise click.UsageError(f"--try {one!r}: another --try has a value of that setting.")
        given |= found
    model = embedding_config(given)
    others = [one for one in SETTINGS if one.group != "embedding"]

    def change(source: Source) -> Source:
        return with_settings(
            source if model is None else source.with_changes(embedding=model), given, others
        )

    return change


def _flag(tried: str) -> str:
    return f"--{tried.removeprefix('--')}"


def print_trial(trial: Trial, tried: Sequence[str], *, k: int, as_json: bool) -> int:
    """Print what a trial came to."""
    if as_json:
        click.echo(json.dumps(_values(trial, tried, k)))
        return 0
    click.echo(wrapped(_sample_words(trial)))
    sides = ("tried", "difference")
    head = ("ranking", f"recall@{k} today", *sides, "MRR today", *sides)
    for line in ("", *columns(head, list(_scores(trial, k)))):
        click.echo(line)
    costs = list(
        zip(
            _COSTS,
            _costs(trial, trial.today, trial.tried),
            _costs(trial, trial.tried, trial.today),
            strict=True,
        )
    )
    for line in ("", *columns(("", "today", "tried"), costs), ""):
        click.echo(line)
    for line in _steps(trial, tried):
        click.echo(line)
    click.echo("Nothing was changed.", err=True)
    return 0


def _sample_words(trial: Trial) -> str:
    sample, asked = trial.sample, len(trial.questions)
    said = f"{asked} question{'s' * (asked != 1)} asked of "
    if sample.whole:
        return f"{said}all {sample.population:,} objects.{_left_out(trial)}{_kept(trial)}"
    return (
        f"{said}{len(sample.objects):,} of {sample.population:,} objects: "
        f"{len(sample.answering):,} that answer, {len(sample.drawn):,} by hash (--sample)."
        f"{_left_out(trial)}{_kept(trial)} Among so few every answer is easier to find than in the "
        "whole collection: the differences count."
    )


def _left_out(trial: Trial) -> str:
    if not trial.left_out:
        return ""
    return f" {trial.left_out} not asked: their answers are in no object that was read."


def _kept(trial: Trial) -> str:
    """Say what stays in the collection and takes part in no ranking here."""
    kept = trial.kept_records
    if not kept:
        return ""
    return (
        f" {kept:,} records of objects that are gone or have other bytes by now stay as they are "
        "and are not among what is searched here: in the collection they take places, so answers "
        "stand somewhat further back than both columns say."
    )


def _scores(trial: Trial, k: int) -> Iterator[tuple[str, ...]]:
    for today, tried in zip(trial.today.measured, trial.tried.measured, strict=True):
        found = difference(recalled(today.ranks, k), recalled(tried.ranks, k))
        ranked = difference(reciprocal(today.ranks), reciprocal(tried.ranks))
        yield (
            today.ranking,
            f"{100 * today.recall(k):.1f}",
            f"{100 * tried.recall(k):.1f}",
            _signed(found, scale=100, digits=1),
            f"{today.mrr():.3f}",
            f"{tried.mrr():.3f}",
            _signed(ranked, scale=1, digits=3),
        )


def _signed(one: Difference, *, scale: int, digits: int) -> str:
    mean = f"{scale * one.mean:+.{digits}f}"
    return mean if one.error is None else f"{mean} ± {scale * one.error:.{digits}f}"


_COSTS = (
    "records of these objects",
    "records in all",
    "chunks a MB of text",
    "vectors in all",
    "texts embedded here",
    "CPU-seconds for them",
    "CPU-seconds in all",
    "objects without a text",
)


def _costs(trial: Trial, side: Outcome, other: Outcome) -> list[str]:
    """Return what ``_COSTS`` names; what is not counted is ``about``."""
    about = "" if trial.sample.whole else "about "
    all_of_it = whole(trial.sample, side, other)
    return [
        f"{side.records:,}",
        "-" if all_of_it is None else f"{about}{all_of_it.records:,}",
        f"{side.chunks_a_megabyte:,.0f}",
        "-" if all_of_it is None else f"{about}{all_of_it.vector_bytes / 1e6:,.1f} MB",
        f"{side.texts:,}",
        _cpu(side.cpu_seconds),
        _cpu(all_of_it.cpu_seconds if all_of_it else None, about=about),
        reasons(Counter(side.failed)),
    ]


def _cpu(seconds: float | None, *, about: str = "") -> str:
    return "-" if seconds is None else f"{about}{seconds:,.2f}"


def _steps(trial: Trial, tried: Sequence[str]) -> Iterator[str]:
    """Yield how the change would be made, a line a source."""
    after = whole(trial.sample, trial.tried, trial.today)
    cost = "" if after is None else f", about {round(after.written * trial.new_texts):,} to embed"
    if needs_new_collection(trial.changes):
        yield f"Another model makes a new collection{cost}:"
    else:
        yield f"The change can be made in place; equal chunks keep their vectors{cost}:"
    for command in commands(trial, tried):
        yield f"  {people(command)}"


def commands(trial: Trial, tried: Sequence[str]) -> list[str]:
    """Return what makes the change, a line for each source of the collection."""
    model = [one for one in tried if _flag(one).startswith("--embedding")]
    others = [one for one in tried if one not in model]
    made: list[str] = []
    for source, _ in trial.changes:
        if not needs_new_collection(trial.changes):
            edit = shlex.join(["s3sync", "source", "edit", source.name, *map(_flag, others)])
            made.append(f"{edit} && {written_again_by(source)}")
        elif not others:
            words = ["s3sync", "reindex", source.name, *map(_flag, model)]
            made.append(f"{shlex.join(words)} --into NEW")
        else:
            words = ["--place", place_of(source), *map(_flag, tried)]
            made.append(
                f"s3sync source create NEW --collection NEW {shlex.join(words)}"
                f"  # and what else {source.name} says"
            )
    return made


def _values(trial: Trial, tried: Sequence[str], k: int) -> dict[str, Any]:
    sample = trial.sample
    after = whole(sample, trial.tried, trial.today)
    pairs = list(zip(trial.today.measured, trial.tried.measured, strict=True))
    return {
        "settings": list(tried),
        "questions": len(trial.questions),
        "left_out": trial.left_out,
        "k": k,
        "sample": {
            "objects": len(sample.objects),
            "answering": len(sample.answering),
            "by_hash": len(sample.drawn),
            "of": sample.population,
            "kept_records": trial.kept_records,
        },
        "today": _side(trial, trial.today, trial.tried, k),
        "tried": _side(trial, trial.tried, trial.today, k),
        "differences": {
            today.ranking: {
                "recall_at_k": _plain(
                    difference(recalled(today.ranks, k), recalled(other.ranks, k))
                ),
                "mrr": _plain(difference(reciprocal(today.ranks), reciprocal(other.ranks))),
            }
            for today, other in pairs
        },
        "to_embed_in_all": None if after is None else round(after.written * trial.new_texts),
        "new_collection": needs_new_collection(trial.changes),
        "commands": commands(trial, tried),
        "ranks": [
            {
                "question": question.question,
                "today": {today.ranking: today.ranks[n] for today, _ in pairs},
                "tried": {other.ranking: other.ranks[n] for _, other in pairs},
            }
            for n, question in enumerate(trial.questions)
        ],
    }


def _side(trial: Trial, side: Outcome, other: Outcome, k: int) -> dict[str, Any]:
    all_of_it = whole(trial.sample, side, other)
    return {
        "rankings": {one.ranking: one.scores(k) for one in side.measured},
        "records": side.records,
        "records_in_all": all_of_it.records if all_of_it else None,
        "chunks_a_megabyte": side.chunks_a_megabyte,
        "vector_bytes_in_all": all_of_it.vector_bytes if all_of_it else None,
        "texts": side.texts,
        "cpu_seconds": side.cpu_seconds,
        "cpu_seconds_in_all": all_of_it.cpu_seconds if all_of_it else None,
        "without_text": dict(Counter(side.failed)),
    }


def _plain(one: Difference) -> dict[str, float | None]:
    return {"mean": one.mean, "error": one.error}
