"""Chance that drives a world, from one seed: run again with the same seed it does the same."""

import gc
import json
import random
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.simulation.answers import WRONG
from s3sync_dagster_tests.simulation.hosts import WRONG_DATE
from s3sync_dagster_tests.simulation.oracle import check
from s3sync_dagster_tests.simulation.ports import FAULTS, LIE, REFUSED, REFUSES_ALL
from s3sync_dagster_tests.simulation.promptly import check_prompt
from s3sync_dagster_tests.simulation.world import ASKED, OTHER, World
from s3sync_dagster_tests.sources import s3_source

SOURCE = s3_source(
    id="00000000-0000-4000-8000-000000000001",
    name="docs",
    bucket_name="bucket",
    collection_name="docs",
    metadata={"team": "red"},
)
ALLOCATIONS = 50_000
"""So many until the collector looks for what is unreachable, in a world."""


def run_episode(seed: int, steps: int) -> World:
    """Run one world from its seed to its rest and check it; the failure shows what happened."""
    chance = random.Random(seed)
    mode = chance.choices(list(DeleteMode), (8, 1, 1))[0]
    auto_sync = chance.choices([AutoSync.DIRECT, AutoSync.METADATA], (4, 1))[0]
    world = World(SOURCE.with_changes(mode=mode, auto_sync=auto_sync), seed)
    with replayable(world, f"run_episode({seed}, {steps}), mode {mode}, auto_sync {auto_sync}"):
        for _ in range(steps):
            act(world, chance)
        if chance.random() < 0.5:
            world.hold_readers()
            for key, content in _some_changes(world, chance).items():
                if content is None:
                    world.delete(key)
                else:
                    world.put(key, content)
            world.sync_once()
            if not (world.weather.lies or world.away or world.disturbed):
                check_prompt(world)
        if chance.random() < 0.1 and mode is DeleteMode.MIRROR:
            world.reindex(deadly=chance.choice(world.keys[:3]))
        world.settle(events=chance.random() < 0.5)
        check(world)
    return world


@contextmanager
def replayable(world: World, call: str) -> Iterator[None]:
    """Close a world at its end; a failure shows what happened and the call that does it again."""
    seldom, *rest = gc.get_threshold()
    gc.set_threshold(max(seldom, ALLOCATIONS), *rest)  # a tenth of the time went into looking
    try:
        yield
        world.raise_violations()
    except BaseException as error:
        error.add_note("\n".join(world.trace[-400:]))
        error.add_note(f"step {world.acted}{'' if world.weather.on else ', at rest'}")
        error.add_note(f"replay: {call}")
        raise
    finally:
        gc.set_threshold(seldom, *rest)
        world.close()


def act(
    world: World,
    chance: random.Random,
    *,
    only: Collection[str] = (),
    weights: Mapping[str, float] | None = None,
) -> None:
    """Let one thing happen: of all, of some, or of those that have weights."""
    known = {**PEOPLE, **ACTIONS, **world.place.happenings}
    kinds = list(weights or only or [*ACTIONS, *world.place.happenings])
    kind = chance.choices(kinds, [(weights or {}).get(kind, known[kind][0]) for kind in kinds])[0]
    world.acted += 1
    known[kind][1](world, chance)
    world.note_shown()
    world.raise_violations()
    if chance.random() < 0.1:
        world.check_counts()


def _put(world: World, chance: random.Random) -> None:
    key = chance.choice(world.keys[:2] + world.keys)  # some are hot
    world.put(key, text(key, chance))


def text(key: str, chance: random.Random) -> str:
    """Return a content: mostly paragraphs, some of which several versions share."""
    odd = chance.random()
    if odd < 0.04:
        return f"BAD {chance.randrange(100)}"
    if odd < 0.06:
        return chance.choice(["", " \n\n ", f"KILL READER {chance.randrange(100)}",
                              f"KILL CHUNKER {chance.randrange(100)}"])  # fmt: skip
    number = chance.choice([1, 1, 2, 3, 5, 9])
    parts = [f"{key} part {n} version {chance.randrange(3)}" for n in range(number)]
    if odd > 0.97:
        parts[chance.randrange(number)] += f" {REFUSED}"
    return "\n\n".join(parts)


def _delete(world: World, chance: random.Random) -> None:
    world.delete(chance.choice(world.keys + world.sidecars))


def _sidecar(world: World, chance: random.Random) -> None:
    key = chance.choice(world.sidecars)
    if chance.random() < 0.1:
        world.put(key, f"{{broken {chance.randrange(100)}")
        return
    world.put(key, _claim(world, chance))


