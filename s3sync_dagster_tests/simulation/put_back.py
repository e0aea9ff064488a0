"""A world whose Chroma is put back from copies of its data while work goes on.

Its collections keep their ids, so that nothing tells anybody. What is worked on before a person has
it verified meets records of before. At the world's rest that has to be enough, by metadata alone:
no check that goes round then reads texts, as none does of what older settings wrote.
"""

import random
from typing import Any

from s3sync_dagster.model.source import AutoSync, DeleteMode
from s3sync_dagster_tests.simulation.driver import SOURCE, act, replayable
from s3sync_dagster_tests.simulation.oracle import check
from s3sync_dagster_tests.simulation.world import ASKED, OTHER, World

OFTEN = 0.05
"""Chance of a step that a copy is made, and that one is put back; of an edit four times that."""


class PutBackWorld(World):
    """A world that has copies of its collections."""

    def __init__(self, source, seed: int) -> None:
        super().__init__(source, seed)
        self.copies = {}
        """Of collections, by name: their id, the source that filled them, and their records."""

    @property
    def of_ended(self) -> dict[str, Any]:
        """They go where what came after stands: no other installation is here."""
        known = self.catalog.sources.ids()
        return {"known_sources": known, "delete_ended": True, "collections": self.collections}

    def _look_at_all(self) -> None:
        self.verify_and_fix()
        self._come_to_rest(events=False)

    def spoil_record(self, name: str, place: int) -> None:
        """Write over one record of ours, by hand, in a way that its metadata tell."""
        super().spoil_record(name, place - place % 2)

    def copy_collection(self, name: str) -> None:
        port = self.existing(name)
        if port is not None:
            self.note(f"somebody copies {name}")
            self.copies[name] = (port.id, self.source.id, dict(port._records))

    def edit_part(self, chance: random.Random) -> None:
        """Change one paragraph of an object: the records of the others get new metadata alone."""
        there = {key: text.decode() for key, text in self.bucket.objects().items()}
        if several := [key for key in self.keys if "\n\n" in there.get(key, "").strip()]:
            key = chance.choice(several)
            parts = there[key].split("\n\n")
            number = chance.randrange(len(parts))
            parts[number] = f"{key} part {number} version {chance.randrange(3)}"
            self.work_through({key: "\n\n".join(parts)}, max_keys=500)

    def put_collection_back(self, name: str) -> None:
        """Have the source's records in a collection be those of its copy."""
        port, copy = self.existing(name), self.copies.get(name)
        if port is None or copy is None or copy[:2] != (port.id, self.source.id):
            return
        if self.away or self.catalog.moves.left_by(self.source.id):
            return  # what ended since is told of, and goes by a person's word alone
        self.note(f"{name} is put back")
        foreign = self.foreign.get(name, {})
        then = {one: record for one, record in copy[2].items() if one not in foreign}
        now = {one: record for one, record in port._records.items() if one not in foreign}
        others = {one for one in {*then, *now} if then.get(one) is not now.get(one)}
        self._disturb(name, sorted(others))
        for one in now:
            del port._records[one]
        port._records |= then
        port._asked = None
        self.unverified = True


def run_put_back(seed: int, steps: int) -> PutBackWorld:
    """Run one world from its seed to its rest and check it; the failure shows what happened."""
    chance = random.Random(seed)
    auto_sync = chance.choices([AutoSync.DIRECT, AutoSync.METADATA], (4, 1))[0]
    source = SOURCE.with_changes(mode=DeleteMode.MIRROR, auto_sync=auto_sync)
    world = PutBackWorld(source, seed)
    with replayable(world, f"run_put_back({seed}, {steps}), auto_sync {auto_sync}"):
        for _ in range(steps):
            luck, name = chance.random(), chance.choice(["docs", "docs", OTHER, ASKED])
            if luck < OFTEN:
                world.copy_collection(name)
            elif luck < 2 * OFTEN:
                world.put_collection_back(name)
            elif luck < 6 * OFTEN:
                world.edit_part(chance)
            else:
                act(world, chance)
        if chance.random() < 0.5:  # what came last nobody mends by the way
            world.weather.on = False
            world.copy_collection("docs")
            for _ in range(6):
                world.edit_part(chance)
            world.put_collection_back("docs")
            for _ in range(6):
                world.edit_part(chance)
        world.settle(events=chance.random() < 0.5)
        check(world)
    return world
