"""Rules of the engine taken out one at a time: which world notices.

    .venv/bin/python -m s3sync_dagster_tests.simulation.mutants [WORD ...] [--seeds 200]

Each is put into a copy of the package, in which worlds run from seed 0 on until one fails. The
table is that of ``docs/engine.md``. With words only mutants whose name has one of them are tried.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from s3sync_dagster_tests.simulation.world import DEALT, IN_A_REPOSITORY, ON_A_SITE

ROOT = Path(__file__).parents[2]
PACKAGES = ("s3sync_dagster", "s3sync_dagster_tests")
STEPS = 150


@dataclass(frozen=True, slots=True)
class Mutant:
    """One rule that is missing."""

    name: str
    """What the engine does wrong."""
    file: str
    """Where, from the root of the checkout."""
    old: str
    """What stands there, once."""
    new: str
    kind: int | None = None
    """Of all worlds only those of one kind of place are run: their seed modulo ``DEALT``."""
    only: str = ""
    """Only such worlds are run: of ``SPECIAL``."""

    def put_into(self, root: Path) -> None:
        """Change a copy of the checkout. Raises ValueError where the rule stands there no more."""
        path = root / self.file
        text = path.read_text()
        if text.count(self.old) != 1:
            raise ValueError(f"{self.name}: {self.file} has its text {text.count(self.old)} times")
        path.write_text(text.replace(self.old, self.new))


ENGINE, CORE, CATALOG = "s3sync_dagster/engine/", "s3sync_dagster/core/", "s3sync_dagster/catalog/"
SPECIAL = ("keeping", "put back")
"""Worlds of a mode that keeps texts; worlds whose Chroma is put back from copies."""
WORLD, PLACES = "s3sync_dagster_tests/simulation/", "s3sync_dagster/places/"
MUTANTS = (
    Mutant(
        "what a service refuses of everybody is blamed on the bytes",
        ENGINE + "batch/write.py",
        '        if name == "embed":\n'
        "            return refusal_of_model(self._parts, group, error)\n"
        "        return refusal_of_collection(self._parts, group, error)\n",
        "        return error\n",
    ),
    Mutant(
        "one refusal is proof, though the service may be well again",
        ENGINE + "batch/write.py",
        "if isinstance(cause, FixInput) and not again:",
        "if isinstance(cause, FixInput) and again:",
    ),
    Mutant(
        "a worker that its host killed is blamed on the bytes",
        CORE + "suspects.py",
        "TRIES_ALONE = 2",
        "TRIES_ALONE = 0",
    ),
    Mutant(
        "rebuild, retry and force remove what a blocked listing missed",
        CORE + "decision.py",
        "if missed_by_unfinished_listing(facts) and not told_removed(facts):",
        "if facts.own_sidecar and missed_by_unfinished_listing(facts):",
    ),
    Mutant(
        "a listing may remove all documents unasked",
        CORE + "guard.py",
        " or 0 < total <= leaving",
        "",
    ),
    Mutant(
        "an approval ends what only a later listing missed",
        CATALOG + "listing_end.py",
        "objects.c.first_missed_listing_id <= listing_id, objects",
        "objects.c.first_missed_listing_id > 0, objects",
    ),
    Mutant(
        "the order to reindex is lost on the way to who works",
        CORE + "targets.py",
        "strict = not item.automatic or item.reindexed or",
        "strict = not item.automatic or",
    ),
    Mutant(
        "a collection that was made anew is taken for the one before",
        CATALOG + "collections.py",
        "        if known == met.collection_id and not emptied:\n            return 0, True",
        "        if known is not None and not emptied:\n            return 0, True",
    ),
    Mutant(
        "a write into a collection that was replaced meanwhile counts",
        CATALOG + "settlement.py",
        "        in_collection_as_known(),\n",
        "",
    ),
    Mutant(
        "a time that a wrong clock has set is waited for",
        CATALOG + "rows.py",
        "return sa.or_(column <= now, column > now + at_most + CLOCKS_DIFFER_SECONDS)",
        "return column <= now",
    ),
    Mutant(
        "a lease that a wrong clock has set is waited for",
        CORE + "patience.py",
        "return at is None or at <= now or at > now + at_most + CLOCKS_DIFFER_SECONDS",
        "return at is None or at <= now",
    ),
    Mutant(
        "a page of a listing overrules what was told after it was asked for",
        CATALOG + "listing_statements.py",
        "            objects.c.told_number < asked,\n",
        "",
    ),
    Mutant(
        "a proxy's 404 is taken for the absence of a collection",
        WORLD + "answers.py",
        '"404 of a proxy": lambda: Unavailable("this is not Chroma", reason="not_chroma")',
        '"404 of a proxy": lambda: NotFound("there is no such collection")',
    ),
    Mutant(
        "a bucket that is not there is taken for keys that are gone",
        ENGINE + "batch/parts.py",
        'if error.reason == "bucket_not_found":',
        'if error.reason == "never":',
    ),
    Mutant(
        "rebuild --catalog takes over records of another installation",
        ENGINE + "rebuilding.py",
        'return "ours" if would_write(source, record.id, metadata) else "unknown"',
        'return "ours"',
    ),
    Mutant(
        "what code declares to be another source is taken for the same",
        CATALOG + "sources.py",
        "if not same and identity_changes(source_of(row), source):",
        "if False:",
    ),
    Mutant(
        "a listing asks for nothing while an older version is worked on",
        CORE + "page.py",
        'return status == "pending" or (status is not None and not differs)',
        "return status is not None",
    ),
    Mutant(
        "verify --fix deletes strays, and does not look who got their ids meanwhile",
        ENGINE + "unheld.py",
        "        documents.distrust(grown)\n",
        "        pass\n",
    ),
    Mutant(
        "late records that nobody owns are left",
        CATALOG + "settlement.py",
        "    states = [one for one in states if may_adopt(tx, one.source_id)]\n",
        "    states = []\n",
    ),
    Mutant(
        "a worker that finds its lease lost tells nobody what it wrote",
        ENGINE + "batch/run.py",
        "                ledger.distrust_begun()\n",
        "",
    ),
    Mutant(
        "a lease is never lost",
        ENGINE + "batch/lease.py",
        "        if self._lost or self._until - self._clock.monotonic() < seconds:\n",
        "        if self._lost and seconds < 0:\n",
    ),
    Mutant(
        "a commit does not ask whose the document is",
        CATALOG + "settlement.py",
        "        documents.c.batch_token == token,\n        documents.c.phase == "
        '"writing",\n        in_',
        '        documents.c.phase == "writing",\n        in_',
    ),
    Mutant(
        "a message is acknowledged before its commit",
        ENGINE + "intake.py",
        "    for source_id, events in plan.by_source.items():\n",
        "    queue.delete(plan.delete)\n    for source_id, events in plan.by_source.items():\n",
    ),
    Mutant(
        "the rolling check does not look at texts",
        ENGINE + "as_written.py",
        "return not text or has_its_text(document, place, stored)",
        "return True",
    ),
    Mutant(
        "new metadata are written on whatever stands under an id",
        CORE + "plan.py",
        "if there is not None and metadata_digest(there) == digests_at(before, place)[1]:",
        "if there is not None:",
        only="put back",
    ),
    Mutant(
        "what stands of a half-written document is trusted",
        CORE + "plan.py",
        "trusted = before.phase is DocumentPhase.CLEAN and not anew",
        "trusted = not anew",
    ),
    Mutant(
        "the tail of a half-written document stays",
        CORE + "plan.py",
        "top = before.count if trusted else max(before.high_water, before.count)",
        "top = before.count",
    ),
    Mutant(
        "a key that kills its worker under new settings is tried for ever",
        CATALOG + "batch_end.py",
        "                fingerprint=fingerprint,\n",
        "",
    ),
    Mutant(
        "a sidecar that is gone and could not be looked for is asked for by nobody",
        CATALOG + "listing_end.py",
        "return [unseen, deselected, [*others, is_gone], sidecar, kept]",
        "return [unseen, deselected, [*others, is_gone], kept]",
    ),
    Mutant(
        "an event's removal is evidence whatever is told of its object later",
        CORE + "facts.py",
        'return invocation.kind == "remove" and invocation.told_count == told_count',
        'return invocation.kind == "remove"',
    ),
    Mutant(
        "what returns stays on its way out",
        CATALOG + "listing_end.py",
        "    waiting = _exists(invocations, *REMOVAL_STANDS)\n",
        '    waiting = _exists(invocations, *REMOVAL_STANDS[:1], invocations.c.kind == "remove")\n',
    ),
    Mutant(
        "what a mode has kept without its sidecar goes by any word",
        CORE + "targets.py",
        "return document.owner.startswith(KEPT_OWNER) and not deselected_by_listing(item)",
        "return False",
    ),
    Mutant(
        "a source is forgotten although records name it",
        ENGINE + "deleting.py",
        "left = delete_what_is_left(source, catalog=catalog, collections=collections(), said=said)",
        "left = 0",
    ),
    Mutant(
        "what was missing while removals were blocked is not looked at when it is back",
        CORE + "page.py",
        'known.outcome == "skipped" and known.reason == "removal_blocked"',
        'known.outcome == "skipped" and known.reason == "never"',
    ),
    Mutant(
        "what was written of an object that is gone stays where its key failed",
        CATALOG + "documents.py",
        "failed={one.key: one.told_count for one in ended if not one.result.done}",
        "failed={}",
    ),
    Mutant(
        "the records of before a move go before those of the new place are written",
        CATALOG + "successions.py",
        'theirs.c.phase == "clean",',
        'theirs.c.phase != "removing",',
    ),
    Mutant(
        "documents of before a move stay beside their successors",
        CORE + "moving.py",
        "CERTAIN = frozenset({Standing.FOLLOWED, Standing.LEAVING})",
        "CERTAIN = frozenset({Standing.LEAVING})",
    ),
    Mutant(
        "keys that were never indexed count for the guard of a move",
        CORE + "moving.py",
        "return max(self.had - told, self.went + self.left - told - self.unguarded)",
        "return 2 * max(self.had, self.left)",
    ),
    Mutant(
        "the first of two moves is forgotten before its records are written",
        CATALOG + "successions.py",
        "documents.c.source_id.in_(chain)),",
        "documents.c.source_id == source_id),",
    ),
    Mutant(
        "a process that came late at the end of a move tells nobody",
        ENGINE + "moving.py",
        "catalog.documents.distrust(documents)",
        "pass",
    ),
    Mutant(
        "a late worker stores the sidecars that it has read",
        CATALOG + "work.py",
        "            require_running(self._db, tx, token, source_id)\n",
        "            self._db.lock_source(tx, source_id)\n",
    ),
    Mutant(
        "a host's copy of a repository is believed, however old it is",
        PLACES + "git_store.py",
        "self._fresh, self._refusal = False, None",
        "self._refusal = None",
        kind=IN_A_REPOSITORY,
    ),
    Mutant(
        "a page that waits on a host is read, whatever another one has told since",
        ENGINE + "batch/read.py",
        "    expect(parts.store, facts.key, facts.etag)\n",
        "",
        kind=ON_A_SITE,
    ),
    Mutant(
        "two crawls of one outage count as two",
        PLACES + "web_evidence.py",
        "APART_SECONDS = 3600.0",
        "APART_SECONDS = 0.0",
        kind=ON_A_SITE,
    ),
    Mutant(
        "a page that changed in the second of its reading is believed by its date",
        PLACES + "web_page.py",
        "0.0 if _may_change_unseen(answer, now) else now",
        "now",
        kind=ON_A_SITE,
    ),
    Mutant(
        "what was moved stays where its new page names the old address",
        PLACES + "web_ends.py",
        "        del self.targets[task.key]\n",
        "",
        kind=ON_A_SITE,
    ),
    Mutant(
        "a host that does not know a site says what is gone",
        PLACES + "web_store.py",
        'return self._open()[0].note("tells_missing") is not None',
        "return True",
        kind=ON_A_SITE,
    ),
    Mutant(
        "a picture in a page's place, read once, is the page",
        PLACES + "web_store.py",
        " or not has_page(answer)",
        "",
        kind=ON_A_SITE,
    ),
    Mutant(
        "what the first crawl after a move did not find is gone",
        ENGINE + "unseen.py",
        "    ask_for_unseen(source, store=store, catalog=catalog)\n",
        "",
        kind=ON_A_SITE,
    ),
    Mutant(
        "a kept text that a restored catalog does not know is written over",
        ENGINE + "batch/found_text.py",
        "        text, facts = texts.get(one.document_id), one.deed.decision.facts\n",
        "        text, facts = None, one.deed.decision.facts\n",
        only="keeping",
    ),
    Mutant(
        "a kept text is followed by one of other bytes",
        CATALOG + "successions.py",
        "            followed.where(theirs.c.etag == documents.c.etag),\n",
        "            followed,\n",
        only="keeping",
    ),
)


def main() -> int:
    """Try each mutant; returns 1 when one was not noticed."""
    options = _options()
    if options.hunt:
        print(json.dumps(hunt(options.seeds, kind=options.kind, only=options.only)))
        return 0
    print("| what is wrong | the world that notices | what it says |\n|---|---|---|", flush=True)
    missed = 0
    for mutant in MUTANTS:
        if options.words and not any(word in mutant.name for word in options.words):
            continue
        found = tried(mutant, seeds=options.seeds)
        missed += found is None
        where, said = found or (f"none of {options.seeds} seeds", "")
        print(f"| {mutant.name} | {where} | {said} |", flush=True)
    return 1 if missed else 0


def tried(mutant: Mutant, *, seeds: int) -> tuple[str, str] | None:
    """Return the call that notices a mutant, and what it says; None: none of the seeds does."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in PACKAGES:
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("*.pyc"))
        mutant.put_into(copy)
        command = [sys.executable, "-m", __spec__.name if __spec__ else "", "--hunt"]
        if mutant.kind is not None:
            command += ["--kind", str(mutant.kind)]
        if mutant.only:
            command += ["--only", mutant.only]
        ended = subprocess.run(
            [*command, "--seeds", str(seeds)],
            cwd=copy,
            env={**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    if ended.returncode:
        raise RuntimeError(f"{mutant.name}: the hunt broke off:\n{ended.stderr[-2000:]}")
    found = json.loads(ended.stdout.splitlines()[-1])
    return None if found is None else tuple(found)


def hunt(seeds: int, *, kind: int | None = None, only: str = "") -> tuple[str, str] | None:
    """Run worlds until one fails; returns its call with the step, and its words.

    Args:
        seeds: so many worlds.
        kind: of the place that they have.
        only: run just such worlds, of ``SPECIAL``.
    """
    from s3sync_dagster_tests.simulation.driver import run_episode
    from s3sync_dagster_tests.simulation.events import run_on_events
    from s3sync_dagster_tests.simulation.keeping import run_keeping
    from s3sync_dagster_tests.simulation.put_back import run_put_back
    from s3sync_dagster_tests.simulation.world import Endless

    runs = (("world", run_episode), ("events", run_on_events))
    if only:
        special = {"keeping": run_keeping, "put back": run_put_back}
        runs = ((only, special[only]),)
    numbers = range(seeds) if kind is None else range(kind, kind + DEALT * seeds, DEALT)
    for seed in numbers:
        for name, run in runs:
            if name == "events" and (seed % 5 or kind is not None):
                continue
            try:
                run(seed, STEPS)
            except (Exception, Endless) as error:  # noqa: BLE001  (whatever it is, it was noticed)
                step = next((one for one in error.__notes__ if one.startswith("step")), "")
                said = f"{error}".partition("\n")[0] or type(error).__name__
                return f"{name} {seed}, {step}", said[:90].replace("|", "/")
    return None


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="simulation.mutants", description=__doc__)
    parser.add_argument("words", nargs="*", help="of the names of those to be tried")
    parser.add_argument("--seeds", type=int, default=200, help="worlds that each may take")
    parser.add_argument("--kind", type=int, help="of the place that worlds have, with --hunt")
    parser.add_argument("--only", choices=["", *SPECIAL], default="", help="with --hunt")
    parser.add_argument("--hunt", action="store_true", help="run worlds in this very package")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