def _claim(world: World, chance: random.Random) -> str:
    """Return what a sidecar says."""
    said = {
        "version": "chroma-v1",
        "id": chance.choice(["x", "y", "z"]),
        "path": chance.choice(world.keys),
        "metadata": chance.choice([{}, {"a": 1}, {"a": 2, "b": "two"}]),
    }
    if chance.random() < 0.5:
        said["target_collection_name"] = chance.choice([OTHER, "docs"])
    return json.dumps(said)


def _forecast(world: World, chance: random.Random) -> None:
    kind = chance.choice(list(FAULTS))
    fault = chance.choice(FAULTS[kind])
    if fault == LIE and world.source.mode is not DeleteMode.MIRROR:
        return
    world.note(f"forecast {kind} {fault}")
    world.weather.forecast(kind, fault, after=chance.randrange(8))


def _front(world: World, chance: random.Random) -> None:
    """Let a service answer wrongly for a while."""
    kind = chance.choice(list(WRONG))
    faults = [*WRONG[kind], REFUSES_ALL] if kind == "chroma" else list(WRONG[kind])
    weights = [4 if fault in MISLEADING else 1 for fault in faults]
    fault, calls = chance.choices(faults, weights)[0], chance.choice([1, 1, 2, 5, 25])
    world.note(f"a front of {kind}: {fault} x{calls}")
    world.weather.front(kind, fault, calls=calls)
    if chance.random() < 0.5:  # somebody works in it, or few fronts would meet anybody
        if kind == "s3" and world.pillars:
            world.look_again(chance.choice(list(world.pillar_texts)))
        changes = _some_changes(world, chance)
        world.work_through(changes, max_keys=chance.choice([1, 500]))
        world.check_blame(changes)


MISLEADING = {REFUSES_ALL, "400", "413", "404 of a proxy", "404 of the bucket"}
"""What looks as if the bytes were to blame, or as if something were gone."""


def _person(world: World, chance: random.Random) -> None:
    """Let somebody do something that the mirror mode answers alike whenever it comes."""
    if world.source.mode is not DeleteMode.MIRROR:
        return
    names = list(PEOPLE)
    PEOPLE[chance.choices(names, [PEOPLE[name][0] for name in names])[0]][1](world, chance)


PEOPLE = {
    "rebuild --catalog": (2, lambda w, c: w.rebuild_catalog()),
    "retry": (6, lambda w, c: w.retry()),
    "rebuild": (3, lambda w, c: w.rebuild()),
    "reindex": (3, lambda w, c: w.reindex()),
    "pause": (3, lambda w, c: w.pause_source(paused=c.random() < 0.5)),
    "verify": (3, lambda w, c: w.start_verify()),
    "delete": (1, lambda w, c: w.delete_source()),
    "move": (4, lambda w, c: w.move_source(bucket=c.random() < 0.5, restricted=c.random() < 0.3)),
    "end of a move": (4, lambda w, c: w.start_end_of_move()),
    "back up": (3, lambda w, c: w.back_up()),
    "restore": (2, lambda w, c: w.restore(verify=c.random() < 0.5)),
}


def _full_disk(world: World, chance: random.Random) -> None:
    world.have_full_disk(chance, partial(act, only=world.kinds), steps=chance.choice([2, 5, 20]))


def _another_bucket(world: World, chance: random.Random) -> None:
    ask = partial(act, only=BESIDE_AN_EMPTY_BUCKET)
    world.have_another_bucket(chance, ask, steps=chance.choice([5, 20]))


def _elsewhere(world: World, chance: random.Random) -> None:
    ask = partial(act, only=BESIDE_AN_EMPTY_BUCKET)
    world.move_elsewhere(chance, ask, keys=world.keys, steps=chance.choice([5, 20, 40]))


BESIDE_AN_EMPTY_BUCKET = (
    "batch", "step", "look", "retry", "rebuild", "reindex", "verify", "house", "list", "wait",
    "kill", "ambush", "check", "jump", "end of a move",
)  # fmt: skip
"""What must remove nothing while an empty bucket stands in place of the source's."""


def _stranger(world: World, chance: random.Random) -> None:
    """Let somebody else do something to a collection."""
    if world.source.mode is DeleteMode.MIRROR:
        names = list(NEIGHBOURS)
        name = chance.choices(names, [NEIGHBOURS[name][0] for name in names])[0]
        NEIGHBOURS[name][1](world, chance, chance.choice(["docs", "docs", OTHER, ASKED]))


NEIGHBOURS = {
    "write by hand": (2, lambda w, c, name: w.write_by_hand(name)),
    "write by others": (2, lambda w, c, name: w.write_by_others(name)),
    "delete collection": (1, lambda w, c, name: w.delete_collection(name)),
    "make collection anew": (1, lambda w, c, name: w.make_collection_anew(name)),
    "empty collection": (1, lambda w, c, name: w.empty_collection(name)),
    "rob collection": (3, lambda w, c, name: w.rob_collection(name, c.randrange(100))),
    "spoil a record": (3, lambda w, c, name: w.spoil_record(name, c.randrange(100))),
}


def _ask(world: World, chance: random.Random) -> None:
    world.ask(
        chance.choice(world.keys),
        custom_id=chance.choice([None, None, "r1", "r2"]),
        words=chance.choice([{}, {"why": 1}]),
        force=chance.random() < 0.2,
    )


def _dawdle(world: World, chance: random.Random) -> None:
    luck, place, changes = chance.random(), chance.randrange(100), _some_changes(world, chance)
    if luck < 0.8:
        world.dawdle(place, changes, vanish=luck < 0.4)
        return
    for key in world.sidecars:
        changes[key] = _claim(world, chance) if chance.random() < 0.7 else None
    world.read_late({key: _claim(world, chance) for key in world.sidecars}, changes)


def _coincide(world: World, chance: random.Random) -> None:
    """Let one of the stories happen that chance alone tells too seldom."""
    if world.spell is not None or world.source.mode is not DeleteMode.MIRROR:
        return
    match chance.randrange(7):
        case 0:
            key, version = chance.choice(world.keys[:3]), chance.randrange(1000)
            world.replace_beneath_writer({key: f"{key} is written, {version}"})
        case 1:
            world.grow_into_stray(chance.randrange(100), world.keys)
        case 2:
            world.hide_from_remover(chance.choice(world.keys[:3]))
        case 3:
            world.fail_under_wrong_clock(_some_changes(world, chance))
        case 4:
            world.write_late(chance.choice(world.keys[:3]))
        case 5:
            world.lose_sidecars_while_kept(chance.choice([OTHER, ASKED]))
        case _:
            world.tell_during_page()


def _some_changes(world: World, chance: random.Random) -> dict[str, str | None]:
    return {
        key: text(key, chance) if chance.random() < 0.7 else None
        for key in world.keys
        if chance.random() < 0.4
    }


DEADLY_PLACES = (
    "at begun", "at claimed", "after upsert", "before delete", "after delete",
    "before documents.commit", "after documents.commit", "after documents.claim_removal",
    "after work.apply_sidecars", "after listings.commit_page", "after listings.depart",
)  # fmt: skip


def _configure(world: World, chance: random.Random) -> None:
    if chance.random() < 0.5:
        world.configure(exclude_globs=chance.choice([(), (world.place.key("dir/") + "*",)]))
    else:
        few = 3 + len(world.pillars and world.pillar_texts)
        world.configure(document_limit=chance.choice([None, None, few]))


ACTIONS = {
    "put": (14, _put),
    "delete": (5, _delete),
    "sidecar": (5, _sidecar),
    "lose": (2, lambda w, c: w.lose_event(c.randrange(100))),
    "repeat": (3, lambda w, c: w.repeat_event(c.randrange(100), c.choice([0, 50, 500]))),
    "shuffle": (2, lambda w, c: w.shuffle_events(c.randrange(1000))),
    "intake": (7, lambda w, c: w.start_intake()),
    "list": (5, lambda w, c: w.start_listing(
        fresh=c.random() < 0.2, approve=c.random() < 0.5 and w.spell != "another bucket",
        pages=c.choice([1, 2, 9]))),
    "approve": (1, lambda w, c: w.approve()),
    "ask": (2, _ask),
    "look": (2, lambda w, c: w.look_again(
        c.choice(w.keys + w.sidecars + tuple(w.pillar_texts if w.pillars else ())))),
    "configure": (1, _configure),
    "batch": (12, lambda w, c: w.start_batch(max_keys=c.choice([1, 2, 500]))),
    "step": (60, lambda w, c: w.step(c.randrange(100), c.choice([1, 2, 5, 20, 100]))),
    "dawdle": (2, _dawdle),
    "ambush": (4, lambda w, c: w.ambush(c.randrange(100), c.choice(DEADLY_PLACES))),
    "kill": (2, lambda w, c: w.kill(c.randrange(100))),
    "wait": (6, lambda w, c: w.wait(c.choice([1, 20, 70, 130, 1000]))),
    "house": (6, lambda w, c: w.keep_house()),
    "check": (2, lambda w, c: w.start_check()),
    "weather": (5, _forecast),
    "front": (4, _front),
    "person": (4, _person),
    "stranger": (2, _stranger),
    "full disk": (1, _full_disk),
    "another bucket": (0.5, _another_bucket),
    "elsewhere": (0.5, _elsewhere),
    "coincide": (2, _coincide),
    "jump": (1, lambda w, c: w.jump(c.choice([-WRONG_DATE, -3600, -30, 30, 3600, WRONG_DATE]))),
}  # fmt: skip
